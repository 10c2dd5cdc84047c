"""The importer and FP32 inference against onnx's own reference evaluator."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from graphs import normal, residual_network, save
from onnx import helper
from onnx.reference import ReferenceEvaluator
from onnx_files import dense, node, read, refusal

from hwgen.errors import InputError
from optimizer import inference
from optimizer.calibration import calibrate
from optimizer.onnx_import import load

IMAGES = normal(99, 11, 3, 8, 8)


def assert_same(path, images=IMAGES, softmax=False):
    network = load(path)
    (expected,) = ReferenceEvaluator(str(path)).run(None, {"x": images})
    got = inference.run(network, images)
    if softmax:
        got = np.exp(got) / np.exp(got).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(got, expected.reshape(len(images), -1), rtol=1e-4, atol=1e-4)
    return network


@pytest.mark.parametrize(
    ("attributes", "features"),
    [
        ({}, 5 * 6 * 6),
        ({"pads": [1, 1, 1, 1]}, 5 * 64),
        ({"pads": [0, 1, 2, 1], "strides": [2, 3]}, 5 * 4 * 3),
        ({"dilations": [2, 2]}, 5 * 4 * 4),
        ({"auto_pad": "SAME_UPPER", "strides": [2, 2]}, 5 * 4 * 4),
        ({"auto_pad": "SAME_LOWER", "strides": [2, 2]}, 5 * 4 * 4),
    ],
)
def test_convolution(tmp_path, attributes, features):
    weights = {"w": normal(1, 5, 3, 3, 3), "b": normal(2, 5)}
    nodes = [helper.make_node("Conv", ["x", "w", "b"], ["c"], **attributes)]
    assert_same(save(tmp_path / "n.onnx", nodes + dense("c", features, weights), weights))


@pytest.mark.parametrize("transposed", [0, 1])
def test_gemm(tmp_path, transposed):
    weights = {"w": normal(1, *((4, 192) if transposed else (192, 4))), "b": normal(2, 4)}
    nodes = [
        helper.make_node("Constant", [], ["shape"], value_ints=[0, -1]),
        helper.make_node("Reshape", ["x", "shape"], ["f"]),
        helper.make_node("Gemm", ["f", "w", "b"], ["y"], transB=transposed, alpha=0.5, beta=2.0),
    ]
    network = assert_same(save(tmp_path / "n.onnx", nodes, weights))
    assert [(layer.dot_length, layer.outputs) for layer in network.layers] == [(192, 4)]


@pytest.mark.parametrize(
    ("op", "attributes", "features"),
    [
        ("MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2]}, 48),
        ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}, 48),
        ("AveragePool", {"kernel_shape": [2, 2], "strides": [2, 2]}, 48),
        ("AveragePool", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}, 48),
        (
            "AveragePool",
            {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1},
            192,
        ),
        ("GlobalAveragePool", {}, 3),
    ],
)
def test_pools(tmp_path, op, attributes, features):
    weights: dict[str, np.ndarray] = {}
    nodes = [helper.make_node(op, ["x"], ["p"], **attributes), *dense("p", features, weights)]
    assert_same(save(tmp_path / "n.onnx", nodes, weights))


def test_batch_normalization_is_folded_after_a_layer_and_applied_elsewhere(tmp_path):
    weights = {"w": normal(1, 5, 3, 3, 3), "b": normal(2, 5)}
    for prefix, channels in (("m", 5), ("n", 3)):
        for i, part in enumerate(("scale", "shift", "mean")):
            weights[prefix + part] = normal(10 + i, channels)
        weights[prefix + "var"] = np.abs(normal(14, channels)) + 0.5
    norm = ("scale", "shift", "mean", "var")
    nodes = [
        helper.make_node("BatchNormalization", ["x", *("n" + p for p in norm)], ["x1"]),
        helper.make_node("Conv", ["x1", "w", "b"], ["c"], pads=[1] * 4),
        helper.make_node("BatchNormalization", ["c", *("m" + p for p in norm)], ["m"]),
        helper.make_node("Relu", ["m"], ["r"]),
    ]
    network = assert_same(save(tmp_path / "n.onnx", nodes + dense("r", 320, weights), weights))
    assert [n.op_type for n in network.graph.nodes].count("BatchNormalization") == 1


def test_residual_network_and_names(tmp_path):
    network = assert_same(residual_network(tmp_path / "n.onnx"))
    assert list(network.layer_nodes) == ["conv", "block.conv1", "block.shortcut", "dense"]
    assert [layer.dot_length for layer in network.layers] == [27, 54, 6, 6]
    assert [layer.outputs for layer in network.layers] == [6 * 64, 6 * 16, 6 * 16, 5]


def test_elementwise_constants_and_final_softmax(tmp_path):
    weights = {
        "low": np.float32(-0.5).reshape(()),
        "high": np.float32(0.7).reshape(()),
        "channel": normal(1, 3, 1, 1),
        "full": normal(2, 1, 3, 8, 8),
        "row": normal(3, 4),
    }
    nodes = [
        helper.make_node("Clip", ["x", "low", "high"], ["a"]),
        helper.make_node("Add", ["a", "channel"], ["b"]),
        helper.make_node("Add", ["full", "b"], ["c"]),
        helper.make_node("Identity", ["c"], ["d"]),
        helper.make_node("Dropout", ["d"], ["e"]),
        *dense("e", 192, weights)[:1],
        helper.make_node("MatMul", ["flat", "wt"], ["f"]),
        helper.make_node("Add", ["f", "row"], ["g"]),
        helper.make_node("Softmax", ["g"], ["y"], axis=-1),
    ]
    assert_same(save(tmp_path / "n.onnx", nodes, weights), softmax=True)


@pytest.mark.parametrize("behind", [["Identity"], ["Dropout", "Identity"], ["Flatten"]])
def test_a_softmax_in_front_of_nothing_that_matters_is_dropped(tmp_path, behind):
    weights: dict[str, np.ndarray] = {}
    nodes = [*dense("x", 192, weights), helper.make_node("Softmax", ["y"], ["s0"], axis=-1)]
    nodes[1].output[0] = nodes[2].input[0] = "scores"
    for index, operator in enumerate(behind):
        nodes.append(helper.make_node(operator, [f"s{index}"], [f"s{index + 1}"]))
    nodes[-1].output[0] = "y"
    network = assert_same(save(tmp_path / "n.onnx", nodes, weights), softmax=True)
    assert "Softmax" not in [n.op_type for n in network.graph.nodes]


def test_bad_files(tmp_path):
    assert "not a file" in refusal(tmp_path / "missing.onnx")
    garbage = tmp_path / "garbage.onnx"
    garbage.write_bytes(b"this is not a protobuf" * 20)
    assert "not an ONNX file, or a damaged one" in refusal(garbage)
    (tmp_path / "empty.onnx").write_bytes(b"")
    assert "empty.onnx" in refusal(tmp_path / "empty.onnx")
    nodes = [helper.make_node("Flatten", ["x"], ["y"])]
    assert "nothing to quantise" in refusal(save(tmp_path / "n.onnx", nodes, {}))


def test_several_outputs(tmp_path):
    """The only one of floats has the class scores, or the one that is named."""
    weights: dict[str, np.ndarray] = {}
    nodes = [*dense("x", 192, weights), helper.make_node("ArgMax", ["y"], ["label"], axis=1)]
    path = save(tmp_path / "m.onnx", nodes, weights, outputs=("y", "flat"))
    text = refusal(path)
    assert "2 outputs (y, flat)" in text and "--output" in text
    assert load(path, output="y").classes == 4
    with pytest.raises(
        InputError, match=r"output 'z' is none of network m\.onnx: use one of y, flat"
    ):
        load(path, output="z")
    model = onnx.load(save(path, nodes, weights, outputs=("label", "y")))
    model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.INT64
    onnx.save(model, path)
    assert load(path).output == "y"
    with pytest.raises(InputError, match="no tensor of floats: end the network in class scores"):
        load(path, output="label")


def test_images_of_another_shape(tmp_path):
    network = load(residual_network(tmp_path / "n.onnx"))
    with pytest.raises(InputError, match=r"\(N, 3, 8, 8\)"):
        inference.run(network, normal(1, 4, 1, 8, 8))


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
    ops = [n.op_type for n in read(tmp_path, nodes, weights).graph.nodes]
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
    assert network.input_shape == (7,) and [n.outputs for n in network.nodes] == [12, 3]
    x = normal(5, 20, 7)
    expected = np.maximum(x @ weights["w1"].T + weights["b1"], 0) @ weights["w2"]
    for data in (x, x.astype(np.float64), x.astype(np.float32)):
        np.testing.assert_allclose(inference.run(network, data), expected, rtol=1e-4, atol=1e-4)
    int8 = parse("int8")
    quantization = calibrate(network, x, [int8]).quantization(
        {"one": (int8, int8), "two": (int8, int8)}
    )
    got = inference.run(network, x, quantization)
    assert 0 < np.abs(got - expected).max() < 0.1 * np.abs(expected).max()
    with pytest.raises(InputError, match=r"\(N, 7\)"):
        inference.run(network, x.reshape(20, 7, 1, 1))
