"""The exact sum of squares, and its running accumulator."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hwgen.accumulator import Exact
from hwgen.spec import SumSquares
from sim import exact
from sim.models import Patterns
from sim.models.dot import accumulated, longest_run, reach, restrict, stacked

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
    rows: list[tuple[bool, npt.NDArray[np.integer], int]] = []
    addends = [0] if spec.addend is None else extreme_codes(spec.addend).tolist()

    def add(clear: bool, codes: npt.ArrayLike, addend: int | None = None) -> None:
        c = addends[len(rows) % len(addends)] if addend is None else addend
        rows.append((clear, np.broadcast_to(np.asarray(codes, a.code_dtype), spec.lanes), c))

    for index, code in enumerate(extreme_codes(a)):
        add(True, code)
        add(index % 3 == 0, np.where(lane % 2, zero, code))
        add(index % 5 == 0, np.where(lane == index % spec.lanes, code, zero))
    largest = int(a.encode(a.min if -a.min > a.max else a.max))
    for hot in range(spec.lanes):
        add(hot % 3 == 0, np.where(lane == hot, largest, zero))
    bound = 0 if spec.addend is None else int(spec.addend.encode(spec.addend.max))
    for cycle in range(min(spec.max_products // spec.lanes, longest_run(spec.accumulator))):
        add(cycle == 0, largest, bound)
    return stacked(spec, rows)
