"""Slow arithmetic on Python's fractions, for the tests of the golden model: no numpy, no limits."""

import math
from fractions import Fraction

from hwgen.formats.rounding import RANDOM_BITS

NAN, INFINITY = math.nan, math.inf


def exact(value):
    """A float as a Fraction; infinities and NaN as they are."""
    return Fraction(value) if math.isfinite(value) else value


def product(x, y):
    """IEEE's product of Fractions, infinities and NaN, without rounding."""
    if isinstance(x, Fraction) and isinstance(y, Fraction):
        return x * y
    if any(v != v for v in (x, y)) or 0 in (x, y):
        return NAN
    return INFINITY if (x > 0) == (y > 0) else -INFINITY


def total(terms):
    """IEEE's sum of Fractions, infinities and NaN, without rounding."""
    terms = list(terms)
    infinite = {v for v in terms if not isinstance(v, Fraction)}
    if any(v != v for v in infinite) or len(infinite) > 1:
        return NAN
    return infinite.pop() if infinite else sum(terms, Fraction(0))


def zero_is_negative(signs, mode):
    """IEEE 754-2019, 6.3: whether the zero sum of addends with these sign bits is -0."""
    signs = set(signs)
    return signs == {True} or (mode == "down" and True in signs)


def numbers(array):
    """An ExactArray's numbers as a flat list."""
    return [
        Fraction(int(i)) * Fraction(2) ** array.lsb_exponent if s == 0 else float(s)
        for i, s in zip(array.integers.ravel(), array.special.ravel(), strict=True)
    ]


def same(x, y):
    """Equality under which NaN equals NaN."""
    return x == y or (x != x and y != y)


def whole(x, mode, drawn=None):
    """The Fraction ``x`` rounded to a whole number, by the definition of each mode."""
    floor = math.floor(x)
    remainder = x - floor
    if remainder == 0:
        return floor
    if mode == "stochastic":  # Away from zero if the magnitude's fraction and the bits carry.
        carry = abs(x) % 1 + Fraction(drawn, 2**RANDOM_BITS) >= 1
        return (math.floor(abs(x)) + carry) * (1 if x > 0 else -1)
    half = Fraction(1, 2)
    return (
        floor
        + {
            "nearest_even": remainder > half or (remainder == half and floor % 2 == 1),
            "nearest_away": remainder > half or (remainder == half and x > 0),
            "toward_zero": x < 0,
            "up": True,
            "down": False,
        }[mode]
    )


def floor_log2(x):
    """Of a positive Fraction."""
    guess = x.numerator.bit_length() - x.denominator.bit_length()
    return guess if x >= Fraction(2) ** guess else guess - 1


def minifloat_value(x, number_format, mode="nearest_even", overflow="saturate", drawn=None):
    """What a signed minifloat with subnormals rounds the Fraction ``x`` to, and the sign.

    The value is a Fraction, infinity or NaN.
    """
    negative = x < 0
    largest = Fraction(number_format.max)
    lowest = 1 - number_format.bias
    exponent = max(floor_log2(abs(x)), lowest) if x else lowest
    step = Fraction(2) ** (exponent - number_format.mantissa_bits)
    rounded = whole(x / step, mode, drawn) * step
    if mode == "nearest_even" and number_format.mantissa_bits == 0 and abs(x) == step * 3 / 2:
        # Both neighbours are powers of two: of their codes, exponent fields, one is even.
        lower_code = exponent - lowest + 1
        rounded = (step if lower_code % 2 == 0 else 2 * step) * (-1 if negative else 1)
    if abs(rounded) <= largest:
        return rounded, negative
    toward_zero = mode == "toward_zero" or mode == ("up" if negative else "down")
    if overflow == "saturate" or toward_zero:
        return (-largest if negative else largest), negative
    if not number_format.has_infinity:
        return NAN, negative
    return (-INFINITY if negative else INFINITY), negative
