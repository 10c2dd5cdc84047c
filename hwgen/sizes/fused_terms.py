"""The segments of a fused multiply-add's loop of partial sums, from widths: what ``fused`` builds.

A loop that is one step is ``fused.fused_segments``; here registers may stand inside, so that each
segment says how many bits a register behind it holds.
"""

from __future__ import annotations

from dataclasses import dataclass

from hwgen.formats import Scalar
from hwgen.plan.logic import Adder, AnyBit, Decoder, Gates, Series, Shifter, parallel
from hwgen.plan.step import Segment, Segments
from hwgen.sizes.alignment_window import Window
from hwgen.sizes.decode import shift_shape, significand_bits
from hwgen.sizes.fused import limit_bits, needs_magnitude, shift_digits
from hwgen.sizes.leading_digits import PART, digit_levels
from hwgen.sizes.product import ProductShape
from hwgen.sizes.rounding import GROUP, PlacedShape


@dataclass(frozen=True)
class TermShape:
    """The widths of a ``fused.Term``: without a ``place`` and a ``sign`` these are constants."""

    significand: int
    place: int = 0
    sign: int = 0


def term_segments(product: ProductShape, window: Window) -> Segments:
    """What ``fused.term`` is made of, in front of the loop."""
    loses, significand = int(window.loses), product.significand.width
    nonzero = (AnyBit(significand),) if window.loses else ()
    bits = significand + product.shift + loses + int(product.sign) + 1
    placed: tuple[Gates | Adder, ...] = (Gates(), Adder(window.places.width))
    return (Segment("nonzero", nonzero, bits), Segment("placed", placed))


def adding_segments(
    window: Window, f: Scalar, term: TermShape, beside: int, flags: int
) -> Segments:
    """``fused_sum``, from a term and a code on, with so many bits ``beside`` it.

    ``flags``: bits of the term's flags and of random bits, in front of those.
    """
    shift = shift_shape(f)
    exponent = 0 if shift is None else shift.width
    held = significand_bits(f) + exponent + 1 + int(f.has_nan) + int(f.has_infinity)
    if f.has_nan and f.has_infinity and f.special_binade:  # Its mantissa is asked in parts.
        held += -(-f.mantissa_bits // GROUP) - 1
    larger = max(exponent if exponent else 1, window.places.width)
    if window.least_distance >= 0:
        larger = window.places.width
    lost, width = int(window.loses), window.width
    # The term, whether its sign is another than the sum's, and the larger exponent.
    kept = term.significand + 1 + beside
    exponents = max(window.most_addend.bit_length(), 1) + term.place
    of_term = term.significand + term.place + term.sign + 1
    return (
        Segment("decoded", (Decoder(f),), of_term + held + 1 + flags),
        Segment(
            "distance",
            (Gates(), Adder(window.distance_bits)),
            kept + exponents + significand_bits(f) + window.distance_bits + 1,
        ),
        *_moving(window, significand_bits(f), kept + larger),
        Segment("total", (Adder(width + 2),), width + 2 + lost + window.exponent_bits + beside),
    )


def _moving(window: Window, significand: int, beside: int) -> Segments:
    """The shift of an addend to the right, with so many bits ``beside`` it, and what it loses."""
    lost, segments = int(window.loses), []
    leaves = (AnyBit(PART), Gates(levels=2))
    digits = shift_digits(window)
    low, bits = digits[0]
    groups = [n for n in range((1 << bits) - 1) if n << low < window.left + significand]
    told: Series = (AnyBit(1 << low, count=len(groups)),) if window.loses else ()
    amount = parallel((Gates(window.levels, levels=2),), told)
    kept = window.levels + significand + lost * (1 + len(groups))
    segments.append(Segment("amount", amount, beside + kept))
    for low, bits in digits:
        shifting = (Shifter(window.width, bits),)
        path = parallel(shifting, leaves) if window.loses else shifting
        # The lower bits of the amount, what was lost and the clear; last the carry-in in its place.
        after = low + 2 * lost if low else lost + 1
        name = f"moved_{low}" if low else "moved"
        segments.append(Segment(name, path, beside + window.width + after))
    return tuple(segments)


def placing_segments(window: Window, f: Scalar, rounding: str) -> tuple[Segments, PlacedShape]:
    """``placed_sum``, and what comes of it."""
    width, lost, negative = window.width + 1, int(window.loses), 1
    segments: list[Segment] = []
    if needs_magnitude(f, rounding):
        bits = width + lost + window.exponent_bits
        segments.append(Segment("magnitude", (Adder(width),), bits))
        negative = 0
    kept, limit = f.precision + window.drawn, max(limit_bits(window, f), width.bit_length())
    beside, number, shifts = negative + limit + lost, width, 0
    # Whether the limit is beyond all digits, whether bits were lost, and whether there are any.
    unlimited, sticky, nonzero = int(limit > width.bit_length()), 0, 1
    for level, digits in digit_levels(width):
        step, choices = 1 << level, 1 << digits
        columns, padded = kept + step - 1, max(number, (choices - 1) * step)
        below = sum(padded - columns > n * step for n in range(choices))
        passing = number + beside + below + sticky + nonzero + shifts
        number, shifts, sticky = columns, shifts + digits, 1
        asked = (AnyBit(step + negative, count=choices - 1),)
        if step > PART:
            parts = step // PART * (choices - 1)
            # The sign goes to all bits: its net is as long as a gate takes.
            first = (Gates(), AnyBit(PART + negative, count=parts))
            segments.append(Segment(f"parts_{level}", first, passing + parts + unlimited))
            asked = (AnyBit(step // PART, count=choices - 1),)
        found = Segment(f"asked_{level}", asked, passing + choices - 1 + unlimited)
        unlimited = int(level > 0)
        moved = number + beside + unlimited + sticky + nonzero + shifts
        segments += [
            found,
            Segment(f"empty_{level}", (Gates(levels=2),), passing + 1 + digits),
            Segment(f"leading_{level}", (Shifter(columns, digits),), moved),
        ]
    field = limit + 1
    placed = PlacedShape(f.mantissa_bits + field, 1 + window.drawn, sign=True)
    bits = placed.whole + placed.fraction + negative + nonzero
    segments.append(Segment("field", (Adder(field), Gates(field)), bits))
    return tuple(segments), placed
