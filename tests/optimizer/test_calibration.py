"""What the scales stand on: a uniform sample that does not know of batches."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import crude_cost, normal, residual_network

from hwgen.formats import parse
from optimizer import calibration, data, explore, sensitivity
from optimizer.onnx_import import load
from optimizer.sampling import nonzero_sample
from optimizer.workloads import fashion_mnist


def in_batches(values, batch, count):
    parts = [
        nonzero_sample(values[first : first + batch], first, count)
        for first in range(0, len(values), batch)
    ]
    sample = parts[0]
    for part in parts[1:]:
        sample = sample.merged(part, count)
    return sample


@pytest.mark.parametrize("count", [1, 50, 700, 10**6])
def test_sample_is_the_same_whatever_the_batches(count):
    values = np.maximum(normal(1, 40, 5, 5, 3), 0)
    whole = in_batches(values, 40, count)
    assert len(whole.values) == min(count, np.count_nonzero(values)) and (whole.values != 0).all()
    for batch in (1, 3, 8, 39):
        sample = in_batches(values, batch, count)
        np.testing.assert_array_equal(sample.values, whole.values)
        np.testing.assert_array_equal(sample.keys, whole.keys)
        assert sample.largest == whole.largest == values.max()


def test_sample_is_uniform_and_without_repetition():
    """Which of 1,000 images of 40 values the 10,000 drawn ones are of: as chance has it."""
    values = np.arange(1, 40_001, dtype=np.float32).reshape(1000, 40)
    sample = in_batches(values, 7, 10_000)
    assert len(np.unique(sample.values)) == 10_000
    drawn = sample.values.astype(int) - 1
    for of, groups in ((drawn // 40, 1000), (drawn % 40, 40)):
        counts = np.bincount(of, minlength=groups)
        expected = 10_000 / groups
        # Without repetition: the variance is that of the binomial times 1 - 1/4.
        chi_squared = ((counts - expected) ** 2 / (expected * 0.75)).sum()
        assert abs(chi_squared - groups) < 5 * np.sqrt(2 * groups)


def test_largest_value_is_not_in_the_sample_unless_drawn():
    values = np.ones((64, 1000), np.float32)
    values[:, 0] = np.arange(100, 164)  # one outlier an image
    sample = in_batches(values, 8, 2000)
    assert sample.largest == 163
    assert np.count_nonzero(sample.values > 1) == pytest.approx(2, abs=5)
    negative = nonzero_sample(np.array([[0, -3, 2.0]], np.float32), 0, 10)
    assert negative.largest == 3 and len(negative.values) == 2
    nothing = nonzero_sample(np.zeros((3, 4), np.float32), 0, 10)
    assert nothing.largest == 0 and len(nothing.values) == 0
    assert not nothing.negative and negative.negative and not sample.negative


def test_scales_and_sensitivities_do_not_depend_on_the_batches(tmp_path, monkeypatch):
    network = load(residual_network(tmp_path / "n.onnx"))
    images = normal(7, 50, 3, 8, 8)
    names = [parse(name) for name in ("int4", "e2m1")]
    monkeypatch.setattr(calibration, "SAMPLE", 500)
    whole = calibration.calibrate(network, images, names)
    damages = sensitivity.measure(network, images, whole, names)
    for batch in (1, 13):
        monkeypatch.setattr(calibration, "BATCH", batch)
        monkeypatch.setattr(sensitivity, "BATCH", batch)
        part = calibration.calibrate(network, images, names)
        # Matrix products of other sizes may differ in the last bit.
        for key, scale in whole.activation_scales.items():
            assert part.activation_scales[key] == pytest.approx(scale, rel=1e-6)
        again = sensitivity.measure(network, images, whole, names)
        for key, value in damages.activations.items():
            assert again.activations[key] == pytest.approx(value, rel=1e-4, abs=1e-9)


def test_sensitivities_are_of_images_of_all_classes(tmp_path, monkeypatch):
    """Calibration images in the order of their classes: the first ones are of one class."""
    network = load(residual_network(tmp_path / "n.onnx"))
    images = normal(3, 300, 3, 8, 8)
    images[:, 0, 0, 0] = np.arange(300)
    seen = []

    def stop(network, images, *_):
        seen.extend(images[:, 0, 0, 0])
        raise InterruptedError

    monkeypatch.setattr(sensitivity, "measure", stop)
    labels = np.zeros(300, np.int64)
    given = data.ImageData(images, None, images, labels, "sorted")
    with pytest.raises(InterruptedError):
        asked = explore.settings(target="ecp5", fps=1000, formats=["int4"], sensitivity_images=60)
        explore.explore(network, given, asked, predict=crude_cost)
    per_fifth = np.bincount(np.array(seen, int) // 60, minlength=5)
    assert len(set(seen)) == 60 and per_fifth.min() >= 5


@pytest.fixture(scope="module")
def shipped():
    """The network, the calibration images, and every layer's non-zero activations."""
    network = load(fashion_mnist.MODEL)
    images = data.load(fashion_mnist.DATA).calibration_images
    made = sorted({name for node in network.nodes for name in node.inputs} - {"image"})
    session = network.session(made)
    parts = [{"image": images[i : i + 64]} for i in range(0, len(images), 64)]
    parts = [{**part, **session.run(part)} for part in parts]
    values = {}
    for name, node in network.layer_nodes.items():
        full = np.concatenate([part[node.inputs[0]].ravel() for part in parts])
        values[name] = full[full != 0].astype(np.float64)
    return network, images, values


def int4_error(values, scale):
    """Mean squared error of symmetric INT4, in float64 and by its definition."""
    return np.mean((np.clip(np.rint(values / scale), -8, 7) * scale - values) ** 2)


def test_int4_scales_are_near_those_of_all_the_values(shipped):
    """On each layer of the shipped network, 7–43% too wide when each batch gave its maximum."""
    network, images, values = shipped
    scales = calibration.calibrate(network, images, [parse("int4")]).activation_scales
    for name in network.layer_nodes:
        own, full = float(scales[name, parse("int4")][0]), values[name]
        ratios = np.linspace(0.7, 1.5, 41)
        every = full[:: max(1, len(full) // 100_000)]  # a part says the minimum's place as well
        best = ratios[np.argmin([int4_error(every, own / r) for r in ratios])]
        assert 0.93 < best < 1.07, (name, best)
        assert int4_error(every, own) < 1.02 * int4_error(every, own / best)
