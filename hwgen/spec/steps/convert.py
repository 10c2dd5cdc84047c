"""The steps of a conversion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwgen.arithmetic.rounding_plan import coding, normalising, operand_logic, operand_shape
from hwgen.plan.step import Segment, Steps, in_segments

if TYPE_CHECKING:
    from hwgen.spec.convert import Convert


def steps(spec: Convert) -> Steps:
    """The number at its place in the other format, and its code."""
    magnitude = Segment("magnitude", operand_logic(spec.a))
    placing, placed = normalising(operand_shape(spec.a), spec.b, spec.rounding)
    codes, apart = coding(placed, spec.b, spec.rounding, spec.overflow), spec.is_tuned
    return (
        *in_segments("place", "place", (magnitude, *placing), 4, apart=apart),
        *in_segments("round", "rounded", codes, 3, apart=apart),
    )
