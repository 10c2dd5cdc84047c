"""Rounding exact numbers to a format, in hardware: once, correctly.

A number comes with a sign and a magnitude, fixed-point (``FixedPoint``) or a significand to be
shifted (``Shifted``), and flags where it may be infinite or NaN. Two functions, in parts
(``hwgen.arithmetic.parts``), make a code of it: ``normalise`` moves the leading one to its place,
``to_code`` rounds and deals with what does not fit. ``fine``: shifts are in parts too.

Numbers are placed as if every minifloat had subnormals. In a format without them the codes'
lowest binade then begins at 2^M of those, and what lies below is dealt with by ``to_code``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed

from hwgen.arithmetic import path, shift
from hwgen.arithmetic.leading_one import FEW, leading_one_first
from hwgen.arithmetic.parts import Part, Parts, beside, last
from hwgen.errors import InputError
from hwgen.formats import Scalar
from hwgen.formats.rounding import (
    DOWN,
    MODES,
    NEAREST_AWAY,
    NEAREST_EVEN,
    RANDOM_BITS,
    STOCHASTIC,
    TOWARD_ZERO,
    UP,
)
from hwgen.formats.scalar import OVERFLOWS, SATURATE, SPECIAL

#: So many bits are asked at once whether any is set, in two LUTs.
_GROUP = 16


@dataclass(frozen=True)
class FixedPoint:
    """(−1)^sign · magnitude · 2^lsb_exponent; without ``sign`` not negative.

    Where ``nan`` or ``infinity`` (with the sign) is set, the magnitude does not count.
    """

    magnitude: Value
    lsb_exponent: int
    sign: Value | None = None
    nan: Value | None = None
    infinity: Value | None = None


@dataclass(frozen=True)
class Shifted:
    """(−1)^sign · significand · 2^(shift + lsb_exponent); otherwise as ``FixedPoint``."""

    significand: Value
    shift: Value
    lsb_exponent: int
    sign: Value | None = None
    nan: Value | None = None
    infinity: Value | None = None


@dataclass(frozen=True)
class Normal:
    """(−1)^sign · significand · 2^(field − bias − all bits of it but one), for the
    ``placing_bias`` of the format to round to: ``field``, at least ``lowest``, is what its
    exponent field would be. The top bit of ``significand`` is one, or the number is zero;
    otherwise as ``FixedPoint``.
    """

    significand: Value
    field: Value
    lowest: int
    sign: Value | None = None
    nan: Value | None = None
    infinity: Value | None = None


@dataclass(frozen=True)
class Normalised:
    """A magnitude in place: ``whole`` counts codes of a minifloat (of one with subnormals), or
    steps of an integer, that lie wholly below it; ``fraction`` is the rest, its highest bit one
    half."""

    whole: Value
    fraction: Value
    sign: Value | None = None
    nan: Value | None = None
    infinity: Value | None = None

    def map(self, change: Callable[[str, Value], Value]) -> Normalised:
        """Each part replaced: by a register of it, for instance."""
        parts = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{k: change(k, v) for k, v in parts.items() if v is not None})


def require_rounding(target: Scalar, rounding: str, overflow: str) -> None:
    """InputError unless hardware rounds to ``target`` so."""
    if rounding not in MODES:
        raise InputError(f"rounding={rounding!r}: use one of {', '.join(MODES)}")
    if overflow not in OVERFLOWS:
        raise InputError(f"overflow={overflow!r}: use one of {', '.join(OVERFLOWS)}")
    if overflow != SATURATE and not (target.has_infinity or target.has_nan):
        raise InputError(f"{target} has neither infinity nor NaN: use overflow='saturate'")
    if not target.has_hardware:
        raise InputError(
            f"{target} cannot be rounded to in hardware: use an integer, a fixed-point format or "
            "a minifloat, such as int8, bf16 or e4m3fn"
        )


def placing_bias(target: Scalar) -> int:
    """The bias of a format with subnormals that has its lowest full binade where ``target`` has
    it: the target's own, or one more where it has no subnormals."""
    return 1 - target.mantissa_bits - target.lsb_exponent


