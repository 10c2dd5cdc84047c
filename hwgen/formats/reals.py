"""Real numbers as they are given, and the floats that stand for them while they are encoded.

A number that is no float64 (a whole number past 2^53, a longdouble, a Fraction) is rounded to
odd: toward zero, with a last bit of one. Rounding that to a format with at most 51 significant
bits is the same as rounding the number itself, in every mode that compares with values and the
middles between them (Boldo and Melquiond, *Emulation of FMA and Correctly Rounded Sums: Proved
Algorithms Using Rounding to Odd*, IEEE Transactions on Computers 57(4), 2008). What needs more,
such as stochastic rounding, asks for the exact number.
"""

from __future__ import annotations

import math
import numbers
import sys
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.errors import InputError

Floats = npt.NDArray[np.float64]

#: Whole numbers up to this magnitude are float64 numbers.
EXACT_FLOAT64 = 2**53
#: A Decimal beyond 10 to these, far outside every format, stands at that bound: its digits, written
#: out, could fill the memory.
_DECIMAL_EXPONENTS = 2000


@dataclass(frozen=True, eq=False)
class Reals:
    """Numbers as they are given, and as floats.

    ``floats``: float32 or float64, any shape. Where ``inexact`` (of that shape; None: nowhere)
    the number in ``given`` is no float64, and stands there rounded to odd.
    """

    floats: npt.NDArray[np.float32] | Floats
    given: npt.NDArray[Any]
    inexact: npt.NDArray[np.bool_] | None = None

    def exact(self, index: int) -> Fraction:
        """The finite number at ``index`` of the flat array."""
        number = _exact(self.given.reshape(-1)[index])
        assert isinstance(number, Fraction)
        return number


def real_numbers(values: npt.ArrayLike) -> Reals:
    """Read ``values``, real numbers of any shape and kind.

    Whole numbers and floats of any width, bools, Fractions and Decimals may be mixed, in arrays of
    objects and in lists.

    Raises:
        InputError: something in them is not a real number, or masked.

    """
    if np.ma.is_masked(values):
        raise InputError("values are masked: give a number in place of each, such as filled() does")
    try:
        given = np.asarray(values)
        if isinstance(values, list | tuple) and given.dtype.kind == "f":
            given = _unmixed(values, given)
    except (ValueError, TypeError, OverflowError):  # Lists of different lengths, odd classes.
        given = np.asarray(None)
    kind, size = given.dtype.kind, given.dtype.itemsize
    if given.dtype in (np.float64, np.float32):
        return Reals(given, given)
    if given.dtype == np.float16 or kind == "b":
        return Reals(given.astype(np.float32), given)
    if kind in "iu":
        return _from_integers(given) if size > 4 else Reals(given.astype(np.float64), given)
    if kind == "f" and size > 8:
        return _from_longdouble(given.astype(np.longdouble))
    if kind == "O":
        return _from_objects(given)
    if kind not in "cSUMm" and np.can_cast(given.dtype, np.float64, "safe"):
        return Reals(given.astype(np.float64), given)  # The types of ml_dtypes among them.
    raise InputError(f"values of type {given.dtype}: give real numbers, such as float32 or int64")


def _unmixed(values: Any, given: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """``values`` as objects if numpy rounded whole numbers to put them beside floats."""
    if given.dtype.itemsize < 8:
        return given
    objects = np.asarray(values, dtype=object)
    for value in objects.flat:
        if isinstance(value, int | np.integer) and abs(int(value)) > EXACT_FLOAT64:
            return objects
    return given


def _from_integers(given: npt.NDArray[Any]) -> Reals:
    native = given.astype(given.dtype.newbyteorder("="))
    floats = native.astype(np.float64)
    # −2^63 has no magnitude in int64: it wraps to itself, which read without sign is right.
    magnitude = np.abs(native).view(np.uint64)
    is_far = magnitude > EXACT_FLOAT64
    if not is_far.any():
        return Reals(floats, native)
    # frexp's exponent is the number of bits, or one more where float64 rounded up.
    dropped = np.maximum(np.frexp(magnitude.astype(np.float64))[1] - 53, 0)
    places = dropped.astype(np.uint64)
    upper = magnitude >> places
    is_cut = (upper << places) != magnitude
    odd = np.copysign(np.ldexp((upper | is_cut).astype(np.float64), dropped), floats)
    inexact = is_cut & is_far
    return Reals(np.where(inexact, odd, floats), native, inexact)


def _from_longdouble(given: npt.NDArray[Any]) -> Reals:
    with np.errstate(over="ignore", under="ignore"):
        nearest = np.array(given, dtype=np.float64)
    inexact = (nearest != given) & ~np.isnan(given)
    if not inexact.any():
        return Reals(nearest, given)
    patterns = nearest.view(np.int64)
    patterns -= inexact & (np.abs(nearest) > np.abs(given))
    patterns |= inexact
    return Reals(nearest, given, inexact)


def _from_objects(given: npt.NDArray[Any]) -> Reals:
    floats, inexact = np.empty(given.size, np.float64), np.zeros(given.size, np.bool_)
    for index, value in enumerate(given.flat):
        exact = _exact(value)
        floats[index] = to_odd(exact) if isinstance(exact, Fraction) else exact
        inexact[index] = isinstance(exact, Fraction) and Fraction(floats[index]) != exact
    shape = given.shape
    return Reals(floats.reshape(shape), given, inexact.reshape(shape) if inexact.any() else None)


def _exact(value: Any) -> Fraction | float:
    """A number as a Fraction; infinities, NaN and zeros with their sign as a float."""
    if isinstance(value, np.bool_):
        return float(value)
    if isinstance(value, numbers.Rational):
        return Fraction(int(value.numerator), int(value.denominator))
    if isinstance(value, float | np.floating | Decimal):
        if isinstance(value, Decimal) and value.is_nan():  # float() refuses a signalling one.
            return -math.nan if value.is_signed() else math.nan
        finite = value.is_finite() if isinstance(value, Decimal) else math.isfinite(value)
        if not finite or value == 0:
            return float(value)
        if isinstance(value, Decimal) and abs(value.adjusted()) > _DECIMAL_EXPONENTS:
            power = _DECIMAL_EXPONENTS if value.adjusted() > 0 else -_DECIMAL_EXPONENTS
            return (-1 if value < 0 else 1) * Fraction(10) ** power
        return Fraction(*value.as_integer_ratio())
    raise InputError(
        f"values must be real numbers, of one array's shape: {value!r} is none (text, None and "
        "lists of different lengths are not)"
    )


def to_odd(number: Fraction) -> float:
    """``number`` if it is a float64, else its neighbour whose last bit is one.

    That is the one toward zero or the one beyond. What is beyond all of them becomes the largest
    float64.
    """
    sign, magnitude = -1.0 if number < 0 else 1.0, abs(number)
    try:
        nearest = magnitude.numerator / magnitude.denominator
    except OverflowError:
        return sign * sys.float_info.max
    if Fraction(nearest) == magnitude:
        return sign * nearest
    lower = math.nextafter(nearest, 0) if Fraction(nearest) > magnitude else nearest
    return sign * (lower if np.float64(lower).view(np.int64) & 1 else math.nextafter(lower, np.inf))
