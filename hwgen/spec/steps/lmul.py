"""The steps of a product by addition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwgen.formats.rounding import drawn_bits
from hwgen.plan.logic import Adder, Decoder, Series
from hwgen.plan.shape import Shape, shape_of
from hwgen.plan.step import Step, Steps, in_segments, passed_by
from hwgen.sizes.rounding import NumberShape, coding, normalising, placing_normal

if TYPE_CHECKING:
    from hwgen.spec.lmul import LMul


def steps(spec: LMul) -> Steps:
    """The sum of both logarithms, its place in the output, its code."""
    a, b, fraction_bits = spec.a, spec.b, spec.fraction_bits
    exponent_bits = max(a.exponent_bits, b.exponent_bits)
    add: Series = (Decoder(a, count=2), Adder(exponent_bits + fraction_bits + 2))
    if spec.offset != fraction_bits:
        add = (*add, Adder(exponent_bits + spec.offset + 2))
    infinity = any(f.has_infinity for f in (a, b))
    nan = infinity or any(f.has_nan for f in (a, b))
    lowest = -a.bias - b.bias - fraction_bits
    shift, sign = Shape(spec.exponent_bits), a.signed or b.signed
    number = NumberShape(fraction_bits + 1, lowest, shift, sign, nan, infinity)
    apart, drawn, bits = spec.is_tuned, drawn_bits(spec.rounding), number.bits
    if spec.has_field:
        add = (*add, Adder(exponent_bits + 2))
        field = shape_of(spec.rebias, (1 << shift.width) + spec.rebias - 1)
        bits += field.width - shift.width
        placing, placed = placing_normal(
            number, field, spec.lowest_field, spec.output, spec.rounding
        )
    else:
        placing, placed = normalising(number, spec.output, spec.rounding, split=apart)
    placing = passed_by(placing, drawn)
    codes = coding(placed, spec.output, spec.rounding, spec.overflow)
    return (
        Step("add", "added", add, 4),
        *in_segments("place", "placed", placing, 4, apart=apart, bits=bits + drawn),
        *in_segments("round", "rounded", codes, 3, apart=apart, bits=placed.bits + drawn),
    )
