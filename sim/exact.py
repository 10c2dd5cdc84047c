"""Exact numbers: integers times a power of two, and what becomes of them in sums of products.

Golden values start here. A code is decoded to its value by its format, never read as bit
fields; values become whole multiples of the format's smallest step; products and sums are
those of integers, so that no order of the terms and no width matters. Infinities and NaN
travel beside the integers by the rules of IEEE 754: a NaN operand, inf·0 and inf − inf give
NaN, otherwise an infinity wins.

A zero has the signs of what it was made of (IEEE 754-2019, section 6.3): all its addends' where
they are alike; where they differ, the rounding decides (``sim.rounding``). The sign of a product
is that of its factors' signs, of zeros too. Integers have no −0, so the zero sum of products of two
integers is +0, as the conversion of an integer zero is (section 5.4.1).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.errors import InputError
from hwgen.formats import Scalar
from hwgen.formats.reals import real_numbers

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64] | npt.NDArray[np.object_]
Signs = npt.NDArray[np.int8]

#: Whole numbers up to this magnitude are exact in float64.
EXACT_FLOAT64 = 2**53
INT64_MAX = 2**63 - 1

#: Products worked on at a time: operands, products and scratch stay in the cache.
_CHUNK = 2**15
#: The longest part of a dot product that is summed in one piece.
_SEGMENT = 2**15
#: Formats of up to this many bits are decoded by a table.
_TABLE_BITS = 16


@dataclass(frozen=True, eq=False)
class ExactArray:
    """Numbers ``integers``·2^``lsb_exponent``, exact, with infinities and NaN beside them.

    ``integers``: int64 where the operation that made it cannot pass int64, else an object
    array of Python ints. ``special``: float64 of the same shape, 0 where the number is
    finite, else the infinity or NaN that it is; the integer there is 0. ``zero_sign``: int8 of the
    same shape, of zeros only: 1 and −1 for +0 and −0, 0 for the sum of numbers of both signs; None
    where all are +0.
    """

    integers: Integers
    lsb_exponent: int
    special: Floats
    zero_sign: Signs | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.integers.shape

    @property
    def nan(self) -> npt.NDArray[np.bool_]:
        """Where the number is NaN."""
        return np.isnan(self.special)

    @property
    def positive_infinity(self) -> npt.NDArray[np.bool_]:
        """Where the number is +infinity."""
        return np.isposinf(self.special)

    @property
    def negative_infinity(self) -> npt.NDArray[np.bool_]:
        """Where the number is −infinity."""
        return np.isneginf(self.special)

    @property
    def sign(self) -> Signs:
        """1 and −1; of zeros ``zero_sign``. Of what is not finite it does not matter."""
        zero_sign = np.int8(1) if self.zero_sign is None else self.zero_sign
        return np.where(self.integers == 0, zero_sign, np.where(self.integers > 0, 1, -1)).astype(
            np.int8
        )

    def __getitem__(self, index: Any) -> ExactArray:
        """The chosen numbers; ``index`` leaves at least one axis."""
        zero_sign = None if self.zero_sign is None else self.zero_sign[index]
        return ExactArray(self.integers[index], self.lsb_exponent, self.special[index], zero_sign)


def largest_steps(number_format: Scalar) -> int:
    """The largest magnitude of the format's finite values, in steps of 2^lsb_exponent."""
    f = number_format
    return int(math.ldexp(max(abs(f.min), abs(f.max)), -f.lsb_exponent))


def fixed_point(number_format: Scalar, values: npt.ArrayLike) -> Integers:
    """Values of ``number_format`` (any shape, float64) as multiples of its smallest step.

    int64, or Python ints in an object array where the format's extremes need more.
    InputError if a value is not one of the format's.
    """
    numbers = _float64(values)
    steps = np.ldexp(numbers, -number_format.lsb_exponent)
    in_range = (numbers >= number_format.min) & (numbers <= number_format.max)
    if not (in_range & (steps == np.rint(steps))).all():
        raise InputError(f"some values are not values of {number_format}: quantize them first")
    return _integers(steps, largest_steps(number_format) <= INT64_MAX)


