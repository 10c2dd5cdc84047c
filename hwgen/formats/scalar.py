"""What all scalar formats share: codes in, values out, and the way back.

A scalar format is a frozen dataclass that says what is known of its codes
(``hwgen.formats.encoding``), what each means (``_values``) and which a number rounds to
(``_codes``). Everything else is here: checks of what is given, NaN, work in pieces that fit the
cache, and tables for small formats, which are made with the same two methods.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from hwgen.errors import InputError
from hwgen.fields import require_choice, shown
from hwgen.formats.encoding import Encoding
from hwgen.formats.reals import Reals, real_numbers
from hwgen.formats.rounding import NEAREST_EVEN, RANDOM_BITS, STOCHASTIC, check_mode
from hwgen.formats.types import Extent, as_type, checked_type, extent_of

#: What becomes of a number beyond the largest: the largest; the format's infinity or NaN; or
#: that for infinities only (P3109: SatFinite, OvfInf, SatPropagate; OFP8 has the first two).
SATURATE, SPECIAL, PROPAGATE = "saturate", "special", "propagate"
OVERFLOWS = (SATURATE, SPECIAL, PROPAGATE)

#: Numbers worked on at a time, so that temporaries stay in the cache and memory stays small.
CHUNK = 2**15
#: From this many values on, a table for encoding is worth making.
WORTH_A_TABLE = 2**12
#: Formats of up to this many bits are decoded by table.
DECODED_BY_TABLE = 16
#: Bits of a float32 that may index a table for encoding, a bit for the rest among them.
MAX_KEY_BITS = 19

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class Scalar(Encoding):
    """A number format of single numbers.

    A code is the bit pattern as an unsigned integer, a value is a float64. ``str`` of a
    format is its name, and ``hwgen.parse`` of that is the format again.
    """

    #: A single number is a block of one, its own element, that has no scale.
    block_size: ClassVar[int] = 1
    scale: ClassVar[None] = None

    def __init_subclass__(cls) -> None:
        """``dataclass`` writes a repr only into a class that has none."""
        cls.__repr__ = Scalar.__repr__  # type: ignore[method-assign]

    def __repr__(self) -> str:
        """The format again, if Python evaluates it."""
        return f"parse({str(self)!r})"

    @classmethod
    @abstractmethod
    def parse(cls, name: str) -> Self | None:
        """The format called ``name``, or None if that is not the name of one of this kind.

        Raises:
            InputError: the name is of this kind, and there is no such format.

        """

    @property
    def element(self) -> Self:
        """Itself: of a block format, the format of its elements."""
        return self

    @property
    def usual_overflow(self) -> str:
        """What hardware makes of results beyond the largest unless told otherwise.

        An infinity if the format has one, as in IEEE 754, else the largest.
        """
        return SPECIAL if self.has_infinity else SATURATE

    @abstractmethod
    def _values(self, codes: Integers) -> Floats:
        """Values of codes of any shape, from 0 to 2^bits − 1."""

    @abstractmethod
    def _codes(
        self,
        numbers: Floats,
        rounding: str,
        overflow: str,
        random_bits: npt.NDArray[np.integer] | None,
    ) -> Integers:
        """Codes of numbers of one dimension, infinities among them; no NaN without a code."""

    @property
    def code_dtype(self) -> np.dtype[Any]:
        """The unsigned integer type that ``encode`` returns."""
        return np.dtype(np.uint8 if self.bits <= 8 else np.uint16 if self.bits <= 16 else np.uint32)

    def decode(self, codes: npt.ArrayLike, dtype: npt.DTypeLike = np.float64) -> npt.NDArray[Any]:
        """Codes (unsigned integers, any shape) to their values, exact.

        ``dtype``: float64, which holds every value of every format, or float16, float32 or
        longdouble if that holds all finite values of this one; ``object`` for Fractions.

        Raises:
            InputError: a type that does not, whatever the codes are; codes that the format does not
                have.

        """
        patterns = _whole_codes(codes, self)
        value_dtype = checked_type(dtype, extent(self), self)
        if self.bits <= DECODED_BY_TABLE:
            # The codes are known to be in range; clipping is numpy's fastest check.
            table = _value_table(self, value_dtype)
            return np.asarray(table.take(patterns, mode="clip"))
        values = np.empty(patterns.shape, value_dtype)

        def work(piece: slice) -> None:
            numbers = self._values(patterns.reshape(-1)[piece].astype(np.int64))
            values.reshape(-1)[piece] = as_type(numbers, value_dtype)

        _in_pieces(patterns.size, work)
        return values

    def quantize(
        self,
        values: npt.ArrayLike,
        rounding: str = NEAREST_EVEN,
        overflow: str = SATURATE,
        *,
        random_bits: npt.NDArray[np.integer] | None = None,
        nan: float | None = None,
        dtype: npt.DTypeLike = np.float64,
    ) -> npt.NDArray[Any]:
        """The format's value for each of ``values`` (any shape): rounded, then clamped.

        Arguments and errors as for ``encode`` and, ``dtype``, for ``decode``.
        """
        value_dtype = checked_type(dtype, extent(self), self)
        if value_dtype.kind == "O":
            codes = self._rounded(values, rounding, overflow, random_bits, nan, None)
            return self.decode(codes, object)
        return self._rounded(values, rounding, overflow, random_bits, nan, value_dtype)

    def encode(
        self,
        values: npt.ArrayLike,
        rounding: str = NEAREST_EVEN,
        overflow: str = SATURATE,
        *,
        random_bits: npt.NDArray[np.integer] | None = None,
        nan: float | None = None,
    ) -> npt.NDArray[Any]:
        """Values (real numbers, any shape) to codes: uint8, uint16 or uint32.

        Whole numbers of any size, floats of any width, Fractions and Decimals are rounded once,
        as they are, from arrays and from lists that mix them.

        ``rounding``: one of ``rounding.MODES``; ``random_bits`` (whole numbers below 2^32, of
        the values' shape) for the stochastic one. ``overflow``: numbers that round beyond the
        largest become the largest (``saturate``), the format's infinity or else NaN
        (``special``), or that only if they are infinite (``propagate``). With ``special``, what a
        directed mode rounds toward the range stops at its end, and other negative numbers are NaN
        in a format without sign. P3109's finite formats saturate always. The sign of zero is
        kept where the format has it. ``nan`` replaces NaN where the format has none.

        Raises:
            InputError: values that are no real numbers; NaN in a format without it, if ``nan`` does
                not replace it; an unknown rounding or overflow, or an overflow to a code that the
                format does not have; random bits that are missing, or given to another rounding.

        """
        return self._rounded(values, rounding, overflow, random_bits, nan, None)

    def _rounded(
        self,
        values: npt.ArrayLike,
        rounding: str,
        overflow: str,
        random_bits: npt.NDArray[np.integer] | None,
        nan: float | None,
        dtype: np.dtype[Any] | None,
    ) -> npt.NDArray[Any]:
        """Codes of ``values`` or, with ``dtype``, their values."""
        require_choice("overflow", overflow, OVERFLOWS)
        if overflow != SATURATE and not (self.has_infinity or self.has_nan):
            raise InputError(f"{self} has neither infinity nor NaN: use overflow='saturate'")
        reals = real_numbers(values)
        numbers = reals.floats
        check_mode(rounding, random_bits, numbers.shape)
        if nan is not None:
            nan = self._number_for_nan(nan)
        flat = numbers.reshape(-1)
        drawn = None if random_bits is None else np.asarray(random_bits).reshape(-1)
        if reals.inexact is not None and (drawn is not None or not self.halves_by_value):
            flat, drawn = self._stand_ins(reals, rounding, drawn)
        results = np.empty(numbers.size, dtype or self.code_dtype)
        key_bits = _key_bits(self)
        table = None
        if numbers.size >= WORTH_A_TABLE and rounding != STOCHASTIC and key_bits is not None:
            table = _rounding_table(self, rounding, overflow, key_bits, dtype)

        def work(piece: slice) -> None:
            part = flat[piece]
            missing = np.isnan(part)
            if not self.has_nan and missing.any():
                if nan is None:
                    raise InputError(
                        f"{np.count_nonzero(np.isnan(flat))} of {flat.size} values are NaN and "
                        f"{self} has no NaN: remove or replace them before encoding"
                    )
                part = np.where(missing, nan, part.astype(np.float64))
            if table is not None and key_bits is not None:
                np.take(table, _keys(part, key_bits), out=results[piece], mode="clip")
                return
            random = None if drawn is None else drawn[piece]
            # Signalling NaNs, and numbers far beyond the range, are no cause to warn.
            with np.errstate(invalid="ignore", over="ignore"):
                codes = self._codes(part.astype(np.float64), rounding, overflow, random)
            results[piece] = codes if dtype is None else self.decode(codes, dtype)

        _in_pieces(flat.size, work)
        return results.reshape(numbers.shape)

    @staticmethod
    def _number_for_nan(nan: Any) -> float:
        """What is to stand for NaN, as a float64."""
        try:
            given = real_numbers(nan)
        except InputError:
            given = real_numbers(np.nan)
        if given.floats.ndim or given.inexact is not None or np.isnan(given.floats):
            raise InputError(
                f"nan={shown(nan)}: give a number that a float64 holds, in the place of NaN"
            )
        return float(given.floats)

    def _stand_ins(
        self, reals: Reals, rounding: str, drawn: npt.NDArray[np.integer] | None
    ) -> tuple[Floats, npt.NDArray[np.integer] | None]:
        """Flat floats, and random bits, that are rounded as ``reals`` are.

        Where rounding to odd decides too early, the number is rounded here, and its random bits are
        zero.
        """
        assert reals.inexact is not None
        flat = reals.floats.reshape(-1).astype(np.float64)
        random_bits = None if drawn is None else drawn.copy()
        for index in np.flatnonzero(reals.inexact).tolist():
            bits = 0 if drawn is None else int(drawn[index])
            flat[index] = self._stand_in(reals.exact(index), flat[index], rounding, bits)
            if random_bits is not None:
                random_bits[index] = 0
        return flat, random_bits

    def _stand_in(self, number: Fraction, odd: float, rounding: str, drawn: int) -> float:
        """The float64 that is rounded as ``number`` is with ``drawn``.

        It lies between the format's neighbours of ``number``, or is one of them; ``odd`` is
        ``number`` rounded to odd. Here for stochastic rounding in steps: the steps of the number
        and the random bits as parts of a step are added, and what is below a step is cut off.
        """
        if not abs(odd) < 4 * self.max:
            return odd
        step = max(math.frexp(odd)[1] - self.precision, self.lsb_exponent)
        parts = abs(number) * Fraction(2) ** (RANDOM_BITS - step)
        steps = (math.floor(parts) + drawn) >> RANDOM_BITS
        return math.copysign(math.ldexp(steps, step), odd)

    def finite_values(self) -> Floats:
        """All finite values, float64, rising, each once.

        Raises:
            InputError: a format of more than 16 bits.

        """
        if self.bits > DECODED_BY_TABLE:
            raise InputError(f"{self} has 2^{self.bits} codes: too many to list")
        values = _value_table(self, np.dtype(np.float64))
        # Adding zero makes −0 and 0 the one value that they are.
        return np.unique(values[np.isfinite(values)] + 0.0)

    def significands(self, codes: npt.ArrayLike) -> tuple[Integers, Integers]:
        """Whole numbers s and e of the codes' shape with value = s·2^e, for exact arithmetic.

        ``s`` has at most ``precision`` bits and a sign; zero is 0·2^0. Both are int64.

        Raises:
            InputError: codes of infinities and NaN, which have none, or that the format does not
                have.

        """
        values = self.decode(codes)
        if not np.isfinite(values).all():
            raise InputError(f"some codes of {self} are infinite or NaN: they have no significand")
        fraction, exponent = np.frexp(values)
        significand = np.ldexp(fraction, self.precision).astype(np.int64)
        step = exponent.astype(np.int64) - self.precision
        return significand, np.where(significand == 0, 0, step)


def _in_pieces(size: int, work: Callable[[slice], None]) -> None:
    for first in range(0, size, CHUNK):
        work(slice(first, first + CHUNK))


def _whole_codes(codes: npt.ArrayLike, number_format: Scalar) -> npt.NDArray[np.integer]:
    """``codes`` as an integer array; InputError if one is not a code of the format."""
    if np.ma.is_masked(codes):
        raise InputError("codes are masked: give one in place of each, such as filled() does")
    try:
        given = np.asarray(codes)
    except (ValueError, TypeError):  # Lists of different lengths, odd classes.
        given = np.asarray(None)
    if given.size == 0 and given.dtype == np.float64:
        given = given.astype(np.uint8)  # An empty list has numpy's default type.
    count = 1 << number_format.bits
    if not np.issubdtype(given.dtype, np.integer) or (
        np.iinfo(given.dtype).max >= count or np.iinfo(given.dtype).min < 0
    ):
        are_integers = np.issubdtype(given.dtype, np.integer)
        if not are_integers or (given.size and (given.min() < 0 or given.max() >= count)):
            raise InputError(
                f"codes of {number_format} are whole numbers from 0 to {count - 1}, got "
                + (f"{given.min()} to {given.max()}" if are_integers else f"type {given.dtype}")
            )
    return given


@lru_cache(maxsize=128)
def _value_table(number_format: Scalar, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """The value of every code, in a type that holds them."""
    table = as_type(number_format._values(np.arange(1 << number_format.bits)), dtype)
    table.flags.writeable = False
    return table


@lru_cache(maxsize=512)
def extent(number_format: Scalar) -> Extent:
    """The bounds of the format's finite values."""
    f = number_format
    if f.bits <= DECODED_BY_TABLE:
        return extent_of(_value_table(f, np.dtype(np.float64)))
    # Wider ones have an odd multiple of their step and one with all bits of a significand.
    return Extent(f.precision, f.lsb_exponent, Fraction(max(f.max, -f.min)))


@lru_cache(maxsize=512)
def _key_bits(number_format: Scalar) -> int | None:
    """How many of a float32's upper bits, and one for those below, decide the code.

    None if too many. Codes change at values and half-way between them. All of those have
    ``precision`` + 1 significant bits and are multiples of half the smallest step; the mantissa
    bits in the key must tell them apart, among normal and among subnormal float32.
    """
    if not number_format.halves_by_value or number_format.max > 2.0**127:
        return None
    half = number_format.lsb_exponent - 1
    key_bits = 1 + 8 + max(number_format.precision, -126 - half) + 1
    return key_bits if key_bits <= MAX_KEY_BITS else None


@lru_cache(maxsize=128)
def _rounding_table(
    number_format: Scalar, rounding: str, overflow: str, key_bits: int, dtype: np.dtype[Any] | None
) -> npt.NDArray[Any]:
    """The code for each key or, with ``dtype``, the value.

    NaN, in formats without it, is not asked for.
    """
    keys = np.arange(1 << key_bits, dtype=np.uint32)
    low_bits = 33 - key_bits
    # With the last bit set a key stands for all numbers between two that have it clear.
    patterns = (keys >> 1 << low_bits) | (keys & 1) << (low_bits - 1)
    with np.errstate(invalid="ignore"):  # Signalling NaNs.
        inputs = patterns.view(np.float32).astype(np.float64)
    if not number_format.has_nan:
        inputs[np.isnan(inputs)] = number_format.max
    codes = number_format._codes(inputs, rounding, overflow, None)
    if dtype is None:
        table = codes.astype(number_format.code_dtype)
    else:
        table = number_format.decode(codes, dtype)
    table.flags.writeable = False
    return table


def _keys(numbers: npt.NDArray[np.float32] | Floats, key_bits: int) -> npt.NDArray[np.intp]:
    """The index into ``_rounding_table`` of each number."""
    low_bits = np.uint32(33 - key_bits)
    patterns = _to_odd(numbers) if numbers.dtype == np.float64 else numbers.view(np.uint32)
    keys = patterns >> low_bits
    keys <<= np.uint32(1)
    keys |= (patterns & ((np.uint32(1) << low_bits) - np.uint32(1))) != 0
    return keys.astype(np.intp)


def _to_odd(numbers: npt.NDArray[Any]) -> npt.NDArray[np.uint32]:
    """float64 as the bits of float32, rounded to odd: what is inexact ends in a one.

    Rounding that to fewer bits is the same as rounding the number itself (Boldo and
    Melquiond, *Emulation of FMA and Correctly Rounded Sums*).
    """
    with np.errstate(over="ignore", under="ignore"):
        nearest = numbers.astype(np.float32)
    back = nearest.astype(np.float64)
    patterns = nearest.view(np.uint32)
    patterns -= np.abs(back) > np.abs(numbers)
    patterns |= back != numbers
    return patterns
