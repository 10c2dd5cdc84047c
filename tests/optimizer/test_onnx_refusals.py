"""ONNX files that must not be read wrongly: refused in a sentence, or read as the standard says."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from graphs import normal, save
from onnx import AttributeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from hwgen.errors import InputError
from optimizer import inference
from optimizer.calibration import calibrate
from optimizer.onnx_import import load

IMAGE = ("batch", 3, 8, 8)
NAN, INF = np.float32("nan"), np.float32("inf")
node = helper.make_node


def refusal(path) -> str:
    with pytest.raises(InputError) as error:
        load(path)
    text = str(error.value)
    assert "\n" not in text and len(text) < 800
    return text


def read(tmp_path, nodes, weights, shape=IMAGE, opset=17, **more):
    return load(save(tmp_path / "n.onnx", nodes, weights, shape, opset, **more))


def refused(tmp_path, nodes, weights, shape=IMAGE, opset=17, **more) -> str:
    return refusal(save(tmp_path / "n.onnx", nodes, weights, shape, opset, **more))


def dense(tensor, features, weights, classes=4):
    weights["wt"] = normal(50, features, classes)
    return [node("Flatten", [tensor], ["flat"]), node("MatMul", ["flat", "wt"], ["y"])]


def conv(weights, *, kernel=(3, 3), bias=(), **attributes):
    weights["w"] = normal(1, 5, 3, *kernel)
    return node("Conv", ["x", "w", *bias], ["c"], name="conv", **attributes)


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


# --- shapes, types and sizes ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        (("batch", 3, 8), "of rank 3"),
        (("batch", 3, 8, 8, 8), "of rank 5"),
        ((), "of rank 0"),
        (("batch", 3, "height", 8), "'height' is not a size"),
        (("batch", 0, 8, 8), "0 is not a size"),
        (("batch", -3, 8, 8), "-3 is not a size"),
        (("batch", 3, 2**40, 8), "2^28"),
        (("batch", 2**40), "2^28"),
    ],
)
def test_shapes_of_the_input(tmp_path, shape, reason):
    weights: dict[str, np.ndarray] = {}
    text = refused(tmp_path, dense("x", 192, weights), weights, shape)
    assert reason in text and ("of rank" in reason or "rank" not in text)


def test_weights_of_no_size_and_of_other_types(tmp_path):
    weights: dict[str, np.ndarray] = {}
    nodes = [conv(weights), *dense("c", 180, weights)]
    for shape in ((0, 3, 3, 3), (5, 3, 0, 3), (5, 0, 3, 3)):
        weights["w"] = np.zeros(shape, np.float32)
        assert "no values" in refused(tmp_path, nodes, weights)
    for dtype in (np.float64, np.float16, np.int8):
        weights["w"] = normal(1, 5, 3, 3, 3).astype(dtype)
        assert np.dtype(dtype).name in refused(tmp_path, nodes, weights)
    weights["w"] = normal(1, 5, 3, 3)
    assert "two-dimensional" in refused(tmp_path, nodes, weights)
    weights = {"empty": np.zeros((0,), np.float32)}
    nodes = [node("Add", ["x", "empty"], ["a"]), *dense("a", 192, weights)]
    assert "no values" in refused(tmp_path, nodes, weights)


def test_a_bias_of_a_convolution_has_one_number_an_output(tmp_path):
    for shape in ((1,), (4,), (5, 1), ()):
        weights = {"b": normal(2, *shape)}
        nodes = [conv(weights, bias=("b",)), *dense("c", 180, weights)]
        assert "must have (5,)" in refused(tmp_path, nodes, weights)


def change(tmp_path, edit):
    """A good network's file after ``edit`` of its model."""
    weights: dict[str, np.ndarray] = {}
    path = save(tmp_path / "n.onnx", [conv(weights), *dense("c", 180, weights)], weights)
    load(path)
    model = onnx.load(path)
    edit(model)
    path.write_bytes(model.SerializeToString())
    return refusal(path)


