"""The exact sum of squares, and its running accumulator."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np

from hwgen.accumulator import Exact
from hwgen.spec import SumSquares
from sim import exact
from sim.extremes import extreme_codes
from sim.formal.references import least, most
from sim.models import dot
from sim.models.dot import DirectedCycles, accumulated, longest_run
from sim.unit_model import Code, LaneProducts, Patterns


def expected(spec: SumSquares, inputs: Patterns) -> Patterns:
    """The running sum of squares after each cycle, or what it is rounded to.

    ``inputs`` and the outputs as of ``sim.unit_model.UnitModel``; past ``max_products`` an exact
    accumulator wraps.
    """
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
    """Extremes in all lanes, beside zeros, and in single lanes.

    The accumulator is driven to its end.
    """
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


def _codes(spec: SumSquares, inputs: Mapping[str, Code], lane: int) -> tuple[Code, Code]:
    code = dot.lane_code(spec.a, inputs["a"], lane)
    return code, code


def _corners(spec: SumSquares, lane: int) -> Iterable[tuple[int, int]]:
    return ((x, x) for x in (0, least(spec.a), most(spec.a)))


MODEL = dataclasses.replace(
    dot.MODEL,
    expected=expected,
    directed=directed,
    unreachable=unreachable,
    settings=(
        {"lanes": 4, "max_products": 64},
        {"lanes": 3, "max_products": 48, "accumulator": "fp32"},
        {"lanes": 5, "max_products": 40, "output": "bf16"},
    ),
    long=(),
    example={"a": "int8", "lanes": 2},
    proofs={
        dot.SPECIALS: [({"a": "e5m2ieee", "lanes": 2}, ("reference", "accumulator"))],
        "sums of squares": [
            ({"a": a, "lanes": 2}, dot.SUM_PROPERTIES) for a in ("int8", "int4", "e4m3", "e2m3")
        ],
    },
    lanes=LaneProducts(codes=_codes, corners=_corners, halves=dot.in_pairs),
)
