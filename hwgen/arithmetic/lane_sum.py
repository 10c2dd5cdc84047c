"""The exact sum of many lanes' products that stand at different places.

Two things save most of a shifter and of a tree as wide as the whole sum.

*Signs.* A product is negated by inverting its bits, which the first adder's LUTs do beside
adding; the one that is to be added then is the carry-in of some adder of the tree. A tree has
one adder fewer than lanes, so one lane, the first, has to be negated in full.

*Bins.* A product is moved by the low bits of its shift only. For each value of the high bits,
a *bin*, a tree of its own sums the lanes that are in that bin, the others gated off, which again
the first adder's LUTs do. The sums of the bins are added at their places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Signal, Value, signed

from hwgen.arithmetic.product import Product
from hwgen.sizes.lane_sum import LaneSum, group_width


@dataclass(frozen=True)
class Lane:
    """A moved product in front of its adders.

    ``value``: where there are ``gates`` (one a bin), its bits are inverted where ``sign`` is one,
    else they are yet to be. With a sign in its own shape, ``sign`` is not part of it; else it is
    the bit above. A one is to be added where ``sign`` is one.
    """

    value: Value
    sign: Value | None
    gates: list[Value]


@dataclass(frozen=True)
class Term:
    """A partial sum: ``value`` and ``carry``, a bit that is yet to be added."""

    value: Value
    carry: Value | None


def place(m: Module, product: Product, plan: LaneSum, name: str) -> Lane:
    """The product, moved by the low bits of its shift."""
    value, shift = product.significand, product.shift
    if shift is not None and plan.fine_bits:
        value = value << shift[: plan.fine_bits]
    # What does not fit the plan's bits would need shifts that no operands have.
    is_signed = value.shape().signed
    drop = 0 if plan.has_gates else plan.bins[0].drop
    cut = value[drop : drop + plan.moved_bits + int(is_signed)]
    value = cut.as_signed() if is_signed else cut
    if plan.has_gates and product.sign is not None:
        inverted = _inverted(value, product.sign)
        value = inverted if is_signed else inverted[:-1]
    moved = Signal(value.shape(), name=f"{name}_moved")
    m.d.comb += moved.eq(value)
    gates: list[Value] = []
    if plan.has_gates:
        assert shift is not None
        for bin in plan.bins:
            gate = Signal(name=f"{name}_in_bin_{bin.index}")
            m.d.comb += gate.eq(shift[plan.fine_bits :] == bin.index)
            gates.append(gate)
    return Lane(moved, product.sign, gates)


def _inverted(value: Value, sign: Value) -> Value:
    """``value`` with a sign bit, all of it inverted where ``sign`` is one: its negative less one.

    Of ``len(value) + 1`` bits, or as many if it has a sign bit already.
    """
    if not value.shape().signed:
        value = Cat(value, Const(0, 1))
    return (Cat(value) ^ sign.replicate(len(value))).as_signed()


def terms(m: Module, lanes: Sequence[Lane], plan: LaneSum) -> list[list[Term]]:
    """The terms that each bin's tree adds, a list for each bin."""
    return [[_term(lane, plan, i) for lane in lanes] for i in range(len(plan.bins))]


def _term(lane: Lane, plan: LaneSum, index: int) -> Term:
    if not lane.gates:
        if lane.sign is None:
            return Term(lane.value, None)
        return Term(_inverted(lane.value, lane.sign), lane.sign)
    bin, gate = plan.bins[index], lane.gates[index]
    width = bin.width(1, plan.has_sign)
    value = lane.value
    if lane.sign is not None and not value.shape().signed:
        value = Cat(value, lane.sign).as_signed()
    field = value[bin.drop : bin.drop + width]
    gated: Value = field & gate.replicate(len(field))
    if value.shape().signed:
        gated = gated.as_signed()
    return Term(gated, None if lane.sign is None else lane.sign & gate)


def add_level(
    m: Module, trees: Sequence[list[Term]], plan: LaneSum, level: int
) -> list[list[Term]]:
    """The terms of each bin in pairs, added; ``level``: counted from 1."""
    sums = []
    for bin, tree in zip(plan.bins, trees, strict=True):
        which = f"_bin_{bin.index}" if plan.has_gates else ""
        paired: list[Term] = []
        for i in range(0, len(tree) - 1, 2):
            lanes = min(plan.lanes, (i + 2) << (level - 1)) - (i << (level - 1))
            width = bin.width(lanes, plan.has_sign and i > 0)
            name = f"sum_level{level}{which}_{i // 2}"
            paired.append(_added(m, tree[i], tree[i + 1], width, name))
        sums.append([*paired, *tree[len(paired) * 2 :]])
    return sums


def _added(m: Module, x: Term, y: Term, width: int, name: str) -> Term:
    # Every partial sum is a signal of its own, so that synthesis gives each addition one carry
    # chain; written as one expression they would be merged and expanded without.
    partial = Signal(signed(width), name=name)
    carry_in, carry = (x.carry, y.carry) if x.carry is not None else (y.carry, None)
    if carry_in is None:
        m.d.comb += partial.eq(x.value + y.value)
    else:
        # The carry-in, written so that it stays one chain: a bit below the lowest, with a one.
        total = Cat(Const(1, 1), x.value).as_signed() + Cat(carry_in, y.value).as_signed()
        m.d.comb += partial.eq(total >> 1)
    return Term(partial, carry)


def merge_level(m: Module, sums: Sequence[Value], plan: LaneSum, level: int) -> list[Value]:
    """The sums of neighbouring bins, added at their places; ``level``: counted from 1."""
    step = 1 << (level - 1)
    paired: list[Value] = []
    for i in range(0, len(sums) - 1, 2):
        group = plan.bins[i * step : (i + 2) * step]
        apart = plan.bins[(i + 1) * step].place - group[0].place
        low, high = sums[i], sums[i + 1]
        name = f"merged_level{level}_{i // 2}"
        partial = Signal(signed(group_width(group, plan.lanes)), name=name)
        # Below the higher one there is nothing to add.
        upper = Signal(signed(len(partial) - apart), name=f"{name}_upper")
        m.d.comb += upper.eq(low[apart:].as_signed() + high)
        m.d.comb += partial.eq(Cat(low[:apart], upper).as_signed())
        paired.append(partial)
    return [*paired, *sums[len(paired) * 2 :]]
