"""The exact dot product with fixed weights, and its running accumulator."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from hwgen.accumulator import Fixed, Float
from hwgen.formats.rounding import DOWN
from hwgen.spec import FixedDot
from sim import exact
from sim.draws import up_to
from sim.extremes import extreme_codes
from sim.formal.references import least, most
from sim.models import dot
from sim.models.dot import DirectedCycles, accumulated, longest_run
from sim.unit_model import Code, LaneProducts, Patterns, ProofRow, Reach


def expected(spec: FixedDot, inputs: Patterns) -> Patterns:
    """The running sum of products with the weights after each cycle, or what it is rounded to.

    ``inputs`` and the outputs as of ``sim.unit_model.UnitModel``; past ``max_products`` an exact
    accumulator wraps.
    """
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
    """The largest sum that an output or a float accumulator is rounded from, and its unit."""
    addend = 0.0 if spec.addend is None else max(spec.addend.max, -spec.addend.min)
    cycle = max(map(abs, _bounds(spec))) + addend
    largest = cycle * (spec.max_products // spec.lanes)
    if isinstance(spec.accumulator, Float):
        # Past this a step's sum is less than half of the accumulator's last place.
        largest = min(largest, math.ldexp(cycle, spec.accumulator.format.precision + 1))
    if isinstance(spec.accumulator, Fixed):
        half = math.ldexp(1, spec.accumulator.bits - 1 - spec.accumulator.fraction_bits)
        largest = min(largest, half)
    return Reach(largest, lsb_exponent=spec.lsb_exponent)


def directed(spec: FixedDot) -> Patterns:
    """Extremes in all lanes, alternating with their negatives, and in single lanes.

    The least and the largest of each lane alone; the accumulator is driven to both ends of its
    range.
    """
    a, lane = spec.a, np.arange(spec.lanes)
    zero, lowest, largest = a.encode([0.0, a.min, a.max])
    cycles = DirectedCycles(spec)
    for index, code in enumerate(extreme_codes(a)):
        cycles.add(True, code)
        cycles.add(index % 3 == 0, np.where(lane % 2, a.encode(-a.decode(code), nan=0.0), code))
        cycles.add(index % 5 == 0, np.where(lane == index % spec.lanes, code, zero))
    for hot in range(spec.lanes):
        for code in (lowest, largest):
            cycles.add(hot % 3 == 0, np.where(lane == hot, code, zero))
    if spec.zero_rounding is not None:
        # Zeros whose products are all negative, or all positive.
        minus, down = int(a.encode(-0.0)), np.signbit(_weights(spec))
        for codes, c in ((np.where(down, zero, minus), -0.0), (np.where(down, minus, zero), 0.0)):
            cycles.add(True, codes, None if spec.addend is None else int(spec.addend.encode(c)))
    positive = np.array(spec.weights.values) > 0
    run = min(spec.max_products // spec.lanes, longest_run(spec.accumulator))
    for low, high in ((lowest, largest), (largest, lowest)):
        bound = 0
        if spec.addend is not None:
            f = spec.addend
            bound = int(f.encode(f.max if high == largest else f.min))
        for cycle in range(run):
            cycles.add(cycle == 0, np.where(positive, high, low), bound)
    return cycles.patterns()


def _codes(spec: FixedDot, inputs: Mapping[str, Code], lane: int) -> tuple[Code, Code]:
    """The weight is a constant code: literals 0 and 1 are false and true."""
    weight = int(spec.b.encode([spec.weights.values[lane]])[0])
    return (
        dot.lane_code(spec.a, inputs["a"], lane),
        [weight >> bit & 1 for bit in range(spec.b.bits)],
    )


def _corners(spec: FixedDot, lane: int) -> Iterable[tuple[int, int]]:
    unit = spec.lsb_exponent - spec.a.lsb_exponent
    weight = int(spec.weights.values[lane] * 2.0**-unit)
    return ((x, weight) for x in (least(spec.a), most(spec.a)))


def _halves(spec: FixedDot, lanes: tuple[int, ...]) -> list[tuple[int, ...]]:
    """As the plan's additions divide them."""
    if not spec.in_fixed_point:
        return dot.in_pairs(spec, lanes)
    plan, number = spec.plan, spec.plan.total
    while number is not None and number >= plan.inputs:
        node = plan.nodes[number]
        low = tuple(lane for lane in lanes if lane in plan.inputs_of(node.low))
        high = tuple(lane for lane in lanes if lane in plan.inputs_of(node.high))
        if low and low != lanes:
            return [low, tuple(lane for lane in lanes if lane not in low)]
        number = node.low if low and len(low) >= len(high) else node.high
    return [lanes[:1], lanes[1:]]


def _weight_list(rng: np.random.Generator) -> str:
    """Whole numbers or fractions, small or large, some of one sign, some zero."""
    largest, step = 2 ** int(rng.integers(0, 9)), 2.0 ** int(rng.integers(-3, 3))
    lowest = -largest if rng.integers(3) else 0
    drawn = rng.integers(lowest, largest + 1, up_to(24)(rng))
    return ",".join(f"{step * number:g}" for number in drawn)


def _proof(a: str, b: str, weights: str, *properties: str) -> ProofRow:
    return {"a": a, "b": b, "weights": weights}, ("reference", "accumulator", *properties)


MODEL = dataclasses.replace(
    dot.MODEL,
    expected=expected,
    directed=directed,
    reach=reach,
    unreachable=unreachable,
    settings=(
        {"weights": "3,-5,7,0,-8,6,1,-3", "max_products": 64},
        {"weights": "1.5,-6,0,0.5,3,-4", "max_products": 48, "accumulator": "fp32"},
        {"weights": "2,-2,1,0,1", "max_products": 40, "accumulator": "fixed:24:8"},
        {"weights": "1,0,1", "max_products": 32, "output": "bf16"},
        {"weights": "0,-1", "max_products": 32},
        {"weights": "1,1", "max_products": 32},
        {"weights": "0", "max_products": 22, "accumulator": "fp16"},
    ),
    draws={"weights": _weight_list},
    typical=(
        {"a": "int4", "b": "int8", "weights": "3,-5,7,0,-128,127,64,5,-3,85"},
        {"a": "e2m1", "b": "int4", "weights": "-7,-5,-1,-6"},
        {"a": "e4m3fn", "b": "e2m1", "weights": "6,-0.5,1.5,0,3,-3"},
    ),
    long=(),
    example={"a": "int8", "b": "int8", "weights": "3,-77,0,64,-128"},
    proofs={
        dot.SPECIALS: [_proof("e4m3fn", "e2m1", "6,-0.5,1.5,0")],
        # Weights of every kind: zero, powers of two, equal ones, the extremes, no positive one.
        "fixed dot products": [
            _proof("int8", "int8", "3,-77,0,64,-128,127,3"),
            _proof("int8", "int8", "-77,127,3,-128", "netlist"),
            _proof("int4", "int4", "-8,-1,-4,-5", "netlist"),
            _proof("e2m1", "int8", "93,-128,4,-93", "netlist"),
            _proof("e4m3", "e2m1", "6,-0.5,1.5,0", "netlist"),
        ],
    },
    lanes=LaneProducts(codes=_codes, corners=_corners, halves=_halves),
)
