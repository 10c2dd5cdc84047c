"""The exact sum of squares, and its running accumulator."""

from __future__ import annotations

import numpy as np

from hwgen.accumulator import Exact
from hwgen.spec import SumSquares
from sim import exact
from sim.models import Patterns
from sim.models.dot import DirectedCycles, accumulated, longest_run, reach, restrict

__all__ = ["directed", "expected", "reach", "restrict", "unreachable"]


def expected(spec: SumSquares, inputs: Patterns) -> Patterns:
    """See ``sim.models.Model``; past ``max_products`` an exact accumulator wraps."""
    sums = exact.dot(spec.a, spec.a, inputs["a"], inputs["a"])
    if spec.addend is not None:
        sums = exact.add(sums, exact.decode(spec.addend, inputs["c"][:, 0]))
    return accumulated(spec, sums, inputs)


def unreachable(spec: SumSquares) -> tuple[str, ...]:
    """Coverage bins that no inputs hit: no sum of squares is negative."""
    never_negative = spec.addend is None or spec.addend.min >= 0
    if isinstance(spec.accumulator, Exact) and spec.output is None and never_negative:
        return (f"accumulator: bit {spec.accumulator_width - 1} at 1",)
    return ()


def directed(spec: SumSquares) -> Patterns:
    """Extremes in all lanes, beside zeros, and in single lanes; the accumulator is driven to its
    end."""
    from sim.stimulus import extreme_codes

    a, lane = spec.a, np.arange(spec.lanes)
    zero = int(a.encode(0.0))
    cycles = DirectedCycles(spec)
    for index, code in enumerate(extreme_codes(a)):
        cycles.add(True, code)
        cycles.add(index % 3 == 0, np.where(lane % 2, zero, code))
        cycles.add(index % 5 == 0, np.where(lane == index % spec.lanes, code, zero))
    largest = int(a.encode(a.min if -a.min > a.max else a.max))
    for hot in range(spec.lanes):
        cycles.add(hot % 3 == 0, np.where(lane == hot, largest, zero))
    bound = 0 if spec.addend is None else int(spec.addend.encode(spec.addend.max))
    for cycle in range(min(spec.max_products // spec.lanes, longest_run(spec.accumulator))):
        cycles.add(cycle == 0, largest, bound)
    return cycles.patterns()
