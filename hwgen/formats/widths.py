"""Widths of exact sums, from the formats' true extreme products."""

from __future__ import annotations

import functools

from hwgen.formats.scalar import Scalar


def signed_width(low: int, high: int) -> int:
    """Bits of the narrowest two's-complement integer that holds ``low`` … ``high``."""
    low, high = ~low if low < 0 else low, ~high if high < 0 else high
    return 1 + max(low, high).bit_length()


@functools.lru_cache(maxsize=10_000)
def value_range(number_format: Scalar, *, symmetric: bool = False) -> tuple[int, int]:
    """Smallest and largest finite value in units of 2**lsb_exponent.

    With ``symmetric``, integers are without their most negative code. InputError for formats
    without a common step.
    """
    f = number_format
    low = f.symmetric_min if symmetric else f.min
    return int(low * 2.0**-f.lsb_exponent), int(f.max * 2.0**-f.lsb_exponent)


@functools.lru_cache(maxsize=10_000)
def product_range(a: Scalar, b: Scalar, *, symmetric: bool = False) -> tuple[int, int]:
    """Smallest and largest product of any two values, in units of the product of their steps.

    With ``symmetric``, integers are without their most negative code. InputError for formats
    without a common step.
    """
    corners = [
        x * y
        for x in value_range(a, symmetric=symmetric)
        for y in value_range(b, symmetric=symmetric)
    ]
    return min(corners), max(corners)


def accumulator_width(a: Scalar, b: Scalar, products: int, *, symmetric: bool = False) -> int:
    """Bits of a signed accumulator that holds every sum of ``products`` products, exactly.

    The formulas of the literature are up to two bits wider for integers (arXiv 2311.12359, A2Q)
    and one for minifloats. InputError for formats without a common step.
    """
    low, high = product_range(a, b, symmetric=symmetric)
    return signed_width(low * products, high * products)
