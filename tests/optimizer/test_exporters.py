"""Graphs as exporters write them: torch, Keras through tf2onnx, scikit-learn."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from graphs import normal, save
from onnx import TensorProto, helper, numpy_helper
from onnx_files import node

from optimizer import data, inference
from optimizer.onnx_import import load


def outputs(path, images):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(path), options)
    return session.run(None, {session.get_inputs()[0].name: images})


def norm(weights, name, x, channels):
    for i, part in enumerate(("scale", "shift", "mean", "var")):
        weights[f"{name}.{part}"] = np.abs(normal(30 + i, channels)) + np.float32(0.5)
    parts = [f"{name}.{part}" for part in ("scale", "shift", "mean", "var")]
    return node("BatchNormalization", [x, *parts], [name], name=f"/{name}/BatchNormalization")


def test_torch(tmp_path):
    """A residual depthwise block, batch norms that were not folded, a flattening by shapes."""
    w = {
        "c0.weight": normal(1, 8, 3, 3, 3, scale=0.3),
        "dw.weight": normal(2, 8, 1, 3, 3, scale=0.3),
        "pw.weight": normal(3, 8, 8, 1, 1, scale=0.3),
        "pw.bias": normal(4, 8),
        "fc.weight": normal(5, 5, 8),
        "fc.bias": normal(6, 5),
        "zero": np.float32(0).reshape(()),
        "six": np.float32(6).reshape(()),
        "first": np.array(0),
        "axis": np.array([0]),
        "rest": np.array([-1]),
    }
    nodes = [
        node("Conv", ["x", "c0.weight"], ["c0"], name="/c0/Conv", pads=[1] * 4, strides=[2, 2]),
        norm(w, "n0", "c0", 8),
        node("Clip", ["n0", "zero", "six"], ["r0"], name="/act/Clip"),
        node("Conv", ["r0", "dw.weight"], ["d"], name="/block/dw/Conv", pads=[1] * 4, group=8),
        norm(w, "n1", "d", 8),
        node("HardSwish", ["n1"], ["r1"]),
        node("Conv", ["r1", "pw.weight", "pw.bias"], ["p"], name="/block/pw/Conv"),
        node("Add", ["p", "r0"], ["s"]),
        node("GlobalAveragePool", ["s"], ["g"]),
        node("Shape", ["g"], ["shape"]),
        node("Gather", ["shape", "first"], ["count"]),
        node("Unsqueeze", ["count", "axis"], ["counts"]),
        node("Concat", ["counts", "rest"], ["flat"], axis=0),
        node("Reshape", ["g", "flat"], ["f"]),
        node("Gemm", ["f", "fc.weight", "fc.bias"], ["y"], name="/fc/Gemm", transB=1),
    ]
    path, x = save(tmp_path / "n.onnx", nodes, w), normal(7, 6, 3, 8, 8)
    network = load(path)
    np.testing.assert_allclose(inference.run(network, x), outputs(path, x)[0], rtol=0, atol=1e-5)
    work = {layer.name: (layer.dot_length, layer.outputs) for layer in network.layers}
    assert work == {"c0": (27, 128), "block.dw": (9, 128), "block.pw": (8, 128), "fc": (8, 5)}
    assert "BatchNormalization" not in {n.op_type for n in network.graph.nodes}
    assert network.batch is None and not network.float_operators


def test_keras(tmp_path):
    """Channels last: transposed around each layer, biases added behind it, the batch in a shape."""
    w = {
        "kernel": normal(1, 6, 1, 3, 3, scale=0.5),
        "bias": normal(2, 6),
        "depth": normal(3, 6, 1, 3, 3, scale=0.5),
        "scale": normal(4, 1, 6, 1, 1),
        "shift": normal(5, 1, 6, 1, 1),
        "dense": normal(6, 6 * 7 * 7, 4, scale=0.1),
        "dense_bias": normal(7, 4),
        "axes": np.array([1, 2]),
        "flat": np.array([-1, 6 * 7 * 7]),
    }
    nodes = [
        node("Transpose", ["x"], ["first"], perm=[0, 3, 1, 2]),
        node("Conv", ["first", "kernel", "bias"], ["c"], name="model/conv2d/Conv2D",
             auto_pad="SAME_UPPER", strides=[2, 2]),
        node("Relu", ["c"], ["r"]),
        node("Conv", ["r", "depth"], ["d"], name="model/depthwise/depthwise", group=6,
             auto_pad="SAME_LOWER", strides=[2, 2]),
        node("Mul", ["d", "scale"], ["m"]),
        node("Add", ["m", "shift"], ["a"]),
        node("Transpose", ["a"], ["last"], perm=[0, 2, 3, 1]),
        node("Sigmoid", ["last"], ["gate"]),
        node("Mul", ["last", "gate"], ["swish"]),
        node("Reshape", ["swish", "flat"], ["f"]),
        node("MatMul", ["f", "dense"], ["dm"], name="model/dense/MatMul"),
        node("Add", ["dm", "dense_bias"], ["db"], name="model/dense/BiasAdd"),
        node("Softmax", ["db"], ["y"]),
    ]  # fmt: skip
    path = save(tmp_path / "n.onnx", nodes, w, ("unk__1", 28, 28, 1))
    network = load(path)
    stored = np.random.default_rng(1).integers(0, 256, (6, 28, 28), dtype=np.uint8)
    arrays = {"calibration_images": stored, "test_images": stored, "test_labels": np.arange(6) % 4}
    np.savez(tmp_path / "d.npz", **arrays)
    images = data.load(tmp_path / "d.npz", 4, network.declared).test_images
    assert images.shape == (6, 28, 28, 1) and images.max() <= 1
    got = inference.run(network, images)
    got = np.exp(got - got.max(axis=1, keepdims=True))
    got /= got.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(got, outputs(path, images)[0], rtol=0, atol=1e-5)
    work = {layer.name: (layer.dot_length, layer.outputs) for layer in network.layers}
    assert list(work.values()) == [(9, 6 * 196), (9, 6 * 49), (294, 4)]
    assert network.nodes[1].bias is not None and network.nodes[2].bias is not None


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("kind", ["perceptron", "linear"])
def test_sklearn(tmp_path, kind, zipped):
    """A scaled input; a label and the probabilities, which may be a dictionary an example."""
    ml = "ai.onnx.ml"
    coefficients = normal(1, 3, 6)
    weights = {"w0": normal(2, 6, 5), "b0": normal(3, 1, 5), "w1": normal(4, 5, 3)}
    weights |= {"b1": normal(5, 1, 3), "classes": np.arange(3, dtype=np.int64)}
    nodes = [
        node("Scaler", ["x"], ["s"], domain=ml, offset=[0.5] * 6, scale=[2.0] * 6),
    ]
    if kind == "linear":
        nodes += [
            node(
                "LinearClassifier", ["s"], ["label", "raw"], domain=ml, name="LinearClassifier",
                coefficients=coefficients.ravel().tolist(), intercepts=[0.1, -0.2, 0.3],
                classlabels_ints=[0, 1, 2], multi_class=1, post_transform="SOFTMAX",
            ),
            node("Normalizer", ["raw"], ["p"], domain=ml, norm="L1"),
        ]  # fmt: skip
    else:
        nodes += [
            node("MatMul", ["s", "w0"], ["m0"], name="MatMul"),
            node("Add", ["m0", "b0"], ["a0"]),
            node("Relu", ["a0"], ["r0"]),
            node("MatMul", ["r0", "w1"], ["m1"], name="MatMul1"),
            node("Add", ["m1", "b1"], ["a1"]),
            node("Softmax", ["a1"], ["p"], axis=1),
            node("ArgMax", ["p"], ["at"], axis=1),
            node("ArrayFeatureExtractor", ["classes", "at"], ["label"], domain=ml),
        ]
    if zipped:
        nodes.append(node("ZipMap", ["p"], ["z"], domain=ml, classlabels_int64s=[0, 1, 2]))
    label = helper.make_tensor_value_info("label", TensorProto.INT64, [None])
    scores = helper.make_tensor_value_info("p", TensorProto.FLOAT, [None, 3])
    if zipped:
        values = helper.make_map_type_proto(
            TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, [])
        )
        scores = helper.make_value_info("z", helper.make_sequence_type_proto(values))
    constants = [numpy_helper.from_array(v, k) for k, v in weights.items()]
    x_info = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 6])
    graph = helper.make_graph(nodes, "g", [x_info], [label, scores], constants)
    sets = [
        helper.make_opsetid(ml, 1),
        helper.make_opsetid("", 17),
        helper.make_opsetid("ai.onnx", 17),
    ]
    path = tmp_path / "n.onnx"
    onnx.save(helper.make_model(graph, opset_imports=sets, ir_version=8), path)
    x = normal(9, 20, 6)
    labels, probabilities = outputs(path, x)
    if zipped:
        probabilities = np.array([[row[i] for i in range(3)] for row in probabilities])
    network = load(path)
    got = inference.run(network, x)
    np.testing.assert_array_equal(got.argmax(axis=1), labels.ravel())
    if kind == "linear":  # a normaliser stands behind its softmax
        np.testing.assert_allclose(got, probabilities, rtol=0, atol=1e-5)
        assert network.layers[0].dot_length == 6
        np.testing.assert_array_equal(network.nodes[0].weight, coefficients.T)
    else:
        got = np.exp(got - got.max(axis=1, keepdims=True))
        np.testing.assert_allclose(got / got.sum(axis=1, keepdims=True), probabilities, atol=1e-5)
        assert [layer.dot_length for layer in network.layers] == [6, 5]
    assert not network.float_operators
