"""Segments of an operand that gets its leading one on top.

The hardware is in ``hwgen.arithmetic.leading_operand``.
"""

from __future__ import annotations

from hwgen.formats import Scalar
from hwgen.plan.logic import Adder, Decoder
from hwgen.plan.shape import ZERO, Shape
from hwgen.plan.step import Segment, Segments, passed_by
from hwgen.sizes.decode import shift_shape, significand_bits
from hwgen.sizes.leading_one import leading_one_segments, leading_one_shift


def leading_segments(f: Scalar, *, split: bool) -> tuple[Segments, Shape]:
    """The segments of ``leading``, and the shape of the exponent."""
    shift = shift_shape(f) or ZERO
    decoded = Segment("decoded", (Decoder(f),), significand_bits(f) + shift.width)
    if not has_leading_zeros(f):
        return (decoded,), shift
    finding, exponent = leading_significand_segments(significand_bits(f), shift, split=split)
    return (decoded, *finding), exponent


def leading_significand_segments(
    width: int, shift: Shape, *, split: bool
) -> tuple[Segments, Shape]:
    """The segments of ``leading_significand``, and the shape of the exponent."""
    exponent = shift - leading_one_shift(width, split=split)
    finding = passed_by(leading_one_segments(width), shift.width)
    total = Segment("exponent", (Adder(exponent.width),), width + exponent.width)
    return (*finding, total), exponent


def has_leading_zeros(f: Scalar) -> bool:
    """Some decoded significands have not their leading one on top."""
    return f.is_integer or (f.subnormals and f.mantissa_bits > 0)
