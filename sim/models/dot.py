"""The exact dot product with its running accumulator."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from hwgen.accumulator import WRAP, Exact, Fixed, Float
from hwgen.formats.rounding import STOCHASTIC
from hwgen.spec import DotProduct
from sim import exact
from sim.accumulate import accumulate
from sim.models import Patterns, Reach
from sim.rounding import round_to

#: Cycles spent on driving the accumulator to one end of its range.
MAX_BOUND_CYCLES = 4096


def expected(spec: DotProduct, inputs: Patterns) -> Patterns:
    """See ``sim.models.Model``; past ``max_products`` an exact accumulator wraps."""
    sums = exact.dot(spec.a, spec.b, inputs["a"], inputs["b"])
    accumulator = spec.accumulator
    if isinstance(accumulator, Exact):
        accumulator = Fixed(spec.accumulator_width, -spec.lsb_exponent, WRAP)
    random = inputs["random_bits"][:, 0] if spec.is_stochastic else None
    drawn = random if accumulator.rounding == STOCHASTIC else None
    clear = inputs["clear"][:, 0].astype(np.bool_)
    kept = accumulate(accumulator, sums, clear, drawn)
    if spec.output is not None:
        numbers = exact.ExactArray(
            np.where(kept.special == 0, kept.words, 0), kept.lsb_exponent, kept.special
        )
        code = round_to(
            numbers,
            spec.output,
            spec.rounding,
            spec.overflow,
            random_bits=random if spec.rounding == STOCHASTIC else None,
            nan=None if spec.output.has_nan else 0.0,
        )
        return {"result": code[:, None]}
    found = {"accumulator": kept.words[:, None]}
    if spec.has_special and not isinstance(accumulator, Float):
        special = kept.special[:, None]
        found |= {
            "nan": np.isnan(special),
            "positive_infinity": np.isposinf(special),
            "negative_infinity": np.isneginf(special),
        }
    return found


def reach(spec: DotProduct) -> Reach:
    """See ``sim.coverage``."""
    bound = max(map(abs, spec.product_range)) * spec.max_products
    found = math.ldexp(bound, spec.lsb_exponent)
    if isinstance(spec.accumulator, Float):
        # Past this a step's sum is less than half of the accumulator's last place.
        step = max(map(abs, spec.product_range)) * spec.lanes
        bits = spec.accumulator.format.precision + 1
        found = min(found, math.ldexp(step, spec.lsb_exponent + bits))
    if isinstance(spec.accumulator, Fixed):
        half = math.ldexp(1, spec.accumulator.bits - 1 - spec.accumulator.fraction_bits)
        found = min(found, half)
    return Reach(found, lsb_exponent=spec.lsb_exponent)


def directed(spec: DotProduct) -> Patterns:
    """Extremes in all lanes, in alternating lanes and in single lanes; the accumulator is
    driven to both ends of its stated range."""
    from sim.stimulus import extreme_codes

    a_codes, b_codes = extreme_codes(spec.a), extreme_codes(spec.b)
    pairs = [(x, y) for x in a_codes for y in b_codes]
    zero_a, zero_b = spec.a.encode(0.0), spec.b.encode(0.0)
    a_rows, b_rows, clears = [], [], []

    def add(a: npt.ArrayLike, b: npt.ArrayLike, clear: bool) -> None:
        a_rows.append(np.broadcast_to(np.asarray(a, spec.a.code_dtype), spec.lanes))
        b_rows.append(np.broadcast_to(np.asarray(b, spec.b.code_dtype), spec.lanes))
        clears.append([clear])

    lane = np.arange(spec.lanes)
    for index, (x, y) in enumerate(pairs):
        add(x, y, True)
        # Alternating signs cancel: the other lanes get the negated value of a.
        negated = spec.a.encode(-spec.a.decode(x))
        add(np.where(lane % 2, negated, x), y, index % 3 == 0)
        hot = lane == index % spec.lanes
        add(np.where(hot, x, zero_a), np.where(hot, y, zero_b), index % 5 == 0)
    corners = {
        spec.a.decode(x) * spec.b.decode(y): (x, y)
        for x in spec.a.encode([spec.a.min, spec.a.max])
        for y in spec.b.encode([spec.b.min, spec.b.max])
    }
    for product in (min(corners), max(corners)):
        for cycle in range(min(spec.max_products // spec.lanes, MAX_BOUND_CYCLES)):
            add(*corners[product], cycle == 0)
    return {
        "clear": np.array(clears, dtype=np.uint8),
        "a": np.array(a_rows),
        "b": np.array(b_rows),
        **(
            {
                "random_bits": np.random.default_rng(1).integers(
                    0, 2**32, (len(clears), 1), np.uint64
                )
            }
            if spec.is_stochastic
            else {}
        ),
    }


def restrict(
    spec: DotProduct, inputs: Patterns, counted: npt.NDArray[np.intp], rng: np.random.Generator
) -> None:
    """Sums restart at random, and always before they pass ``max_products``."""
    clear = inputs["clear"]
    clear[:, 0] = rng.random(len(clear)) < 0.1
    limit, length = spec.max_products // spec.lanes, 0
    for cycle in counted:
        clear[cycle, 0] |= length >= limit
        length = 1 if clear[cycle, 0] else length + 1