def test_constants_without_one_value(tmp_path):
    def none(model):
        model.graph.node.insert(0, node("Constant", [], ["k"]))

    def two(model):
        model.graph.node.insert(0, node("Constant", [], ["k"], value_int=1, value_float=2.0))

    def text(model):
        model.graph.node.insert(0, node("Constant", [], ["k"], value_string="no"))

    assert "has 0" in change(tmp_path, none)
    assert "has 2" in change(tmp_path, two)
    assert "value_string" in change(tmp_path, text)


def test_graphs_that_are_none(tmp_path):
    def cycle(model):
        model.graph.node[0].input[0] = "loop"
        model.graph.node.append(node("Relu", ["c"], ["loop"]))

    def missing(model):
        model.graph.node[1].input[0] = "nowhere"

    def absent(model):
        model.graph.node[0].input[0] = ""

    def twice(model):
        model.graph.node.append(node("Relu", ["x"], ["c"]))

    def same_weights(model):
        model.graph.initializer.append(numpy_helper.from_array(np.zeros(3, np.float32), "w"))

    def no_output(model):
        model.graph.node[1].output[0] = ""

    for edit, reason in (
        (cycle, "topologically sorted"),
        (missing, "nowhere"),
        (absent, "empty string"),
        (twice, "single static assignment"),
        (same_weights, "not unique"),
        (no_output, "empty string"),
    ):
        text = change(tmp_path, edit)
        assert reason in text and "breaks the rules of ONNX" in text


def test_what_the_checker_lets_pass(tmp_path):
    def newer(model):
        model.opset_import[0].version = 999

    def two_versions(model):
        model.opset_import.append(helper.make_opsetid("ai.onnx", 9))

    def reference(model):
        attribute = model.graph.node[0].attribute.add()
        attribute.name, attribute.type = "auto_pad", AttributeProto.STRING
        attribute.ref_attr_name = "outer"

    def function(model):
        body = [node("Neg", ["a"], ["b"])]
        model.functions.append(
            helper.make_function("", "Flatten", ["a"], ["b"], body, [helper.make_opsetid("", 17)])
        )

    def sparse(model):
        model.graph.sparse_initializer.append(
            helper.make_sparse_tensor(
                numpy_helper.from_array(np.ones(1, np.float32), "few"),
                numpy_helper.from_array(np.zeros(1, np.int64), "where"),
                [3],
            )
        )

    def sequence(model):
        model.graph.input[0].type.CopyFrom(
            helper.make_sequence_type_proto(helper.make_tensor_type_proto(1, [3]))
        )

    def unknown_type(model):
        model.graph.input[0].type.tensor_type.elem_type = 77

    def side_output(model):
        model.graph.node[1].CopyFrom(node("MaxPool", ["c"], ["p", "at"], kernel_shape=[1, 1]))
        model.graph.node.insert(2, node("Flatten", ["at"], ["flat"]))

    for edit, reason in (
        (newer, "opset 999"),
        (two_versions, "opset 17, 9"),
        (reference, "'outer'"),
        (function, "'Flatten'"),
        (sparse, "'few'"),
        (sequence, "not a tensor"),
        (unknown_type, "77"),
        (side_output, "'at'"),
    ):
        assert reason in change(tmp_path, edit)


def test_sizes_that_the_data_does_not_have(tmp_path):
    def large(model):
        model.graph.initializer[0].dims[0] = 2**40

    def short(model):
        model.graph.initializer[0].raw_data = b"1234"

    def negative(model):
        model.graph.initializer[0].dims[0] = -5

    for edit, reason in (
        (large, "118747255799808 bytes required"),  # 2^40 · 3 · 3 · 3 float32
        (short, "(4 bytes) is too small"),
        (negative, "Negative dimension value"),
    ):
        text = change(tmp_path, edit)
        assert reason in text and "tensor name: w)" in text


def test_constants_that_would_be_too_large(tmp_path):
    """Doubled forty times."""
    weights = {"w0": normal(1, 192, 4), "column": np.zeros((2**16, 1), np.float32)}
    nodes = [node("Concat", [f"w{i}", f"w{i}"], [f"w{i + 1}"], axis=0) for i in range(40)]
    assert "at most 1048576" in refused(tmp_path, [*nodes, *dense("x", 192, weights)], weights)
    weights["row"] = np.zeros((1, 2**16), np.float32)
    nodes = [node("Add", ["column", "row"], ["sum"])]
    assert "at most 1048576" in refused(tmp_path, [*nodes, *dense("x", 192, weights)], weights)


