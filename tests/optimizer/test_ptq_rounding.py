"""Rounding of weights and biases: against every choice there is, rows themselves, and theorems."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from hwgen.formats import parse
from optimizer.ptq.bias_correction import corrected_bias
from optimizer.ptq.gptq import DAMPING, gptq
from optimizer.ptq.learned_rounding import descend, learned_rounding
from optimizer.ptq.moments import Moments
from optimizer.ptq.rounding import Problem, Rounded, nearest


def layer(seed, rows=64, k=4, n=3, groups=1, correlated=True):
    """Rows that a quantised network gives, those of FP32, and weights: (X, x, W)."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((groups, rows, k))
    if correlated:
        x = x @ rng.standard_normal((groups, k, k)) + rng.standard_normal((groups, 1, k))
    return np.rint(2 * x) / 2, x, rng.standard_normal((groups, k, n))


def problem(seed, name="int3", **sizes):
    seen, x, weight = layer(seed, **sizes)
    f = parse(name)
    scale = np.abs(weight).max(axis=1, keepdims=True) / f.symmetric_max
    return Problem(weight, scale, f, Moments.of(seen, x @ weight)), seen, x


def squared_error(seen, x, weight, rounded, bias):
    """By rows, in float64: the mean square of what the layer's output is off."""
    return np.square(seen @ rounded + bias[:, None] - x @ weight).mean(axis=1)


@pytest.mark.parametrize("groups", [1, 3])
def test_moments_know_the_error_and_the_bias(groups):
    p, seen, x = problem(1, groups=groups, n=5)
    rounded = nearest(p).weight
    bias = corrected_bias(np.zeros((groups, 5)), rounded, p.moments)
    np.testing.assert_allclose((seen @ rounded + bias[:, None]).mean(1), (x @ p.weight).mean(1))
    wanted = squared_error(seen, x, p.weight, rounded, bias)
    np.testing.assert_allclose(p.moments.error(rounded), wanted)
    # No other bias is better.
    assert (squared_error(seen, x, p.weight, rounded, bias + 0.01) > wanted).all()
    plain = squared_error(seen, x, p.weight, rounded, np.zeros((groups, 5)))
    np.testing.assert_allclose(p.moments.about_zero.error(rounded), plain)
    assert (p.moments.about_zero.bias_change(rounded) == 0).all()


def test_moments_need_rows():
    seen, x, weight = layer(2)
    with pytest.raises(ValueError, match="rows"):
        Moments.of(seen[:, :0], (x @ weight)[:, :0])


def best_of_all(p):
    """The least error of each column over every choice of values of the format."""
    f = p.number_format
    values = np.unique(f.decode(np.arange(2**f.bits)))
    choices = np.array(list(itertools.product(values, repeat=p.weight.shape[1])))
    columns = []
    for n in range(p.weight.shape[2]):
        v = choices.T * p.scale[0, 0, n]
        m = p.moments
        errors = m.target_square[0, n] - 2 * m.cross[0, :, n] @ v + (v * (m.hessian[0] @ v)).sum(0)
        columns.append(errors.min() / m.count)
    return np.array(columns)


@pytest.mark.parametrize("name", ["int2", "int3", "e2m1"])
def test_rounding_against_every_choice(name):
    """Mean over 20 layers: coordinate descent is within a quarter of the best of all choices."""
    ratios = {"nearest": [], "gptq": [], "descent": []}
    for seed in range(20):
        p, _, _ = problem(seed, name)
        best = best_of_all(p).sum()
        start = nearest(p)
        results = {
            "nearest": start,
            "gptq": gptq(p),
            "descent": descend(p, gptq(p), rescale=False),
        }
        for method, rounded in results.items():
            error = p.moments.error(rounded.weight).sum()
            assert error >= best * (1 - 1e-9)
            ratios[method].append(error / best)
    mean = {method: np.mean(values) for method, values in ratios.items()}
    assert mean["descent"] < mean["gptq"] < mean["nearest"]
    assert mean["descent"] < 1.25 < mean["nearest"]


def test_nearest_is_best_where_inputs_do_not_depend_on_each_other():
    """With H a multiple of the unit matrix the error is that of the weights: a known optimum."""
    rng = np.random.default_rng(4)
    weight = rng.standard_normal((1, 6, 4))
    seen = np.linalg.qr(rng.standard_normal((40, 6)))[0][None]
    f, scale = parse("int3"), np.full((1, 1, 4), 0.3)
    moments = Moments.of(seen, seen @ weight).about_zero
    p = Problem(weight, scale, f, moments)
    expected = np.clip(np.rint(weight / 0.3), -4, 3)
    assert (nearest(p).values == expected).all()
    assert (gptq(p).values == expected).all()
    assert (descend(p, nearest(p), rescale=False).values == expected).all()


