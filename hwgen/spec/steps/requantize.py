"""The steps from a fixed-point sum, with or without a scale, to a format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwgen.formats.rounding import drawn_bits
from hwgen.plan import levels
from hwgen.plan.logic import AnyBit, Decoder, Gates, Magnitude, parallel
from hwgen.plan.shape import Shape
from hwgen.plan.step import Segment, Step, Steps, in_segments, passed_by
from hwgen.sizes.decode import operand_bits, shift_shape, significand_bits
from hwgen.sizes.product_rows import multiplied_segments, multiplied_shape
from hwgen.sizes.rounding import NumberShape, coding, normalising

if TYPE_CHECKING:
    from hwgen.spec.requantize import Requantize


def steps(spec: Requantize) -> Steps:
    """Decoding and multiplying, where there is a scale; normalising, and rounding."""
    scale, apart = spec.scale, spec.is_tuned
    width, lsb_exponent = spec.bits, spec.lsb_exponent
    multiplying_steps: Steps = ()
    shift, nan, infinity, drawn = None, False, False, drawn_bits(spec.rounding)
    if scale is not None:
        significand = Shape(significand_bits(scale), scale.is_integer and scale.signed)
        total, operands = Shape(spec.bits, True), spec.bits + operand_bits(scale) + drawn
        multiplying, _ = multiplied_segments("product", total, significand)
        multiplying = passed_by(multiplying, operands)
        rows = levels.rows(min(scale.precision, spec.bits))
        multiplying_steps = (
            Step("operands", "operands", (Decoder(scale),), levels.decoder(scale)),
            *in_segments("product", "multiplied", multiplying, rows, apart=apart, bits=operands),
        )
        width = multiplied_shape(total, significand, split=apart).width
        shift, infinity = shift_shape(scale), scale.has_infinity
        nan = infinity or scale.has_nan
        lsb_exponent += scale.lsb_exponent
    number = NumberShape(width, lsb_exponent, shift, nan=nan, infinity=infinity)
    # The product has its sign itself, unless one is apart.
    bits = number.bits - int(not spec.has_sign_apart)
    placing, placed = normalising(number, spec.b, spec.rounding, split=apart)
    # Not shorter than in the units that the delay model's samples are of.
    searched = (AnyBit(width), Gates(levels=2))
    magnitude = Segment("magnitude", parallel((Magnitude(width),), searched), number.bits)
    segments = passed_by((magnitude, *placing), drawn)
    codes = coding(placed, spec.b, spec.rounding, spec.overflow)
    searching, adding = 2 + spec.bits.bit_length(), levels.adder(spec.b.bits) + 2
    at_normalise, at_round = bits + drawn, placed.bits + drawn
    return (
        *multiplying_steps,
        *in_segments("normalise", "normalise", segments, searching, apart=apart, bits=at_normalise),
        *in_segments("round", "rounded", codes, adding, apart=apart, bits=at_round),
    )
