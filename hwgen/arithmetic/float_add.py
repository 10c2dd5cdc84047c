"""The exact sum of two floating-point numbers, near enough to be rounded once."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from hwgen.arithmetic.leading_one import leading_one_first
from hwgen.arithmetic.rounder import Shifted


@dataclass(frozen=True)
class Scaled:
    """(−1)^sign · significand · 2^(exponent + lsb_exponent)."""

    sign: Value
    significand: Value
    exponent: Value
    lsb_exponent: int


def normalised(m: Module, number: Value, lsb_exponent: int, name: str) -> Scaled:
    """A two's-complement ``number``, in units of 2^lsb_exponent, with its leading one at the top;
    zero has the lowest exponent."""
    width = len(number)
    sign = number[-1]
    magnitude = Signal(width, name=f"{name}_magnitude")
    m.d.comb += magnitude.eq(abs(number))
    significand, zeros = leading_one_first(m, magnitude, name)
    exponent = Signal(range(width), name=f"{name}_exponent")
    m.d.comb += exponent.eq(Mux(significand[-1], width - 1 - zeros, 0))
    return Scaled(sign, significand, exponent, lsb_exponent - (width - 1))


def float_sum(m: Module, x: Scaled, y: Scaled, precision: int, name: str) -> Shifted:
    """x + y, to be rounded to ``precision`` significant bits.

    The smaller is shifted to the larger's place, with room for two bits more than either has;
    what leaves at the right becomes one bit that only tells that there is something. Where
    something leaves the exponents differ by two or more, so that a difference loses at most
    one leading bit, and that bit stays below the half that rounding looks at.
    """
    width = max(len(x.significand), len(y.significand), precision)
    tops = [v.lsb_exponent + len(v.significand) for v in (x, y)]
    base = min(tops)
    exponents, significands = [], []
    for v, top in zip((x, y), tops, strict=True):
        exponents.append(v.exponent + (top - base))
        # Two more bits at the bottom and the one that tells.
        significands.append(Cat(Const(0, width + 2 - len(v.significand)), v.significand))
    x_larger = Signal(name=f"{name}_first_is_larger")
    m.d.comb += x_larger.eq(exponents[0] >= exponents[1])
    larger = Signal(max(len(e) for e in exponents), name=f"{name}_exponent")
    distance = Signal(len(larger), name=f"{name}_distance")
    big, small = (Signal(width + 2, name=f"{name}_{k}") for k in ("larger", "smaller"))
    big_sign, small_sign = (Signal(name=f"{name}_{k}_sign") for k in ("larger", "smaller"))
    first, second = (exponents[0], exponents[1])
    m.d.comb += [
        larger.eq(Mux(x_larger, first, second)),
        distance.eq(Mux(x_larger, first - second, second - first)),
        big.eq(Mux(x_larger, significands[0], significands[1])),
        small.eq(Mux(x_larger, significands[1], significands[0])),
        big_sign.eq(Mux(x_larger, x.sign, y.sign)),
        small_sign.eq(Mux(x_larger, y.sign, x.sign)),
    ]
    most = width + 2
    aligned = Signal(width + 3, name=f"{name}_aligned")
    near = Signal(range(most + 1), name=f"{name}_shift")
    # Twice as wide, so that what leaves can be seen.
    moved = Signal(2 * (width + 2), name=f"{name}_moved")
    m.d.comb += [
        near.eq(Mux(distance > most, most, distance)),
        moved.eq(Cat(Const(0, width + 2), small) >> near),
        aligned.eq(Cat(moved[: width + 2].any(), moved[width + 2 :])),
    ]
    total = Signal(width + 4, name=f"{name}_total")
    wide = Cat(Const(0, 1), big)
    differ = big_sign ^ small_sign
    negative = Signal(name=f"{name}_negative")
    m.d.comb += [
        negative.eq(differ & (wide < aligned)),
        total.eq(Mux(differ, Mux(wide < aligned, aligned - wide, wide - aligned), wide + aligned)),
    ]
    sign = Signal(name=f"{name}_sign")
    # An exact zero is positive.
    m.d.comb += sign.eq(total.any() & (big_sign ^ negative))
    return Shifted(total, larger, base - (width + 3), sign)
