"""Which sums can be −0.

The hardware is in ``hwgen.arithmetic.zero_sign``.
"""

from __future__ import annotations

from collections.abc import Sequence

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