def normalise(
    m: Module,
    number: FixedPoint | Shifted,
    target: Scalar,
    rounding: str,
    name: str,
    *,
    fine: bool,
) -> Parts[Normalised]:
    """``number`` with its rounding point where ``target`` has it."""
    if isinstance(number, Shifted):
        if target.exponent_bits:
            found = yield from _place_significand(m, number, target, rounding, name, fine)
            return found
        number = yield from _shift_out(m, number, name, fine)
    if target.exponent_bits:
        found = yield from _place_leading_one(m, number, target, name, fine)
        return found
    # All steps are alike: the rounding point stands still.
    dropped = target.lsb_exponent - number.lsb_exponent
    magnitude = number.magnitude
    if dropped < 0:
        magnitude, dropped = Cat(Const(0, -dropped), magnitude), 0
    whole, fraction = magnitude[dropped:], magnitude[:dropped]
    if dropped > len(magnitude):
        fraction = Cat(magnitude, Const(0, dropped - len(magnitude)))
    return Normalised(whole, fraction, number.sign, number.nan, number.infinity)


def to_code(
    m: Module,
    number: Normalised,
    target: Scalar,
    rounding: str,
    overflow: str,
    name: str,
    random_bits: Value | None = None,
    *,
    fine: bool,
) -> Parts[Signal]:
    """The code that ``number`` rounds to: first rounding, then the rules for overflow.

    A negative number in a format without sign becomes zero or, with ``special`` and unless
    rounding goes up or toward zero, NaN. NaN in a format without it becomes zero. Where there is
    no zero its place is code 0, and zero counts as a negative number.
    """
    rounded = Signal(len(number.whole) + 1, name=f"{name}_rounded")
    if not target.zero and not target.mantissa_bits:
        # The upper of two codes has the even significand: ties go up.
        rounding_ = NEAREST_AWAY if rounding == NEAREST_EVEN else rounding
    else:
        rounding_ = rounding
    rounding_up = _increment(number, rounding_, random_bits, fine)
    increment, (number, random_bits) = yield from rounding_up
    m.d.comb += rounded.eq(number.whole + increment)
    values: list[Any] = [rounded, number, random_bits]
    rounded, number, random_bits = yield Part("rounded", path.adder(len(rounded)), values)
    sign = _sign(number)
    if target.is_integer:
        code = yield from _integer_code(m, rounded, sign, number, target, name)
        return code
    if not target.subnormals:
        above = _without_subnormals(m, rounded, sign, number, target, rounding, name, random_bits)
        compared = path.adder(len(number.whole) + (RANDOM_BITS if rounding == STOCHASTIC else 0))
        way = path.any_of(len(number.fraction)) + compared + path.Path(luts=2)
        rounded, number = yield Part("above", way, [above, number])
        sign = _sign(number)
    code = yield from _minifloat_code(m, rounded, sign, number, target, rounding, overflow, name)
    return code


def _sign(number: Normalised) -> Value:
    return number.sign if number.sign is not None else Const(0)


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
    half, rest = fraction[-1], fraction[:-1].any()
    if rounding == STOCHASTIC:
        assert random_bits is not None
        away = _carry(abs(wide)[:dropped], random_bits)
        # The magnitude of a negative number goes up where the number stays at its floor.
        up: Value = Mux(sign, fraction.any() & ~away, away)
    else:
        up = {
            NEAREST_EVEN: half & (rest | whole[0]),
            NEAREST_AWAY: half & (rest | ~sign),
            TOWARD_ZERO: sign & fraction.any(),
            UP: fraction.any(),
            DOWN: Const(0),
        }[rounding]
    rounded = Signal(signed(len(whole) + 1), name=name)
    m.d.comb += rounded.eq(whole + up)
    return rounded


def _carry(fraction: Value, random_bits: Value) -> Value:
    """Whether the fraction, cut to as many bits as are random, carries with them."""
    kept = fraction[-RANDOM_BITS:] if len(fraction) > RANDOM_BITS else fraction
    kept = Cat(Const(0, RANDOM_BITS - len(kept)), kept)
    return (kept + random_bits)[RANDOM_BITS]


