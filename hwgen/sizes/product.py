"""Widths of the exact product of two codes.

The hardware is in ``hwgen.arithmetic.product``.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from hwgen.formats import Scalar
from hwgen.plan.product import shift_bits
from hwgen.plan.shape import Shape
from hwgen.sizes.decode import significand_bits


def special_bits(*operands: Scalar) -> int:
    """Bits of the flags of what is made of such operands; none where it always is a number."""
    return 3 * int(any(f.has_nan or f.has_infinity for f in operands))


@dataclass(frozen=True)
class ProductShape:
    """The widths of a ``Product`` without its flags; whether it has a ``sign`` apart."""

    significand: Shape
    shift: int = 0
    sign: bool = False

    @property
    def bits(self) -> int:
        """Bits of all of it."""
        return self.significand.width + self.shift + int(self.sign)


def factor_sizes(a: Scalar, b: Scalar, *, sign_apart: bool) -> tuple[int, int]:
    """Bits of the wider and of the narrower factor that ``multiply`` multiplies."""
    if sign_apart:
        x, y = (Shape(significand_bits(f), f.signed and f.is_integer) for f in (a, b))
    else:
        x, y = factor_shapes(a, b)
    # A bit without sign has one beside a number with a sign.
    bits = [max(s.width, 2) if other.signed else s.width for s, other in ((x, y), (y, x))]
    return max(bits), min(bits)


@functools.lru_cache(maxsize=10_000)
def product_shape(a: Scalar, b: Scalar, *, sign_apart: bool) -> ProductShape:
    """The widths of what ``multiply`` makes."""
    shift = shift_bits(a, b)
    if not (sign_apart and (a.sign_apart or b.sign_apart)):
        x, y = factor_shapes(a, b)
        return ProductShape(Shape(x.width + y.width, x.signed or y.signed), shift)
    signed = any(f.signed and f.is_integer for f in (a, b))
    return ProductShape(Shape(significand_bits(a) + significand_bits(b), signed), shift, True)


@functools.lru_cache(maxsize=10_000)
def factor_shapes(a: Scalar, b: Scalar) -> tuple[Shape, Shape]:
    """The shapes of both ``signed_factors`` of decoded codes, the wider one first.

    A product has as many bits as both.
    """
    x, y = (Shape(significand_bits(f), f.signed and f.is_integer) for f in (a, b))
    if a.sign_apart and b.sign_apart:
        wide, narrow = (y, x) if x.width <= y.width else (x, y)
        x, y = wide, Shape(narrow.width + 1, True)
    else:
        x, y = (Shape(s.width + 1, True) if f.sign_apart else s for s, f in ((x, a), (y, b)))
    return (x, y) if x.width >= y.width else (y, x)