# --- files ----------------------------------------------------------------------------------


def test_truncated_files(tmp_path):
    weights: dict[str, np.ndarray] = {}
    path = save(tmp_path / "n.onnx", [conv(weights), *dense("c", 180, weights)], weights)
    whole = path.read_bytes()
    for length in (1, 10, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert "a damaged one (Error parsing" in refusal(path)
    assert "not a file" in refusal(tmp_path)


@pytest.mark.parametrize("text", [b"conv", b"Conv", b"flat", b"batch"])
def test_text_that_is_not_utf_8(tmp_path, text):
    """Names of nodes and tensors, operators, sizes."""
    weights: dict[str, np.ndarray] = {}
    path = save(tmp_path / "n.onnx", [conv(weights), *dense("c", 180, weights)], weights)
    whole = path.read_bytes()
    assert text in whole
    path.write_bytes(whole.replace(text, text[:-1] + b"\xff"))
    assert "not UTF-8" in refusal(path)


def test_weights_in_other_files(tmp_path):
    weights: dict[str, np.ndarray] = {}
    path = save(tmp_path / "n.onnx", [conv(weights), *dense("c", 180, weights)], weights)
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="n.data", size_threshold=0)
    load(path)
    whole = (tmp_path / "n.data").read_bytes()
    (tmp_path / "n.data").write_bytes(whole[:-100])
    text = refusal(path)
    assert "weights in other files" in text and "2880) exceeds available data (2780" in text
    (tmp_path / "n.data").unlink()
    text = refusal(path)
    assert "n.data" in text and "breaks the rules" not in text
    for entry in model.graph.initializer[0].external_data:
        if entry.key == "location":
            entry.value = "../../etc/passwd"
    path.write_bytes(model.SerializeToString())
    assert "'../../etc/passwd' points outside the directory" in refusal(path)


def test_operators_of_other_sets(tmp_path):
    def save_with(domain, op, imports=True):
        scale = numpy_helper.from_array(np.float32(1).reshape(()), "s")
        nodes = [node(op, ["x", "s", "s", "s"], ["y"], domain=domain, name="q")]
        values = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])]
        result = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])]
        graph = helper.make_graph(nodes, "g", values, result, [scale])
        sets = [helper.make_opsetid("", 17)]
        sets += [helper.make_opsetid(domain, 1)] if imports else []
        onnx.save(helper.make_model(graph, opset_imports=sets), tmp_path / "n.onnx")
        return refusal(tmp_path / "n.onnx")

    for op in ("Quant", "BipolarQuant"):
        for imports in (True, False):
            text = save_with("qonnx.custom_op.general", op, imports)
            assert "QONNX" in text and op in text and "float network" in text
            assert "torch.onnx.export" not in text and "not a valid" not in text
    for domain in ("finn.custom_op.fpgadataflow", "onnx.brevitas"):
        assert "float network" in save_with(domain, "Quant")
    for domain in ("com.microsoft", "ai.onnx.ml"):
        text = save_with(domain, "FusedConv")
        assert f"FusedConv of {domain}" in text and "quantised" not in text


def test_quantised_networks_of_the_standard_set(tmp_path):
    weights = {"s": np.float32(0.1).reshape(()), "z": np.zeros((), np.int8)}
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        *dense("d", 192, weights),
    ]
    text = refused(tmp_path, nodes, weights)
    assert "QuantizeLinear" in text and "float network" in text and "QONNX" not in text


def test_the_advice_fits_the_problem(tmp_path):
    weights = {"w": normal(1, 191, 4), "shape": np.array([0.0, -1.0], np.float32)}
    nodes = [node("Flatten", ["x"], ["f"]), node("MatMul", ["f", "w"], ["y"])]
    text = refused(tmp_path, nodes, weights)
    assert "191 features and its input has 192" in text and "Flatten" not in text
    nodes = [node("MatMul", ["x", "w"], ["y"])]
    assert "(3, 8, 8) an image" in (text := refused(tmp_path, nodes, weights))
    assert "put a Flatten" in text
    nodes = [node("Reshape", ["x", "shape"], ["r"]), *dense("r", 192, weights)]
    text = refused(tmp_path, nodes, weights)
    assert "must be int64" in text and "in float32" not in text


