"""Rows of one multiplier that serve integers of several widths, packed into a lane.

A product of two lanes has a row for each bit of one of them: that bit times the other lane,
the rows' weights rising with the bits. In a mode with narrower codes the rows of a code meet,
in place of the whole other lane, the one code that belongs to it, moved so far that all
products of the lane come out with the same weight. So the adders that sum a wide product's
rows sum the products of several narrow ones (a sum-together multiplier: Camus, Mei, Enz and
Verhelst, Review and Benchmarking of Precision-Scalable Multiply-Accumulate Unit Architectures
for Embedded Neural-Network Processing, IEEE JETCAS 2019).

The highest bit of a signed code weighs negatively, in one mode here and in another there. Rows
are therefore summed over all lanes first, those of such a bit apart, and that sum is negated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed

from hwgen.arithmetic import product_rows
from hwgen.arithmetic.product_rows import Term
from hwgen.arithmetic.segmented import Boundary, Segmented, last
from hwgen.formats import Scalar
from hwgen.plan.logic import Adder, FactorRows, Selection
from hwgen.plan.shape import ZERO, Shape
from hwgen.plan.step import Segment, Segments


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
class Weighted:
    """``term`` · 2^``weight``."""

    weight: int
    term: Value


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
                if self._place(mode, low) is None
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

    def _place(self, mode: Packed, row: int) -> int | None:
        place = row // mode.narrow.bits
        return place if place < mode.count else None

    def products(
        self,
        m: Module,
        wide: Value,
        narrow: Value,
        chosen: Sequence[Value],
        name: str,
        *,
        split: bool,
    ) -> Segmented[list[Value]]:
        """Each rows' product in a lane, in units of 2**low.

        ``chosen``: a bit a mode. The sign of a highest row is yet to be applied where it changes.
        """
        selected: list[Value] = self._multiplicands(m, wide, chosen, f"{name}_wide")
        multiplicands, narrow = yield Boundary("codes", [selected, narrow])
        factors: list[tuple[Value, Value]] = []
        for rows in self.rows:
            bits = narrow[rows.low : rows.high]
            signed_top = not rows.changes and any(rows.negative)
            factors.append((multiplicands[rows.segment], bits.as_signed() if signed_top else bits))
        if split:
            products = yield from _in_rows(m, factors, name)
        else:
            products = [
                _gated(*pair) if _is_gate(pair[1]) else pair[0] * pair[1] for pair in factors
            ]
        signals: list[Value] = []
        for rows, product in zip(self.rows, products, strict=True):
            signal = Signal(product.shape(), name=f"{name}_rows{rows.low}")
            m.d.comb += signal.eq(product)
            signals.append(signal)
        return (yield from last("made", signals))

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
                place = self._place(mode, low)
                if place is not None:
                    moved = (mode.count - 1 - place) * mode.narrow.bits
                    shapes.append(Shape(mode.wide.bits, mode.wide.signed) << moved)
            widths.append(max(shape.width + (not shape.signed) for shape in shapes))
        return widths

    def _multiplicands(
        self, m: Module, lane: Value, chosen: Sequence[Value], name: str
    ) -> list[Value]:
        """The number that the rows of each segment multiply."""
        multiplicands: list[Value] = []
        for index, (low, _) in enumerate(self.segments):
            codes: list[Value] = []
            for mode in self.modes:
                place = self._place(mode, low)
                if place is None:
                    codes.append(Const(0))
                    continue
                code = lane.word_select(place, mode.wide.bits)
                # All products of the lane get the weight of the highest place.
                moved = (mode.count - 1 - place) * mode.narrow.bits
                codes.append((code.as_signed() if mode.wide.signed else code) << moved)
            width = max(len(code) + (not code.shape().signed) for code in codes)
            multiplicand = Signal(signed(width), name=f"{name}_{index}")
            m.d.comb += multiplicand.eq(select(chosen, codes))
            multiplicands.append(multiplicand)
        return multiplicands

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

    def signed_sums(
        self, m: Module, sums: Sequence[Value], chosen: Sequence[Value]
    ) -> list[Weighted]:
        """The rows' sums over the lanes with their signs: to be added.

        They are in a mode's own unit times 2**``Packed.weight``. ``chosen``: a bit a mode.
        """
        terms: list[Weighted] = []
        ones: dict[int, Value] = {}
        for rows, total in zip(self.rows, sums, strict=True):
            if not rows.changes:
                terms.append(Weighted(rows.low, total))
                continue
            negate = Signal(name=f"negate_rows{rows.low}")
            m.d.comb += negate.eq(select(chosen, [Const(int(bool(n))) for n in rows.negative]))
            flipped = Signal(signed(len(total)), name=f"flipped_rows{rows.low}")
            m.d.comb += flipped.eq(total ^ negate.replicate(len(total)))
            terms.append(Weighted(rows.low, flipped))
            # −x = ~x + 1: the ones go where the highest rows' sum has no bits.
            ones[rows.low] = negate
        top = terms.pop()
        filler = Cat(ones.pop(place, Const(0, 1)) for place in range(top.weight))
        terms += [Weighted(place, Cat(bit, Const(0, 1)).as_signed()) for place, bit in ones.items()]
        return [*terms, Weighted(0, Cat(filler, top.term).as_signed())]


def _is_gate(bits: Value) -> bool:
    return len(bits) == 1 and not bits.shape().signed


def _gated(code: Value, bit: Value) -> Value:
    return (code.as_unsigned() & bit.replicate(len(code))).as_signed()


def _in_rows(m: Module, pairs: Sequence[tuple[Value, Value]], name: str) -> Segmented[list[Value]]:
    """The products of the pairs, in segments."""
    terms: list[list[Term]] = [
        [Term(_gated(*pair), 0)]
        if _is_gate(pair[1])
        else product_rows.row_pairs(m, product_rows.Factors(*pair), f"{name}_product{index}")
        for index, pair in enumerate(pairs)
    ]
    terms = yield Boundary("rows", terms)
    level = 0
    while max(map(len, terms)) > 1:
        level += 1
        terms = [
            product_rows.pair_sums(m, product_terms, f"{name}_product{index}_sums{level}")
            for index, product_terms in enumerate(terms)
        ]
        terms = yield Boundary(f"sums{level}", terms)
    return [product_terms[0].value for product_terms in terms]


def select(chosen: Sequence[Value], values: Sequence[Value]) -> Value:
    """The value whose ``chosen`` is 1, the last if none of the others is."""
    selected = values[-1]
    for is_chosen, value in reversed(list(zip(chosen[:-1], values[:-1], strict=True))):
        selected = Mux(is_chosen, value, selected)
    return selected


def added_shapes(terms: Sequence[tuple[int, Shape]]) -> list[tuple[int, Shape]]:
    """The weights and shapes of what ``add_weighted`` makes of such terms."""
    paired = []
    for i in range(0, len(terms) - 1, 2):
        low, high = sorted(terms[i : i + 2], key=lambda term: term[0])
        paired.append((low[0], low[1] + (high[1] << (high[0] - low[0]))))
    return [*paired, *terms[len(paired) * 2 :]]


def add_weighted(m: Module, terms: Sequence[Weighted], name: str) -> list[Weighted]:
    """The terms in pairs, each added, as ``adder_tree.tree_level`` does."""
    paired: list[Weighted] = []
    for i in range(0, len(terms) - 1, 2):
        low, high = sorted(terms[i : i + 2], key=lambda term: term.weight)
        total = low.term + (high.term << (high.weight - low.weight))
        partial = Signal(total.shape(), name=f"{name}_{i // 2}")
        m.d.comb += partial.eq(total)
        paired.append(Weighted(low.weight, partial))
    return [*paired, *terms[len(paired) * 2 :]]
