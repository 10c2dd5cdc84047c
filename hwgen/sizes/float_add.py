"""Segments of a sum of floats that is rounded once.

The hardware is in ``hwgen.arithmetic.float_add``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hwgen.formats import Scalar
from hwgen.plan.logic import Adder, AnyBit, Comparator, Gates, Magnitude, Multiplexer
from hwgen.plan.shape import ZERO, Shape, either
from hwgen.plan.step import Segment, Segments, passed_by
from hwgen.sizes import shift
from hwgen.sizes.leading_one import leading_one_segments
from hwgen.sizes.rounding import NumberShape


@dataclass(frozen=True)
class ScaledShape:
    """The widths of a ``Scaled``."""

    significand: int
    exponent: Shape
    lsb_exponent: int

    @property
    def bits(self) -> int:
        """Bits of significand, exponent and sign."""
        return 1 + self.significand + self.exponent.width

    def below(self, f: Scalar) -> ScaledShape:
        """The widths of what ``below`` makes for the format."""
        lower = lower_than(f, self.lsb_exponent, self.significand)
        exponent = either(self.exponent + lower, ZERO)
        return replace(self, exponent=exponent, lsb_exponent=self.lsb_exponent - lower)


def lower_than(f: Scalar, lsb_exponent: int, significand_bits: int) -> int:
    """How far the exponent of such a zero is from those of the format's numbers."""
    return max(0, lsb_exponent + significand_bits - (f.lsb_exponent + f.precision))


def normalised_segments(width: int, lsb_exponent: int) -> tuple[Segments, ScaledShape]:
    """The segments of ``normalised``, and what comes of it."""
    exponent = Shape((max(width, 2) - 1).bit_length())
    scaled = ScaledShape(width, exponent, lsb_exponent - (width - 1))
    choosing = (Adder(exponent.width), Multiplexer(exponent.width))
    segments = (
        Segment("magnitude", (Magnitude(width),), width + 1),
        *passed_by(leading_one_segments(width), 1),
        Segment("exponent", choosing, scaled.bits),
    )
    return segments, scaled


def float_sum_segments(
    x: ScaledShape, y: ScaledShape, precision: int
) -> tuple[Segments, NumberShape]:
    """The segments of ``float_sum``, and what comes of it."""
    width = max(x.significand, y.significand, precision)
    tops = [v.lsb_exponent + v.significand for v in (x, y)]
    base = min(tops)
    exponents = [(v.exponent + (top - base)).width for v, top in zip((x, y), tops, strict=True)]
    larger = max(exponents)
    near, total = (width + 2).bit_length(), width + 4
    number = NumberShape(total, base - (width + 3), Shape(larger))
    # The larger exponent and number, and both signs.
    beside = larger + width + 2 + 2
    choosing, limiting = (Adder(larger), Multiplexer(2 * (width + 2))), Multiplexer(near)
    ordered = 1 + sum(exponents) + x.bits + y.bits
    segments = (
        Segment("order", (Comparator(larger), Adder(larger)), ordered),
        Segment("distance", choosing, larger + width + 2 + beside),
        Segment("near", (Comparator(larger), limiting), near + width + 2 + beside),
        *passed_by(shift.shift_segments("aligned", 2 * (width + 2), near), beside),
        Segment("lost", (AnyBit(width + 2),), width + 3 + beside),
        Segment("sum", (Adder(width + 3), Gates(total, levels=2)), total + 3 + larger),
        Segment("sign", (AnyBit(total), Gates()), number.bits),
    )
    return segments, number
