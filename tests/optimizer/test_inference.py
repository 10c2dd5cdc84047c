"""Quantised inference and post-training quantisation against slow, plain references."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from graphs import normal, residual_network

from hwgen.formats import parse
from optimizer import inference
from optimizer.calibration import calibrate
from optimizer.onnx_import import load
from optimizer.ptq.range_mse import SHRINK, mse
from optimizer.ptq.range_problem import RangeProblem


def best_scales(number_format, values):
    problem = RangeProblem.of_weights(values, number_format)
    return problem.scales(mse(problem))


@pytest.mark.parametrize("name", ["int3", "e2m1", "e4m3"])
def test_best_scale_is_the_best_of_the_grid(name):
    number_format, weights = parse(name), normal(1, 40, 5)
    weights[:, 3] = 0
    scales = best_scales(number_format, weights)
    assert scales[3] == 1
    for column, scale in zip(weights.T, scales, strict=True):
        errors = [
            np.sum((number_format.quantize(column / s) * s - column) ** 2)
            for s in np.abs(column).max() / number_format.symmetric_max * SHRINK
            if s > 0
        ]
        chosen = np.sum((number_format.quantize(column / scale) * scale - column) ** 2)
        assert chosen <= min(errors, default=0) * (1 + 1e-4)


@pytest.mark.parametrize("name", ["int3", "int4", "e2m1"])
@pytest.mark.parametrize("outliers", [False, True])
def test_best_scale_is_near_the_best_of_all_ranges(name, outliers):
    """Ranges from the absolute maximum down to a 64th of it, in steps of 2%."""
    rng, f = np.random.default_rng(1), parse(name)
    draw = rng.standard_t(3, (4000, 3)) if outliers else rng.standard_normal((4000, 3))
    values = draw.astype(np.float32)
    for column, scale in zip(values.T.astype(float), best_scales(f, values), strict=True):

        def error(scale, column=column):
            return np.sum((f.quantize(column / scale) * scale - column) ** 2)

        full = np.abs(column).max() / f.symmetric_max
        least = min(error(full * shrink) for shrink in np.exp2(np.linspace(-6, 0, 211)))
        # The widest range has 1.2 to 4.4 times the least error.
        assert error(float(scale)) < 1.02 * least < error(full)


@pytest.mark.parametrize(
    "pair", [("int8", "int8"), ("int4", "e2m1"), ("e3m2", "int5"), ("e5m2", "e5m2")]
)
def test_quantised_inference_is_the_exact_reference(tmp_path, pair):
    """Every layer, with sums in exact fractions, one multiplication at a time."""
    network = load(residual_network(tmp_path / "n.onnx", channels=3, size=4))
    images = normal(7, 2, 3, 4, 4)
    calibration = calibrate(network, images, [parse(name) for name in pair])
    a_format, b_format = map(parse, pair)
    quantization = calibration.quantization({n: (a_format, b_format) for n in network.layer_nodes})

    def layer(name, x, stride=1, pad=0):
        """x: (channels, height, width) or (features,), float32."""
        q, node = quantization[name], network.layer_nodes[name]
        grid = a_format.quantize(x / q.activation_scale)
        if grid.ndim == 1:
            grid = grid[:, None, None]
        kernel = node.lowering.window.kernel if node.op == "Conv" else (1, 1)
        grid = np.pad(grid, ((0, 0), (pad, pad), (pad, pad)))
        heights = (grid.shape[1] - kernel[0]) // stride + 1
        widths = (grid.shape[2] - kernel[1]) // stride + 1
        channels = node.weight.shape[1]
        bias = np.zeros(channels) if node.bias is None else node.bias
        out = np.zeros((channels, heights, widths), np.float32)
        # ONNX order of the weights: output, input, row, column.
        weight = q.weight.reshape(*kernel, len(grid), -1).transpose(3, 2, 0, 1)
        for o, i, j in np.ndindex(out.shape):
            window = grid[
                :, i * stride : i * stride + kernel[0], j * stride : j * stride + kernel[1]
            ]
            total = sum(
                Fraction(u) * Fraction(v)
                for u, v in zip(window.ravel(), weight[o].ravel(), strict=True)
            )
            out[o, i, j] = float(total) * (float(q.activation_scale) * q.weight_scale[o]) + bias[o]
        return out if x.ndim == 3 else out[:, 0, 0]

    expected = []
    for image in images:
        first = np.maximum(layer("conv", image, pad=1), 0)
        block = np.maximum(layer("block.conv1", first, stride=2, pad=1), 0)
        total = np.maximum(block + layer("block.shortcut", first, stride=2), 0)
        pooled = total.transpose(1, 2, 0).mean(axis=(0, 1), dtype=np.float32)
        expected.append(layer("dense", pooled))
    np.testing.assert_allclose(
        inference.run(network, images, quantization), expected, rtol=2e-5, atol=1e-5
    )


def test_result_does_not_depend_on_the_batches(tmp_path, monkeypatch):
    network = load(residual_network(tmp_path / "n.onnx"))
    images = normal(7, 21, 3, 8, 8)
    int4 = parse("int4")
    quantization = calibrate(network, images, [int4]).quantization(
        {name: (int4, int4) for name in network.layer_nodes}
    )
    whole = inference.run(network, images, quantization)
    monkeypatch.setattr(inference, "BATCH", 5)
    np.testing.assert_array_equal(whole, inference.run(network, images, quantization))
