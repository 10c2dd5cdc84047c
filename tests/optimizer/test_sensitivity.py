"""Damages of single operands against their definition, computed here in float64."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from graphs import normal, residual_network, save
from onnx import helper, numpy_helper

from hwgen.formats import parse
from optimizer import inference, sensitivity
from optimizer.calibration import calibrate
from optimizer.onnx_import import load


def softmax(scores):
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def test_a_damage_is_the_divergence_with_one_operand_quantised(tmp_path):
    """KL(FP32 || quantised) in nats, the mean of the images: p · ln(p/q), and not q · ln(q/p)."""
    weights = {"w0": normal(1, 7, 9), "b0": normal(2, 9), "w1": normal(3, 9, 4), "b1": normal(4, 4)}
    nodes = [
        helper.make_node("Gemm", ["x", "w0", "b0"], ["h"], name="first"),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Gemm", ["r", "w1", "b1"], ["y"], name="second"),
    ]
    network = load(save(tmp_path / "n.onnx", nodes, weights, ("batch", 7)))
    x = normal(5, 37, 7)
    formats = [parse(name) for name in ("int3", "e2m1")]
    calibration = calibrate(network, x, formats)
    measured = sensitivity.measure(network, x, calibration, formats)
    assert measured.images == 37

    def run(rounded=lambda layer, operand, values: values):
        values = x.astype(float)
        for layer, name in enumerate(("first", "second")):
            values = np.maximum(values, 0) if layer else values
            matrix = rounded(name, "weights", weights[f"w{layer}"].astype(float))
            values = rounded(name, "activations", values) @ matrix + weights[f"b{layer}"]
        return softmax(values)

    exact, seen = run(), set()
    for name in ("first", "second"):
        for f in formats:
            scales = {
                "activations": float(calibration.activation_scales[name, f][0]),
                "weights": calibration.weight_scales[name, f][0],
            }
            total = 0.0
            for kind, scale in scales.items():

                def only_this(layer, operand, values, only=(name, kind), scale=scale, f=f):
                    if (layer, operand) != only:
                        return values
                    return f.quantize(values / scale) * scale

                other = run(only_this)
                wanted = (exact * np.log(exact / other)).sum(axis=1).mean()
                assert getattr(measured, kind)[name, f] == pytest.approx(wanted, rel=1e-3)
                total += wanted
                seen.add(round(wanted, 4))
            assert measured.pair(name, f, f) == pytest.approx(total, rel=1e-3)
    assert len(seen) == 8  # No two damages are alike, so that none stands for another.


def test_what_follows_a_layer_is_computed_again(tmp_path):
    """With a shortcut: as the network of a file in which one layer's weights are the rounded."""
    path = residual_network(tmp_path / "n.onnx")
    network, images, f = load(path), normal(7, 20, 3, 8, 8), parse("int3")
    calibration = calibrate(network, images, [f])
    measured = sensitivity.measure(network, images, calibration, [f])
    exact = softmax(inference.run(network, images).astype(float))
    for number, (name, node) in enumerate(network.layer_nodes.items()):
        model = onnx.load(path)
        (tensor,) = (t for t in model.graph.initializer if t.name == f"w{number}")
        shape = tuple(tensor.dims)
        values, scales = calibration.weight(name, f), calibration.weight_scales[name, f][0]
        rounded = (values * scales).T  # Of each output: its row, column and input channel.
        if node.op == "Conv":
            rounded = rounded.reshape(shape[0], *shape[2:], shape[1]).transpose(0, 3, 1, 2)
        assert np.abs(rounded - numpy_helper.to_array(tensor)).max() < scales.max()
        array = np.ascontiguousarray(rounded.astype(np.float32))
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
        onnx.save(model, tmp_path / "other.onnx")
        other = softmax(inference.run(load(tmp_path / "other.onnx"), images).astype(float))
        wanted = (exact * np.log(exact / other)).sum(axis=1).mean()
        assert wanted > 1e-4
        assert measured.weights[name, f] == pytest.approx(wanted, rel=1e-3)
