"""The cycles of every kind of layer, as its datapath gets them, add up to the sums of inference."""

from __future__ import annotations

import math

import numpy as np
import pytest
from graphs import crude_cost, normal, save
from onnx_files import dense, node

from optimizer import explore, inference
from optimizer.data import ImageData
from optimizer.layer_vectors import layer_vectors
from optimizer.onnx_import import load
from sim import golden


def depthwise(path):
    w = {"w": normal(1, 4, 1, 3, 3), "b": normal(2, 4)}
    nodes = [node("Conv", ["x", "w", "b"], ["c"], name="own", group=4, pads=[1] * 4)]
    nodes += [node("Relu", ["c"], ["r"]), *dense("r", 144, w)]
    return save(path, nodes, w, ("batch", 4, 6, 6))


def transposed(path):
    w = {"w": normal(1, 4, 3, 3, 3), "b": normal(2, 6)}
    nodes = [
        node("ConvTranspose", ["x", "w", "b"], ["c"], name="own", group=2, strides=[2, 2]),
        *dense("c", 6 * 13 * 13, w),
    ]
    return save(path, nodes, w, ("batch", 4, 6, 6))


def one_dimension(path):
    w = {"w": normal(1, 5, 4, 3)}
    nodes = [node("Conv", ["x", "w"], ["c"], name="own", dilations=[2]), *dense("c", 25, w)]
    return save(path, nodes, w, ("batch", 4, 9))


def attention(path):
    """A product of two activations; the second operand is of the format of weights."""
    w = {"wk": normal(1, 5, 5), "all": np.array([0, -1])}
    nodes = [
        node("MatMul", ["x", "wk"], ["k"], name="keys"),
        node("Transpose", ["k"], ["kt"], perm=[0, 2, 1]),
        node("MatMul", ["x", "kt"], ["s"], name="own"),
        node("Softmax", ["s"], ["p"], axis=-1),
        *dense("p", 36, w),
    ]
    return save(path, nodes, w, ("batch", 6, 5))


@pytest.mark.parametrize("make", [depthwise, transposed, one_dimension, attention])
def test_cycles_of_a_layer_add_up_to_its_sums(tmp_path, make):
    network = load(make(tmp_path / "n.onnx"))
    images = normal(3, 60, *network.input_shape)
    labels = inference.run(network, images).argmax(axis=1)
    data = ImageData(images[:30], None, images[30:], labels[30:], "random")
    asked = explore.settings(
        target="ecp5", fps=2e5, formats=["int5", "e2m2"], max_drop=100.0, ptq=["unsigned", "bias"]
    )
    e = explore.explore(network, data, asked, predict=crude_cost)
    plan = e.references["all-E4M3"]
    for chosen in (e.chosen, plan):
        (own,) = (p for p in chosen.layers if p.layer.name == "own")
        vectors = layer_vectors(e.network, e.quantization, chosen, "own", images[:3], outputs=40)
        assert np.any(vectors.expected)
        cycles = math.ceil(own.layer.dot_length / own.size.lanes)
        assert vectors.a_codes.shape == (40 * cycles, own.size.lanes)
        inputs = {"a": vectors.a_codes, "b": vectors.b_codes, "clear": vectors.clear[:, None]}
        sums = golden.expected(own.spec, inputs)["accumulator"][:, 0]
        assert tuple(sums[vectors.last_cycles]) == vectors.expected
