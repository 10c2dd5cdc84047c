"""Operands for a bench: directed extremes first, then seeded random codes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwgen.formats import Scalar
from hwgen.spec import DotProduct

#: Cycles spent on driving the accumulator to one end of its range.
MAX_BOUND_CYCLES = 4096


@dataclass(frozen=True)
class Stimulus:
    """What a bench drives, a row a clock cycle.

    ``a``, ``b``: codes, (cycles, lanes) uint8; ``clear``, ``valid``, ``enable``:
    (cycles,) bool.
    """

    a: npt.NDArray[np.uint8]
    b: npt.NDArray[np.uint8]
    clear: npt.NDArray[np.bool_]
    valid: npt.NDArray[np.bool_]
    enable: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.clear)


def extreme_codes(number_format: Scalar) -> npt.NDArray[np.uint8]:
    """Codes at the format's edges: most negative, largest, the smallest step of either sign
    (a minifloat's smallest subnormal), zero of either sign, one step inside each bound."""
    step = 2.0**number_format.lsb_exponent
    values = [number_format.min, number_format.max, -step, step, 0.0, -0.0]
    codes = list(number_format.encode(values))
    # Largest subnormal beside smallest normal, all bits equal, one bit set, one bit clear.
    mantissa_bits = getattr(number_format, "mantissa_bits", number_format.bits - 1)
    ones = 2**number_format.bits - 1
    codes += [2**mantissa_bits - 1, 2**mantissa_bits, ones, ones >> 1, (ones >> 1) - 1]
    codes += [1 << bit for bit in range(number_format.bits)]
    codes += [ones ^ (1 << bit) for bit in range(number_format.bits)]
    return np.unique(np.array([int(c) & ones for c in codes], dtype=np.uint8))


def directed(spec: DotProduct) -> Stimulus:
    """Extremes in all lanes, in alternating lanes and in single lanes; the accumulator is
    driven to both ends of its stated range."""
    a_codes, b_codes = extreme_codes(spec.a), extreme_codes(spec.b)
    pairs = np.array([(x, y) for x in a_codes for y in b_codes], dtype=np.uint8)
    zero_a, zero_b = spec.a.encode(0.0), spec.b.encode(0.0)
    a_rows, b_rows, clears = [], [], []

    def add(a: npt.ArrayLike, b: npt.ArrayLike, clear: bool) -> None:
        a_rows.append(np.broadcast_to(np.asarray(a, np.uint8), spec.lanes))
        b_rows.append(np.broadcast_to(np.asarray(b, np.uint8), spec.lanes))
        clears.append(clear)

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
    cycles = len(clears)
    return Stimulus(
        np.array(a_rows, dtype=np.uint8),
        np.array(b_rows, dtype=np.uint8),
        np.array(clears, dtype=np.bool_),
        np.ones(cycles, np.bool_),
        np.ones(cycles, np.bool_),
    )


def random(spec: DotProduct, cycles: int, seed: int) -> Stimulus:
    """Uniform codes with bubbles (valid low) and stalls (enable low), from ``seed``.

    Sums are restarted at random, and always before they pass ``max_products``.
    """
    rng = np.random.default_rng(seed)
    valid = rng.random(cycles) < 0.85
    enable = rng.random(cycles) < 0.85
    clear = rng.random(cycles) < 0.1
    limit, length = spec.max_products // spec.lanes, 0
    for cycle in np.flatnonzero(valid & enable):
        clear[cycle] |= length >= limit
        length = 1 if clear[cycle] else length + 1
    return Stimulus(
        rng.integers(0, 2**spec.a.bits, (cycles, spec.lanes), dtype=np.uint8),
        rng.integers(0, 2**spec.b.bits, (cycles, spec.lanes), dtype=np.uint8),
        clear,
        valid,
        enable,
    )


def given(
    a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8], clear: npt.NDArray[np.bool_]
) -> Stimulus:
    """Given operands, a valid cycle each."""
    always = np.ones(len(clear), np.bool_)
    return Stimulus(a, b, clear, always, always)


def concatenate(*parts: Stimulus) -> Stimulus:
    """One stimulus after the other."""
    return Stimulus(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("a", "b", "clear", "valid", "enable")
        )
    )


def flush(spec: DotProduct) -> Stimulus:
    """Bubbles that let the last result reach the output."""
    cycles = spec.latency
    return Stimulus(
        np.zeros((cycles, spec.lanes), np.uint8),
        np.zeros((cycles, spec.lanes), np.uint8),
        np.zeros(cycles, np.bool_),
        np.zeros(cycles, np.bool_),
        np.ones(cycles, np.bool_),
    )