def _increment(
    number: Normalised, rounding: str, random_bits: Value | None, fine: bool
) -> Parts[tuple[Value, Any]]:
    """Whether the magnitude is rounded up; beside it the number and the random bits."""
    fraction = number.fraction
    if len(fraction) == 0 or rounding == TOWARD_ZERO:
        return Const(0), [number, random_bits]
    if rounding == STOCHASTIC:
        assert random_bits is not None
        way, found = path.adder(RANDOM_BITS), _carry(fraction, random_bits)
    else:
        # Of one bit there is no rest.
        below = fraction if rounding in (UP, DOWN) else fraction[:-1]
        if fine and rounding != NEAREST_AWAY and len(below) > _GROUP:
            groups = [below[i : i + _GROUP].any() for i in range(0, len(below), _GROUP)]
            values: list[Any] = [Cat(groups), number, random_bits]
            below, number, random_bits = yield Part("groups", path.any_of(_GROUP), values)
        rest = below.any()
        if rounding != NEAREST_AWAY:
            values = [rest, number, random_bits]
            search = path.any_of(len(below))
            rest, number, random_bits = yield Part("rest", search, values)
        odd = number.whole[0] if len(number.whole) else Const(0)
        sign = _sign(number)
        half = number.fraction[-1]
        way = path.Path(luts=1)
        if rounding == NEAREST_EVEN:
            found = half & (rest | odd)
        elif rounding == NEAREST_AWAY:
            found = half
        else:
            found = rest & (sign if rounding == DOWN else ~sign)
    values = [found, number, random_bits]
    found, *others = yield Part("increment", way, values)
    return found, others


def _integer_code(
    m: Module, rounded: Value, sign: Value, number: Normalised, target: Scalar, name: str
) -> Parts[Signal]:
    code = Signal(target.bits, name=f"{name}_code")
    largest = (1 << (target.bits - int(target.signed))) - 1
    lowest = Mux(sign, largest + 1 if target.signed else 0, largest)
    beyond: Value = Signal(name=f"{name}_beyond")
    # A negative number is beyond what has no sign, however small.
    fits = (1 << len(rounded)) - 1 <= largest and (target.signed or number.sign is None)
    m.d.comb += beyond.eq(Const(0) if fits else rounded > lowest)
    if number.infinity is not None:
        beyond = beyond | number.infinity
    way = path.Path() if fits else path.Path(luts=1) + path.adder(len(rounded))
    beyond, rounded, sign, nan = yield Part("beyond", way, [beyond, rounded, sign, number.nan])
    lowest = Mux(sign, largest + 1 if target.signed else 0, largest)
    magnitude: Value = Signal(target.bits, name=f"{name}_magnitude")
    m.d.comb += magnitude.eq(Mux(beyond, lowest, rounded))
    magnitude, sign, nan = yield Part("limited", path.Path(luts=1), [magnitude, sign, nan])
    result = Mux(sign, -magnitude, magnitude)[: target.bits] if target.signed else magnitude
    way = path.negation(target.bits) if target.signed else path.Path()
    if nan is not None:
        result = Mux(nan, 0, result)
        way = way + path.Path(luts=1)
    m.d.comb += code.eq(result)
    return (yield from last("code", way, code))


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
    half, rest = (fraction[-1], fraction[:-1].any()) if len(fraction) else (Const(0), Const(0))
    anything = whole.any() | half | rest
    # The middle is 2^(M−1) steps and a half: without mantissa bits there are subnormals.
    at, above = whole == hidden // 2, whole > hidden // 2
    if rounding == STOCHASTIC:
        assert random_bits is not None
        # place/smallest + random/2^32 ≥ 1, times the smallest's 2^M + 1 steps and 2^32.
        missing = (1 << RANDOM_BITS) - random_bits
        padding = Const(0, max(0, RANDOM_BITS - len(fraction)))
        place = Cat(padding, fraction[max(0, len(fraction) - RANDOM_BITS) :], whole)
        up: Value = place >= (missing << target.mantissa_bits) + missing
    else:
        up = {
            NEAREST_EVEN: above | (at & half & rest),
            NEAREST_AWAY: above | (at & half),
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
) -> Parts[Signal]:
    f, code = target, Signal(target.bits, name=f"{name}_code")
    infinity = number.infinity if number.infinity is not None else Const(0)
    beyond: Value = Signal(name=f"{name}_beyond")
    # A comparison that the widths decide is one that linters warn of.
    compares = f.largest_code < (1 << len(rounded)) - 1
    passes = rounded > f.largest_code if compares else Const(0)
    way = path.adder(len(rounded)) if compares else path.Path()
    values = [passes, rounded, sign, number]
    passes, rounded, sign, number = yield Part("passes", way, values)
    infinity = number.infinity if number.infinity is not None else Const(0)
    m.d.comb += beyond.eq(passes | infinity)
    values = [beyond, rounded, sign, number]
    beyond, rounded, sign, number = yield Part("beyond", path.Path(luts=1), values)
    infinity = number.infinity if number.infinity is not None else Const(0)
    kept = Mux(beyond, f.largest_code, rounded)
    nan = number.nan if number.nan is not None else Const(0)
    nan_code = f.nan_code if f.has_nan else 0
    # Four signals decide each bit where the sign is not asked.
    way = path.Path(luts=1)
    if overflow != SATURATE and not f.saturates:
        lost = infinity
        if overflow == SPECIAL:
            # Rounding toward zero stops at the largest value; an infinity stays one.
            stops = {TOWARD_ZERO: Const(1), UP: sign, DOWN: ~sign}.get(rounding, Const(0))
            lost = infinity | (beyond & ~stops)
        if not f.signed:
            lost = lost & ~sign  # Below zero is not beyond the largest.
        if f.has_infinity:
            kept = Mux(lost, f.largest_code + 1, kept)
        else:
            nan = nan | lost
        if overflow == SPECIAL and rounding in (UP, DOWN):
            way = way + path.Path(luts=1)
    if f.signed:
        keep_sign = sign
        if f.nan_at_minus_zero:  # There is one zero.
            keep_sign = sign & (beyond | rounded.any())
            way = path.longer(way, path.any_of(len(rounded)) + path.Path(luts=2))
        result = Cat((kept | Const(0, f.bits - 1))[: f.bits - 1], keep_sign)
    else:
        negative = sign & (beyond | rounded.any())
        if not f.zero:
            negative = sign | ~(infinity | number.whole.any() | number.fraction.any())
        # Rounding toward zero or up stops at the least number.
        stops = rounding in (TOWARD_ZERO, UP)
        if overflow == SPECIAL and f.has_nan and not (stops or f.saturates):
            nan = nan | negative
        if number.sign is not None or not f.zero:
            bits = len(rounded) if f.zero else len(number.whole) + len(number.fraction)
            way = way + path.any_of(bits) + path.Path(luts=1)
        result = Mux(negative, 0, kept)
    m.d.comb += code.eq(Mux(nan, nan_code, result))
    return (yield from last("code", way, code))


