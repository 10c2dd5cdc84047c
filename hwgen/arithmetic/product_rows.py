"""A product in segments: its factors, the pairs of its rows, and levels of their sums.

The logic is that of ``product.multiply`` after the flow's mapping to rows and adders; the
steps are apart, so that registers can stand between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth.hdl import Module, Mux, Signal, Value, signed, unsigned

from hwgen.arithmetic.decode import Operand
from hwgen.arithmetic.product import Special, signed_factors, special_of, sum_of_shifts
from hwgen.arithmetic.segmented import Boundary, Segmented, last
from hwgen.arithmetic.shift import joined
from hwgen.formats import Scalar
from hwgen.sizes.product_rows import SMALL


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


def _term(m: Module, value: Value, place: int, name: str) -> Term:
    shape = signed(len(value)) if value.shape().signed else unsigned(len(value))
    term = Signal(shape, name=name)
    m.d.comb += term.eq(value)
    return Term(term, place)
