"""A product in segments: its factors, the pairs of its rows, and levels of their sums.

The logic is that of ``product.multiply`` after the flow's mapping to rows and adders; the
steps are apart, so that registers can stand between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth.hdl import Module, Mux, Signal, Value, signed, unsigned

from hwgen.arithmetic.decode import Operand
from hwgen.arithmetic.product import (
    Special,
    factor_shapes,
    signed_factors,
    special_of,
    sum_of_shifts,
)
from hwgen.arithmetic.segmented import Boundary, Segmented, last
from hwgen.arithmetic.shift import joined
from hwgen.formats import Scalar
from hwgen.plan.logic import FactorRows
from hwgen.plan.product import row_sums, shift_bits
from hwgen.plan.shape import ZERO, Shape, either
from hwgen.plan.step import Segment, Segments, Steps

#: Bits of both factors up to which a product is a few LUTs, and has no rows.
SMALL = FactorRows.SMALL


@dataclass(frozen=True)
class Factors:
    """Two numbers to multiply, with their signs; shift and special are as in ``Product``."""

    wide: Value
    narrow: Value
    shift: Value | None = None
    special: Special | None = None


@dataclass(frozen=True)
class Term:
    """``value`` · 2^``place``: one of the terms of a product."""

    value: Value
    place: int


def factors(
    m: Module, x: Operand, y: Operand, a_format: Scalar, b_format: Scalar, name: str
) -> Factors:
    """The factors of the product of two decoded codes, with the sign in one of them."""
    x_factor, y_factor = signed_factors(x, y)
    wide, narrow = (x_factor, y_factor) if len(x_factor) >= len(y_factor) else (y_factor, x_factor)
    signals = []
    for value, side in ((wide, "wide"), (narrow, "narrow")):
        factor = Signal(value.shape(), name=f"{name}_{side}")
        m.d.comb += factor.eq(value)
        signals.append(factor)
    special = special_of(m, (x, a_format), (y, b_format), name)
    wide, narrow = signals
    return Factors(wide, narrow, sum_of_shifts(x, y), special)


def row_pairs(m: Module, f: Factors, name: str) -> list[Term]:
    """The rows of the product ``f``, in pairs; a row alone is the lowest one."""
    if len(f.wide) + len(f.narrow) <= SMALL:
        return [_term(m, f.wide * f.narrow, 0, f"{name}_part_0")]
    bits = len(f.narrow)
    negative = f.narrow.shape().signed
    odd_row = bits % 2
    pairs = []
    if odd_row:
        row = Mux(f.narrow[0], f.wide, 0)
        if negative and bits == 1:
            row = -row
        pairs.append(_term(m, row, 0, f"{name}_part_0"))
    for place in range(odd_row, bits, 2):
        low, high = (Mux(f.narrow[place + i], f.wide, 0) for i in (0, 1))
        # The top row of a negative number counts negatively.
        is_top = negative and place + 2 == bits
        total = (low >> 1) - high if is_top else (low >> 1) + high
        value = joined(low[:1], total)
        pairs.append(_term(m, value, place, f"{name}_part_{place}"))
    return pairs


def pair_sums(m: Module, terms: Sequence[Term], name: str) -> list[Term]:
    """The terms in pairs, each added."""
    sums = []
    for i in range(0, len(terms) - 1, 2):
        low, high = terms[i], terms[i + 1]
        distance = high.place - low.place
        value = joined(low.value[:distance], (low.value >> distance) + high.value)
        sums.append(_term(m, value, low.place, f"{name}_sum_{i // 2}"))
    return [*sums, *terms[len(sums) * 2 :]]


def multiplied(m: Module, x: Value, y: Value, name: str, *, split: bool) -> Segmented[Value]:
    """X · y: one expression or, if ``split``, by pairs of rows and their sums."""
    wide, narrow = (x, y) if len(x) >= len(y) else (y, x)
    if not split:
        return (yield from last(name, x * y))
    terms = row_pairs(m, Factors(wide, narrow), f"{name}_rows")
    terms = yield Boundary(f"{name}_rows", terms)
    level = 0
    while len(terms) > 1:
        level += 1
        terms = pair_sums(m, terms, f"{name}_sums{level}")
        terms = yield Boundary(f"{name}_sums{level}", terms)
    return terms[0].value


def multiplied_segments(name: str, x: Shape, y: Shape) -> tuple[Segments, Shape]:
    """The segments of ``multiplied``, and the shape of the product that it makes in them."""
    wide, narrow = (x, y) if x.width >= y.width else (y, x)
    terms = term_shapes(wide, narrow)
    logic = (FactorRows(wide.width, narrow.width), *row_sums(wide.width, narrow.width))
    segments = tuple(
        Segment(f"{name}_sums{level}" if level else f"{name}_rows", (one,), bits_of(terms[level]))
        for level, one in enumerate(logic)
    )
    return segments, terms[-1][0][0]


#: The terms of a product: their shapes, and their places.
TermShapes = list[tuple[Shape, int]]


def bits_of(terms: TermShapes) -> int:
    """Bits of all the terms."""
    return sum(shape.width for shape, _ in terms)


def term_shapes(wide: Shape, narrow: Shape) -> list[TermShapes]:
    """What ``row_pairs`` makes, and then each of the ``pair_sums``, until there is one term."""
    row, bits = either(wide, ZERO), narrow.width
    if wide.width + bits <= SMALL:
        return [[(Shape(wide.width + bits, wide.signed or narrow.signed), 0)]]
    odd_row = bits % 2
    terms = [((row - row) if narrow.signed and bits == 1 else row, 0)] * odd_row
    for place in range(odd_row, bits, 2):
        total = row - row if narrow.signed and place + 2 == bits else row + row
        terms.append((Shape(total.width + 1, total.signed), place))
    levels = [terms]
    while len(terms) > 1:
        added = []
        for (low, place), (high, above) in zip(terms[::2], terms[1::2], strict=False):
            total, distance = low + high, above - place
            added.append((Shape(total.width + distance, total.signed), place))
        terms = added + terms[2 * len(added) :]
        levels.append(terms)
    return levels


def multiplied_shape(x: Shape, y: Shape, *, split: bool) -> Shape:
    """The shape of what ``multiplied`` makes."""
    if not split:
        return Shape(x.width + y.width, x.signed or y.signed)
    wide, narrow = (x, y) if x.width >= y.width else (y, x)
    return term_shapes(wide, narrow)[-1][0][0]


def product_bits(a: Scalar, b: Scalar, width: int, split: Steps) -> list[int]:
    """Bits of a product in front of each of the ``split`` steps that make it, and behind them.

    The steps are those of ``plan.product.split_steps`` to at most ``width`` bits; without such
    it has those of its significand and of its shift.
    """
    return product_bits_of(factor_shapes(a, b), shift_bits(a, b), width, split)


def product_bits_of(
    factors: tuple[Shape, Shape], shift: int, width: int, split: Steps
) -> list[int]:
    """As ``product_bits``, of ``factors`` of these shapes and a ``shift`` of so many bits."""
    bits = [sum(factor.width for factor in factors) + shift]
    if not split:
        return bits
    terms = term_shapes(*factors)
    levels = sum(step.build != "shift_products" for step in split)
    rows = [bits_of(terms[min(level, len(terms) - 1)]) for level in range(levels)]
    bits += [n + shift for n in rows]
    value = rows[-1]
    for bit in range(len(split) - levels):
        value = min(value + (1 << bit), width)
        bits.append(value + shift - bit - 1)
    return bits


def _term(m: Module, value: Value, place: int, name: str) -> Term:
    shape = signed(len(value)) if value.shape().signed else unsigned(len(value))
    term = Signal(shape, name=name)
    m.d.comb += term.eq(value)
    return Term(term, place)
