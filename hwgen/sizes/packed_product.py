"""Which rows of a multiplier serve which of several widths: the plan.

The hardware is in ``hwgen.arithmetic.packed_product``, which has the source.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from hwgen.formats import Scalar
from hwgen.plan.logic import Adder, FactorRows, Selection
from hwgen.plan.shape import ZERO, Shape
from hwgen.plan.step import Segment, Segments
from hwgen.sizes import product_rows


@dataclass(frozen=True)
class Packed:
    """One mode: ``count`` products a lane of a ``wide`` and a ``narrow`` code.

    The lane of the narrow ones has the rows.
    """

    wide: Scalar
    narrow: Scalar
    count: int

    @property
    def weight(self) -> int:
        """The power of two that products come out times."""
        return (self.count - 1) * self.narrow.bits


@dataclass(frozen=True)
class Rows:
    """Rows ``low`` … ``high`` − 1, which belong to one code in each mode.

    ``negative``: by mode, whether the highest weighs negatively; None where no code has them, and
    they are zero.
    """

    segment: int
    low: int
    high: int
    negative: tuple[bool | None, ...]

    @property
    def changes(self) -> bool:
        """Whether the sign of the highest row changes with the mode."""
        return len(set(self.negative) - {None}) > 1


@dataclass(frozen=True)
class RowPlan:
    """How the rows of a lane are used in each mode."""

    modes: tuple[Packed, ...]

    @cached_property
    def segments(self) -> tuple[tuple[int, int], ...]:
        """Rows between neighbouring ends of codes, of all modes."""
        ends = sorted(
            {place * mode.narrow.bits for mode in self.modes for place in range(mode.count + 1)}
        )
        return tuple(pairwise(ends))

    @cached_property
    def rows(self) -> tuple[Rows, ...]:
        """The segments, with a highest row apart where its sign changes with the mode."""
        row_groups = []
        for index, (low, high) in enumerate(self.segments):
            negative = tuple(
                None
                if self.place(mode, low) is None
                else mode.narrow.signed and high % mode.narrow.bits == 0
                for mode in self.modes
            )
            whole = Rows(index, low, high, negative)
            if not whole.changes or high - low == 1:
                row_groups.append(whole)
                continue
            plain = tuple(None if n is None else False for n in negative)
            row_groups += [Rows(index, low, high - 1, plain), Rows(index, high - 1, high, negative)]
        return tuple(row_groups)

    def place(self, mode: Packed, row: int) -> int | None:
        """Which code of the mode has the row; None if none has."""
        place = row // mode.narrow.bits
        return place if place < mode.count else None

    @property
    def segments_of_products(self) -> Segments:
        """The segments of ``products``."""
        multiplicands, factors = self._multiplicand_bits, self._factors
        wide, narrow = (max(pair[i].width for pair in factors) for i in (0, 1))
        terms = self._product_terms
        bits = [
            sum(product_rows.bits_of(levels[min(level, len(levels) - 1)]) for levels in terms)
            for level in range(max(map(len, terms)))
        ]
        sums = (
            Segment(f"sums{level}", (Adder(wide + (1 << level), count=len(factors)),), made)
            for level, made in enumerate(bits[1:], 1)
        )
        codes = sum(multiplicands) + max(high for _, high in self.segments)
        return (
            Segment("codes", (Selection(max(multiplicands), len(self.modes)),), codes),
            Segment("rows", (FactorRows(wide, narrow, count=len(factors)),), bits[0]),
            *sums,
            Segment("made", (), bits[-1]),
        )

    @property
    def _factors(self) -> list[tuple[Shape, Shape]]:
        """The shapes of what each rows' product is made of."""
        multiplicands = self._multiplicand_bits
        return [
            (
                Shape(multiplicands[rows.segment], True),
                Shape(rows.high - rows.low, not rows.changes and any(rows.negative)),
            )
            for rows in self.rows
        ]

    @property
    def _product_terms(self) -> list[list[product_rows.TermShapes]]:
        """What each rows' product is summed of in segments, before each sum and behind the last."""
        return [
            [[(wide, 0)]] if narrow == Shape(1) else product_rows.term_shapes(wide, narrow)
            for wide, narrow in self._factors
        ]

    def product_widths(self, *, split: bool) -> list[int]:
        """Bits of each of the ``products``."""
        if split:
            return [levels[-1][0][0].width for levels in self._product_terms]
        return [
            wide.width + (0 if narrow == Shape(1) else narrow.width)
            for wide, narrow in self._factors
        ]

    @property
    def _multiplicand_bits(self) -> list[int]:
        """Bits of the number that the rows of each segment multiply."""
        widths = []
        for low, _ in self.segments:
            shapes = [ZERO]
            for mode in self.modes:
                place = self.place(mode, low)
                if place is not None:
                    moved = (mode.count - 1 - place) * mode.narrow.bits
                    shapes.append(Shape(mode.wide.bits, mode.wide.signed) << moved)
            widths.append(max(shape.width + (not shape.signed) for shape in shapes))
        return widths

    @property
    def term_count(self) -> int:
        """How many terms ``signed_sums`` makes."""
        return len(self.rows) + int(self.rows[-1].changes)

    def signed_shapes(self, widths: Sequence[int]) -> list[tuple[int, Shape]]:
        """The weights and shapes of what ``signed_sums`` makes of sums of so many bits."""
        terms = [
            (rows.low, Shape(width, True)) for rows, width in zip(self.rows, widths, strict=True)
        ]
        weight, top = terms.pop()
        if self.rows[-1].changes:
            terms.append((weight, Shape(2, True)))
        return [*terms, (0, Shape(weight + top.width, True))]


def added_shapes(terms: Sequence[tuple[int, Shape]]) -> list[tuple[int, Shape]]:
    """The weights and shapes of what ``add_weighted`` makes of such terms."""
    paired = []
    for i in range(0, len(terms) - 1, 2):
        low, high = sorted(terms[i : i + 2], key=lambda term: term[0])
        paired.append((low[0], low[1] + (high[1] << (high[0] - low[0]))))
    return [*paired, *terms[len(paired) * 2 :]]
