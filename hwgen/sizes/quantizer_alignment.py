"""Where numbers of a block stand over their scale: the plan.

The hardware is in ``hwgen.arithmetic.quantizer_alignment``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import frexp

from hwgen.formats import Scalar
from hwgen.formats.rounding import NEAREST_AWAY, STOCHASTIC, TOWARD_ZERO
from hwgen.plan.logic import Adder, AnyBit, Comparator, Multiplexer, Series
from hwgen.plan.shape import Shape
from hwgen.plan.step import Segment, Segments, passed_by
from hwgen.sizes.power_scale import PowerScale
from hwgen.sizes.rounding import NumberShape, guard_bits
from hwgen.sizes.shift import window_segments


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
