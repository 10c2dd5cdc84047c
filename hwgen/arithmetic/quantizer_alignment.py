"""Numbers of a block over their common scale, at the places where elements have their steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import frexp
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value

from hwgen.arithmetic.power_scale import PowerScale
from hwgen.arithmetic.rounder import FixedPoint, Shifted
from hwgen.arithmetic.rounding_plan import NumberShape, guard_bits
from hwgen.arithmetic.segmented import Boundary, Segmented, carry_along, last
from hwgen.arithmetic.shift import into_window, window_segments
from hwgen.formats import Scalar
from hwgen.formats.rounding import (
    NEAREST_AWAY,
    STOCHASTIC,
    TOWARD_ZERO,
)
from hwgen.plan.logic import Adder, AnyBit, Comparator, Multiplexer, Series
from hwgen.plan.shape import Shape
from hwgen.plan.step import Segment, Segments, passed_by


@dataclass(frozen=True)
class Alignment:
    """Where the significands of a block's numbers stand, relative to the element's steps.

    ``top``: exponent, in elements, of a significand's highest bit at distance 0;
    ``largest_exponent``: of the largest magnitude over its scale. The distance is the scale's code
    + ``base`` − the number's own shift, from 0 to ``furthest``, where nothing is left but that
    there is something. ``fixed``: significands move into a window from ``top`` down to ``guard``
    bits below the element's smallest step, and ``sticky`` tells of ones below it; else the distance
    becomes the exponent of a number whose leading one is yet to be searched. ``clamped``: the scale
    can be too small, so that numbers are above ``largest_exponent``.
    """

    element: Scalar
    significand_bits: int
    top: int
    largest_exponent: int
    base: int
    furthest: int
    guard: int
    sticky: bool
    fixed: bool
    clamped: bool

    @property
    def window(self) -> int:
        """Bits of the window."""
        return self.top - self.element.lsb_exponent + 1 + self.guard

    @property
    def distance_bits(self) -> int:
        """Bits of a distance."""
        return self.furthest.bit_length()

    @property
    def moving_segments(self) -> Segments:
        """The segments of ``moved``."""
        return window_segments(self.window, self.distance_bits, sticky=self.sticky)

    def moved(
        self, m: Module, significand: Value, distance: Value, name: str
    ) -> Segmented[tuple[Value, Value]]:
        """``significand`` in the window, ``distance`` below its top, and whether a one is lost."""
        return into_window(m, significand, distance, self.window, name, sticky=self.sticky)


def alignment(scale: PowerScale, element: Scalar, rounding: str) -> Alignment:
    """The alignment of ``source`` numbers of ``scale`` that become elements by ``rounding``."""
    source, bits = scale.source, scale.significand_bits
    largest_exponent = -scale.offset  # of M over its scale, if that is not the largest there is
    highest_bit = bits - 1 + source.lsb_exponent  # of a significand that is not shifted
    # The highest bits of significands without a leading one stand above all that the element
    # has, and are zero.
    top = max(largest_exponent, highest_bit - scale.smallest_exponent)
    if scale.can_be_too_small:
        # What is further up counts as this, and is too large for any element.
        beyond = frexp(max(element.max, -element.min))[1]
        top = max(top, largest_exponent + 1, beyond)
    guard = guard_bits(rounding)
    steps = largest_exponent - element.lsb_exponent + 1
    has_binades = element.exponent_bits > 0
    fixed = not has_binades or steps <= bits
    window = top - element.lsb_exponent + 1 + guard
    return Alignment(
        element=element,
        significand_bits=bits,
        top=top,
        largest_exponent=largest_exponent,
        base=top - highest_bit - scale.bias,
        furthest=window,
        guard=guard,
        sticky=rounding not in (TOWARD_ZERO, NEAREST_AWAY, STOCHASTIC),
        fixed=fixed,
        clamped=scale.can_be_too_small,
    )


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


def prepared_bits(bits: int, where: Alignment) -> int:
    """Bits of the magnitude of a ``prepared`` number of ``bits`` bits."""
    if not where.fixed or bits <= where.window:
        return bits
    return where.window + int(where.sticky)


def distant_segments(base: Shape, number: NumberShape, where: Alignment) -> Segments:
    """The segments of ``distant``."""
    exact, subtracting = base, []
    beside = number.width + number.flags
    if number.shift is not None:
        exact = base - number.shift
        subtracting = [Segment("exact", (Adder(exact.width),), beside + exact.width)]
    bounding = (Comparator(exact.width), Multiplexer(where.distance_bits))
    return (*subtracting, Segment("distance", bounding, beside + where.distance_bits))


def aligned_segments(number: NumberShape, where: Alignment) -> tuple[Segments, NumberShape]:
    """The segments of ``aligned``, and what comes of it."""
    if not where.fixed:
        shift = Shape(where.distance_bits)
        lowest = where.top - where.furthest - (where.significand_bits - 1)
        shape = replace(number, lsb_exponent=lowest, shift=shift)
        return (Segment("shift", (Adder(shift.width),), shape.bits),), shape
    spare = where.top - where.largest_exponent
    above: Series = (AnyBit(spare),) if where.clamped else ()
    width = where.window - spare + int(bool(spare) and where.clamped) + int(where.sticky)
    lsb_exponent = where.element.lsb_exponent - where.guard - int(where.sticky)
    shape = replace(number, width=width, lsb_exponent=lsb_exponent, shift=None)
    moving = passed_by(where.moving_segments, number.flags)
    return (*moving, Segment("window", above, shape.bits)), shape


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
    moving = where.moved(m, number.significand, number.distance, name)
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
