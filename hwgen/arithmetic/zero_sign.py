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


def products_have_sign(a: Scalar, b: Scalar) -> bool:
    """Whether products of ``a`` and ``b`` can be −0."""
    return (a.signed or b.signed) and not (a.is_integer and b.is_integer)


def sum_has_sign(a: Scalar, b: Scalar, addend: Scalar | None, rounding: str) -> bool:
    """Whether sums of products of ``a`` and ``b``, with an addend if there is one, can be −0."""
    if addend is None:
        return products_have_sign(a, b)
    if rounding == DOWN:
        formats = (a, b, addend)
        return any(f.signed for f in formats) and not all(f.is_integer for f in formats)
    return products_have_sign(a, b) and addend.has_minus_zero


def blocks_have_sign(elements: Sequence[Scalar], scales: Sequence[Scalar], rounding: str) -> bool:
    """Whether sums of blocks of products, times scales without sign, can be −0."""
    if all(f.is_integer for f in (*elements, *scales)):
        return False
    if not all(f.is_integer for f in elements):
        return any(f.signed for f in elements)
    # A negative number times a scale of zero; and, rounding down, blocks that cancel.
    return any(f.signed for f in elements) and (rounding == DOWN or any(f.min == 0 for f in scales))


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
