"""From a magnitude in its place to the code that it rounds to, in hardware.

Rounding first, then the rules for overflow, NaN and what has no sign. ``rounding_plan.coding`` says
what its segments are made of.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed

from hwgen.arithmetic.rounder import Normalised
from hwgen.arithmetic.segmented import Boundary, Segmented, last
from hwgen.formats import Scalar
from hwgen.formats.rounding import (
    DOWN,
    NEAREST_AWAY,
    NEAREST_EVEN,
    RANDOM_BITS,
    STOCHASTIC,
    TOWARD_ZERO,
    UP,
)
from hwgen.formats.scalar import SATURATE, SPECIAL
from hwgen.sizes.rounding import GROUP, actual_rounding, fits_integer


def to_code(
    m: Module,
    number: Normalised,
    target: Scalar,
    rounding: str,
    overflow: str,
    name: str,
    random_bits: Value | None = None,
    *,
    split: bool,
) -> Segmented[Signal]:
    """The code that ``number`` rounds to: first rounding, then the rules for overflow.

    A negative number in a format without sign becomes zero or, with ``special`` and unless
    rounding goes up or toward zero, NaN. NaN in a format without it becomes zero. Where there is
    no zero its place is code 0, and zero counts as a negative number.
    """
    rounded = Signal(len(number.whole) + 1, name=f"{name}_rounded")
    rounding_up = _increment(number, actual_rounding(target, rounding), random_bits, split)
    increment, (number, random_bits) = yield from rounding_up
    if number.carry is not None:
        increment = increment | number.carry
    m.d.comb += rounded.eq(number.whole + increment)
    values: list[Any] = [rounded, number, random_bits]
    rounded, number, random_bits = yield Boundary("rounded", values)
    sign = _sign(number)
    if target.is_integer:
        return (yield from _integer_code(m, rounded, sign, number, target, name))
    if not target.subnormals:
        above = _without_subnormals(m, rounded, sign, number, target, rounding, name, random_bits)
        rounded, number = yield Boundary("above", [above, number])
        sign = _sign(number)
    coding = _minifloat_code(m, rounded, sign, number, target, rounding, overflow, name)
    return (yield from coding)


def _sign(number: Normalised) -> Value:
    return number.sign if number.sign is not None else Const(0)


def _increment(
    number: Normalised, rounding: str, random_bits: Value | None, split: bool
) -> Segmented[tuple[Value, Any]]:
    """Whether the magnitude is rounded up; then the number and the random bits, carried along."""
    fraction = number.fraction
    if len(fraction) == 0 or rounding == TOWARD_ZERO:
        return Const(0), [number, random_bits]
    if rounding == STOCHASTIC:
        assert random_bits is not None
        up = _carry(fraction, random_bits)
    else:
        # Of one bit there is nothing below.
        below = fraction if rounding in (UP, DOWN) else fraction[:-1]
        if split and rounding != NEAREST_AWAY and len(below) > GROUP:
            groups = [below[i : i + GROUP].any() for i in range(0, len(below), GROUP)]
            values: list[Any] = [Cat(groups), number, random_bits]
            below, number, random_bits = yield Boundary("groups", values)
        sticky = below.any()
        if rounding != NEAREST_AWAY:
            values = [sticky, number, random_bits]
            sticky, number, random_bits = yield Boundary("rest", values)
        odd = number.whole[0] if len(number.whole) else Const(0)
        sign = _sign(number)
        half = number.fraction[-1]
        if rounding == NEAREST_EVEN:
            up = half & (sticky | odd)
        elif rounding == NEAREST_AWAY:
            up = half
        else:
            up = sticky & (sign if rounding == DOWN else ~sign)
    values = [up, number, random_bits]
    up, *carried = yield Boundary("increment", values)
    return up, carried


def _carry(fraction: Value, random_bits: Value) -> Value:
    """Whether the fraction, cut to as many bits as are random, carries with them."""
    drawn_over = fraction[-RANDOM_BITS:] if len(fraction) > RANDOM_BITS else fraction
    drawn_over = Cat(Const(0, RANDOM_BITS - len(drawn_over)), drawn_over)
    return (drawn_over + random_bits)[RANDOM_BITS]


def _integer_code(
    m: Module, rounded: Value, sign: Value, number: Normalised, target: Scalar, name: str
) -> Segmented[Signal]:
    code = Signal(target.bits, name=f"{name}_code")
    largest = (1 << (target.bits - int(target.signed))) - 1
    lowest = Mux(sign, largest + 1 if target.signed else 0, largest)
    beyond: Value = Signal(name=f"{name}_beyond")
    fits = fits_integer(len(rounded), target, has_sign=number.sign is not None)
    m.d.comb += beyond.eq(Const(0) if fits else rounded > lowest)
    if number.infinity is not None:
        beyond = beyond | number.infinity
    beyond, rounded, sign, nan = yield Boundary("beyond", [beyond, rounded, sign, number.nan])
    lowest = Mux(sign, largest + 1 if target.signed else 0, largest)
    magnitude: Value = Signal(target.bits, name=f"{name}_magnitude")
    m.d.comb += magnitude.eq(Mux(beyond, lowest, rounded))
    magnitude, sign, nan = yield Boundary("limited", [magnitude, sign, nan])
    result = Mux(sign, -magnitude, magnitude)[: target.bits] if target.signed else magnitude
    if nan is not None:
        result = Mux(nan, 0, result)
    m.d.comb += code.eq(result)
    return (yield from last("code", code))


def _without_subnormals(
    m: Module,
    rounded: Value,
    sign: Value,
    number: Normalised,
    target: Scalar,
    rounding: str,
    name: str,
    random_bits: Value | None,
) -> Signal:
    """The magnitude's code, from that in the format that has subnormals too.

    With u their step, the lowest binade begins at 2^M·u. Its first code is the smallest number
    or, where there is a zero, zero: then nothing lies between that and (2^M + 1)·u.
    """
    hidden = 1 << target.mantissa_bits
    code = Signal(len(rounded), name=f"{name}_above")
    if not target.zero:
        m.d.comb += code.eq(Mux(rounded < hidden, 0, rounded - hidden))
        return code
    whole, fraction = number.whole, number.fraction
    half, sticky = (fraction[-1], fraction[:-1].any()) if len(fraction) else (Const(0), Const(0))
    anything = whole.any() | half | sticky
    # The middle is 2^(M−1) steps and a half: without mantissa bits there are subnormals.
    is_middle, above = whole == hidden // 2, whole > hidden // 2
    if rounding == STOCHASTIC:
        assert random_bits is not None
        # place/smallest + random/2^32 ≥ 1, times the smallest's 2^M + 1 steps and 2^32.
        missing = (1 << RANDOM_BITS) - random_bits
        padding = Const(0, max(0, RANDOM_BITS - len(fraction)))
        place = Cat(padding, fraction[max(0, len(fraction) - RANDOM_BITS) :], whole)
        up: Value = place >= (missing << target.mantissa_bits) + missing
    else:
        up = {
            NEAREST_EVEN: above | (is_middle & half & sticky),
            NEAREST_AWAY: above | (is_middle & half),
            TOWARD_ZERO: Const(0),
            UP: anything & ~sign,
            DOWN: anything & sign,
        }[rounding]
    m.d.comb += code.eq(Mux(whole <= hidden, up, rounded - hidden))
    return code


def _minifloat_code(
    m: Module,
    rounded: Value,
    sign: Value,
    number: Normalised,
    target: Scalar,
    rounding: str,
    overflow: str,
    name: str,
) -> Segmented[Signal]:
    f, code = target, Signal(target.bits, name=f"{name}_code")
    infinity = number.infinity if number.infinity is not None else Const(0)
    beyond: Value = Signal(name=f"{name}_beyond")
    # A comparison that the widths decide is one that linters warn of.
    compares = f.largest_code < (1 << len(rounded)) - 1
    passes = rounded > f.largest_code if compares else Const(0)
    values = [passes, rounded, sign, number]
    passes, rounded, sign, number = yield Boundary("passes", values)
    infinity = number.infinity if number.infinity is not None else Const(0)
    m.d.comb += beyond.eq(passes | infinity)
    values = [beyond, rounded, sign, number]
    beyond, rounded, sign, number = yield Boundary("beyond", values)
    infinity = number.infinity if number.infinity is not None else Const(0)
    limited = Mux(beyond, f.largest_code, rounded)
    nan = number.nan if number.nan is not None else Const(0)
    nan_code = f.nan_code if f.has_nan else 0
    if overflow != SATURATE and not f.saturates:
        lost = infinity
        if overflow == SPECIAL:
            # Rounding toward zero stops at the largest value; an infinity stays one.
            stops = {TOWARD_ZERO: Const(1), UP: sign, DOWN: ~sign}.get(rounding, Const(0))
            lost = infinity | (beyond & ~stops)
        if not f.signed:
            lost = lost & ~sign  # Below zero is not beyond the largest.
        if f.has_infinity:
            limited = Mux(lost, f.largest_code + 1, limited)
        else:
            nan = nan | lost
    if f.signed:
        code_sign = sign
        if f.nan_at_minus_zero:  # There is one zero.
            code_sign = sign & (beyond | rounded.any())
        result = Cat((limited | Const(0, f.bits - 1))[: f.bits - 1], code_sign)
    else:
        negative = sign & (beyond | rounded.any())
        if not f.zero:
            negative = sign | ~(infinity | number.whole.any() | number.fraction.any())
        # Rounding toward zero or up stops at the least number.
        stops = rounding in (TOWARD_ZERO, UP)
        if overflow == SPECIAL and f.has_nan and not (stops or f.saturates):
            nan = nan | negative
        result = Mux(negative, 0, limited)
    m.d.comb += code.eq(Mux(nan, nan_code, result))
    return (yield from last("code", code))


def rounded_integer(
    m: Module,
    number: Value,
    lsb_exponent: int,
    unit_exponent: int,
    rounding: str,
    name: str,
    random_bits: Value | None = None,
) -> Signal:
    """A two's-complement ``number``, in units of 2^lsb_exponent, in units of 2^unit_exponent."""
    dropped = unit_exponent - lsb_exponent
    if dropped <= 0:
        exact = Signal(signed(len(number) - dropped), name=name)
        m.d.comb += exact.eq(number << -dropped)
        return exact
    wide = Signal(signed(max(len(number), dropped + 1)), name=f"{name}_wide")
    m.d.comb += wide.eq(number)
    sign, whole, fraction = wide[-1], wide[dropped:].as_signed(), wide[:dropped]
    half, sticky = fraction[-1], fraction[:-1].any()
    if rounding == STOCHASTIC:
        assert random_bits is not None
        away = _carry(abs(wide)[:dropped], random_bits)
        # The magnitude of a negative number goes up where the number stays at its floor.
        up: Value = Mux(sign, fraction.any() & ~away, away)
    else:
        up = {
            NEAREST_EVEN: half & (sticky | whole[0]),
            NEAREST_AWAY: half & (sticky | ~sign),
            TOWARD_ZERO: sign & fraction.any(),
            UP: fraction.any(),
            DOWN: Const(0),
        }[rounding]
    rounded = Signal(signed(len(whole) + 1), name=name)
    m.d.comb += rounded.eq(whole + up)
    return rounded
