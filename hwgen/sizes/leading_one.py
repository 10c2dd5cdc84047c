"""Segments of a search for the leading one.

The hardware is in ``hwgen.arithmetic.leading_one``.
"""

from __future__ import annotations

from hwgen.plan.logic import AnyBit, Multiplexer, Series
from hwgen.plan.shape import ZERO, Shape
from hwgen.plan.step import Segment, Segments

#: As many bits are asked whether any is set in front of a multiplexer, with no place between.
FEW = 4


def leading_one_segments(width: int) -> Segments:
    """The segments of ``leading_one_first`` of ``width`` bits."""
    segments: list[Segment] = []
    levels = (width - 1).bit_length()
    for level in reversed(range(levels)):
        step = 1 << level
        search: Series = (AnyBit(step),)
        if step > FEW:
            segments.append(Segment(f"empty_{level}", search, width + levels - level))
            search = ()
        logic = (*search, Multiplexer(width))
        segments.append(Segment(f"leading_{level}", logic, width + levels - level))
    return tuple(segments)


def leading_one_shift(width: int, *, split: bool) -> Shape:
    """The shape of the shift by ``leading_one_first`` of ``width`` bits."""
    levels = (width - 1).bit_length()
    if split:
        return Shape(levels)
    shift = ZERO
    for level in reversed(range(levels)):
        shift = shift + (Shape(1) << level)
    return shift
