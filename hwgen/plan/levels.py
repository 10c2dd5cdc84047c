"""About how many levels of LUTs logic takes.

Registers that are tuned for no target are placed by them: they are the same for all targets, and
rougher than ``Step.path``.
"""

from __future__ import annotations

from hwgen.formats import Scalar
from hwgen.plan.logic import Path


def adder(width: int) -> float:
    """Levels of getting on and off a carry chain, and of its ``width`` bits."""
    return 1.5 + width / 16


def decoder(*formats: Scalar) -> float:
    """Levels of the slowest of the formats' decoders."""
    exponents = [f.exponent_bits for f in formats if not f.is_integer]
    return max((1.0 if bits <= 3 else 2.0 for bits in exponents), default=0.0)


def product(a: Scalar, b: Scalar) -> float:
    """Levels of the rows of the narrower significand, added in pairs."""
    return rows(min(f.precision for f in (a, b)))


def rows(count: int) -> float:
    """Levels of ``count`` rows of a product, added in pairs."""
    return 1.0 + 1.5 * (count - 1).bit_length()


def shift(a: Scalar, b: Scalar) -> float:
    """Levels of the shifter of a product, by the sum of both shifts."""
    bits = [f.exponent_bits for f in (a, b) if f.exponent_bits > 1]
    return 0.7 * (max(bits) + len(bits) - 1) if bits else 0.0


def one_shift(number_format: Scalar) -> float:
    """Levels of the shifter of one decoded number."""
    return 0.7 * number_format.exponent_bits


def along(path: Path) -> float:
    """Levels of a path, as of ``adder`` where it is a carry chain."""
    return path.luts + 1.5 * path.chains + path.chain_bits / 16
