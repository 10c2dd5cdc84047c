"""Sums of numbers times constants in hardware: the adders of a ``hwgen.plan.constant_sum``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Shape, Signal, Value

from hwgen.arithmetic.shift import joined
from hwgen.plan.constant_sum import Additions, Node


@dataclass(frozen=True)
class Number:
    """What stands for a node: ``value``, and one more where ``carry`` is set, if there is one.

    ``plain``: bits of the value are yet to be inverted where ``carry`` is set, which the LUTs of
    adders do beside adding.
    """

    value: Value
    carry: Value | None = None
    plain: bool = False

    @classmethod
    def with_sign(cls, magnitude: Value, sign: Value) -> Number:
        """A magnitude, negated where ``sign`` is set."""
        return cls(magnitude, sign, plain=True)

    @property
    def inverted(self) -> Number:
        """The number with its bits inverted, no longer plain."""
        if not self.plain:
            return self
        assert self.carry is not None
        wide = Cat(self.value, Const(0, 1)) ^ self.carry.replicate(len(self.value) + 1)
        return Number(wide.as_signed(), self.carry)


def add_level(
    m: Module, plan: Additions, numbers: Mapping[int, Number], level: int
) -> dict[int, Number]:
    """The nodes that are needed behind a level of additions, from those before it."""
    known = dict(numbers)
    for index, node in enumerate(plan.nodes):
        if node.level == level:
            low, high = (known[number].inverted for number in (node.low, node.high))
            known[index] = _sum(m, node, low, high, f"node_{index}")
    return {index: known[index] for index in plan.needed_behind(level)}


def _sum(m: Module, node: Node, low: Number, high: Number, name: str) -> Number:
    """The adder of a node: of the ones that its operands may lack, one is its carry in."""
    # Every sum is a signal of its own, so that synthesis gives each addition one carry chain.
    if node.low_negative:
        # The one of the higher operand is worth 2^shift: ones below it and one at the lowest place.
        ones = Const(0, 1) if high.carry is None else high.carry
        upper_operand = joined(ones.replicate(node.shift), high.value)
        total = _signal(node, high, name)
        m.d.comb += total.eq(_difference(upper_operand, low))
        return Number(total, high.carry)
    total = _signal(node, low, name)
    passing, upper_operand = _split(low.value, node.shift)
    # Below the higher operand there is nothing to add.
    if len(total) <= node.shift:  # -1 - 4 * -1 is 3, the two bits below.
        m.d.comb += total.eq(passing)
        return Number(total, low.carry)
    upper = Signal(Shape(len(total) - node.shift, total.shape().signed), name=f"{name}_upper")
    if node.high_negative:
        m.d.comb += upper.eq(_difference(upper_operand, high))
    else:
        m.d.comb += upper.eq(_with_carry(upper_operand, high.value, high.carry))
    m.d.comb += total.eq(Cat(passing, upper))
    return Number(total, low.carry)


def _signal(node: Node, operand: Number, name: str) -> Signal:
    """A signal for the node's sum, which lacks the one that the operand may lack."""
    shape = node.shape(lacks_one=operand.carry is not None)
    return Signal(Shape(shape.width, shape.signed), name=name)


def _difference(x: Value, y: Number) -> Value:
    return x - y.value if y.carry is None else _with_carry(x, ~y.value, ~y.carry)


def _with_carry(x: Value, y: Value, carry: Value | None) -> Value:
    if carry is None:
        return x + y
    # The carry in, written so that it stays one chain: a bit below the lowest, with a one.
    return (joined(Const(1, 1), x) + joined(carry, y)) >> 1


def _split(value: Value, place: int) -> tuple[Value, Value]:
    """The bits below a place, extended, and the number above it."""
    if not value.shape().signed:
        short = max(place - len(value), 0)
        return Cat(value[:place], Const(0, short)), Cat(value[place:], Const(0, 1))
    if place >= len(value):
        sign = value[-1]
        return Cat(value, sign.replicate(place - len(value))), Cat(sign).as_signed()
    return value[:place], value[place:].as_signed()