def test_the_input_as_the_output(tmp_path):
    nodes = [node("Relu", ["x"], ["r"])]
    path = save(tmp_path / "n.onnx", nodes, {}, ("batch", 4), outputs=("x",))
    assert "nothing to quantise" in refusal(path)


# --- constants are computed -----------------------------------------------------------------


def test_identity_of_a_bias(tmp_path):
    """What torch's exporter writes for two biases that are equal."""
    weights = {"w1": normal(1, 192, 6), "w2": normal(2, 6, 6), "b": normal(3, 6)}
    nodes = [
        node("Flatten", ["x"], ["f"]),
        node("Identity", ["b"], ["b2"]),
        node("Gemm", ["f", "w1", "b"], ["h"]),
        node("Gemm", ["h", "w2", "b2"], ["y"]),
    ]
    path = save(tmp_path / "n.onnx", nodes, weights)
    x = normal(4, 2, 3, 8, 8)
    (expected,) = ReferenceEvaluator(str(path)).run(None, {"x": x})
    np.testing.assert_allclose(inference.run(load(path), x), expected, rtol=1e-4, atol=1e-3)


def test_arithmetic_of_constants(tmp_path):
    weights = {
        "wt": normal(1, 4, 192),
        "three": np.array([3, 4, 5]),
        "first": np.array([1]),
        "whole": np.array(-1),
        "axes": np.array([0]),
        "zero": np.array([0]),
        "offset": normal(2, 2, 4),
        "half": np.float32(0.5).reshape(()),
    }
    nodes = [
        node("Unsqueeze", ["whole", "axes"], ["rest"]),
        node("Concat", ["zero", "rest"], ["shape"], axis=0),
        node("Reshape", ["x", "shape"], ["f"]),
        node("Transpose", ["wt"], ["w0"], perm=[1, 0]),
        node("Mul", ["w0", "half"], ["w"]),
        node("Gather", ["offset", "first"], ["row"], axis=0),
        node("Squeeze", ["row", "axes"], ["b0"]),
        node("Cast", ["three"], ["three_f"], to=TensorProto.FLOAT),
        node("Slice", ["three_f", "zero", "first"], ["three_1"]),
        node("Div", ["b0", "three_1"], ["b"]),
        node("Gemm", ["f", "w", "b"], ["y"]),
    ]
    path = save(tmp_path / "n.onnx", nodes, weights)
    x = normal(4, 2, 3, 8, 8)
    expected = x.reshape(2, -1) @ weights["wt"].T * 0.5 + weights["offset"][1] / 3
    np.testing.assert_allclose(inference.run(load(path), x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("damaged", "opset", "right"),
    [
        # Axes are those of the result, in any order.
        (node("Unsqueeze", ["b"], ["c"], axes=[3, 0]), 11, "[1, 4, 2, 1, 3]"),
        # From before the start down to the start: the first one.
        (node("Slice", ["b", "before", "below", "axis", "back"], ["c"]), 17, "[1, 2, 3]"),
        # None, for the end is before the start.
        (node("Shape", ["b"], ["c"], start=0, end=-4), 17, "[0]"),
    ],
)
def test_where_the_evaluator_of_constants_is_wrong(tmp_path, damaged, opset, right):
    """Onnx 1.23's gives other shapes than the standard: refused, until it gives these."""
    weights = {
        "b": normal(1, 4, 2, 3),
        "before": np.array([-9]),
        "below": np.array([-10]),
        "axis": np.array([0]),
        "back": np.array([-1]),
    }
    text = refused(tmp_path, [damaged, *dense("x", 192, weights)], weights, opset=opset)
    assert f"{right} by onnx's shape inference" in text


def test_constants_that_do_not_fit_each_other(tmp_path):
    weights = {"a": normal(1, 3), "b": normal(2, 4)}
    nodes = [node("Add", ["a", "b"], ["c"], name="sum"), *dense("x", 192, weights)]
    assert "'sum'" in refused(tmp_path, nodes, weights)
    # A division of integers by zero has no value.
    weights = {"zero": np.array([0]), "rest": np.array([-1]), "f": np.array([192])}
    nodes = [
        node("Div", ["f", "zero"], ["size"]),
        node("Concat", ["rest", "size"], ["shape"], axis=0),
        node("Reshape", ["x", "shape"], ["r"]),
        *dense("r", 192, weights),
    ]
    assert "divide by zero" in refused(tmp_path, nodes, weights)
    nodes = [node("Constant", [], ["c"], value_int=3), node("Identity", ["c"], ["y"])]
    assert "does not depend on the image" in refused(tmp_path, nodes, weights)


# --- names, the last softmax, feature vectors -----------------------------------------------


def test_names_are_safe_to_print(tmp_path):
    weights = {"w": normal(1, 4, 4)}
    names = ["a|b\n| c", "$\\frac{1}{0}$", "<script>", "../../up", "é中", "", "a|b\n| c", "x" * 999]
    nodes = [
        node("MatMul", [f"t{i}" if i else "x", "w"], [f"t{i + 1}"], name=name)
        for i, name in enumerate(names)
    ]
    nodes[-1].output[0] = "y"
    network = read(tmp_path, nodes, weights, ("batch", 4))
    got = list(network.layer_nodes)
    assert len(set(got)) == len(names) and all(0 < len(name) <= 64 for name in got)
    for name in got:
        assert all(c.isalnum() or c in "._-:" for c in name)


@pytest.mark.parametrize("dead", [False, True])
def test_the_last_softmax_is_dropped_wherever_it_stands_in_the_file(tmp_path, dead):
    weights = {"w": normal(1, 4, 3)}
    nodes = [node("MatMul", ["x", "w"], ["m"]), node("Softmax", ["m"], ["y"])]
    nodes += [node("Relu", ["m"], ["unread"])] if dead else []
    x = normal(2, 5, 4)
    got = inference.run(read(tmp_path, nodes, weights, ("batch", 4)), x)
    np.testing.assert_allclose(got, x @ weights["w"], rtol=1e-4, atol=1e-4)


def test_a_normalization_that_cannot_be_folded_stays(tmp_path):
    """Its factors times the weights are past float32."""
    weights = {"w": normal(1, 5, 3, 3, 3) * np.float32(1e30)}
    for part in ("scale", "shift", "mean", "var"):
        weights[part] = np.full(5, 1e15 if part == "scale" else 1, np.float32)
    norm_inputs = ["c", "scale", "shift", "mean", "var"]
    nodes = [
        node("Conv", ["x", "w"], ["c"]),
        node("BatchNormalization", norm_inputs, ["n"]),
        *dense("n", 180, weights),
    ]
    ops = [n.op for n in read(tmp_path, nodes, weights).nodes]
    assert "BatchNormalization" in ops


def test_feature_vectors(tmp_path):
    """A network of dense layers on (N, F), in FP32 and quantised."""
    from hwgen.formats import parse

    weights = {"w1": normal(1, 12, 7), "b1": normal(2, 12), "w2": normal(3, 12, 3)}
    nodes = [
        node("Gemm", ["x", "w1", "b1"], ["h"], transB=1, name="one"),
        node("Relu", ["h"], ["r"]),
        node("MatMul", ["r", "w2"], ["y"], name="two"),
    ]
    network = read(tmp_path, nodes, weights, ("batch", 7))
    assert network.input_shape == (7,) and network.shapes["h"] == (12,)
    x = normal(5, 20, 7)
    expected = np.maximum(x @ weights["w1"].T + weights["b1"], 0) @ weights["w2"]
    for data in (x, x.astype(np.float64), x.astype(np.float32)):
        np.testing.assert_allclose(inference.run(network, data), expected, rtol=1e-4, atol=1e-4)
    int8 = parse("int8")
    quantization = calibrate(network, x, [int8]).network({"one": (int8, int8), "two": (int8, int8)})
    got = inference.run(network, x, quantization)
    assert 0 < np.abs(got - expected).max() < 0.1 * np.abs(expected).max()
    with pytest.raises(InputError, match=r"\(N, 7\)"):
        inference.run(network, x.reshape(20, 7, 1, 1))