def _place_leading_one(
    m: Module, number: FixedPoint, target: Scalar, name: str, fine: bool
) -> Parts[Normalised]:
    """Left shift until the leading one, or the place of the lowest binade's, is the top bit."""
    magnitude, lsb_exponent = number.magnitude, number.lsb_exponent
    significand_bits = target.mantissa_bits + 1
    lowest = 1 - placing_bias(target)
    above = len(magnitude) - 1 + lsb_exponent - lowest
    if above < 0:
        magnitude, above = Cat(magnitude, Const(0, -above)), 0
    if len(magnitude) <= significand_bits:
        magnitude = Cat(Const(0, significand_bits + 1 - len(magnitude)), magnitude)
    # A one put where the lowest binade begins ends the search there, for subnormal results;
    # where that is below the lowest bit, only zero has no leading one.
    most = min(above, len(magnitude) - 1)
    search: Value = magnitude[len(magnitude) - 1 - most :] | 1
    place: Value = Const(above)
    flags: list[Any] = [number.sign, number.nan, number.infinity]
    gone: Value = Const(0)
    for level in reversed(range(most.bit_length())):
        step = 1 << level
        if len(search) <= step:
            continue
        empty: Value = Signal(name=f"{name}_empty_{level}")
        shifted = Signal(len(magnitude), name=f"{name}_shifted_{level}")
        m.d.comb += empty.eq(~search[-step:].any())
        way = path.any_of(step)
        if step > FEW:
            values = [empty, magnitude, search, gone, place, flags]
            part = Part(f"empty_{level}", way, values)
            empty, magnitude, search, gone, place, flags = yield part
            way = path.Path()
        m.d.comb += shifted.eq(Mux(empty, magnitude << step, magnitude))
        moved = Mux(empty, search << step, search)[: len(search)]
        searched = Signal(len(search), name=f"{name}_search_{level}")
        m.d.comb += searched.eq(moved)
        # The rest of the shift is below ``step``: no more bits can matter.
        search = searched[-step:]
        if fine:
            gone = gone | (empty << level)
        else:
            place = place - (empty << level)
        values = [shifted, search, gone, place, flags]
        part = Part(f"leading_{level}", way + path.Path(luts=1), values)
        magnitude, search, gone, place, flags = yield part
    if fine:
        values = [above - gone, magnitude, flags]
        way = path.adder(len(gone) + 1)
        place, magnitude, flags = yield Part("place", way, values)
    codes = Signal((above + 1).bit_length() + target.mantissa_bits + 1, name=f"{name}_whole")
    field = place[: above.bit_length()] if above else Const(0)
    if above > most:
        field = Mux(magnitude[-1], field, 0)
    m.d.comb += codes.eq((field << target.mantissa_bits) + magnitude[-significand_bits:])
    fraction = magnitude[:-significand_bits]
    way = path.Path(luts=1) + path.adder(len(codes))
    placed = Normalised(codes, fraction, *flags)
    return (yield from last("placed", way, placed))


