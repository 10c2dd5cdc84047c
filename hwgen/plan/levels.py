"""About how many levels of LUTs logic takes, by which registers are placed that are tuned for no
target: the same for all of them, and rougher than ``Step.path``.
"""

from __future__ import annotations

from hwgen.formats import Scalar


def adder(width: int) -> float:
    """Getting on and off the carry chain, and the chain."""
    return 1.5 + width / 16


def decoder(*formats: Scalar) -> float:
    """The slowest of the formats'."""
    exponents = [f.exponent_bits for f in formats if not f.is_integer]
    return max((1.0 if bits <= 3 else 2.0 for bits in exponents), default=0.0)


def product(a: Scalar, b: Scalar) -> float:
    """Rows of the narrower significand, added in pairs."""
    return rows(min(f.precision for f in (a, b)))


def rows(count: int) -> float:
    """So many rows of a product, added in pairs."""
    return 1.0 + 1.5 * (count - 1).bit_length()


def shift(a: Scalar, b: Scalar) -> float:
    """The shifter of a product, by the sum of both shifts."""
    bits = [f.exponent_bits for f in (a, b) if f.exponent_bits > 1]
    return 0.7 * (max(bits) + len(bits) - 1) if bits else 0.0


def one_shift(number_format: Scalar) -> float:
    """The shifter of one decoded number."""
    return 0.7 * number_format.exponent_bits
