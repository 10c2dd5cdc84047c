"""Whole numbers as words of literals, for plain definitions: every result is exact.

A word grows with what is done to it, so that nothing wraps unless it is cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sim.formal.aig import FALSE, TRUE, Aig


@dataclass(frozen=True)
class Word:
    """A whole number in two's complement, the lowest bit first; the top bit is the sign."""

    aig: Aig
    bits: tuple[int, ...]

    @classmethod
    def constant(cls, aig: Aig, number: int) -> Word:
        """The ``number``, in as few bits as hold it."""
        width = (~number if number < 0 else number).bit_length() + 1
        return cls(aig, tuple((number >> bit) & 1 for bit in range(width)))

    @classmethod
    def unsigned(cls, aig: Aig, bits: Sequence[int]) -> Word:
        """The number of zero or more that ``bits`` are, the lowest first."""
        return cls(aig, (*bits, FALSE))

    @classmethod
    def signed(cls, aig: Aig, bits: Sequence[int]) -> Word:
        """The number that ``bits`` are in two's complement, the lowest first."""
        return cls(aig, tuple(bits))

    def cut(self, width: int) -> list[int]:
        """The lowest ``width`` bits, with the sign above if there are not so many."""
        return [*self.bits[:width], *[self.bits[-1]] * (width - len(self.bits))]

    @property
    def sign(self) -> int:
        """The literal that is true where the number is negative."""
        return self.bits[-1]

    def __add__(self, other: Word | int) -> Word:
        return self._sum(other, FALSE)

    def __sub__(self, other: Word | int) -> Word:
        return self._sum(-1 - other if isinstance(other, int) else ~other, TRUE)

    def __neg__(self) -> Word:
        return Word.constant(self.aig, 0) - self

    def __invert__(self) -> Word:
        return Word(self.aig, tuple(bit ^ 1 for bit in self.bits))

    def _sum(self, other: Word | int, carry: int) -> Word:
        aig, y = self.aig, self._word(other)
        width = max(len(self.bits), len(y.bits)) + 1
        total = []
        for a, b in zip(self.cut(width), y.cut(width), strict=True):
            either = aig.xor(a, b)
            total.append(aig.xor(either, carry))
            carry = aig.or_(aig.and_(a, b), aig.and_(either, carry))
        return Word(aig, tuple(total))

    def __mul__(self, other: Word | int) -> Word:
        """A row for each bit of the other factor; the sign's row counts as negative."""
        y = self._word(other)
        total = Word.constant(self.aig, 0)
        for place, bit in enumerate(y.bits):
            row = Word(self.aig, tuple(self.aig.and_(bit, x) for x in self.bits)) << place
            total = total - row if place == len(y.bits) - 1 else total + row
            total = Word(self.aig, tuple(total.cut(len(self.bits) + place + 1)))
        return total

    def __lshift__(self, places: Word | int) -> Word:
        """Times 2^places, for ``places`` of zero or more."""
        if isinstance(places, int):
            return Word(self.aig, (*[FALSE] * places, *self.bits))
        shifted = self
        for level, bit in enumerate(places.bits[:-1]):
            shifted = select(bit, shifted << (1 << level), shifted)
        return shifted

    def __abs__(self) -> Word:
        return select(self.sign, -self, self)

    def __lt__(self, other: Word | int) -> int:
        return (self - other).sign

    def equals(self, other: Word | int) -> int:
        """The literal that is true where both numbers are the same."""
        y = self._word(other)
        width = max(len(self.bits), len(y.bits))
        pairs = zip(self.cut(width), y.cut(width), strict=True)
        return self.aig.any(self.aig.xor(a, b) for a, b in pairs) ^ 1

    def _word(self, other: Word | int) -> Word:
        return Word.constant(self.aig, other) if isinstance(other, int) else other


def select(condition: int, then: Word, other: Word) -> Word:
    """``then`` where the condition is true."""
    width = max(len(then.bits), len(other.bits))
    pairs = zip(then.cut(width), other.cut(width), strict=True)
    return Word(then.aig, tuple(then.aig.mux(condition, a, b) for a, b in pairs))


def total(words: Sequence[Word]) -> Word:
    """Their sum, in pairs, pairs of pairs and so on."""
    level = list(words)
    while len(level) > 1:
        level = [
            level[i] + level[i + 1] if i + 1 < len(level) else level[i]
            for i in range(0, len(level), 2)
        ]
    return level[0]
