"""The steps from a fixed-point sum, with or without a scale, to a format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwgen.arithmetic.decode import shift_shape, significand_bits
from hwgen.arithmetic.product_rows import multiplied_segments, multiplied_shape
from hwgen.arithmetic.rounding_plan import NumberShape, coding, normalising
from hwgen.plan import levels
from hwgen.plan.logic import AnyBit, Decoder, Gates, Magnitude, parallel
from hwgen.plan.shape import Shape
from hwgen.plan.step import Segment, Step, Steps, in_segments

if TYPE_CHECKING:
    from hwgen.spec.requantize import Requantize


def steps(spec: Requantize) -> Steps:
    """Decoding and multiplying, where there is a scale; normalising, and rounding."""
    scale, apart = spec.scale, spec.is_tuned
    width, lsb_exponent = spec.bits, spec.lsb_exponent
    multiplying_steps: Steps = ()
    shift, nan = None, False
    if scale is not None:
        significand = Shape(significand_bits(scale), scale.is_integer and scale.signed)
        multiplying = multiplied_segments("product", spec.bits, significand.width)
        rows = levels.rows(min(scale.precision, spec.bits))
        multiplying_steps = (
            Step("operands", "operands", (Decoder(scale),), levels.decoder(scale)),
            *in_segments("product", "multiplied", multiplying, rows, apart=apart),
        )
        width = multiplied_shape(Shape(spec.bits, True), significand).width
        shift, nan = shift_shape(scale), scale.has_nan or scale.has_infinity
        lsb_exponent += scale.lsb_exponent
    number = NumberShape(width, lsb_exponent, shift, nan=nan)
    placing, placed = normalising(number, spec.b, spec.rounding)
    # Not shorter than in the units that the delay model's samples are of.
    searched = (AnyBit(width), Gates(levels=2))
    magnitude = Segment("magnitude", parallel((Magnitude(width),), searched))
    codes = coding(placed, spec.b, spec.rounding, spec.overflow)
    normalise = 2 + spec.bits.bit_length()
    return (
        *multiplying_steps,
        *in_segments("normalise", "normalise", (magnitude, *placing), normalise, apart=apart),
        *in_segments("round", "rounded", codes, levels.adder(spec.b.bits) + 2, apart=apart),
    )
