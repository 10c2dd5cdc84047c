"""Rounding exact numbers to a format, in hardware: once, correctly.

A number comes with a sign and a magnitude, fixed-point (``FixedPoint``) or a significand to be
shifted (``Shifted``), and flags where it may be infinite or NaN. Two functions, in segments
(``hwgen.arithmetic.segmented``), make a code of it: ``normalise`` moves the leading one to its
place, ``hwgen.arithmetic.coding.to_code`` rounds and deals with what does not fit. ``split``:
shifts are in segments too. ``rounding_plan.normalising`` says what the segments are made of.

Numbers are placed as if every minifloat had subnormals. In a format without them the codes'
lowest binade then begins at 2^M of those, and what lies below is dealt with by ``to_code``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from hwgen.arithmetic import shift
from hwgen.arithmetic.leading_one import leading_one_first
from hwgen.arithmetic.segmented import Boundary, Segmented, carry_along, last
from hwgen.formats import Scalar
from hwgen.formats.rounding import (
    RANDOM_BITS,
    STOCHASTIC,
)
from hwgen.plan.shape import Shape
from hwgen.sizes.leading_one import FEW
from hwgen.sizes.rounding import NumberShape, StepWindow, placing_bias, step_window


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
    """(−1)^sign · significand · 2^(field − bias − all bits of the significand but one).

    ``bias``: ``placing_bias`` of the format to round to; ``field``, at least ``lowest``, is what
    its exponent field would be. The top bit of ``significand`` is one, or the number is zero;
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
    """A magnitude in place.

    ``whole`` counts codes of a minifloat (of one with subnormals), or steps of an integer, that lie
    wholly below it; ``fraction`` is what is above these, its highest bit one half.
    Where ``carry`` is set there is one more whole, and no fraction.
    """

    whole: Value
    fraction: Value
    sign: Value | None = None
    nan: Value | None = None
    infinity: Value | None = None
    carry: Value | None = None

    def map(self, change: Callable[[str, Value], Value]) -> Normalised:
        """The number with each value changed, by its name: to a register of it, say."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{k: change(k, v) for k, v in values.items() if v is not None})


def normalise(
    m: Module,
    number: FixedPoint | Shifted,
    target: Scalar,
    rounding: str,
    name: str,
    *,
    split: bool,
) -> Segmented[Normalised]:
    """``number`` with its rounding point where ``target`` has it."""
    if isinstance(number, Shifted):
        if target.exponent_bits:
            placing = _place_significand(m, number, target, rounding, name, split)
            return (yield from placing)
        shape = NumberShape(len(number.significand), number.lsb_exponent, Shape(len(number.shift)))
        window = step_window(shape, target, rounding)
        if window is not None:
            return (yield from _place_in_window(m, number, window, target, name))
        number = yield from _shift_out(m, number, name, split)
    if target.exponent_bits:
        return (yield from _place_leading_one(m, number, target, name, split))
    # All steps are alike: the rounding point stands still.
    dropped = target.lsb_exponent - number.lsb_exponent
    magnitude = number.magnitude
    if dropped < 0:
        magnitude, dropped = Cat(Const(0, -dropped), magnitude), 0
    whole, fraction = magnitude[dropped:], magnitude[:dropped]
    if dropped > len(magnitude):
        fraction = Cat(magnitude, Const(0, dropped - len(magnitude)))
    return Normalised(whole, fraction, number.sign, number.nan, number.infinity)


def _place_leading_one(
    m: Module, number: FixedPoint, target: Scalar, name: str, split: bool
) -> Segmented[Normalised]:
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
    zeros: Value = Const(0)
    for level in reversed(range(most.bit_length())):
        step = 1 << level
        if len(search) <= step:
            continue
        empty: Value = Signal(name=f"{name}_empty_{level}")
        shifted = Signal(len(magnitude), name=f"{name}_shifted_{level}")
        m.d.comb += empty.eq(~search[-step:].any())
        if step > FEW:
            values = [empty, magnitude, search, zeros, place, flags]
            boundary = Boundary(f"empty_{level}", values)
            empty, magnitude, search, zeros, place, flags = yield boundary
        m.d.comb += shifted.eq(Mux(empty, magnitude << step, magnitude))
        shifted_search = Mux(empty, search << step, search)[: len(search)]
        searched = Signal(len(search), name=f"{name}_search_{level}")
        m.d.comb += searched.eq(shifted_search)
        # What is left of the shift is below ``step``: no more bits can matter.
        search = searched[-step:]
        if split:
            zeros = zeros | (empty << level)
        else:
            place = place - (empty << level)
        values = [shifted, search, zeros, place, flags]
        boundary = Boundary(f"leading_{level}", values)
        magnitude, search, zeros, place, flags = yield boundary
    if split:
        values = [above - zeros, magnitude, flags]
        place, magnitude, flags = yield Boundary("place", values)
    codes = Signal((above + 1).bit_length() + target.mantissa_bits + 1, name=f"{name}_whole")
    field = place[: above.bit_length()] if above else Const(0)
    if above > most:
        field = Mux(magnitude[-1], field, 0)
    m.d.comb += codes.eq((field << target.mantissa_bits) + magnitude[-significand_bits:])
    fraction = magnitude[:-significand_bits]
    placed = Normalised(codes, fraction, *flags)
    return (yield from last("placed", placed))


def _place_in_window(
    m: Module, number: Shifted, window: StepWindow, target: Scalar, name: str
) -> Segmented[Normalised]:
    """The significand among the steps of a target that has no exponent."""
    flags: list[Any] = [number.sign, number.nan, number.infinity]
    exact: Value = window.nearest - number.shift
    values = [number.significand, exact, flags]
    significand, exact, flags = yield Boundary("exact", values)
    distance: Value = Signal(range(window.furthest + 1), name=f"{name}_distance")
    bounded: Value = exact
    if window.furthest < window.nearest:
        bounded = Mux(exact > window.furthest, window.furthest, exact)
    if window.nearest < (1 << len(number.shift)) - 1:
        bounded = Mux(exact < 0, 0, bounded)
    m.d.comb += distance.eq(bounded)
    significand, distance, flags = yield Boundary("distance", [significand, distance, flags])
    moving = shift.into_window(m, significand, distance, window.bits, name, sticky=window.sticky)
    (moved, lost), flags = yield from carry_along(moving, flags)
    whole, fraction = moved[window.guard :], moved[: window.guard]
    if window.whole > target.bits + 1:
        whole = Cat(whole[: target.bits], whole[target.bits :].any())
    if window.sticky:
        fraction = Cat(lost, fraction)
    return (yield from last("window", Normalised(whole, fraction, *flags)))


def _shift_out(m: Module, number: Shifted, name: str, split: bool) -> Segmented[FixedPoint]:
    """The shift done, to fixed point."""
    width = len(number.significand) + (1 << len(number.shift)) - 1
    magnitude = Signal(width, name=f"{name}_fixed")
    flags = [number.sign, number.nan, number.infinity]
    shifting = shift.left(m, number.significand, number.shift, width, "out", split=split)
    shifted, flags = yield from carry_along(shifting, flags)
    m.d.comb += magnitude.eq(shifted)
    return FixedPoint(magnitude, number.lsb_exponent, *flags)


def _place_significand(
    m: Module, number: Shifted, target: Scalar, rounding: str, name: str, split: bool
) -> Segmented[Normalised]:
    """The significand with its leading one on top or, below the lowest binade, right of that."""
    search = leading_one_first(m, number.significand, name, split=split)
    carried: list[Any] = [number.shift, number.sign, number.nan, number.infinity]
    (significand, leading), (moved_by, *flags) = yield from carry_along(search, carried)
    # What the target's exponent field is, unless the result is subnormal.
    highest = len(significand) - 1 + number.lsb_exponent + placing_bias(target)
    exponent = moved_by - leading
    values = [significand, exponent, flags]
    significand, exponent, flags = yield Boundary("exponent", values)
    field = exponent + highest
    values = [significand, field, flags]
    significand, field, flags = yield Boundary("field", values)
    lowest = highest - (len(significand) - 1)
    normal = Normal(significand, field, lowest, *flags)
    return (yield from place_normal(m, normal, target, rounding, name, split=split))


def place_normal(
    m: Module, number: Normal, target: Scalar, rounding: str, name: str, *, split: bool
) -> Segmented[Normalised]:
    """Right shift of the significand where the result is subnormal in ``target``.

    That is a minifloat with exponent bits. The field is used as it is: nothing is added but by
    rounding.
    """
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
        right_shift: Value = Signal(range(most + 1), name=f"{name}_down")
        moved = Signal(len(significand) + most, name=f"{name}_moved")
        m.d.comb += [subnormal.eq(number.field < 1), distance.eq(needed)]
        values = [number, subnormal, distance]
        number, subnormal, distance = yield Boundary("subnormal", values)
        beyond = distance > most
        values = [number, subnormal, distance, beyond]
        number, subnormal, distance, beyond = yield Boundary("too_small", values)
        m.d.comb += right_shift.eq(Mux(subnormal, Mux(beyond, most, distance), 0))
        values = [number, subnormal, right_shift]
        number, subnormal, right_shift = yield Boundary("down", values)
        significand = Cat(zeros, number.significand)
        keeps_field = significand[-1] & ~subnormal
        start = Cat(Const(0, most), significand)
        shifting = shift.right(m, start, right_shift, "moved", split=split)
        shifted, (number, keeps_field) = yield from carry_along(shifting, [number, keeps_field])
        m.d.comb += moved.eq(shifted)
        significand = moved
    # The leading one is what the field says.
    field_bits = len(number.field) - int(number.field.shape().signed)
    field = Mux(keeps_field, number.field, 0)[:field_bits]
    whole = Signal(target.mantissa_bits + len(field), name=f"{name}_whole")
    m.d.comb += whole.eq(Cat(significand[-significand_bits:-1], field))
    fraction = significand[:-significand_bits]
    placed = Normalised(whole, fraction, number.sign, number.nan, number.infinity)
    return (yield from last("placed", placed))
