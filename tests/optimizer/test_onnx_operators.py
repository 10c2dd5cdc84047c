"""Operators of ONNX files are refused in a sentence, or read as the standard says."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import normal
from onnx import numpy_helper
from onnx_files import conv, dense, node, read, refused

from optimizer import inference

NAN, INF = np.float32("nan"), np.float32("inf")


# --- training is not inference --------------------------------------------------------------


@pytest.mark.parametrize("ratio", ["", "ratio"])
def test_dropout_in_training(tmp_path, ratio):
    weights = {"on": np.array(True), "ratio": np.float32(0.5).reshape(())}
    nodes = [node("Dropout", ["x", ratio, "on"], ["d"]), *dense("d", 192, weights)]
    assert "training_mode is true" in refused(tmp_path, nodes, weights)
    weights["on"] = np.array(False)
    assert read(tmp_path, nodes, weights).nodes[0].op == "Dropout"


def test_dropout_before_opset_7_says_whether_it_is_training(tmp_path):
    weights: dict[str, np.ndarray] = {}
    nodes = [node("Dropout", ["x"], ["d"], ratio=0.3), *dense("d", 192, weights)]
    assert "is_test=0" in refused(tmp_path, nodes, weights, opset=6)
    read(tmp_path, nodes, weights, opset=7)
    nodes[0] = node("Dropout", ["x"], ["d"], is_test=1)
    read(tmp_path, nodes, weights, opset=6)


def norm(weights, channels=3, outputs=("n",), **attributes):
    for i, part in enumerate(("scale", "shift", "mean", "var")):
        weights.setdefault(part, np.abs(normal(10 + i, channels)) + np.float32(0.5))
    inputs = ["x", "scale", "shift", "mean", "var"]
    return node("BatchNormalization", inputs, list(outputs), name="norm", **attributes)


def test_batch_normalization_in_training(tmp_path):
    weights: dict[str, np.ndarray] = {}
    tail = dense("n", 192, weights)
    five = ("n", "m", "v", "sm", "sv")
    for opset, outputs, attributes, reason in (
        (9, five, {}, "5 outputs"),
        (7, five, {}, "5 outputs"),
        (6, ("n",), {}, "is_test=0"),
        (7, ("n",), {"spatial": 0}, "spatial=0"),
        (14, ("n", "m", "v"), {"training_mode": 1}, "training_mode=1"),
        (15, ("n", "m", "v"), {}, "3 outputs"),
    ):
        nodes = [norm(weights, outputs=outputs, **attributes), *tail]
        assert reason in refused(tmp_path, nodes, weights, opset=opset)
    for opset, attributes in ((6, {"is_test": 1}), (7, {"spatial": 1}), (9, {}), (15, {})):
        network = read(tmp_path, [norm(weights, **attributes), *tail], weights, opset=opset)
        x = normal(3, 2, 3, 8, 8)
        part = {k: weights[k].reshape(3, 1, 1) for k in ("scale", "shift", "mean", "var")}
        y = (x - part["mean"]) / np.sqrt(part["var"] + 1e-5) * part["scale"] + part["shift"]
        expected = y.reshape(2, -1) @ weights["wt"]
        np.testing.assert_allclose(inference.run(network, x), expected, rtol=1e-4, atol=1e-4)


# --- numbers that are none ------------------------------------------------------------------


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_weights_that_are_not_finite(tmp_path, value):
    bad = normal(1, 192, 4)
    bad[3, 2] = value
    flat = node("Flatten", ["x"], ["f"])
    product = node("MatMul", ["f", "w"], ["y"], name="dense")
    constant = node("Constant", [], ["w"], value=numpy_helper.from_array(bad))
    assert "'dense'" in refused(tmp_path, [flat, constant, product], {})
    assert "NaN or infinity" in refused(tmp_path, [flat, product], {"w": bad})
    # Of constants, by arithmetic.
    weights = {"a": normal(1, 192, 4), "b": bad}
    total = node("Add", ["a", "b"], ["w"])
    assert "NaN or infinity" in refused(tmp_path, [flat, total, product], weights)
    weights = {"w": normal(1, 192, 4)}
    gemm = node("Gemm", ["f", "w"], ["y"], alpha=float(value))
    assert "NaN or infinite" in refused(tmp_path, [flat, gemm], weights)
    weights = {"c": np.full((3, 1, 1), value)}
    nodes = [node("Add", ["x", "c"], ["a"]), *dense("a", 192, weights)]
    assert "NaN or infinity" in refused(tmp_path, nodes, weights)


def test_variances(tmp_path):
    weights = {"var": np.array([1, -0.5, 1], np.float32)}
    nodes = [norm(weights), *dense("n", 192, weights)]
    assert "smallest variance is -0.5" in refused(tmp_path, nodes, weights)
    weights["var"] = np.array([1, 0, 1], np.float32)
    read(tmp_path, nodes, weights)
    nodes[0] = norm(weights, epsilon=0.0)
    assert "with epsilon 0:" in refused(tmp_path, nodes, weights)
    weights["var"] = np.array([2], np.float32)
    assert "must have (3,)" in refused(tmp_path, nodes, weights)


def test_limits_of_a_clip(tmp_path):
    weights = {"low": np.float32(0).reshape(()), "high": INF.reshape(())}
    nodes = [node("Clip", ["x", "low", "high"], ["c"]), *dense("c", 192, weights)]
    x = normal(1, 2, 3, 8, 8)
    expected = np.maximum(x, 0).reshape(2, -1) @ weights["wt"]
    got = inference.run(read(tmp_path, nodes, weights), x)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)
    weights["high"] = NAN.reshape(())
    assert "max is NaN" in refused(tmp_path, nodes, weights)
    weights["high"] = np.ones(3, np.float32)
    assert "one number" in refused(tmp_path, nodes, weights)


# --- a bias is one row for all images -------------------------------------------------------


def test_a_bias_of_one_column(tmp_path):
    column = np.array([[1], [20], [300]], np.float32)
    weights = {"w": normal(1, 4, 3), "c": column}
    gemm = node("Gemm", ["x", "w", "c"], ["y"])
    for batch in ("batch", 3):
        assert "(3, 1)" in refused(tmp_path, [gemm], weights, (batch, 4))
    x = normal(2, 3, 4)
    for shape in ((3,), (1, 3), (1,), (1, 1), ()):
        weights["c"] = normal(3, *shape)
        got = inference.run(read(tmp_path, [gemm], weights, ("batch", 4)), x)
        np.testing.assert_allclose(got, x @ weights["w"] + weights["c"], rtol=1e-4, atol=1e-4)


def test_constants_of_a_row_an_image(tmp_path):
    weights = {"w": normal(1, 4, 3), "rows": normal(2, 3, 1)}
    nodes = [node("MatMul", ["x", "w"], ["m"]), node("Add", ["m", "rows"], ["y"])]
    assert "(3, 1)" in refused(tmp_path, nodes, weights, (3, 4))
    # A reshape that keeps one image's batch keeps no other.
    weights = {"shape": np.array([1, -1])}
    nodes = [node("Reshape", ["x", "shape"], ["r"]), *dense("r", 192, weights)]
    assert "[1, -1]" in refused(tmp_path, nodes, weights)
    read(tmp_path, nodes, weights, (1, 3, 8, 8))


def test_broadcasting_before_opset_7(tmp_path):
    x = normal(1, 2, 3, 8, 8)
    for shape, axis in (((3,), 1), ((3, 8), 1), ((8,), 3), ((8,), 2)):
        weights = {"c": normal(2, *shape)}
        tail = dense("a", 192, weights)
        add = node("Add", ["x", "c"], ["a"], broadcast=1, axis=axis)
        aligned = weights["c"].reshape(shape + (1,) * (4 - axis - len(shape)))
        expected = (x + aligned).reshape(2, -1) @ weights["wt"]
        got = inference.run(read(tmp_path, [add, *tail], weights, opset=6), x)
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)
        add = node("Add", ["x", "c"], ["a"])
        assert "broadcast=0" in refused(tmp_path, [add, *tail], weights, opset=6)


# --- attributes -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"strides": [-1, -1]}, "strides=[-1, -1]"),
        ({"strides": [0, 0], "auto_pad": "SAME_UPPER"}, "strides=[0, 0]"),
        ({"strides": [1]}, "strides=[1]"),
        ({"strides": 2}, "strides"),
        ({"pads": [1, 1, 1]}, "pads=[1, 1, 1]"),
        ({"pads": [0, 0, 0, -1]}, "pads=[0, 0, 0, -1]"),
        ({"pads": [2**40] * 4}, "2^28"),
        ({"pads": [1] * 4, "auto_pad": "SAME_LOWER"}, "exclude each other"),
        ({"dilations": [0, 1]}, "dilations=[0, 1]"),
        ({"dilations": [4, 1]}, "larger than the padded image"),
        ({"dilations": [2**62, 2**62]}, "larger than the padded image"),
        ({"auto_pad": "ZZ"}, "'ZZ'"),
        ({"auto_pad": b"\xff\xfe"}, "auto_pad"),
        ({"auto_pad": "valid"}, "'valid'"),
        ({"kernel_shape": [2, 3]}, "kernel_shape=[2, 3]"),
        ({"kernel_shape": [3]}, "kernel_shape=[3]"),
        ({"group": 3}, "group=3"),
        ({"group": 0}, "group=0"),
        ({"stride": [1, 1]}, "stride"),
        ({"alpha": 1.0}, "alpha"),
    ],
)
def test_attributes_of_a_convolution(tmp_path, attributes, reason):
    weights: dict[str, np.ndarray] = {}
    nodes = [conv(weights, **attributes), *dense("c", 180, weights)]
    assert reason in refused(tmp_path, nodes, weights)


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"kernel_shape": [2, 2], "ceil_mode": 1}, "ceil_mode=1"),
        ({"kernel_shape": [0, 2]}, "kernel_shape=[0, 2]"),
        ({"kernel_shape": [2]}, "kernel_shape=[2]"),
        ({"kernel_shape": [2, 2], "pads": [2, 0, 0, 0]}, "padding alone"),
        ({"kernel_shape": [2, 2], "dilations": [9, 1], "pads": [1, 0, 1, 0]}, "padding alone"),
        ({"kernel_shape": [4096] * 2, "pads": [8000] * 4}, "2^28"),
        ({"kernel_shape": [2, 2], "strides": [-2, 2]}, "strides=[-2, 2]"),
        ({"kernel_shape": [2, 2], "auto_pad": "SAME"}, "'SAME'"),
        ({}, "kernel_shape"),
    ],
)
def test_attributes_of_a_pool(tmp_path, op, attributes, reason):
    weights: dict[str, np.ndarray] = {}
    nodes = [node(op, ["x"], ["p"], **attributes), *dense("p", 192, weights)]
    assert reason in refused(tmp_path, nodes, weights, opset=19)


@pytest.mark.parametrize(
    "attributes",
    [
        {"dilations": [2, 1]},
        {"dilations": [1, 3], "pads": [1, 2, 0, 2]},
        {"dilations": [2, 2], "pads": [2, 2, 2, 2], "count_include_pad": 1, "strides": [2, 1]},
    ],
)
def test_dilations_of_an_average_pool(tmp_path, attributes):
    """Against each window by itself."""
    x, kernel = normal(5, 2, 3, 8, 8), (3, 2)
    pads, dilations = attributes.get("pads", [0] * 4), attributes["dilations"]
    strides = attributes.get("strides", [1, 1])
    sizes = [
        (8 + pads[i] + pads[i + 2] - (kernel[i] - 1) * dilations[i] - 1) // strides[i] + 1
        for i in range(2)
    ]
    expected = np.zeros((2, 3, *sizes))
    for row, column in np.ndindex(*sizes):
        rows = row * strides[0] - pads[0] + np.arange(kernel[0]) * dilations[0]
        columns = column * strides[1] - pads[1] + np.arange(kernel[1]) * dilations[1]
        inside = [(r, c) for r in rows for c in columns if 0 <= r < 8 and 0 <= c < 8]
        count = 6 if attributes.get("count_include_pad") else len(inside)
        expected[:, :, row, column] = sum(x[:, :, r, c].astype(float) for r, c in inside) / count
    weights: dict[str, np.ndarray] = {}
    pool = node("AveragePool", ["x"], ["p"], kernel_shape=kernel, **attributes)
    tail = dense("p", 3 * sizes[0] * sizes[1], weights)
    got = inference.run(read(tmp_path, [pool, *tail], weights, opset=19), x)
    flat = expected.reshape(2, -1) @ weights["wt"]
    np.testing.assert_allclose(got, flat, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("first", "opset", "reason"),
    [
        (node("Flatten", ["x"], ["f"], axis=2), 17, "axis=2"),
        (node("Flatten", ["x"], ["f"], axis=0), 17, "axis=0"),
        (node("Reshape", ["x", "shape"], ["f"], allowzero=1), 17, "allowzero=1"),
        (node("Reshape", ["x"], ["f"], shape=[0, -1]), 1, "shape=[0, -1]"),
        (node("Softmax", ["x"], ["f"], axis=1), 17, "axis=1"),
        (node("Softmax", ["x"], ["f"]), 11, "axis=1"),
        (node("Relu", ["x"], ["f"], consumed_inputs=[0]), 1, "consumed_inputs=[0]"),
        (
            node("MaxPool", ["x"], ["f", "i"], kernel_shape=[1, 1], storage_order=1),
            17,
            "storage_order=1",
        ),
    ],
)
def test_attributes_of_the_other_operators(tmp_path, first, opset, reason):
    weights = {"shape": np.array([0, -1])}
    assert reason in refused(tmp_path, [first, *dense("f", 192, weights)], weights, opset=opset)


def test_flags_are_0_or_1(tmp_path):
    """Others are read differently by different programs."""
    weights = {"w": normal(1, 192, 4)}
    for flag in (2, -1, 2**40):
        nodes = [node("Flatten", ["x"], ["f"]), node("Gemm", ["f", "w"], ["y"], transB=flag)]
        assert f"transB={flag} must be 0 or 1" in refused(tmp_path, nodes, weights)
        pool = node("AveragePool", ["x"], ["p"], kernel_shape=[1, 1], count_include_pad=flag)
        text = refused(tmp_path, [pool, *dense("p", 192, weights)], weights)
        assert f"count_include_pad={flag} must be 0 or 1" in text


def test_gemm_of_a_transposed_left_operand(tmp_path):
    weights = {"w": normal(1, 4, 4)}
    nodes = [node("Gemm", ["x", "w"], ["y"], transA=1)]
    assert "transA=1" in refused(tmp_path, nodes, weights, ("batch", 4))
