"""Steps and registers of a division.

The hardware is in ``hwgen.arithmetic.divide``.
"""

from __future__ import annotations


def steps_of(dividend_bits: int, divisor_least_bits: int) -> int:
    """Steps of a division, each of which makes one bit of the quotient.

    The divisor has at least ``divisor_least_bits`` bits.
    """
    return max(dividend_bits - (divisor_least_bits - 1), 0)


def bits_of(dividend_bits: int, divisor_bits: int, divisor_least_bits: int) -> int:
    """Bits of a ``Division`` between any two of its steps."""
    return dividend_bits - (divisor_least_bits - 1) + divisor_bits
