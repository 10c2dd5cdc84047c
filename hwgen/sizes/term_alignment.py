"""Segments and widths of terms that are aligned.

The hardware is in ``hwgen.arithmetic.term_alignment``, which has the source.
"""

from __future__ import annotations

from hwgen.formats.rounding import DOWN
from hwgen.plan.logic import Adder, AnyBit, Comparator, Gates, Multiplexer, Series, parallel
from hwgen.plan.shape import ZERO, Shape
from hwgen.plan.step import Segment, Segments


def shortest_gap(terms: int, largest: int, precision: int) -> int:
    """How far apart terms of neighbouring shift must stay, for sums rounded to ``precision`` bits.

    ``largest``: magnitude of a term over its power of two.
    """
    return precision + 1 + ((terms - 1) * largest).bit_length()


def ranked_segments(count: int, bits: int) -> Segments:
    """The segments of ``ranked``, for ``count`` shifts of ``bits`` bits."""
    pairs, order = count * (count - 1) // 2, ranked_bits(count, bits)
    rising = (Gates(levels=2, count=count), AnyBit(count, count=count * bits))
    return (
        Segment("compared", (Comparator(bits, count=pairs),), pairs + count * bits),
        # A short addition for each bit, some of which share LUTs.
        Segment("ranks", (Gates(levels=(count + 1) // 2, count=count),), order),
        Segment("rising", rising, order),
    )


def ranked_bits(count: int, bits: int) -> int:
    """Bits of a ``Ranked`` of ``count`` shifts of ``bits`` bits."""
    return count * ((count - 1).bit_length() + bits)


def _start_bits(count: int, gap: int) -> list[int]:
    """Bits of each start of a ``Placed``."""
    return [1, *((index * gap).bit_length() for index in range(1, count))]


def placed_bits(count: int, bits: int, gap: int) -> int:
    """Bits of a ``Placed`` of ``count`` terms, whose shifts have ``bits`` bits."""
    starts = _start_bits(count, gap)
    return count * (starts[-1] + bits) + sum(starts)


def placed_segments(count: int, bits: int, gap: int) -> Segments:
    """The segments of ``placed``, for ``count`` shifts of ``bits`` bits."""
    gaps, order = count - 1, ranked_bits(count, bits)
    places: Series = (Gates(levels=2, count=count), AnyBit(count, count=count))
    limited = (Comparator(bits, count=gaps), Multiplexer(bits, count=gaps))
    starts, beside = _start_bits(count, gap), gaps * max(bits, gap.bit_length()) + order
    return (
        Segment("distances", (Adder(bits, count=gaps),), gaps * bits + order),
        Segment("gaps", limited, beside),
        *(
            Segment(f"start_{index}", (Adder(starts[index]),), sum(starts[: index + 1]) + beside)
            for index in range(1, count)
        ),
        Segment(
            "places", parallel((Adder(bits, count=count),), places), placed_bits(count, bits, gap)
        ),
    )


def offset_segments(count: int, leading_bits: int, bits: int, gap: int) -> Segments:
    """The segments of ``offset_of``, with ``count`` starts; ``bits``, ``gap``: as of ``placed``."""
    compared = (Adder(leading_bits + 1), Comparator(leading_bits + 1, count=count - 1))
    reached = count - 1 + placed_bits(count, bits, gap)
    choosing = Segment("offset", (Gates(levels=count - 1),), bits)
    return (Segment("reached", compared, reached), choosing)


def leading_bits_segments(width: int, count: int) -> Segments:
    """The segments of ``leading_bits``, of a magnitude of ``width`` bits."""
    segments, zeros = [], ZERO
    for level in reversed(range((width - 1).bit_length())):
        step = 1 << level
        most = 2 * step - 1 + count
        lost = AnyBit(max(width - most, 1))
        width = min(width, most + 1)
        asked = parallel((AnyBit(step),), (lost,))
        segments.append(Segment(f"empty_{level}", asked, width + zeros.width + 1))
        zeros = zeros + (Shape(1) << level)
        segments.append(Segment(f"leading_{level}", (Multiplexer(width),), width + zeros.width))
    below = AnyBit(max(width, count + 1) - count)
    return (*segments, Segment("kept", (below,), count + 1 + zeros.width))


def largest_segments(count: int, bits: int) -> Segments:
    """The segments of ``largest_of``, of ``count`` shifts of ``bits`` bits."""
    segments: list[Segment] = []
    while count > 1:
        logic = (Comparator(bits, count=count // 2), Multiplexer(bits, count=count // 2))
        count = (count + 1) // 2
        segments.append(Segment(f"largest_{len(segments)}", logic, count * bits))
    return tuple(segments)


def moved_right_segments(
    term: int, distance: int, dropped: int, width: int, rounding: str
) -> Segments:
    """The segments of ``moved_right``; ``term``, ``distance``: bits of its operands."""
    below = 0 if rounding == DOWN else 2
    lost_bits, start = max(dropped - below, 0), term - dropped + below
    levels = start.bit_length()
    near = (AnyBit(max(distance - levels, lost_bits, 1)), Gates(levels))
    segments = [Segment("near", near, start + levels)]
    for level in range(levels):
        lost: Series = (AnyBit(min(1 << level, start - 1)),) if below else ()
        segments.append(Segment(f"right_{level}", (Multiplexer(start), *lost), start + levels))
    rounded: Series = (Gates(), Adder(width)) if below else ()
    return (*segments, Segment("rounded", rounded, width))
