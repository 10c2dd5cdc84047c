"""Activations with zero points: what a layer computes, what its unit sums, and when it is kept."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from graphs import crude_cost, normal, residual_network, save
from onnx_files import dense, node

from hwgen.formats import parse
from optimizer import explore, inference, selection
from optimizer.calibration import calibrate
from optimizer.data import ImageData
from optimizer.layer_vectors import layer_vectors, results
from optimizer.onnx_import import load
from optimizer.ptq.methods import Methods, Recipe, methods
from sim import golden

ASKED = Methods(bias=True, asymmetric=True)


def skewed(*shape):
    """Mostly above zero, and never below −1: a signed format leaves most of its codes unused."""
    return np.maximum(normal(3, *shape) * 2 + 3, -1).astype(np.float32)


def made(path):
    network = load(path)
    images = skewed(80, *network.input_shape)
    labels = inference.run(network, images).argmax(axis=1)
    return network, ImageData(images[:40], None, images[40:], labels[40:], "skewed")


def grouped(path):
    w = {"w": normal(1, 4, 2, 3, 3), "b": normal(2, 4)}
    nodes = [node("Conv", ["x", "w", "b"], ["c"], name="own", group=2, pads=[1] * 4)]
    return save(path, [*nodes, *dense("c", 4 * 36, w)], w, ("batch", 4, 6, 6))


@pytest.mark.parametrize("bits", [4, 12])
def test_a_layer_with_a_zero_point_computes_the_same_numbers(tmp_path, bits):
    """By the numbers that the codes stand for, a border's zeros among them; both ways to sum."""
    network, data = made(grouped(tmp_path / "n.onnx"))
    f = parse(f"int{bits}")
    calibration = calibrate(network, data.calibration_images, [f], None, ASKED)
    scale, zero = calibration.zero_points["own", f]
    assert f.min < zero < 0
    start = calibration.layer("own", f, f)
    q = dataclasses.replace(start, activation_scale=scale, zero_point=zero)
    assert q.exact_in_float32 == (bits == 4)
    x = data.test_images[:3]
    codes = np.clip(np.rint(x / scale + np.float32(zero)), f.min, f.max)
    assert codes.min() < zero and codes.max() == f.max
    numbers = np.pad((codes - zero) * np.float64(scale), ((0, 0), (0, 0), (1, 1), (1, 1)))
    weight = (q.weight * q.weight_scale).reshape(3, 3, 2, 4)
    wanted = np.zeros((3, 4, 6, 6))
    for out in range(4):
        first = 2 * (out // 2)
        for i in range(6):
            for j in range(6):
                seen = numbers[:, first : first + 2, i : i + 3, j : j + 3].transpose(0, 2, 3, 1)
                wanted[:, out, i, j] = (seen * weight[..., out]).sum(axis=(1, 2, 3)) + q.bias[out]
    got = inference.run_layer(q, [x])
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)
    # The unit sums codes, with a bias of its own.
    sums = q.node.lowering.output(inference.exact_sums(q, [x]), x.shape)
    behind = sums * (q.output_scale)[:, None, None] + q.unit_bias[:, None, None]
    np.testing.assert_allclose(behind, wanted, rtol=1e-5, atol=1e-5)


def test_zero_points_are_kept_where_they_win_and_the_unit_agrees(tmp_path):
    network, data = made(residual_network(tmp_path / "n.onnx"))
    asked = explore.settings(
        target="ecp5", fps=1e4, formats=["int4"], max_drop=100.0,
        ptq=["unsigned", "bias", "asymmetric"],
    )  # fmt: skip
    e = explore.explore(network, data, asked, predict=crude_cost)
    assert e.chosen.recipe.asymmetric and e.ablation[-1].method == "asymmetric"
    assert e.ablation[-1].divergence < 0.8 * e.ablation[-2].divergence
    assert e.to_dict()["chosen"]["ptq"]["kept"] == ["asymmetric", "bias"]
    moved = {name for name, q in e.quantization.items() if q.zero_point}
    assert "conv" in moved  # The others see what a ReLU left, in formats without sign.
    plan = next(p for p in e.chosen.layers if p.layer.name == "conv")
    vectors = layer_vectors(
        e.network, e.quantization, e.chosen, "conv", data.test_images[:4], outputs=40
    )
    inputs = vectors.inputs(plan.spec)
    got = results(plan.spec, golden.expected(plan.spec, inputs), vectors.last_cycles)
    assert got == vectors.expected and np.any(got)


def test_only_whole_numbers_times_weights_get_zero_points(tmp_path):
    w = {"wk": normal(1, 5, 5), "t": normal(1, 6, 2, 3)}
    nodes = [
        node("MatMul", ["x", "wk"], ["k"], name="keys"),
        node("Transpose", ["k"], ["kt"], perm=[0, 2, 1]),
        node("MatMul", ["x", "kt"], ["s"], name="both"),
        node("ConvTranspose", ["x", "t"], ["u"], name="holes", strides=[2]),
        node("Flatten", ["u"], ["v"]),
        *dense("s", 36, w),
    ]
    path = save(tmp_path / "n.onnx", nodes, w, ("batch", 6, 5))
    network, data = made(path)
    formats = [parse(name) for name in ("int4", "e2m1", "nvfp4")]
    found = calibrate(network, data.calibration_images, formats, None, ASKED).zero_points
    assert {name for name, _ in found} >= {"keys"} and {f for _, f in found} == {formats[0]}
    assert not {"both", "holes"} & {name for name, _ in found}
    assert not calibrate(network, data.calibration_images, formats, None, Methods()).zero_points
    powers = Methods(asymmetric=True, power_of_two="pow2")
    found = calibrate(network, data.calibration_images, formats, None, powers).zero_points
    assert found and all(np.log2(scale) % 1 == 0 for scale, _ in found.values())


def test_zero_points_are_left_where_they_lose(tmp_path):
    network, data = made(residual_network(tmp_path / "n.onnx"))
    f = parse("int4")
    calibration = calibrate(network, data.calibration_images, [f], None, ASKED)
    tuner = selection.tuner(network, calibration, data, ASKED)
    pairs = dict.fromkeys(network.layer_nodes, (f, f))

    class Worse(selection.Tuner):
        def quantization(self, pairs, recipe, workers=None):
            made = super().quantization(pairs, recipe, workers)
            if not recipe.asymmetric:
                return made
            return {k: dataclasses.replace(q, weight=-q.weight) for k, q in made.items()}

    fields = {field.name: getattr(tuner, field.name) for field in dataclasses.fields(tuner)}
    kept, _ = Worse(**fields).tuned(pairs)
    assert not kept.recipe.asymmetric and any(r.asymmetric for r in kept.divergences)
    assert tuner.tuned(pairs)[0].recipe.asymmetric
    assert methods(["asymmetric"]).asymmetric and Recipe(asymmetric=True).names == ("asymmetric",)
