"""Levels of a search for the leading digit.

The hardware is in ``hwgen.arithmetic.leading_digits``.
"""

from __future__ import annotations

#: Bits of a sum that are asked together whether all are like its sign, where more would take long.
PART = 4


def digit_levels(width: int) -> list[tuple[int, int]]:
    """The digits of a left shift of up to ``width`` bits, the highest first.

    Each is the level of its lower bit, and how many bits it has: two, or one that is over.
    """
    levels = width.bit_length()
    return [(max(level - 2, 0), min(level, 2)) for level in range(levels, 0, -2)]
