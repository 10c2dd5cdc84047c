"""L-Mul: products of floating-point numbers by adding.

(*Addition is All You Need*, arXiv 2410.00907.)

The *adder form*: exponent and fraction of a number, side by side, are one fixed-point number, about
its logarithm; those of both operands and 2^−l are added, and a carry out of the fractions raises
the exponent. (The paper's formula, (1 + f + g + 2^−l)·2^e, is the same until the fractions carry;
there the adder yields Mitchell's approximation.) In code fields, for results in the normal range: X
+ Y − (bias << m) + 2^(m−l).

What the paper leaves open is so here. A zero operand gives a zero with the product's sign, as in
IEEE 754. A subnormal operand counts as a zero of its sign: the adder would read its fraction as if
it had a leading one. NaN, and an infinity times zero, give NaN; otherwise an infinite operand gives
an infinity. The result is an exact number, unbounded; what is below the smallest normal or past the
largest of an output format is decided by ``sim.rounding.round_to``.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from hwgen.errors import InputError
from hwgen.formats import Scalar
from hwgen.spec.lmul import MAX_OFFSET_EXPONENT, offset_exponent, require_operand
from sim.exact import ExactArray, Floats


def lmul(
    a_format: Scalar,
    b_format: Scalar,
    a_codes: npt.ArrayLike,
    b_codes: npt.ArrayLike,
    offset: int | None = None,
) -> ExactArray:
    """The approximate product of each two codes, as exact numbers; shapes broadcast.

    ``offset``: l of the term 2^−l; by default l(m) for the wider of the two mantissas, to which
    the other is aligned. InputError for formats that are not minifloats and for bad codes.
    """
    a_format, b_format = require_operand(a_format), require_operand(b_format)
    mantissa_bits = max(a_format.mantissa_bits, b_format.mantissa_bits)
    l_of_m = offset_exponent(mantissa_bits) if offset is None else offset
    if isinstance(l_of_m, bool) or not 0 <= l_of_m <= MAX_OFFSET_EXPONENT:
        raise InputError(f"offset={offset!r}: use a whole number from 0 to {MAX_OFFSET_EXPONENT}")
    x = _without_subnormals(a_format, a_codes)
    y = _without_subnormals(b_format, b_codes)
    # Signs and specials by IEEE 754, of numbers whose magnitude does not matter.
    with np.errstate(invalid="ignore"):
        signs = np.where(np.isinf(x), x, np.sign(x)) * np.where(np.isinf(y), y, np.sign(y))
    special = np.where(np.isfinite(signs), 0.0, signs)

    fraction_bits = max(mantissa_bits, l_of_m)
    x_fraction, x_exponent = _fields(x, fraction_bits)
    y_fraction, y_exponent = _fields(y, fraction_bits)
    fractions = x_fraction + y_fraction + (1 << (fraction_bits - l_of_m))
    significand = (1 << fraction_bits) + (fractions & ((1 << fraction_bits) - 1))
    # Exponents of the smallest and, with their carries, of the largest products.
    lowest = sum(_exponent(_smallest_normal(f)) for f in (a_format, b_format))
    shift = x_exponent + y_exponent + (fractions >> fraction_bits) - lowest
    # Two fractions below 1 and an offset of at most 1 raise the exponent by at most 2.
    highest = _exponent(a_format.max) + _exponent(b_format.max) + 2
    sign = np.where(np.isfinite(signs), signs, 0.0).astype(np.int64)
    zero_sign = np.where(np.signbit(x) == np.signbit(y), 1, -1).astype(np.int8)
    shift = np.where(sign == 0, 0, shift)
    integers = sign * significand
    if fraction_bits + 1 + highest - lowest <= 63:
        narrow = np.asarray(integers << shift, dtype=np.int64)
        return ExactArray(narrow, lowest - fraction_bits, special, zero_sign)
    wide = np.asarray(integers.astype(object) << shift.astype(object), dtype=object)
    return ExactArray(wide, lowest - fraction_bits, special, zero_sign)


def _smallest_normal(number_format: Scalar) -> float:
    smallest = number_format.smallest_normal
    assert smallest is not None  # by ``require_operand``
    return smallest


def _without_subnormals(number_format: Scalar, codes: npt.ArrayLike) -> Floats:
    values = number_format.decode(codes)
    flushed = np.abs(values) < _smallest_normal(number_format)
    return np.where(flushed, np.copysign(0.0, values), values)


def _exponent(number: float) -> int:
    """floor(log2(number))."""
    return math.frexp(number)[1] - 1


def _fields(
    numbers: Floats, fraction_bits: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Fraction and exponent of |x| = (1 + fraction/2^fraction_bits)·2^exponent.

    Of zeros, infinities and NaN anything.
    """
    finite = np.where(np.isfinite(numbers) & (numbers != 0), np.abs(numbers), 1.0)
    significand, exponent = np.frexp(finite)
    fraction = np.ldexp(significand, fraction_bits + 1).astype(np.int64) - (1 << fraction_bits)
    return fraction, (exponent - 1).astype(np.int64)
