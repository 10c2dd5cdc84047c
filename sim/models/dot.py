"""The exact dot product with its running accumulator."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hwgen.accumulator import WRAP, Fixed
from hwgen.spec import DotProduct
from sim import exact
from sim.accumulate import accumulate
from sim.models import Patterns

#: Cycles spent on driving the accumulator to one end of its range.
MAX_BOUND_CYCLES = 4096


def expected(spec: DotProduct, inputs: Patterns) -> Patterns:
    """See ``sim.models.Model``; past ``max_products`` the accumulator wraps."""
    sums = exact.dot(spec.a, spec.b, inputs["a"], inputs["b"])
    register = Fixed(spec.accumulator_width, -spec.lsb_exponent, WRAP)
    clear = inputs["clear"][:, 0].astype(np.bool_)
    return {"accumulator": accumulate(register, sums, clear).words[:, None]}


def directed(spec: DotProduct) -> Patterns:
    """Extremes in all lanes, in alternating lanes and in single lanes; the accumulator is
    driven to both ends of its stated range."""
    from sim.stimulus import extreme_codes

    a_codes, b_codes = extreme_codes(spec.a), extreme_codes(spec.b)
    pairs = np.array([(x, y) for x in a_codes for y in b_codes], dtype=np.uint8)
    zero_a, zero_b = spec.a.encode(0.0), spec.b.encode(0.0)
    a_rows, b_rows, clears = [], [], []

    def add(a: npt.ArrayLike, b: npt.ArrayLike, clear: bool) -> None:
        a_rows.append(np.broadcast_to(np.asarray(a, np.uint8), spec.lanes))
        b_rows.append(np.broadcast_to(np.asarray(b, np.uint8), spec.lanes))
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
        "a": np.array(a_rows, dtype=np.uint8),
        "b": np.array(b_rows, dtype=np.uint8),
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