def gptq_by_definition(p):
    """Optimal brain quantisation in the order of GPTQ, its inverse taken anew after each row."""
    m = p.moments
    h = m.hessian[0] + DAMPING * np.trace(m.hessian[0]) / len(m.hessian[0]) * np.eye(
        len(m.hessian[0])
    )
    w = p.weight[0] + np.linalg.solve(h, m.cross[0] - m.hessian[0] @ p.weight[0])
    left = list(np.argsort(-np.diag(h), kind="stable"))
    values = np.empty_like(w)
    while left:
        k = left[0]
        inverse = np.linalg.inv(h[np.ix_(left, left)])
        values[k] = p.number_format.quantize(w[k] / p.scale[0, 0])
        w[left] -= inverse[:, :1] / inverse[0, 0] * (w[k] - values[k] * p.scale[0, 0])
        left.pop(0)
    return values


@pytest.mark.parametrize(("name", "k"), [("int4", 12), ("e2m1", 12), ("int3", 150)])
def test_gptq_is_optimal_brain_quantisation(name, k):
    """Blocks and the Cholesky form change nothing; 150 rows are two blocks."""
    p, _, _ = problem(5, name, rows=400, k=k)
    np.testing.assert_array_equal(gptq(p).values[0], gptq_by_definition(p))


def test_groups_are_layers_of_their_own():
    p, _, _ = problem(6, "int4", groups=3)
    for method in (nearest, gptq, learned_rounding):
        together = method(p)
        for g in range(3):
            s = np.s_[g : g + 1]
            m = p.moments
            moments = Moments(
                m.count, m.operand_mean[s], m.target_mean[s], m.hessian[s], m.cross[s],
                m.target_square[s],
            )  # fmt: skip
            alone = method(Problem(p.weight[s], p.scale[s], p.number_format, moments))
            np.testing.assert_allclose(alone.weight, together.weight[s])


def test_descent_never_makes_it_worse_and_ends():
    for seed in range(10):
        p, _, _ = problem(seed, "int4", k=24, n=8, rows=100)
        for start in (nearest(p), gptq(p)):
            first = p.moments.error(start.weight)
            fixed = descend(p, start, rescale=False)
            free = descend(p, start)
            # The damping, 0.1%, is not in the moments' error.
            assert (p.moments.error(fixed.weight) <= first * 1.01).all()
            assert p.moments.error(free.weight).sum() < p.moments.error(fixed.weight).sum() * 1.01
            assert (descend(p, fixed, rescale=False).values == fixed.values).mean() > 0.99


def test_scale_of_a_column_is_the_best_for_its_values():
    p, _, _ = problem(7, "int3", k=8)
    r = learned_rounding(p)
    error = p.moments.error(r.weight)
    for factor in (0.98, 1.02):
        assert (p.moments.error(Rounded(r.values, r.scale * factor).weight) > error).all()


def test_values_are_of_the_format_and_blocks_may_have_scales():
    """A number for each row: blocks of 4 rows that share a power of two, as MX formats have."""
    seen, x, weight = layer(8, k=8, rows=200)
    blocks = np.abs(weight).reshape(1, 2, 4, 3).max(axis=2, keepdims=True)
    scale = np.broadcast_to(np.exp2(np.ceil(np.log2(blocks / 6))), (1, 2, 4, 3)).reshape(1, 8, 3)
    p = Problem(weight, scale, parse("e2m1"), Moments.of(seen, x @ weight))
    errors = []
    for method in (nearest, gptq, learned_rounding):
        r = method(p)
        assert (p.number_format.quantize(r.values) == r.values).all()
        np.testing.assert_array_equal(np.broadcast_to(r.scale, scale.shape), scale)
        errors.append(p.moments.error(r.weight).sum())
    assert errors[2] <= errors[1] < errors[0]


def test_inputs_that_never_come_and_weights_of_zero():
    seen, x, weight = layer(9, k=5)
    seen[..., 2] = x[..., 2] = 0
    weight[..., 1] = 0
    p = Problem(weight, np.full((1, 1, 3), 0.5), parse("int4"), Moments.of(seen, x @ weight))
    for method in (nearest, gptq, learned_rounding):
        r = method(p)
        assert np.isfinite(r.weight).all()
        np.testing.assert_array_equal(r.values[0, 2], nearest(p).values[0, 2])
    silent = Moments.of(np.zeros_like(seen), np.zeros((1, 64, 3)))
    for method in (nearest, gptq, learned_rounding):
        got = method(Problem(weight, np.full((1, 1, 3), 0.5), parse("int4"), silent))
        assert np.isfinite(got.weight).all()
