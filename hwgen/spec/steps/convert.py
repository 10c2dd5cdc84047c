"""The steps of a conversion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwgen.formats.rounding import drawn_bits
from hwgen.plan.step import Segment, Steps, in_segments, passed_by
from hwgen.sizes.rounding import coding, normalising, operand_logic, operand_shape

if TYPE_CHECKING:
    from hwgen.spec.convert import Convert


def steps(spec: Convert) -> Steps:
    """The number at its place in the other format, and its code."""
    number, apart, drawn = operand_shape(spec.a), spec.is_tuned, drawn_bits(spec.rounding)
    magnitude = Segment("magnitude", operand_logic(spec.a), number.bits)
    placing, placed = normalising(number, spec.b, spec.rounding, split=apart)
    segments = passed_by((magnitude, *placing), drawn)
    codes, bits = coding(placed, spec.b, spec.rounding, spec.overflow), placed.bits + drawn
    return (
        *in_segments("place", "place", segments, 4, apart=apart),
        *in_segments("round", "rounded", codes, 3, apart=apart, bits=bits),
    )
