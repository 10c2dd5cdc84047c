"""Exact numbers rounded once: to a format's codes, or to whole multiples of a power of two."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.errors import InputError
from hwgen.formats import Scalar
from hwgen.formats.rounding import (
    DOWN,
    NEAREST_AWAY,
    NEAREST_EVEN,
    RANDOM_BITS,
    STOCHASTIC,
    TOWARD_ZERO,
    UP,
    check_mode,
)
from hwgen.formats.scalar import SATURATE
from sim.exact import ExactArray, Floats

#: Every number where a mode changes its mind is an even multiple of the format's smallest step
#: times this power of two: halves of steps, and for the stochastic mode parts of 2^-32.
_GUARD_BITS = 40
#: Significant bits of formats that a rounding to odd leaves all 32 bits which decide at random.
_ODD_PRECISION = 52 - RANDOM_BITS - 1


@dataclass(frozen=True, eq=False)
class Rounded:
    """Numbers that were rounded to the format ``target``.

    ``values``: float64, those with more bits rounded to odd; multiples of 2^``lsb_exponent``.
    """

    target: Scalar
    values: Floats
    lsb_exponent: int


#: Who wants to know what is rounded.
_watchers: list[list[Rounded]] = []


@contextlib.contextmanager
def watched() -> Iterator[list[Rounded]]:
    """Collects what is rounded to formats meanwhile, for those who ask what a stimulus reaches."""
    roundings: list[Rounded] = []
    _watchers.append(roundings)
    try:
        yield roundings
    finally:
        _watchers.remove(roundings)


def note(target: Scalar, values: Floats, lsb_exponent: int) -> None:
    """Tells the watchers that ``values`` are rounded to ``target``.

    They are float64, multiples of 2^``lsb_exponent``.
    """
    for roundings in _watchers:
        roundings.append(Rounded(target, values, lsb_exponent))


def round_to(
    numbers: ExactArray,
    output_format: Scalar,
    rounding: str = NEAREST_EVEN,
    overflow: str = SATURATE,
    *,
    random_bits: npt.NDArray[np.integer] | None = None,
    nan: float | None = None,
) -> npt.NDArray[Any]:
    """Codes of ``numbers`` in ``output_format``, correctly rounded, once.

    Shape that of ``numbers``; dtype and arguments those of the format's ``encode``, with its
    treatment of overflow, infinities and NaN; InputErrors as there, and for logarithmic formats.
    Where the format has −0, a negative number that rounds to zero becomes that, and an exact zero
    has the sign of IEEE 754-2019, section 6.3: that of its addends where they are alike, else
    + and, rounding down, −.

    With ``stochastic`` rounding a number between two neighbours goes away from zero if its
    distance from the nearer to zero, as a part of theirs, plus random_bits/2^32 is 1 or more.
    """
    # Rounding to odd first keeps every comparison that a second rounding makes, as long as
    # what it compares with (values of the format and, in the nearest modes, the middles
    # between them) are even multiples of the first rounding's unit (Boldo and Melquiond,
    # Emulation of a FMA and Correctly Rounded Sums: Proved Algorithms Using Rounding to Odd,
    # 2008). Here the unit is the last of 52 or 53 significant bits, where formats have up to
    # 24 and middles 25, and never below 2^-40 of the format's smallest step.
    if not output_format.halves_by_value:
        raise InputError(
            f"{output_format} rounds at irrational numbers, which is only done for float64: "
            "use a format that is not logarithmic"
        )
    lowest = output_format.lsb_exponent - _GUARD_BITS
    odd = _odd_int64 if numbers.integers.dtype == np.int64 else _odd_python
    values = odd(numbers.integers, numbers.lsb_exponent, lowest)
    values = np.where(numbers.integers == 0, _zeros(numbers, rounding), values)
    values = np.where(numbers.special != 0, numbers.special, values)
    note(output_format, values, numbers.lsb_exponent)
    if output_format.mantissa_bits >= _ODD_PRECISION:
        check_mode(rounding, random_bits, numbers.shape)
        if random_bits is not None:
            values = _rounded_at_random(numbers, output_format, values, random_bits)
            random_bits = np.zeros_like(random_bits)
    return output_format.encode(values, rounding, overflow, random_bits=random_bits, nan=nan)


def _zeros(numbers: ExactArray, rounding: str) -> Floats:
    """0.0 or −0.0, which the numbers are if they are zero."""
    sign = numbers.sign
    negative = (sign < 0) | ((sign == 0) & (rounding == DOWN))
    return np.where(negative, -0.0, 0.0)


def _odd_int64(integers: npt.NDArray[Any], lsb_exponent: int, lowest: int) -> Floats:
    """``integers``·2^lsb_exponent rounded to odd to 52 or 53 bits, none below 2^lowest."""
    magnitude = np.abs(integers).view(np.uint64)  # of −2^63 too: it wraps to itself
    # frexp's exponent is the number of bits, or one more where float64 rounded up.
    bits = np.frexp(magnitude.astype(np.float64))[1]
    shift = np.maximum(bits - 53, max(lowest - lsb_exponent, 0))
    # numpy's shifts by 64 places and more leave nothing, as they should.
    places = shift.astype(np.uint64)
    odd = magnitude >> places
    odd |= ((odd << places) != magnitude).astype(np.uint64)
    with np.errstate(over="ignore"):
        values = np.ldexp(odd.astype(np.float64), shift + lsb_exponent)
    # Past float64's largest is past four times any format's: there nothing changes any more.
    return np.asarray(np.copysign(np.minimum(values, sys.float_info.max), integers))


def _odd_python(integers: npt.NDArray[Any], lsb_exponent: int, lowest: int) -> Floats:
    """As ``_odd_int64``, of Python ints."""
    least = max(lowest - lsb_exponent, 0)

    def odd(integer: int) -> float:
        magnitude = abs(integer)
        shift = max(magnitude.bit_length() - 53, least)
        significand = magnitude >> shift
        significand |= int(significand << shift != magnitude)
        if significand.bit_length() + shift + lsb_exponent > sys.float_info.max_exp:
            value = sys.float_info.max
        else:
            value = math.ldexp(significand, shift + lsb_exponent)
        return -value if integer < 0 else value

    values = np.array([odd(v) for v in integers.ravel().tolist()], dtype=np.float64)
    return values.reshape(integers.shape)


def _rounded_at_random(
    numbers: ExactArray, target: Scalar, values: Floats, random_bits: npt.NDArray[np.integer]
) -> Floats:
    """``numbers`` stochastically rounded to numbers of ``target``, or beyond its largest.

    ``values``: the same, rounded to odd. Infinities, NaN, and what is below all numbers of a format
    without zero, stay.
    """

    def rounded(integer: int, value: float, drawn: int) -> float:
        magnitude, smallest = abs(integer), 0
        top = magnitude.bit_length() - 1 + numbers.lsb_exponent
        step = max(top - target.mantissa_bits, target.lsb_exponent)
        if abs(value) < target.smallest and not target.subnormals:
            if not target.zero:
                return value
            # Nothing lies between zero and the smallest number, one step above a power of two.
            smallest = (1 << target.mantissa_bits) + 1
        places = step - numbers.lsb_exponent
        if places <= 0 or not abs(value) < 4 * target.max:
            return value
        steps = magnitude >> places
        if smallest:
            # place/smallest + drawn/2^32 >= 1
            missing = ((1 << RANDOM_BITS) - drawn) * smallest
            steps = smallest * int((magnitude << RANDOM_BITS) >= (missing << places))
        else:
            remainder = magnitude - (steps << places)
            steps += (((remainder << RANDOM_BITS) >> places) + drawn) >> RANDOM_BITS
        return math.copysign(math.ldexp(steps, step), value)

    rows = zip(
        numbers.integers.ravel().tolist(),
        values.ravel().tolist(),
        random_bits.ravel().tolist(),
        strict=True,
    )
    return np.array([rounded(*row) for row in rows], dtype=np.float64).reshape(values.shape)


def round_to_multiples(
    numbers: ExactArray,
    exponent: int,
    rounding: str = NEAREST_EVEN,
    random_bits: npt.NDArray[np.integer] | None = None,
) -> npt.NDArray[np.object_]:
    """``numbers`` as whole multiples of 2^``exponent``, correctly rounded: Python ints.

    ``rounding``: one of ``hwgen.formats.rounding.MODES``; ``random_bits``: whole numbers below
    2^32 of the numbers' shape for the stochastic one, which is exact. What is infinite or NaN
    becomes 0. InputError for an unknown mode and wrong random bits.
    """
    check_mode(rounding, random_bits, numbers.shape)
    shift = exponent - numbers.lsb_exponent
    integers = numbers.integers.astype(object)
    if shift <= 0:
        return np.asarray(integers << -shift, dtype=object)
    drawn = np.broadcast_to(0 if random_bits is None else random_bits, integers.shape)
    goes_up = _GOES_UP[rounding]
    rounded = np.empty(integers.size, dtype=object)
    for index, (integer, bits) in enumerate(
        zip(integers.ravel().tolist(), drawn.ravel().tolist(), strict=True)
    ):
        floor = integer >> shift
        remainder = integer - (floor << shift)
        rounded[index] = floor + int(goes_up(floor, remainder, 1 << shift, bits))
    return rounded.reshape(integers.shape)


#: Whether ``floor + remainder/unit`` rounds to ``floor + 1``, with 0 <= remainder < unit.
_GOES_UP: dict[str, Callable[[int, int, int, int], bool]] = {
    NEAREST_EVEN: lambda floor, remainder, unit, drawn: 2 * remainder + (floor & 1) > unit,
    NEAREST_AWAY: lambda floor, remainder, unit, drawn: 2 * remainder + (floor >= 0) > unit,
    TOWARD_ZERO: lambda floor, remainder, unit, drawn: floor < 0 < remainder,
    UP: lambda floor, remainder, unit, drawn: remainder > 0,
    DOWN: lambda floor, remainder, unit, drawn: False,
    # Away from zero if the fraction of the magnitude and the random bits carry.
    STOCHASTIC: lambda floor, remainder, unit, drawn: (
        (remainder << RANDOM_BITS) + drawn * unit >= unit << RANDOM_BITS
        if floor >= 0
        else drawn * unit < remainder << RANDOM_BITS
    ),
}