def _float64(values: npt.ArrayLike) -> Floats:
    """Values as float64; InputError for one that is not exactly that, such as 2^53 + 1."""
    reals = real_numbers(values)
    if reals.inexact is not None:
        raise InputError("some values are no float64, such as whole numbers past 2^53: round them")
    return reals.floats.astype(np.float64)


def decode(number_format: Scalar, codes: npt.ArrayLike) -> ExactArray:
    """The numbers that ``codes`` are in ``number_format``, of the same shape.

    int64 where the format's values fit as multiples of its smallest step, else Python ints.
    InputError as for ``dot``.
    """
    finite, special = _split_specials(_steps(number_format, codes))
    fits = largest_steps(number_format) <= INT64_MAX
    integers = _integers(finite, fits)
    return ExactArray(integers, number_format.lsb_exponent, special, _sign_bits(finite))


def from_values(values: npt.ArrayLike) -> ExactArray:
    """Any float64 numbers as they are, of the same shape; Python ints in an object array.

    InputError for what is no float64.
    """
    finite, special = _split_specials(_float64(values))
    fraction, exponent = np.frexp(finite)
    significand = np.ldexp(fraction, 53).astype(np.int64).astype(object)
    lowest = int(exponent.min(initial=0))
    return ExactArray(
        np.asarray(significand << (exponent - lowest).astype(object), dtype=object),
        lowest - 53,
        special,
        _sign_bits(finite),
    )


def product(
    a_format: Scalar, b_format: Scalar, a_codes: npt.ArrayLike, b_codes: npt.ArrayLike
) -> ExactArray:
    """The exact product of each two codes; shapes broadcast. Types and errors as for ``dot``."""
    a, b = np.asarray(a_codes)[..., np.newaxis], np.asarray(b_codes)[..., np.newaxis]
    return dot(a_format, b_format, a, b)


