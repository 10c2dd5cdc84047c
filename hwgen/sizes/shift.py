"""Segments of shifts.

The hardware is in ``hwgen.arithmetic.shift``.
"""

from __future__ import annotations

from hwgen.plan.logic import AnyBit, Multiplexer, Series
from hwgen.plan.step import Segment, Segments


def shift_segments(
    name: str, width: int, levels: int, *, start: int | None = None, most: int | None = None
) -> Segments:
    """The segments of a shift of ``width`` bits, by an amount of ``levels`` bits.

    ``start``: the fewer bits of what is shifted left; ``most``: what is made of them at most.
    """
    segments: list[Segment] = []
    bits, most = width if start is None else start, width if most is None else most
    for level in range(levels):
        bits = min(bits + (1 << level), most)
        logic = (Multiplexer(width),)
        segments.append(Segment(f"{name}_{level}", logic, bits + levels - level - 1))
    return tuple(segments)


def window_segments(window: int, levels: int, *, sticky: bool) -> Segments:
    """The segments of ``into_window``, by a distance of ``levels`` bits."""
    segments, bits = [], window + 1 + levels
    for level in range(levels):
        lost: Series = (AnyBit(1 << level),) if sticky else ()
        segments.append(Segment(f"right_{level}", (Multiplexer(window), *lost), bits))
    return tuple(segments)
