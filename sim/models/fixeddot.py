"""The exact dot product with fixed weights, and its running accumulator."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from hwgen.accumulator import Fixed, Float
from hwgen.formats.rounding import DOWN
from hwgen.spec import FixedDot
from sim import exact
from sim.models import Patterns, Reach
from sim.models.dot import DirectedCycles, accumulated, longest_run, restrict

__all__ = ["directed", "expected", "reach", "restrict", "unreachable"]


def expected(spec: FixedDot, inputs: Patterns) -> Patterns:
    """See ``sim.models.Model``; past ``max_products`` an exact accumulator wraps."""
    weights = spec.b.encode(spec.weights.values)
    sums = exact.dot(spec.a, spec.b, inputs["a"], weights[None, :])
    # Weights are multiples of more than b's step, and the accumulator counts that.
    unit = spec.a.lsb_exponent + spec.weight_lsb_exponent
    step = 2 ** (unit - sums.lsb_exponent)
    assert not (sums.integers % step).any()
    sums = exact.ExactArray(sums.integers // step, unit, sums.special, sums.zero_sign)
    if spec.addend is not None:
        sums = exact.add(sums, exact.decode(spec.addend, inputs["c"][:, 0]))
    return accumulated(spec, sums, inputs)


def _bounds(spec: FixedDot) -> tuple[float, float]:
    """The least and the largest sum of a cycle, without its addend."""
    ends = np.outer(spec.weights.values, [spec.a.min, spec.a.max])
    return math.fsum(ends.min(axis=1)), math.fsum(ends.max(axis=1))


def _weights(spec: FixedDot) -> npt.NDArray[np.float64]:
    """As the format has them."""
    return spec.b.decode(spec.b.encode(spec.weights.values))


def unreachable(spec: FixedDot) -> tuple[str, ...]:
    """See ``sim.coverage``: without a sign in ``a``, zero products have those of the weights."""
    rounding = spec.zero_rounding
    if rounding is None or spec.a.signed:
        return ()
    signs = set(np.signbit(_weights(spec)).tolist())
    if spec.addend is not None:
        signs |= {False, True} if rounding == DOWN and spec.addend.signed else {False}
    if rounding == DOWN:
        hit = {"zero": signs == {False}, "negative zero": True in signs}
    else:
        hit = {"zero": False in signs, "negative zero": signs == {True}}
    return tuple(f"sums: {name}" for name, possible in hit.items() if not possible)


def reach(spec: FixedDot) -> Reach:
    """See ``sim.coverage``."""
    addend = 0.0 if spec.addend is None else max(spec.addend.max, -spec.addend.min)
    cycle = max(map(abs, _bounds(spec))) + addend
    found = cycle * (spec.max_products // spec.lanes)
    if isinstance(spec.accumulator, Float):
        # Past this a step's sum is less than half of the accumulator's last place.
        found = min(found, math.ldexp(cycle, spec.accumulator.format.precision + 1))
    if isinstance(spec.accumulator, Fixed):
        half = math.ldexp(1, spec.accumulator.bits - 1 - spec.accumulator.fraction_bits)
        found = min(found, half)
    return Reach(found, lsb_exponent=spec.lsb_exponent)


def directed(spec: FixedDot) -> Patterns:
    """Extremes in all lanes, alternating with their negatives, and in single lanes; the least and
    the largest of each lane alone; the accumulator is driven to both ends of its range."""
    from sim.stimulus import extreme_codes

    a, lane = spec.a, np.arange(spec.lanes)
    zero, least, most = a.encode([0.0, a.min, a.max])
    cycles = DirectedCycles(spec)
    for index, code in enumerate(extreme_codes(a)):
        cycles.add(True, code)
        cycles.add(index % 3 == 0, np.where(lane % 2, a.encode(-a.decode(code), nan=0.0), code))
        cycles.add(index % 5 == 0, np.where(lane == index % spec.lanes, code, zero))
    for hot in range(spec.lanes):
        for code in (least, most):
            cycles.add(hot % 3 == 0, np.where(lane == hot, code, zero))
    if spec.zero_rounding is not None:
        # Zeros whose products are all negative, or all positive.
        minus, down = int(a.encode(-0.0)), np.signbit(_weights(spec))
        for codes, c in ((np.where(down, zero, minus), -0.0), (np.where(down, minus, zero), 0.0)):
            cycles.add(True, codes, None if spec.addend is None else int(spec.addend.encode(c)))
    positive = np.array(spec.weights.values) > 0
    run = min(spec.max_products // spec.lanes, longest_run(spec.accumulator))
    for low, high in ((least, most), (most, least)):
        bound = 0
        if spec.addend is not None:
            f = spec.addend
            bound = int(f.encode(f.max if high == most else f.min))
        for cycle in range(run):
            cycles.add(cycle == 0, np.where(positive, high, low), bound)
    return cycles.patterns()
