"""Ranges, scales, zero points and factors of channels: against closed forms and definitions."""

from __future__ import annotations

import numpy as np
import pytest

from hwgen.formats import parse, theory
from optimizer.ptq.asymmetric import folded_bias, unsigned, zero_point
from optimizer.ptq.cross_layer import cross_layer_factors
from optimizer.ptq.power_of_two import powers_below_largest, powers_of_two
from optimizer.ptq.range_kl import kl
from optimizer.ptq.range_minmax import minmax
from optimizer.ptq.range_mse import mse
from optimizer.ptq.range_percentile import PERCENT, percentile
from optimizer.ptq.range_problem import RangeProblem
from optimizer.ptq.smoothquant import smoothing_factors


def gaussian(count=200_000, seed=1):
    return np.random.default_rng(seed).standard_normal((count, 1)).astype(np.float32)


def of(values, name, seen=None):
    largest = np.abs(values).max(axis=0) if seen is None else np.array([seen], np.float32)
    return RangeProblem(values, largest, parse(name))


@pytest.mark.parametrize("name", ["int3", "int4", "int6", "e2m1", "e3m2"])
def test_mse_range_of_normal_numbers_is_that_of_theory(name):
    """The error of the chosen range against the least that integration gives."""
    f = parse(name)
    values = gaussian()
    scale = float(of(values, name).scales(mse(of(values, name)))[0])
    levels = np.unique(f.decode(np.arange(2**f.bits)))
    least = theory.best_gaussian_scale(levels)[1]
    error = np.mean((f.quantize(values / scale) * scale - values) ** 2)
    assert 0.97 * least < error < 1.03 * least


def test_mse_range_of_laplacian_numbers():
    """Banner et al., arXiv 1810.05723, table of section 3: α = 5.03 b for 4 bits, b = 1."""
    rng = np.random.default_rng(2)
    values = rng.laplace(size=(400_000, 1)).astype(np.float32)
    # Their grid has no zero: 2^b steps between −α and α, whose centres are the values.
    alphas = np.linspace(4, 6, 81)
    analytic = 2 * np.exp(-alphas) + alphas**2 / (3 * 4.0**4)
    assert alphas[analytic.argmin()] == pytest.approx(5.03, abs=0.03)
    found = float(mse(of(values, "int4"))[0])
    # With 15 values the outermost at the range: α (1 − 1/15) of a grid of as many steps.
    assert found == pytest.approx(5.03 * 14 / 15, rel=0.1)


def test_minmax_and_percentile_by_definition():
    values = np.arange(-5000, 5001, dtype=np.float32)[:, None] / 5000
    assert minmax(of(values, "int8"))[0] == 1.0
    assert minmax(of(values, "int8", seen=3))[0] == 3.0
    inside = np.mean(np.abs(values) <= percentile(of(values, "int8"))[0])
    assert inside == pytest.approx(PERCENT / 100, abs=2e-4) and inside < 1


def test_kl_range_cuts_outliers_and_nothing_else():
    normal = gaussian(50_000)
    spread = np.concatenate([normal, np.full((5, 1), 60, np.float32)])
    assert kl(of(spread, "int8"))[0] < 10
    even = np.random.default_rng(3).uniform(-1, 1, (50_000, 1)).astype(np.float32)
    assert kl(of(even, "int8"))[0] > 0.95


@pytest.mark.parametrize("method", [minmax, percentile, mse, kl])
def test_ranges_of_columns_zeros_and_nothing(method):
    values = gaussian(3000).reshape(1000, 3) * np.array([1, 10, 0], np.float32)
    p = of(values, "int4")
    ranges = method(p)
    assert ranges.shape == (3,) and ranges[1] > 5 * ranges[0] and ranges[2] == 0
    assert p.scales(ranges)[2] == 1
    alone = method(of(values[:, :1], "int4"))
    assert alone[0] == pytest.approx(ranges[0])
    nothing = RangeProblem(np.zeros((0, 1), np.float32), np.array([2.0]), parse("int4"))
    assert method(nothing)[0] == 2
    positive = of(np.abs(values[:, :1]), "uint4")
    assert 0 < method(positive)[0] <= positive.largest[0]


