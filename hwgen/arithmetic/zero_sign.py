"""The sign of a zero sum, as IEEE 754-2019, section 6.3, has it.

The sign of a product is that of its factors' signs, of a zero product too. A zero sum is −0 where
all its terms have a negative sign; rounding down it is −0 unless all have a positive one. That is
one AND, or OR, of the terms' sign bits beside the sum: terms that cancel are of both signs, and
where all are negative the sum is never above zero. Integers have no −0: a zero sum of their
products is +0 (section 5.4.1), and stands as one number among other terms.
"""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Signal, Value

from hwgen.arithmetic.decode import Operand
from hwgen.arithmetic.product import sign_of
from hwgen.formats import Scalar
from hwgen.formats.rounding import DOWN
from hwgen.sizes.zero_sign import products_have_sign


def product_signs(operands: Sequence[tuple[Operand, Operand]], a: Scalar, b: Scalar) -> list[Value]:
    """The sign bit of each product; none where products have no −0."""
    if not products_have_sign(a, b):
        return []
    return [sign_of(x, a) ^ sign_of(y, b) for x, y in operands]


def sign_of_zeros(m: Module, signs: Sequence[Value], rounding: str, name: str) -> Signal:
    """The sign of the sum of zeros with these signs."""
    sign = Signal(name=name)
    bits = Cat(signs)
    m.d.comb += sign.eq(bits.any() if rounding == DOWN else bits.all())
    return sign


def of_sum(total: Value, zero: Value | None, rounding: str) -> Value:
    """The sign of ``total``, in two's complement.

    ``zero``: that of its terms (``sign_of_zeros``), or None where a zero is positive.
    """
    if zero is None:
        return total[-1]
    if rounding == DOWN:
        return total[-1] | (zero & ~total.any())
    return total[-1] | zero


def restarted(held: Value, clear: Value, rounding: str) -> Value:
    """The ``held`` sign or, with ``clear``, the one that ``sign_of_zeros`` has of no other sign."""
    return held & ~clear if rounding == DOWN else held | clear
