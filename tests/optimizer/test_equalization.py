"""Networks with factors of channels: the same numbers, and ranges that are alike."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import normal, residual_network, save
from onnx import helper

from optimizer import inference
from optimizer.equalization import cross_layer, pairs, smooth
from optimizer.onnx_import import load

node = helper.make_node


def separable(path, clip="input"):
    """Depthwise and pointwise layers behind ReLU6, a pool, a dense layer behind a flattening."""
    limits = {"min": 0.0, "max": 6.0} if clip == "attribute" else {}
    extra = ["low", "high"] if clip == "input" else []
    limit = "Relu" if clip == "none" else "Clip"
    scale = np.exp(np.random.default_rng(5).uniform(-2, 2, 8)).astype(np.float32)
    w = {
        "w0": normal(1, 8, 3, 3, 3, scale=0.4) * scale[:, None, None, None],
        "b0": normal(2, 8) * scale,
        "w1": normal(3, 8, 1, 3, 3) / scale[:, None, None, None],
        "b1": normal(4, 8, scale=0.5),
        "w2": normal(5, 12, 8, 1, 1),
        "w3": normal(6, 12 * 4, 5),
    }
    if extra:
        w |= {"low": np.array(0, np.float32), "high": np.array(6, np.float32)}
    nodes = [
        node("Conv", ["x", "w0", "b0"], ["c0"], pads=[1] * 4),
        node(limit, ["c0", *extra], ["r0"], **limits),
        node("Conv", ["r0", "w1", "b1"], ["c1"], pads=[1] * 4, group=8),
        node(limit, ["c1", *extra], ["r1"], **limits),
        node("Conv", ["r1", "w2"], ["c2"]),
        node("LeakyRelu", ["c2"], ["r2"]),
        node("MaxPool", ["r2"], ["p"], kernel_shape=[4, 4], strides=[4, 4]),
        node("Flatten", ["p"], ["f"]),
        node("MatMul", ["f", "w3"], ["y"]),
    ]
    return save(path, nodes, w, ("batch", 3, 8, 8), opset=8 if clip == "attribute" else 17)


@pytest.mark.parametrize("clip", ["input", "attribute"])
@pytest.mark.parametrize("method", ["cross-layer", "smoothquant"])
def test_equalised_network_computes_the_same(tmp_path, clip, method):
    network = load(separable(tmp_path / "n.onnx", clip))
    found = [(p.first.op, p.second.op, len(p.between), p.repeats) for p in pairs(network)]
    assert found == [("Conv", "Conv", 1, 1), ("Conv", "Conv", 1, 1), ("Conv", "MatMul", 3, 4)]
    images = normal(9, 20, 3, 8, 8, scale=2.0)
    other = cross_layer(network) if method == "cross-layer" else smooth(network, images)
    wanted = inference.run(network, images)
    # The clamps do cut: 6 is reached, and lower channels are far from it.
    between = network.session(["r0"]).run({"x": images})["r0"]
    assert 0.01 < (between == 6).mean() < 0.9
    np.testing.assert_allclose(inference.run(other, images), wanted, rtol=1e-4, atol=1e-4)
    for before, after in zip(network.nodes, other.nodes, strict=True):
        assert not np.allclose(before.weight, after.weight, rtol=0.1)


def test_weights_of_both_layers_get_the_same_ranges(tmp_path):
    network = load(separable(tmp_path / "n.onnx"))
    first, second, third, _ = cross_layer(network).nodes

    def per_input(weight):
        return np.abs(weight).max(axis=1)

    np.testing.assert_allclose(
        np.abs(first.weight).max(axis=0), np.abs(second.weight).max(axis=0), rtol=0.02
    )
    np.testing.assert_allclose(
        np.abs(second.weight).max(axis=0), per_input(third.weight), rtol=0.02
    )


def test_activations_in_front_of_a_depthwise_layer_get_one_range(tmp_path):
    network = load(separable(tmp_path / "n.onnx"))
    images = normal(9, 20, 3, 8, 8, scale=2.0)
    values = smooth(network, images).session(["r0"]).run({"x": images})["r0"]
    largest = values.max(axis=(0, 2, 3))
    np.testing.assert_allclose(largest, largest[0], rtol=1e-5)
    before = network.session(["r0"]).run({"x": images})["r0"].max(axis=(0, 2, 3))
    assert before.max() > 2 * before.min()


def test_what_is_read_twice_or_added_is_left_alone(tmp_path):
    network = load(residual_network(tmp_path / "n.onnx"))
    assert pairs(network) == ()
    assert cross_layer(network).nodes == network.nodes
