"""Bits of a square.

The hardware is in ``hwgen.arithmetic.square``.
"""

from __future__ import annotations


def square_bits(bits: int, signed: bool) -> int:
    """Bits of the square, which has no sign."""
    return max(2 * bits - int(signed), 1)