def test_unsigned_relatives():
    names = {
        "int4": "uint4",
        "e2m1": "ue2m2",
        "e4m3": "ue4m4",
        "uint4": "uint4",
        "e5m2ieee": "e5m2ieee",
    }
    for name, relative in names.items():
        f = unsigned(parse(name))
        assert f == parse(relative) and f.bits == parse(name).bits


def test_zero_point_of_what_is_mostly_positive():
    """Numbers from −1 to 3 in 16 steps: z = −8 + 16/4 = −4; symmetric ones have it at zero."""
    values = np.random.default_rng(5).uniform(-1, 3, 20_000)
    scale, zero = zero_point(parse("int4"), values, -1.0, 3.0)
    assert zero == -4 and scale == pytest.approx(4 / 15, rel=0.1)
    f = parse("int4")

    def error(scale, zero):
        return np.mean(((f.quantize(values / scale + zero) - zero) * scale - values) ** 2)

    symmetric = min(error(r / 7, 0) for r in np.linspace(1, 3, 50))
    assert error(scale, zero) < 0.5 * symmetric
    assert f.quantize(0.0 / scale + zero) == zero
    assert zero_point(f, np.zeros(3), 0.0, 0.0) == (1.0, 0.0)
    # Positive ones alone: as without sign, moved to the lowest code.
    assert zero_point(f, np.abs(values), 0.0, 3.0)[1] == -8


def test_zero_point_in_the_bias():
    rng = np.random.default_rng(6)
    codes, weight = rng.integers(-8, 8, (2, 30, 5)), rng.standard_normal((2, 5, 3))
    bias, scale, zero = rng.standard_normal((2, 3)), 0.3, -5.0
    wanted = (codes - zero) * scale @ weight + bias[:, None]
    got = codes * scale @ weight + folded_bias(bias, weight, scale, zero)[:, None]
    np.testing.assert_allclose(got, wanted)


def test_powers_of_two():
    scale = np.array([[1.0, 0.9, 0.5, 0.51, 3.0]])
    np.testing.assert_array_equal(powers_of_two(scale), [[1, 1, 0.5, 1, 4]])
    np.testing.assert_array_equal(powers_below_largest(scale), [[1.5, 1.5, 0.75, 0.75, 3]])
    many = np.exp(np.random.default_rng(7).uniform(-5, 5, 1000))
    for made in (powers_of_two(many), powers_below_largest(many)):
        assert (made >= many * (1 - 1e-8)).all() and (made < 2 * many * (1 + 1e-8)).all()
    np.testing.assert_array_equal(np.log2(powers_of_two(many)) % 1, 0)
    ratios = np.log2(many.max() / powers_below_largest(many))
    np.testing.assert_allclose(ratios, np.rint(ratios), atol=1e-9)


def test_cross_layer_factors_make_both_ranges_alike():
    first, second = np.array([4.0, 0.1, 2.0, 0.0]), np.array([1.0, 10.0, 2.0, 5.0])
    s = cross_layer_factors(first, second)
    np.testing.assert_allclose((first / s)[:3], (second * s)[:3])
    np.testing.assert_allclose((first / s)[:3], np.sqrt(first * second)[:3])
    assert s[3] == 1


def test_smoothing_factors():
    activations, weights = np.array([8.0, 1.0, 0.5, 0.0]), np.array([0.5, 0.5, 2.0, 1.0])
    s = smoothing_factors(activations, weights)
    ratio = (activations / s)[:3] / (weights * s)[:3]
    np.testing.assert_allclose(ratio, ratio[0])
    assert s[:3].prod() == pytest.approx(1) and s[3] == 1
    alike = (activations / smoothing_factors(activations, weights, 1.0))[:3]
    np.testing.assert_allclose(alike, alike[0])
