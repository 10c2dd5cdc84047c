"""Widths of numbers that hardware adds and subtracts: the rules of Amaranth, without signals."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """Bits of a number, and whether the highest is a sign."""

    width: int
    signed: bool = False

    def __add__(self, other: Shape | int) -> Shape:
        both = either(self, _shape(other))
        return Shape(both.width + 1, both.signed)

    def __sub__(self, other: Shape | int) -> Shape:
        return Shape(either(self, _shape(other)).width + 1, True)

    def __lshift__(self, amount: int) -> Shape:
        """The shape of a shift by a constant, which counts as any of its bits."""
        return Shape(self.width + (1 << _shape(amount).width) - 1, self.signed)

    def __rsub__(self, other: int) -> Shape:
        return _shape(other) - self


def shape_of(low: int, high: int) -> Shape:
    """The shape of a signal for ``low`` … ``high``."""
    if low < 0:
        return Shape(1 + max((~low).bit_length(), high.bit_length() if high > 0 else 0), True)
    return Shape(high.bit_length())


#: Of a constant zero.
ZERO = Shape(1)


def _shape(number: Shape | int) -> Shape:
    if isinstance(number, Shape):
        return number
    return ZERO if number == 0 else shape_of(min(number, 0), number)


def either(a: Shape, b: Shape) -> Shape:
    """The shape of a number that is one or the other."""
    if not (a.signed or b.signed):
        return Shape(max(a.width, b.width))
    return Shape(max(s.width + (not s.signed) for s in (a, b)), True)
