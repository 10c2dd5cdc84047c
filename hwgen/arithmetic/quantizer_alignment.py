"""Numbers of a block over their common scale, at the places where elements have their steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value

from hwgen.arithmetic.rounder import FixedPoint, Shifted
from hwgen.arithmetic.segmented import Boundary, Segmented, carry_along, last
from hwgen.arithmetic.shift import into_window
from hwgen.sizes.quantizer_alignment import Alignment


def moved(
    m: Module, plan: Alignment, significand: Value, distance: Value, name: str
) -> Segmented[tuple[Value, Value]]:
    """``significand`` in the window, ``distance`` below its top, and whether a one is lost."""
    return into_window(m, significand, distance, plan.window, name, sticky=plan.sticky)


@dataclass(frozen=True)
class Distant:
    """A significand, how far it is below ``Alignment.top``, and what goes with it."""

    significand: Value
    distance: Value
    sign: Value | None = None
    nan: Value | None = None
    infinity: Value | None = None


def prepared(number: FixedPoint | Shifted, where: Alignment) -> FixedPoint | Shifted:
    """``number`` without those low bits that never reach the window: one tells of them."""
    magnitude = number.magnitude if isinstance(number, FixedPoint) else number.significand
    lost = len(magnitude) - where.window
    if not where.fixed or lost <= 0:
        return number
    shortened = Cat(magnitude[:lost].any(), magnitude[lost:]) if where.sticky else magnitude[lost:]
    if isinstance(number, FixedPoint):
        return replace(number, magnitude=shortened)
    return replace(number, significand=shortened)


def distant(
    m: Module, number: FixedPoint | Shifted, base: Value, where: Alignment, name: str
) -> Segmented[Distant]:
    """A ``prepared`` number and its distance. ``base``: the scale's code + ``where.base``."""
    flags: list[Any] = [number.sign, number.nan, number.infinity]
    if isinstance(number, FixedPoint):
        significand, exact = number.magnitude, base
    else:
        significand, exact = number.significand, base - number.shift
        values = [significand, exact, flags]
        significand, exact, flags = yield Boundary("exact", values)
    # Negative are only the distances of zeros, and where scales are too small.
    bounded: Value = Mux(exact > where.furthest, where.furthest, exact)
    if where.clamped:
        bounded = Mux(exact < 0, 0, bounded)
    distance = Signal(range(where.furthest + 1), name=f"{name}_distance")
    m.d.comb += distance.eq(bounded)
    return (yield from last("distance", Distant(significand, distance, *flags)))


def aligned(
    m: Module, number: Distant, where: Alignment, name: str
) -> Segmented[FixedPoint | Shifted]:
    """The number over its scale, ready for ``rounder.normalise``."""
    flags: list[Any] = [number.sign, number.nan, number.infinity]
    if not where.fixed:
        shift = Signal(range(where.furthest + 1), name=f"{name}_shift")
        m.d.comb += shift.eq(where.furthest - number.distance)
        lowest = where.top - where.furthest - (where.significand_bits - 1)
        shifted = Shifted(number.significand, shift, lowest, *flags)
        return (yield from last("shift", shifted))
    moving = moved(m, where, number.significand, number.distance, name)
    (window, lost), flags = yield from carry_along(moving, flags)
    # Above what an element can be there is nothing but where scales are too small.
    spare = where.top - where.largest_exponent
    if spare:
        above, window = window[-spare:], window[:-spare]
        if where.clamped:
            window = Cat(window, above.any())
    if where.sticky:
        window = Cat(lost, window)
    lsb_exponent = where.element.lsb_exponent - where.guard - int(where.sticky)
    return (yield from last("window", FixedPoint(window, lsb_exponent, *flags)))
