"""Segments and widths of a product by pairs of rows.

The hardware is in ``hwgen.arithmetic.product_rows``.
"""

from __future__ import annotations

import functools

from hwgen.formats import Scalar
from hwgen.plan.logic import FactorRows
from hwgen.plan.product import row_sums, shift_bits
from hwgen.plan.shape import ZERO, Shape, either
from hwgen.plan.step import Segment, Segments, Steps
from hwgen.sizes.product import factor_shapes

#: Bits of both factors up to which a product is a few LUTs, and has no rows.
SMALL = FactorRows.SMALL


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
    shifted = sum(step.build == "shift_products" for step in split)
    return list(_product_bits(factors, shift, width, len(split) - shifted, shifted))


@functools.lru_cache(maxsize=10_000)
def _product_bits(
    factors: tuple[Shape, Shape], shift: int, width: int, levels: int, shifted: int
) -> tuple[int, ...]:
    """Of that many ``levels`` that make rows and add them, and of shifts."""
    bits = [sum(factor.width for factor in factors) + shift]
    if not levels + shifted:
        return tuple(bits)
    terms = term_shapes(*factors)
    rows = [bits_of(terms[min(level, len(terms) - 1)]) for level in range(levels)]
    bits += [n + shift for n in rows]
    value = rows[-1]
    for bit in range(shifted):
        value = min(value + (1 << bit), width)
        bits.append(value + shift - bit - 1)
    return tuple(bits)
