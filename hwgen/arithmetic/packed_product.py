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

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed

from hwgen.arithmetic import product_rows
from hwgen.arithmetic.product_rows import Term
from hwgen.arithmetic.segmented import Boundary, Segmented, last
from hwgen.sizes.packed_product import RowPlan


@dataclass(frozen=True)
class Weighted:
    """``term`` · 2^``weight``."""

    weight: int
    term: Value


def row_products(
    m: Module,
    plan: RowPlan,
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
    selected: list[Value] = _multiplicands(m, plan, wide, chosen, f"{name}_wide")
    multiplicands, narrow = yield Boundary("codes", [selected, narrow])
    factors: list[tuple[Value, Value]] = []
    for rows in plan.rows:
        bits = narrow[rows.low : rows.high]
        signed_top = not rows.changes and any(rows.negative)
        factors.append((multiplicands[rows.segment], bits.as_signed() if signed_top else bits))
    if split:
        products = yield from _in_rows(m, factors, name)
    else:
        products = [_gated(*pair) if _is_gate(pair[1]) else pair[0] * pair[1] for pair in factors]
    signals: list[Value] = []
    for rows, product in zip(plan.rows, products, strict=True):
        signal = Signal(product.shape(), name=f"{name}_rows{rows.low}")
        m.d.comb += signal.eq(product)
        signals.append(signal)
    return (yield from last("made", signals))


def _multiplicands(
    m: Module, plan: RowPlan, lane: Value, chosen: Sequence[Value], name: str
) -> list[Value]:
    """The number that the rows of each segment multiply."""
    multiplicands: list[Value] = []
    for index, (low, _) in enumerate(plan.segments):
        codes: list[Value] = []
        for mode in plan.modes:
            place = plan.place(mode, low)
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


def signed_sums(
    m: Module, plan: RowPlan, sums: Sequence[Value], chosen: Sequence[Value]
) -> list[Weighted]:
    """The rows' sums over the lanes with their signs: to be added.

    They are in a mode's own unit times 2**``Packed.weight``. ``chosen``: a bit a mode.
    """
    terms: list[Weighted] = []
    ones: dict[int, Value] = {}
    for rows, total in zip(plan.rows, sums, strict=True):
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
