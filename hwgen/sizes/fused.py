"""Segments of a sum that a float accumulator rounds, and widths of its terms.

The hardware is in ``hwgen.arithmetic.fused``.
"""

from __future__ import annotations

from hwgen.formats import Scalar
from hwgen.formats.rounding import STOCHASTIC
from hwgen.plan.logic import Adder, AnyBit, Decoder, Gates, Shifter
from hwgen.plan.step import Segment, Segments
from hwgen.sizes.alignment_window import Window
from hwgen.sizes.decode import shift_raised
from hwgen.sizes.leading_digits import digit_levels
from hwgen.sizes.product import ProductShape
from hwgen.sizes.rounding import PlacedShape


def fused_segments(window: Window, target: Scalar, rounding: str) -> tuple[Segments, PlacedShape]:
    """What ``fused_sum`` and ``placed_sum`` are made of, and what comes of them."""
    width = window.width + 1
    kept = target.precision + window.drawn
    segments = [
        Segment("decoded", (Decoder(target), Gates())),
        Segment("right", (Adder(window.distance_bits), Gates(window.levels, levels=2))),
        Segment("moved", (Shifter(window.width, window.levels), Gates())),
        Segment("total", (Adder(width + 1),)),
    ]
    if rounding == STOCHASTIC or not target.subnormals:
        segments.append(Segment("magnitude", (Adder(width),)))
    for level, digits in digit_levels(width):
        step = 1 << level
        asked = (AnyBit(2 * step, count=(1 << digits) - 1), Gates(levels=2))
        segments.append(Segment(f"empty_{level}", asked))
        segments.append(Segment(f"leading_{level}", (Shifter(kept + step - 1, digits),)))
    field = limit_bits(window, target) + 1
    segments.append(Segment("field", (Adder(field), Gates(field))))
    whole = target.mantissa_bits + field
    return tuple(segments), PlacedShape(whole, 1 + window.drawn)


def limit_bits(window: Window, target: Scalar) -> int:
    """Bits of how far a sum may be moved left before it is subnormal."""
    most = max(window.most_distance, window.most_addend) + 1 - shift_raised(target) + window.above
    return max(most, 1).bit_length()


def term_bits(product: ProductShape, window: Window) -> int:
    """Bits of the ``Term`` of such a product."""
    return product.significand.width + window.places.width + 2


def shift_digits(window: Window) -> list[tuple[int, int]]:
    """The digits of a right shift of the addend, the highest first.

    Each is the lowest of its bits, and how many it has: two, or one that is over.
    """
    return [(low, min(2, window.levels - low)) for low in range(0, window.levels, 2)][::-1]


def needs_magnitude(target: Scalar, rounding: str) -> bool:
    """Whether a sum is made positive before it is rounded."""
    return rounding == STOCHASTIC or not target.subnormals