def _shift_out(m: Module, number: Shifted, name: str, fine: bool) -> Parts[FixedPoint]:
    """The shift done, to fixed point."""
    width = len(number.significand) + (1 << len(number.shift)) - 1
    magnitude = Signal(width, name=f"{name}_fixed")
    flags = [number.sign, number.nan, number.infinity]
    shifting = shift.left(m, number.significand, number.shift, width, "out", fine=fine)
    shifted, flags = yield from beside(shifting, flags)
    m.d.comb += magnitude.eq(shifted)
    return FixedPoint(magnitude, number.lsb_exponent, *flags)


def _place_significand(
    m: Module, number: Shifted, target: Scalar, rounding: str, name: str, fine: bool
) -> Parts[Normalised]:
    """Left shift of the significand until its leading one is the top bit, and right shift
    where the result is below the target's lowest binade."""
    search = leading_one_first(m, number.significand, name, fine=fine)
    rest: list[Any] = [number.shift, number.sign, number.nan, number.infinity]
    (significand, leading), (moved_by, *flags) = yield from beside(search, rest)
    # What the target's exponent field is, unless the result is subnormal.
    highest = len(significand) - 1 + number.lsb_exponent + placing_bias(target)
    exponent = moved_by - leading
    values = [significand, exponent, flags]
    part = Part("exponent", path.adder(len(exponent)), values)
    significand, exponent, flags = yield part
    field = exponent + highest
    values = [significand, field, flags]
    significand, field, flags = yield Part("field", path.adder(len(field)), values)
    lowest = highest - (len(significand) - 1)
    normal = Normal(significand, field, lowest, *flags)
    return (yield from place_normal(m, normal, target, rounding, name, fine=fine))


def place_normal(
    m: Module, number: Normal, target: Scalar, rounding: str, name: str, *, fine: bool
) -> Parts[Normalised]:
    """Right shift of the significand where the result is subnormal in ``target``, a minifloat
    with exponent bits. The field is used as it is: nothing is added but by rounding."""
    significand_bits = target.mantissa_bits + 1
    zeros = Const(0, max(0, significand_bits - len(number.significand)))
    significand: Value = Cat(zeros, number.significand)
    keeps_field: Value = significand[-1]
    if number.lowest < 1:
        # A shift past the half bit leaves only what tells that there is something.
        most = significand_bits + (RANDOM_BITS if rounding == STOCHASTIC else 1)
        most = min(most, 1 - number.lowest)
        needed = 1 - number.field
        subnormal: Value = Signal(name=f"{name}_subnormal")
        distance: Value = Signal(needed.shape(), name=f"{name}_distance")
        down: Value = Signal(range(most + 1), name=f"{name}_down")
        moved = Signal(len(significand) + most, name=f"{name}_moved")
        m.d.comb += [subnormal.eq(number.field < 1), distance.eq(needed)]
        way = path.adder(len(needed))
        values = [number, subnormal, distance]
        number, subnormal, distance = yield Part("subnormal", way, values)
        beyond = distance > most
        values = [number, subnormal, distance, beyond]
        number, subnormal, distance, beyond = yield Part("too_small", way, values)
        m.d.comb += down.eq(Mux(subnormal, Mux(beyond, most, distance), 0))
        values = [number, subnormal, down]
        number, subnormal, down = yield Part("down", path.Path(luts=1), values)
        significand = Cat(zeros, number.significand)
        keeps_field = significand[-1] & ~subnormal
        start = Cat(Const(0, most), significand)
        shifting = shift.right(m, start, down, "moved", fine=fine)
        shifted, (number, keeps_field) = yield from beside(shifting, [number, keeps_field])
        m.d.comb += moved.eq(shifted)
        significand = moved
    # The leading one is what the field says.
    field_bits = len(number.field) - int(number.field.shape().signed)
    field = Mux(keeps_field, number.field, 0)[:field_bits]
    whole = Signal(target.mantissa_bits + len(field), name=f"{name}_whole")
    m.d.comb += whole.eq(Cat(significand[-significand_bits:-1], field))
    fraction = significand[:-significand_bits]
    placed = Normalised(whole, fraction, number.sign, number.nan, number.infinity)
    return (yield from last("placed", path.Path(luts=1), placed))
