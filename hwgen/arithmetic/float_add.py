"""The exact sum of two floating-point numbers, near enough to be rounded once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from hwgen.arithmetic import shift
from hwgen.arithmetic.leading_one import leading_one_first
from hwgen.arithmetic.magnitude import magnitude
from hwgen.arithmetic.rounder import Shifted
from hwgen.arithmetic.segmented import Boundary, Segmented, carry_along, last
from hwgen.formats import Scalar
from hwgen.formats.rounding import DOWN
from hwgen.sizes.float_add import lower_than


@dataclass(frozen=True)
class Scaled:
    """(−1)^sign · significand · 2^(exponent + lsb_exponent)."""

    sign: Value
    significand: Value
    exponent: Value
    lsb_exponent: int


def below(total: Scaled, number_format: Scalar) -> Scaled:
    """``total`` with an exponent that for zero is below those of the format's numbers.

    A running sum is a multiple of the unit of what is added to it. Another number may be below that
    unit, and would be shifted out in favour of a zero.
    """
    lower = lower_than(number_format, total.lsb_exponent, len(total.significand))
    exponent = Mux(total.significand[-1], total.exponent + lower, 0)
    return replace(total, exponent=exponent, lsb_exponent=total.lsb_exponent - lower)


def normalised(
    m: Module, number: Value, sign: Value, lsb_exponent: int, name: str, *, split: bool
) -> Segmented[Scaled]:
    """``number``, in units of 2^lsb_exponent, with its leading one at the top.

    It is in two's complement; ``sign`` is its sign, zero's too. Zero has the lowest exponent.
    """
    width = len(number)
    absolute: Value = magnitude(m, number, f"{name}_magnitude", split=split)
    absolute, sign = yield Boundary("magnitude", [absolute, sign])
    search = leading_one_first(m, absolute, name, split=split)
    (significand, zeros), sign = yield from carry_along(search, sign)
    exponent = Signal(range(max(width, 2)), name=f"{name}_exponent")  # One bit at least.
    m.d.comb += exponent.eq(Mux(significand[-1], width - 1 - zeros, 0))
    scaled = Scaled(sign, significand, exponent, lsb_exponent - (width - 1))
    return (yield from last("exponent", scaled))


def float_sum(
    m: Module, x: Scaled, y: Scaled, precision: int, rounding: str, name: str, *, split: bool
) -> Segmented[Shifted]:
    """X + y, to be rounded to ``precision`` significant bits; zeros with their sign.

    The smaller is shifted to the larger's place, with room for two bits more than either has;
    what leaves at the right becomes one bit that only tells that there is something. Where
    something leaves the exponents differ by two or more, so that a difference loses at most
    one leading bit, and that bit stays below the half that rounding looks at.
    """
    width = max(len(x.significand), len(y.significand), precision)
    tops = [v.lsb_exponent + len(v.significand) for v in (x, y)]
    base = min(tops)

    def exponent(v: Scaled, top: int) -> Value:
        return v.exponent + (top - base)

    def significand(v: Scaled) -> Value:
        # Two more bits at the bottom and the one that tells.
        return Cat(Const(0, width + 2 - len(v.significand)), v.significand)

    x_exponent, y_exponent = (exponent(v, top) for v, top in zip((x, y), tops, strict=True))
    x_larger: Value = Signal(name=f"{name}_first_is_larger")
    m.d.comb += x_larger.eq(x_exponent >= y_exponent)
    larger: Value = Signal(max(len(x_exponent), len(y_exponent)), name=f"{name}_exponent")
    distance: Value = Signal(len(larger), name=f"{name}_distance")
    big, small = (Signal(width + 2, name=f"{name}_{k}") for k in ("larger", "smaller"))
    big_sign, small_sign = (Signal(name=f"{name}_{k}_sign") for k in ("larger", "smaller"))
    values: list[Any] = [x_larger, x_exponent, y_exponent, x, y]
    x_larger, x_exponent, y_exponent, x, y = yield Boundary("order", values)
    m.d.comb += [
        larger.eq(Mux(x_larger, x_exponent, y_exponent)),
        distance.eq(Mux(x_larger, x_exponent - y_exponent, y_exponent - x_exponent)),
        big.eq(Mux(x_larger, significand(x), significand(y))),
        small.eq(Mux(x_larger, significand(y), significand(x))),
        big_sign.eq(Mux(x_larger, x.sign, y.sign)),
        small_sign.eq(Mux(x_larger, y.sign, x.sign)),
    ]
    carried: list[Any] = [larger, big, big_sign, small_sign]
    distance, shifted_right, carried = yield Boundary("distance", [distance, small, carried])
    most = width + 2
    aligned: Value = Signal(width + 3, name=f"{name}_aligned")
    near: Value = Signal(range(most + 1), name=f"{name}_shift")
    # Twice as wide, so that what leaves can be seen.
    moved: Value = Signal(2 * (width + 2), name=f"{name}_moved")
    m.d.comb += near.eq(Mux(distance > most, most, distance))
    near, shifted_right, carried = yield Boundary("near", [near, shifted_right, carried])
    start = Cat(Const(0, width + 2), shifted_right)
    shifting = shift.right(m, start, near, "aligned", split=split)
    shifted, carried = yield from carry_along(shifting, carried)
    m.d.comb += [
        moved.eq(shifted),
        aligned.eq(Cat(moved[: width + 2].any(), moved[width + 2 :])),
    ]
    aligned, carried = yield Boundary("lost", [aligned, carried])
    return (yield from _signed_total(m, aligned, carried, base - (width + 3), rounding, name))


def _signed_total(
    m: Module,
    aligned: Value,
    terms: Sequence[Value],
    lsb_exponent: int,
    rounding: str,
    name: str,
) -> Segmented[Shifted]:
    """The sum of aligned magnitudes; ``terms``: the exponent, the larger one, both signs."""
    larger, big, large_sign, other_sign = terms
    total: Value = Signal(len(aligned) + 1, name=f"{name}_total")
    wide = Cat(Const(0, 1), big)
    differ = large_sign ^ other_sign
    negative: Value = Signal(name=f"{name}_negative")
    m.d.comb += [
        negative.eq(differ & (wide < aligned)),
        total.eq(Mux(differ, Mux(wide < aligned, aligned - wide, wide - aligned), wide + aligned)),
    ]
    values = [total, negative, large_sign, other_sign, larger]
    total, negative, large_sign, other_sign, larger = yield Boundary("sum", values)
    sign = Signal(name=f"{name}_sign")
    # Of a zero that is the sign of both; where they differ, it is negative if rounding down.
    if rounding == DOWN:
        decided = large_sign ^ negative | (~total.any() & other_sign)
    else:
        decided = (large_sign ^ negative) & (total.any() | other_sign)
    m.d.comb += sign.eq(decided)
    return (yield from last("sign", Shifted(total, larger, lsb_exponent, sign)))
