"""Which operators become layers, with which numbers, and what stays in float."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import onnx
import onnxruntime
import pytest
from graphs import normal, save
from onnx import numpy_helper
from onnx_files import conv, dense, node, read, refusal, refused

from hwgen.formats import parse
from optimizer import inference, sensitivity
from optimizer.calibration import calibrate
from optimizer.network import Layer
from optimizer.onnx_import import load

NAN, INF = np.float32("nan"), np.float32("inf")


def by_onnxruntime(path, images):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(path), options)
    (result, *_) = session.run(None, {session.get_inputs()[0].name: images})
    return result.reshape(len(images), -1)


def same(path, images):
    """The network of a file, after comparing it with onnxruntime; a softmax at its end is none."""
    network = load(path)
    np.testing.assert_allclose(
        inference.run(network, images), by_onnxruntime(path, images), rtol=1e-5, atol=1e-5
    )
    return network


def quantised_exactly(network, images, pair=("int6", "e3m2")):
    """Each layer's sums in fractions, one product at a time, at a few places."""
    a_format, b_format = map(parse, pair)
    calibration = calibrate(network, images, dict.fromkeys((a_format, b_format)))
    pairs = {name: (a_format, b_format) for name in network.layer_nodes}
    quantization = calibration.quantization(pairs)
    assert np.isfinite(inference.run(network, images, quantization)).all()
    for name, q in quantization.items():
        operands = inference.layer_inputs(network, images[:2], quantization, name)
        left, right = inference.matrices(q, operands)
        sums = inference.exact_sums(q, operands)
        left = np.broadcast_to(left, (*sums.shape[:-2], *left.shape[-2:]))
        right = np.broadcast_to(right, (*sums.shape[:-2], *right.shape[-2:]))
        rng = np.random.default_rng(1)
        for index in zip(*(rng.integers(0, n, 8) for n in sums.shape), strict=True):
            *stack, row, column = index
            a, b = left[(*stack, row)], right[(*stack, slice(None), column)]
            total = sum(Fraction(float(u)) * Fraction(float(v)) for u, v in zip(a, b, strict=True))
            assert Fraction(float(sums[index])) == total
        # By onnxruntime's operator where that is exact, and by the matrices.
        own = inference.run_layer(q, operands)
        shown = q.node.lowering.output(sums, operands[0].shape).astype(np.float64)
        scale = q.output_scale
        shown = shown * (scale if len(scale) == 1 else q.node.lowering.per_channel(scale))
        if q.node.bias is not None:
            shown = shown + q.node.lowering.per_channel(q.node.bias)
        np.testing.assert_array_equal(own, shown.astype(np.float32))
    damages = sensitivity.measure(network, images, calibration, [a_format])
    assert all(np.isfinite(v) and v >= 0 for v in damages.activations.values())
    return quantization


# --- geometries -------------------------------------------------------------------------------


