"""Widths of a running sum whose rounding waits for the next term.

The hardware is in ``hwgen.arithmetic.pending_sum``, which has the source.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from hwgen.formats import Scalar
from hwgen.formats.rounding import DOWN, UP
from hwgen.formats.widths import value_range

#: Places of the leading digit that are looked at together.
GROUP = 6


#: Bits of a running sum before it is rounded, at most.
MAX_BITS = 128


@dataclass(frozen=True)
class PendingSum:
    """Where a running sum of ``precision`` bits stands, in units of 2^``lsb_exponent``.

    Its last place is bit ``lowest`` at least. Rounded numbers are below 2^``top`` in magnitude or,
    unless it ``saturates``, at most that: ``top`` is past the format's largest number, or where
    the largest term no longer makes a sum larger. Terms have ``term_bits`` of magnitude, or are
    past what the sum can hold.
    """

    lsb_exponent: int
    precision: int
    lowest: int
    top: int
    saturates: bool
    term_bits: int

    @property
    def width(self) -> int:
        """Bits of the sum before it is rounded, with its sign."""
        return max(self.top, self.term_bits) + 2

    @property
    def ends(self) -> int:
        """Bits of the sum from here on are never rounded off."""
        return self.top - self.precision + int(not self.saturates)

    @property
    def first(self) -> int:
        """The lowest bit that can be the first below the last place."""
        return max(self.lowest - 1, 0)

    @property
    def groups(self) -> list[range]:
        """The places of the first bit below the last place, some of them together."""
        starts = range(self.first, self.ends, GROUP)
        return [range(start, min(start + GROUP, self.ends)) for start in starts]


@lru_cache(maxsize=256)
def pending_sum(unit: int, most: int, target: Scalar, rounding: str) -> PendingSum:
    """Of exact terms and running sums of them in ``target``, which has subnormals.

    Terms are multiples of 2^``unit``, their magnitude at most ``most`` of these; bits of them two
    places below the format's last, or lower, count together.
    """
    lsb_exponent = max(unit, target.lsb_exponent - 2)
    most_bits = (-(-most >> (lsb_exponent - unit))).bit_length()
    largest = value_range(target)[1]
    top = largest.bit_length() + target.lsb_exponent - lsb_exponent
    # From there on the largest term is less than half of the last place.
    unmoved = most_bits + target.precision
    saturates = rounding in (UP, DOWN) or top <= unmoved
    return PendingSum(
        lsb_exponent=lsb_exponent,
        precision=target.precision,
        lowest=max(target.lsb_exponent - lsb_exponent, 0),
        top=top if saturates else unmoved,
        saturates=saturates,
        term_bits=min(most_bits, top + 1),
    )


def is_all_ones(f: Scalar) -> bool:
    """Whether the largest number's significand has ones alone."""
    largest = value_range(f)[1]
    return largest >> (largest.bit_length() - f.precision) == (1 << f.precision) - 1