def dot(
    a_format: Scalar,
    b_format: Scalar,
    a_codes: npt.ArrayLike,
    b_codes: npt.ArrayLike,
    axis: int = -1,
) -> ExactArray:
    """Exact dot products of codes along ``axis``, of any length; the other axes remain.

    ``a_codes``, ``b_codes``: unsigned bit patterns whose shapes broadcast. The result is int64
    where the formats' largest product times the length fits, else Python ints. InputError for
    something else than codes, shapes that do not go together, and formats whose values have no
    common step (logarithms with fractions).
    """
    a, b = _checked(a_format, a_codes), _checked(b_format, b_codes)
    try:
        a, b = (np.moveaxis(codes, axis, -1) for codes in np.broadcast_arrays(a, b))
    except ValueError as error:
        raise InputError(f"codes of shapes {a.shape} and {b.shape}, axis {axis}: {error}") from None
    largest = largest_steps(a_format) * largest_steps(b_format)
    if a_format.precision + b_format.precision > 53:
        raise InputError(
            f"{a_format} and {b_format} have {a_format.precision} and {b_format.precision} "
            "significant bits: products are exact up to 53 together"
        )
    shape, length = a.shape[:-1], a.shape[-1]
    rows = math.prod(shape)
    a, b = a.reshape(rows, length), b.reshape(rows, length)
    read_a, read_b = _reader(a_format), _reader(b_format)
    fits = largest * length <= INT64_MAX
    integers = np.full(rows, 0, np.int64 if fits else object)
    special = np.zeros(rows)
    segment = _segment_length(length, largest)
    some_rows = max(_CHUNK // max(segment, 1), 1)
    # Written to again and again: fresh memory would cost more than the arithmetic.
    scratch = np.empty((2, min(some_rows, rows) * segment))
    for first in range(0, rows, some_rows):
        chunk = slice(first, first + some_rows)
        for start in range(0, length, max(segment, 1)):
            terms = slice(start, start + segment)
            x, y = (
                read(codes[chunk, terms], out)
                for read, codes, out in zip((read_a, read_b), (a, b), scratch, strict=True)
            )
            sums, special_sums = _sums_of_products(x, y, largest, fits)
            integers[chunk] = sums if start == 0 else integers[chunk] + sums
            special[chunk] = _ieee_sum(special[chunk], special_sums)
    # A sum that met an infinity or a NaN in one segment keeps nothing of the others.
    integers[special != 0] = 0
    lsb_exponent = a_format.lsb_exponent + b_format.lsb_exponent
    zero_sign: Signs | None = None
    if not (a_format.is_integer and b_format.is_integer) and length:
        signs_of_rows = np.ones(rows, np.int8)
        zeros = np.flatnonzero((integers == 0) & (special == 0))
        for first in range(0, len(zeros), max(_CHUNK // length, 1)):
            chosen = zeros[first : first + max(_CHUNK // length, 1)]
            signs = [_sign_bits(_steps(f, c[chosen])) for f, c in ((a_format, a), (b_format, b))]
            signs_of_rows[chosen] = _sign_of_sum(signs[0] * signs[1], axis=-1)
        zero_sign = signs_of_rows.reshape(shape)
    return ExactArray(integers.reshape(shape), lsb_exponent, special.reshape(shape), zero_sign)


def add(x: ExactArray, y: ExactArray) -> ExactArray:
    """The sums x + y, element by element; shapes broadcast. Python ints in an object array."""
    lsb_exponent = min(x.lsb_exponent, y.lsb_exponent)
    left, right = (v.integers.astype(object) << (v.lsb_exponent - lsb_exponent) for v in (x, y))
    zero_sign = _sign_of_sum(np.stack(np.broadcast_arrays(x.sign, y.sign)), axis=0)
    return _exact_array(left + right, lsb_exponent, _ieee_sum(x.special, y.special), zero_sign)


def multiply(x: ExactArray, y: ExactArray) -> ExactArray:
    """The products x · y, element by element; shapes broadcast. Python ints in an object array."""
    with np.errstate(invalid="ignore"):
        # The sign of a number decides what its product with an infinity is.
        special = _sign_or_special(x) * _sign_or_special(y)
    integers = x.integers.astype(object) * y.integers.astype(object)
    special = np.where(np.isfinite(special), 0.0, special)
    return _exact_array(integers, x.lsb_exponent + y.lsb_exponent, special, x.sign * y.sign)


def scale(x: ExactArray, exponents: npt.ArrayLike) -> ExactArray:
    """The products x · 2^``exponents``; shapes broadcast. Python ints in an object array.

    InputError for exponents that are no whole numbers.
    """
    shifts = np.asarray(exponents)
    if not np.issubdtype(shifts.dtype, np.integer):
        raise InputError(f"exponents of type {shifts.dtype}: give whole numbers")
    lowest = int(shifts.min(initial=0))
    integers = x.integers.astype(object) << (shifts.astype(np.int64) - lowest).astype(object)
    special = np.broadcast_to(x.special, np.shape(integers))
    zero_sign = np.broadcast_to(x.sign, np.shape(integers))
    return _exact_array(integers, x.lsb_exponent + lowest, special, zero_sign)


def total(x: ExactArray, axis: int = -1) -> ExactArray:
    """The exact sums of ``x`` along ``axis``, which goes. Python ints in an object array."""
    with np.errstate(invalid="ignore"):
        special = np.asarray(x.special.sum(axis=axis))
    integers = x.integers.astype(object).sum(axis=axis)
    return _exact_array(integers, x.lsb_exponent, special, _sign_of_sum(x.sign, axis))


def integer_zeros(x: ExactArray) -> ExactArray:
    """``x`` with +0 for every zero: of sums of integers, which have no −0."""
    return ExactArray(x.integers, x.lsb_exponent, x.special)


def _checked(number_format: Scalar, codes: npt.ArrayLike) -> npt.NDArray[np.integer]:
    """``codes`` as an array. InputError if they are not codes of ``number_format``."""
    pattern = np.asarray(codes)
    if not np.issubdtype(pattern.dtype, np.integer):
        raise InputError(f"codes of type {pattern.dtype}: give whole numbers, the bit patterns")
    bits, possible = number_format.bits, np.iinfo(pattern.dtype)
    too_wide = possible.max >= 1 << bits and pattern.max(initial=0) >= 1 << bits
    if too_wide or (possible.min < 0 and pattern.min(initial=0) < 0):
        raise InputError(f"some codes are outside 0 … 2^{bits}−1, the codes of {number_format}")
    return pattern


def _exact_array(integers: Any, lsb_exponent: int, special: Floats, zero_sign: Signs) -> ExactArray:
    """Python ints and what stands for them; 0-dimensional results stay arrays."""
    numbers = np.where(special != 0, 0, np.asarray(integers, dtype=object))
    return ExactArray(numbers, lsb_exponent, np.asarray(special), np.asarray(zero_sign))


def _sign_bits(numbers: Floats) -> Signs:
    """−1 where the sign bit is set, of −0 too, else 1."""
    return np.where(np.signbit(numbers), -1, 1).astype(np.int8)


def _sign_of_sum(signs: Signs, axis: int) -> Signs:
    """The sign of a zero sum along ``axis``: that of all addends, or 0 for those of both signs.

    With no addends it is 1. (Addends that are not zero cancel: they are of both signs.)
    """
    positive, negative = (signs == 1).all(axis=axis), (signs == -1).all(axis=axis)
    return np.where(positive, 1, np.where(negative, -1, 0)).astype(np.int8)


def _ieee_sum(x: Floats, y: Floats) -> Floats:
    """The sum of specials: float64 addition has the very rules, zero standing for finite."""
    with np.errstate(invalid="ignore"):
        return np.asarray(x + y)


def _sign_or_special(x: ExactArray) -> Floats:
    """−1, 0 or 1 for finite numbers, else the infinity or NaN."""
    sign = (x.integers > 0).astype(np.float64) - (x.integers < 0).astype(np.float64)
    return np.where(x.special != 0, x.special, sign)


def _split_specials(numbers: Floats) -> tuple[Floats, Floats]:
    """``numbers`` with 0 for infinities and NaN; those alone, with 0 for finite numbers."""
    finite = np.isfinite(numbers)
    if finite.all():
        return numbers, np.zeros(numbers.shape)
    return np.where(finite, numbers, 0.0), np.where(finite, 0.0, numbers)


def _integers(values: Floats, fits: bool) -> Integers:
    """Whole float64 numbers as int64 (``fits``) or as Python ints."""
    if fits:
        return values.astype(np.int64)
    numbers = np.empty(values.size, dtype=object)
    numbers[:] = [int(v) for v in values.ravel().tolist()]
    return numbers.reshape(values.shape)


def _reader(number_format: Scalar) -> Callable[[npt.NDArray[np.integer], Floats], Floats]:
    """A function from codes to their ``_steps``; the result may lie in its second argument."""
    if number_format.bits > _TABLE_BITS:
        return lambda codes, scratch: _steps(number_format, codes)
    table = _table(number_format)

    def read(codes: npt.NDArray[np.integer], scratch: Floats) -> Floats:
        out = scratch[: codes.size].reshape(codes.shape)
        # Codes are checked before; of numpy's modes this one is the fastest.
        return np.take(table, codes, mode="wrap", out=out)

    return read


@lru_cache(maxsize=64)
def _table(number_format: Scalar) -> Floats:
    """The steps of every code."""
    return _steps(number_format, np.arange(1 << number_format.bits))


def _steps(number_format: Scalar, codes: npt.ArrayLike) -> Floats:
    """Values of codes in steps of 2^lsb_exponent, infinities and NaN as they are.

    Exact: scaled by a power of two, far inside float64's range.
    """
    return np.asarray(np.ldexp(number_format.decode(codes), -number_format.lsb_exponent))


def _segment_length(length: int, largest: int) -> int:
    """Terms to sum in one piece.

    So few that float64 holds every partial sum, if that still is a good many, else as many as fit
    the cache.
    """
    exact_terms = EXACT_FLOAT64 // max(largest, 1)
    return min(length, _SEGMENT, exact_terms if exact_terms >= min(length, 256) else length)


def _sums_of_products(x: Floats, y: Floats, largest: int, fits: bool) -> tuple[Integers, Floats]:
    """Σ x·y along the last axis of whole numbers, (rows, terms): integers and specials.

    ``x`` and ``y`` are used up. ``largest``: bound of every finite product; ``fits``: the sums fit
    int64.
    """
    with np.errstate(invalid="ignore"):
        if largest * x.shape[1] <= EXACT_FLOAT64:
            # Every partial sum, in any order, is a whole number that float64 holds.
            sums, special = _split_specials(np.einsum("ij,ij->i", x, y))
            return _integers(sums, fits), special
        # Exact: the significands have at most 53 bits together, and a factor at most 2^24·2^255
        # steps, far inside float64's range; so a rounded sum is finite unless a term is not.
        products = np.multiply(x, y, out=x)
        special = _split_specials(np.einsum("ij->i", products))[1]
    products[special != 0] = 0.0
    return _recombine(_partial_sums(products, scratch=y), fits), special


def _partial_sums(products: Floats, scratch: Floats) -> list[tuple[int, Floats]]:
    """Parts (k, part) of which Σ part·2^k is the sum of each row of whole numbers, (rows, terms).

    Parts are whole numbers up to 2^53, high ones first. The arguments, of one shape, are used up.

    The terms are cut at bit k: the part above it is what survives adding and subtracting
    1.5·2^(52+k), a multiple of 2^k with the same bound as the terms, and what remains is at most
    2^(k−1), exactly (Rump, Ogita and Oishi, Accurate Floating-Point Summation I, 2008, section 3).
    With n terms up to 2^p and k ≥ p + log2 n − 53 every partial sum of the high parts is a multiple
    of 2^k up to 2^(53+k), hence exact in float64, in any order.
    """
    length_bits = (products.shape[1] - 1).bit_length()
    parts = []
    while True:
        largest = max(float(products.max(initial=0.0)), -float(products.min(initial=0.0)))
        # frexp's exponent: largest < 2^p.
        p = math.frexp(largest)[1]
        k = p + length_bits - 53
        if k <= 0:
            parts.append((0, np.einsum("ij->i", products)))
            return parts
        # The sum with the constant must stay in its binade: p <= 51 + k.
        k = max(k, p - 51)
        constant = math.ldexp(1.5, 52 + k)
        high = np.add(products, constant, out=scratch)
        high -= constant
        products -= high
        parts.append((k, np.ldexp(np.einsum("ij->i", high), -k)))


def _recombine(parts: list[tuple[int, Floats]], fits: bool) -> Integers:
    """Σ part·2^k for every row: int64 if the sums are known to fit (``fits``), else Python ints."""
    integers = [(k, part.astype(np.int64)) for k, part in parts]
    # Intermediate sums may wrap around: those that fit come out right.
    small = sum((part << min(k, 63) for k, part in integers), np.zeros_like(integers[0][1]))
    if fits:
        return small
    # Python's integers are slow, and most sums do not need them.
    bound = sum(np.abs(part) * 2.0**k for k, part in parts)
    wide = np.flatnonzero(bound >= 2.0**62)
    sums = small.astype(object)
    exponent, high = integers[0][0], integers[0][1][wide].astype(object)
    for k, part in integers[1:]:
        high = (high << (exponent - k)) + part[wide].astype(object)
        exponent = k
    sums[wide] = high << exponent
    return sums