@pytest.mark.parametrize("pair", [("int6", "int4"), ("int6", "e3m2"), ("e5m2", "e4m3")])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_convolutions_in_groups(tmp_path, groups, pair):
    weights = {"w": normal(1, 8, 4 // groups, 3, 2), "b": normal(2, 8)}
    nodes = [
        node("Conv", ["x", "w", "b"], ["c"], group=groups, pads=[1, 0, 2, 1], strides=[2, 1]),
        node("Clip", ["c", "zero", "six"], ["r"]),
        *dense("r", 8 * 4 * 6, weights),
    ]
    weights |= {"zero": np.float32(0).reshape(()), "six": np.float32(6).reshape(())}
    path = save(tmp_path / "n.onnx", nodes, weights, ("batch", 4, 6, 6))
    network = same(path, normal(3, 9, 4, 6, 6))
    assert network.layers[0] == Layer("conv", "Conv", 6 * 4 // groups, 8 * 4 * 6)
    q = quantised_exactly(network, normal(3, 9, 4, 6, 6), pair)
    assert q["conv"].exact_in_float32 == (pair[0] == "int6")


def test_a_depthwise_layer_has_a_row_of_kernel_positions(tmp_path):
    """And not one of all channels: a weight of each channel alone, so that none is zero."""
    weights = {"w": normal(1, 4, 1, 3, 3)}
    nodes = [node("Conv", ["x", "w"], ["c"], name="deep", group=4), *dense("c", 64, weights)]
    network = read(tmp_path, nodes, weights, ("batch", 4, 6, 6))
    assert network.layers[0] == Layer("deep", "Conv", 9, 4 * 16)
    assert network.weight("deep").shape == (9, 4) and (network.weight("deep") != 0).all()


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("auto_pad", ["NOTSET", "SAME_LOWER"])
def test_convolutions_of_one_dimension(tmp_path, groups, auto_pad):
    weights = {"w": normal(1, 6, 3 // groups, 3)}
    given = {"group": groups, "auto_pad": auto_pad, "strides": [2]}
    given |= {"dilations": [2]} if auto_pad == "NOTSET" else {}  # onnxruntime refuses both at once
    size = 5 if auto_pad != "NOTSET" else 3
    nodes = [node("Conv", ["x", "w"], ["c"], **given), *dense("c", 6 * size, weights)]
    network = same(save(tmp_path / "n.onnx", nodes, weights, ("batch", 3, 9)), normal(3, 9, 3, 9))
    assert network.layers[0] == Layer("conv", "Conv", 9 // groups, 6 * size)
    quantised_exactly(network, normal(3, 9, 3, 9))


@pytest.mark.parametrize(
    ("given", "size", "taps"),
    [
        ({}, (8, 8), 9),
        ({"strides": [2, 2]}, (13, 13), 4),
        ({"strides": [2, 3], "pads": [1, 0, 1, 2], "output_padding": [1, 0]}, (12, 16), 2),
        ({"strides": [2, 2], "auto_pad": "SAME_UPPER"}, (12, 12), 4),
        ({"strides": [1, 2], "dilations": [2, 2]}, (10, 15), 9),
        ({"strides": [2, 2], "output_shape": [14, 12]}, (14, 12), 4),
        ({"strides": [4, 1], "group": 2}, (23, 8), 3),
    ],
)
def test_transposed_convolutions(tmp_path, given, size, taps):
    """Only every stride-th kernel position falls on an input: that many products, no zeros."""
    groups = given.get("group", 1)
    weights = {"w": normal(1, 4, 6 // groups, 3, 3), "b": normal(2, 6)}
    features = 6 * size[0] * size[1]
    nodes = [
        node("ConvTranspose", ["x", "w", "b"], ["c"], name="up", **given),
        *dense("c", features, weights),
    ]
    x = normal(3, 9, 4, 6, 6)
    network = same(save(tmp_path / "n.onnx", nodes, weights, ("batch", 4, 6, 6)), x)
    assert network.layers[0] == Layer("up", "ConvTranspose", taps * 4 // groups, features)
    quantised_exactly(network, x)


@pytest.mark.parametrize(
    ("left", "right", "macs"),
    [
        ((5, 7), (7, 4), (7, 20)),
        ((5, 7), (3, 7, 4), (7, 60)),
        ((3, 5, 7), (3, 7, 4), (7, 60)),
        ((3, 5, 7), (7,), (7, 15)),
        ((7,), (3, 7, 4), (7, 12)),
    ],
)
@pytest.mark.parametrize("constant", [None, 0, 1])
def test_matrix_products(tmp_path, left, right, macs, constant):
    """Of a constant on either side, and of two activations, in stacks that are broadcast."""
    sizes = [int(np.prod(left)), int(np.prod(right))]
    weights = {
        "left": np.array([1, *left][1:]),
        "right": np.array(right),
        "split": np.array(sizes),
        "flat": np.array([1, -1]),
    }
    total, operands = sum(sizes), ["a", "b"]
    nodes = []
    if constant is None:
        nodes.append(node("Split", ["x", "split"], ["u", "v"], axis=1))
        nodes.append(node("Reshape", ["u", "left"], ["a"]))
        nodes.append(node("Reshape", ["v", "right"], ["b"]))
    else:
        total = sizes[1 - constant]
        shape = (left, right)[constant]
        weights["w"] = normal(5, *shape)
        operands[constant] = "w"
        nodes.append(node("Reshape", ["x", ("right", "left")[constant]], [operands[1 - constant]]))
    nodes += [
        node("MatMul", operands, ["m"], name="product"),
        node("Reshape", ["m", "flat"], ["y"]),
    ]
    path = save(tmp_path / "n.onnx", nodes, weights, (1, total))
    x = normal(3, 9, total)
    if constant == 0 and len(left) == 1:
        assert "one row on the left of the input" in refusal(path)
        return
    network = load(path)
    assert network.batch == 1
    expected = np.concatenate([by_onnxruntime(path, image[None]) for image in x])
    np.testing.assert_allclose(inference.run(network, x), expected, rtol=1e-5, atol=1e-5)
    assert network.layers == (Layer("product", "MatMul", *macs),)
    assert (network.nodes[0].weight is None) == (constant is None)


@pytest.mark.parametrize("transposed", [(0, 0), (1, 0), (0, 1), (1, 1)])
@pytest.mark.parametrize("bias", [None, (3,), (1, 3), (4, 1), (), "x"])
def test_gemm(tmp_path, transposed, bias):
    a, b = ((4, 5) if not transposed[0] else (5, 4)), ((5, 3) if not transposed[1] else (3, 5))
    weights = {"w": normal(1, *b), "a_shape": np.array(a), "flat": np.array([1, -1])}
    nodes = [node("Reshape", ["x", "a_shape"], ["a"])]
    inputs = ["a", "w"]
    if bias == "x":
        nodes.append(node("ReduceMax", ["a"], ["c"]))
    elif bias is not None:
        weights["c"] = normal(2, *bias)
    inputs += [] if bias is None else ["c"]
    given = {"alpha": 0.5, "beta": 2.0, "transA": transposed[0], "transB": transposed[1]}
    nodes += [node("Gemm", inputs, ["g"], name="g", **given), node("Reshape", ["g", "flat"], ["y"])]
    path = save(tmp_path / "n.onnx", nodes, weights, (1, 20))
    network = same(path, normal(3, 1, 20))
    (layer,) = network.nodes
    assert (layer.bias is not None) == (bias in ((3,), (1, 3), ()))
    np.testing.assert_allclose(
        layer.weight, 0.5 * (weights["w"].T if transposed[1] else weights["w"])
    )


def test_attention(tmp_path):
    """Two products of activations, a softmax between them, in heads."""
    d = 6
    weights = {k: normal(i, d, d, scale=0.5) for i, k in enumerate(("wq", "wk", "wv"))}
    weights |= {"heads": np.array([0, 5, 2, 3]), "all": np.array([0, 5, 6]), "scale": NAN}
    weights["scale"] = np.float32(3**-0.5).reshape(())
    nodes = []
    for k in "qkv":
        nodes += [
            node("MatMul", ["x", f"w{k}"], [k], name=k),
            node("Reshape", [k, "heads"], [f"{k}h"]),
            node(
                "Transpose", [f"{k}h"], [f"{k}t"], perm=(0, 2, 3, 1) if k == "k" else (0, 2, 1, 3)
            ),
        ]
    nodes += [
        node("MatMul", ["qt", "kt"], ["s"], name="scores"),
        node("Mul", ["s", "scale"], ["s2"]),
        node("Softmax", ["s2"], ["p"], axis=-1),
        node("MatMul", ["p", "vt"], ["o"], name="mix"),
        node("Transpose", ["o"], ["ot"], perm=[0, 2, 1, 3]),
        node("Reshape", ["ot", "all"], ["f"]),
        *dense("f", 30, weights),
    ]
    x = normal(3, 17, 5, d)
    network = same(save(tmp_path / "n.onnx", nodes, weights, ("batch", 5, d)), x)
    by_name = {layer.name: (layer.dot_length, layer.outputs) for layer in network.layers}
    assert by_name["scores"] == (3, 2 * 5 * 5) and by_name["mix"] == (5, 2 * 5 * 3)
    assert by_name["q"] == (6, 30) and network.batch is None
    q = quantised_exactly(network, x, ("int8", "int8"))
    assert q["scores"].weight is None and q["q"].weight.shape == (6, 6)


@pytest.mark.parametrize(
    ("equation", "weight", "work"),
    [
        ("nld,dhk->nlhk", (6, 2, 3), (6, 5 * 6)),
        ("nld,dhk->nhlk", (6, 2, 3), (6, 5 * 6)),
        ("dk,nld->lnk", (6, 4), (6, 5 * 4)),
        ("nld,ld->nl", (5, 6), (6, 5)),
        ("nld,ldk->nk", (5, 6, 2), (30, 2)),
        ("nld,nmd->nlm", None, (6, 25)),
        ("nld,nmd->mnl", None, (6, 25)),
    ],
)
def test_einsum(tmp_path, equation, weight, work):
    """As Keras writes attention: stacks, sums, rows and columns in any order, any batch."""
    weights = {"flat": np.array([0, -1])}
    if weight is not None:
        weights["w"] = normal(5, *weight)
    result = equation.split("->")[1]
    inputs = ["x", "x"] if weight is None else ["x", "w"] if equation[0] == "n" else ["w", "x"]
    nodes = [node("Einsum", inputs, ["e"], equation=equation, name="own")]
    order = [result.index("n"), *(i for i, c in enumerate(result) if c != "n")]
    nodes += [node("Transpose", ["e"], ["t"], perm=order), node("Reshape", ["t", "flat"], ["y"])]
    x = normal(3, 7, 5, 6)
    network = same(save(tmp_path / "n.onnx", nodes, weights, ("batch", 5, 6)), x)
    assert network.layers == (Layer("own", "Einsum", *work),) and network.batch is None
    assert not network.float_operators
    quantised_exactly(network, x)


# --- what is computed of constants, and behind a layer ----------------------------------------


def test_constants_are_computed_once(tmp_path):
    weights = {
        "wt": normal(1, 4, 192),
        "axes": np.array([0]),
        "whole": np.array(-1),
        "zero": np.array([0]),
        "half": np.float32(0.5).reshape(()),
    }
    nodes = [
        node("Unsqueeze", ["whole", "axes"], ["rest"]),
        node("Concat", ["zero", "rest"], ["shape"], axis=0),
        node("Reshape", ["x", "shape"], ["f"]),
        node("Transpose", ["wt"], ["w0"], perm=[1, 0]),
        node("Mul", ["w0", "half"], ["w"]),
        node("Gemm", ["f", "w"], ["y"]),
    ]
    network = same(save(tmp_path / "n.onnx", nodes, weights), normal(4, 2, 3, 8, 8))
    assert [n.op_type for n in network.graph.nodes] == ["Reshape", "MatMul"]
    np.testing.assert_array_equal(network.weight("gemm"), weights["wt"].T * np.float32(0.5))


@pytest.mark.parametrize("op", ["Conv", "MatMul"])
def test_factors_and_shifts_behind_a_layer_become_part_of_it(tmp_path, op):
    channel = (5, 1, 1) if op == "Conv" else (5,)
    weights = {f"k{i}": normal(20 + i, *channel) for i in range(4)}
    weights["one"] = np.float32(3).reshape(())
    if op == "Conv":
        nodes, shape, size = [conv(weights)], ("batch", 3, 8, 8), 180
    else:
        weights["w"] = normal(1, 6, 5)
        nodes, shape, size = [node("MatMul", ["x", "w"], ["c"])], ("batch", 4, 6), 20
    chain = (
        ("Add", "k0", 0),
        ("Mul", "k1", 0),
        ("Sub", "k2", 0),
        ("Sub", "k3", 1),
        ("Div", "one", 0),
    )
    for i, (kind, constant, first) in enumerate(chain):
        last = f"t{i - 1}" if i else "c"
        nodes.append(node(kind, [constant, last] if first else [last, constant], [f"t{i}"]))
    network = same(
        save(tmp_path / "n.onnx", nodes + dense("t4", size, weights), weights, shape),
        normal(9, 3, *shape[1:]),
    )
    assert len(network.nodes) == 2 and network.nodes[0].bias is not None
    assert {n.op_type for n in network.graph.nodes} <= {"Conv", "MatMul", "Add", "Flatten"}


def test_what_is_not_of_a_channel_stays_behind_the_layer(tmp_path):
    for constant in (normal(1, 1, 5, 6, 1), normal(1, 6, 6), normal(1, 2, 1, 5, 1, 1)):
        weights = {"k": constant}
        size = 180 * (2 if constant.ndim == 5 else 1)
        nodes = [conv(weights), node("Add", ["c", "k"], ["t"]), node("Relu", ["t"], ["r"])]
        nodes += [node("Reshape", ["r", "shape"], ["flat"]), node("MatMul", ["flat", "wt"], ["y"])]
        weights |= {"shape": np.array([1, -1]), "wt": normal(50, size, 4)}
        path = save(tmp_path / "n.onnx", nodes, weights, (1, 3, 8, 8))
        network = same(path, normal(9, 1, 3, 8, 8))
        assert network.nodes[0].bias is None


# --- what stays in float, and what is refused -------------------------------------------------


@pytest.mark.parametrize(
    ("nodes", "macs", "reason"),
    [
        ([node("LSTM", ["s", "iw", "ir"], ["", "h"], hidden_size=3, name="op")],
         8 * 4 * 3 * (24 + 3), "recurrent"),
        ([node("Einsum", ["s", "s", "s"], ["h"], equation="abc,abd,abd->cd", name="op")],
         2 * 8 * 24 * 24, "not written as a MatMul"),
        ([node("Reshape", ["x", "volume"], ["v"]), node("Conv", ["v", "w3"], ["h"], name="op")],
         2 * 3 * 7 * 7 * 8, "3 dimensions"),
        ([node("Slice", ["x", "0", "1", "axis"], ["k"]),
          node("Conv", ["x", "k"], ["h"], name="op")],
         3 * 64, "computed from the input"),
    ],
)  # fmt: skip
def test_products_that_stay_in_float_are_told(tmp_path, nodes, macs, reason):
    weights = {
        "order": np.array([8, 1, 24]),
        "volume": np.array([1, 1, 3, 8, 8]),
        "iw": normal(1, 1, 12, 24),
        "ir": normal(2, 1, 12, 3),
        "w3": normal(3, 2, 1, 1, 2, 2) if reason == "3 dimensions" else normal(1, 1),
        "flat": np.array([1, -1]),
        "0": np.array([0]),
        "1": np.array([1]),
        "axis": np.array([0]),
    }
    if reason == "3 dimensions":
        weights["w3"] = normal(3, 2, 1, 1, 2, 2)
        macs = 2 * 3 * 7 * 7 * 4
    if reason.startswith("computed"):
        nodes = [nodes[0], node("ReduceMean", ["k"], ["k1"], axes=[2, 3]), *nodes[1:]]
        nodes[-1].input[1] = "k1"
    nodes = [node("Reshape", ["x", "order"], ["s"]), *nodes, node("Reshape", ["h", "flat"], ["f"])]
    sizes = {"recurrent": 3, "not written as a MatMul": 24 * 24, "3 dimensions": 2 * 3 * 49}
    weights["wt"] = normal(50, sizes.get(reason, 64), 4)
    nodes.append(node("MatMul", ["f", "wt"], ["y"], name="last"))
    path = save(tmp_path / "n.onnx", nodes, weights, (1, 3, 8, 8), opset=13)
    network = same(path, normal(9, 1, 3, 8, 8))
    (stays,) = network.float_operators
    assert stays.name == "op" and stays.macs == macs and reason in stays.reason
    last = 4 * len(weights["wt"])
    assert network.float_share == pytest.approx(macs / (macs + last))


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_weights_that_are_not_finite_name_their_layer(tmp_path, value):
    bad = normal(1, 192, 4)
    bad[3, 2] = value
    flat = node("Flatten", ["x"], ["f"])
    product = node("MatMul", ["f", "w"], ["y"], name="/head/MatMul")
    constant = node("Constant", [], ["w"], value=numpy_helper.from_array(bad))
    for nodes, weights in (([flat, constant, product], {}), ([flat, product], {"w": bad})):
        text = refused(tmp_path, nodes, weights)
        assert "layer 'head': its weight" in text and "1 numbers that are NaN or infinite" in text
    weights = {"b": bad[3], "w": normal(1, 192, 4)}
    gemm = node("Gemm", ["f", "w", "b"], ["y"], name="dense")
    assert "layer 'dense': its bias" in refused(tmp_path, [flat, gemm], weights)
    weights = {"b": np.full(5, value)}
    nodes = [conv(weights, bias=("b",)), *dense("c", 180, weights)]
    assert "layer 'conv': its bias" in refused(tmp_path, nodes, weights)


# --- batches ----------------------------------------------------------------------------------


def test_a_fixed_batch_that_the_operators_do_not_need(tmp_path):
    weights = {"w": normal(1, 192, 4), "shape": np.array([4, -1])}
    flat, product = node("Flatten", ["x"], ["f"]), node("MatMul", ["f", "w"], ["y"])
    path = save(tmp_path / "n.onnx", [flat, product], weights, (4, 3, 8, 8))
    x = normal(4, 10, 3, 8, 8)
    expected = x.reshape(10, -1) @ weights["w"]
    free = load(path)
    assert free.batch is None
    np.testing.assert_allclose(inference.run(free, x), expected, rtol=1e-4, atol=1e-4)
    # And one that is written into the graph: ten images are three batches, the last one filled up.
    path = save(path, [node("Reshape", ["x", "shape"], ["f"]), product], weights, (4, 3, 8, 8))
    bound = load(path)
    assert bound.batch == 4 and bound.layers == free.layers
    np.testing.assert_allclose(inference.run(bound, x), expected, rtol=1e-4, atol=1e-4)
    quantised_exactly(bound, x[:2])


def test_the_output_may_have_axes_of_one(tmp_path):
    weights = {"w": normal(1, 4, 3, 8, 8)}
    path = save(tmp_path / "n.onnx", [node("Conv", ["x", "w"], ["y"])], weights)
    network = same(path, normal(4, 5, 3, 8, 8))
    assert network.classes == 4
    model = onnx.load(path)
    assert model.graph.output[0].name == network.output
