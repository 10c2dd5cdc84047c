"""The steps of what units with an accumulator have in common, from a cycle's sum on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hwgen.accumulator import WRAP, Fixed, Float
from hwgen.formats.rounding import RANDOM_BITS, drawn_bits
from hwgen.plan import levels
from hwgen.plan.logic import Adder, AnyBit, Decoder, Gates, Magnitude, Multiplexer, Series
from hwgen.plan.shape import ZERO
from hwgen.plan.step import Segment, Segments, Step, Steps, in_segments, passed_by
from hwgen.sizes.alignment_window import Window
from hwgen.sizes.decode import shift_shape, significand_bits
from hwgen.sizes.float_add import ScaledShape, float_sum_segments
from hwgen.sizes.fused import fused_segments, needs_magnitude, term_bits
from hwgen.sizes.fused_terms import TermShape, adding_segments, placing_segments, term_segments
from hwgen.sizes.pending_sum import GROUP, PendingSum
from hwgen.sizes.product import ProductShape
from hwgen.sizes.rounding import NumberShape, coding, normalising, rounded_width

if TYPE_CHECKING:
    from hwgen.spec.accumulating import AccumulatingSpec

#: The step that holds the running sum.
STATE = "accumulate"


def control_bits(spec: AccumulatingSpec) -> int:
    """Bits of ``clear`` and of random bits."""
    return 1 + (RANDOM_BITS if spec.is_stochastic else 0)


def beside_bits(spec: AccumulatingSpec) -> int:
    """Bits of all that is beside a cycle's sum: controls, flags, and the sign of a zero."""
    flags = 3 * int(spec.has_flags) + int(spec.zero_rounding is not None)
    return control_bits(spec) + flags


def steps(spec: AccumulatingSpec, sum_width: int, made_width: int, partial_bits: int = 0) -> Steps:
    """The steps of ``hwgen.units.accumulating.Accumulating``, from a cycle's sum on.

    ``sum_width``: its bits; ``made_width``: with those that adders make without need.
    ``partial_bits``: of a sum that comes in to be added to, in place of a register's.
    """
    width, accumulator = spec.accumulator_width, spec.accumulator
    beside = beside_bits(spec) + partial_bits
    if spec.pending is not None:
        return _pending_steps(spec, spec.pending, sum_width, made_width + beside)
    if isinstance(accumulator, Float):
        if spec.interleave > 1:
            assert spec.window is not None
            term = TermShape(min(made_width, spec.window.term_bits + 1))
            return _interleaved_steps(spec, accumulator, term, made_width + beside)
        return (_fused_step(spec, made_width + beside),)
    fixed_steps = []
    if isinstance(accumulator, Fixed):
        rounding = (AnyBit(sum_width), Adder(width))
        round_term = Step("term", "round_term", rounding, levels.adder(width))
        fixed_steps.append(replace(round_term, bits=made_width + beside))
        dropped = -accumulator.fraction_bits - spec.lsb_exponent
        made_width = rounded_width(made_width, dropped)
    # The clear, and the flags that hold a term back, are in front of the chain; limits behind.
    saturates = isinstance(accumulator, Fixed) and accumulator.overflow != WRAP
    limits: Series = (AnyBit(width), Multiplexer(width)) if saturates else ()
    logic = (Gates(width), Adder(width), *limits)
    accumulate = Step(STATE, "accumulate_fixed", logic, levels.adder(width), data_bits=made_width)
    fixed_steps.append(replace(accumulate, bits=made_width + beside, has_state=True))
    if spec.output is None:
        return tuple(fixed_steps)
    return (*fixed_steps, *_rounding_steps(spec, width, spec.accumulator_lsb_exponent))


def _pending_steps(spec: AccumulatingSpec, plan: PendingSum, sum_width: int, bits: int) -> Steps:
    """The steps of a ``fast`` float accumulator: its loop, and rounding behind that."""
    terms, width = plan.term_bits + 1, plan.width
    fit = (AnyBit(max(sum_width - terms, 1)), Multiplexer(terms))
    fitting = Step("term", "fit_term", fit, levels.adder(sum_width), bits=bits)
    found = (AnyBit(GROUP + 1), AnyBit(len(plan.groups)), Gates(plan.ends, levels=2))
    loop = (*found, Adder(width, count=2), Multiplexer(width))
    beside = control_bits(spec) + 3 * int(spec.has_flags) + int(spec.keeps_zero_sign)
    accumulate = Step(STATE, "accumulate_pending", loop, 8.0, bits=terms + beside, has_state=True)
    return (fitting, accumulate, *_rounding_steps(spec, width, plan.lsb_exponent))


def _rounding_steps(spec: AccumulatingSpec, width: int, lsb_exponent: int) -> Steps:
    """The steps from a running sum in fixed point, of ``width`` bits, to what it rounds to."""
    (target, rounding, overflow), apart = spec.rounded_to, spec.is_tuned
    special, drawn = spec.keeps_flags, RANDOM_BITS if spec.is_stochastic else 0
    number = NumberShape(width, lsb_exponent, nan=special, infinity=special)
    placing, placed = normalising(number, target, rounding, split=apart)
    magnitude = Segment("magnitude", (Magnitude(width),), number.bits)
    searching = width.bit_length() + levels.adder(width)
    codes = coding(placed, target, rounding, overflow, random_bits=drawn)
    kept = width + 3 * int(special) + int(spec.keeps_zero_sign)
    round_levels = levels.adder(target.bits) + 2
    return (
        *in_segments(
            "normalise",
            "normalise_output",
            passed_by((magnitude, *placing), drawn),
            searching,
            apart=apart,
            bits=kept + drawn,
        ),
        *in_segments(
            "round", "round_output", codes, round_levels, apart=apart, bits=placed.bits + drawn
        ),
    )


def product_steps(spec: AccumulatingSpec, product: ProductShape) -> Steps:
    """The steps of a product that a float accumulator takes, from its significand on."""
    window, beside = spec.window, beside_bits(spec)
    assert window is not None
    place = (AnyBit(window.term_bits), Adder(window.places.width))
    placing = Step("term", "place_term", place, levels.adder(window.places.width))
    # The term has the sign of a zero.
    past_term = beside - int(spec.zero_rounding is not None)
    bits = term_bits(product, window)
    if spec.interleave == 1:
        placing = replace(placing, bits=product.bits + beside)
        return (placing, _fused_step(spec, bits + past_term))
    accumulator = spec.accumulator
    assert isinstance(accumulator, Float)
    segments = term_segments(product, window)
    segments = passed_by(segments, past_term)
    before = product.bits + beside
    apart = in_segments("term", "place_term", segments, 0.0, apart=True, bits=before)
    term = TermShape(product.significand.width, window.places.width, sign=1)
    return (
        *(replace(step, levels=levels.along(step.path)) for step in apart),
        *_interleaved_steps(spec, accumulator, term, bits + past_term),
    )


def _interleaved_steps(
    spec: AccumulatingSpec, accumulator: Float, term: TermShape, bits: int
) -> Steps:
    """The loop of partial sums, a step for each of its segments; ``bits``: in front of it."""
    assert spec.window is not None
    segments = _interleaved_segments(spec.window, accumulator, term, has_special=spec.has_special)
    loop = in_segments(STATE, "accumulate_fused", segments, 0.0, apart=True, bits=bits)
    return tuple(
        replace(step, partial_sums=accumulator.interleave, levels=levels.along(step.path))
        for step in loop
    )


def _interleaved_segments(
    window: Window, accumulator: Float, term: TermShape, *, has_special: bool
) -> Segments:
    """The loop from a term and the code of a partial sum to the next code.

    ``has_special``: the term may be infinite or NaN.
    """
    f, rounding = accumulator.format, accumulator.rounding
    drawn = drawn_bits(rounding)
    nan, infinity = has_special or f.has_nan, has_special or f.has_infinity
    flags = int(nan) + int(infinity)
    # The signs of a sum and of a zero; the first is that of the term where no other is known.
    signs = 1 + max(term.sign, int(infinity))
    segments = adding_segments(window, f, term, flags + signs + drawn, 3 * int(has_special) + drawn)
    placing, placed = placing_segments(window, f, rounding)
    segments += passed_by(placing, flags + 2 + drawn)
    carry = int(not needs_magnitude(f, rounding))
    placed = replace(placed, nan=nan, infinity=infinity)
    codes = coding(placed, f, rounding, accumulator.overflow, random_bits=drawn)
    codes = (*passed_by(codes[:-1], carry), codes[-1])
    # The code is chosen for one of the registers of sums that wait.
    waiting = Multiplexer(f.bits, count=accumulator.interleave - 1)
    return (*segments, *codes[:-1], replace(codes[-1], logic=(*codes[-1].logic, waiting)))


def _fused_step(spec: AccumulatingSpec, bits: int) -> Step:
    """The loop of a float accumulator, from a cycle's sum or product in its window on."""
    accumulator, window = spec.accumulator, spec.window
    assert isinstance(accumulator, Float) and window is not None
    f, rounding = accumulator.format, accumulator.rounding
    segments, placed = fused_segments(window, f, rounding)
    codes = coding(replace(placed, nan=True), f, rounding, accumulator.overflow)
    logic = tuple(one for segment in (*segments, *codes) for one in segment.logic)
    return Step(STATE, "accumulate_fused", logic, 16.0, bits=bits, has_state=True)


def float_steps(
    accumulator: Float,
    total: ScaledShape,
    beside: int,
    before: int,
    *,
    apart: bool,
    build: str = "accumulate_float",
    has_state: bool = True,
) -> Steps:
    """The step of a float accumulator that adds ``total``: a loop, unless it has no state.

    ``beside``: bits of the flags of the cycle's sum and of random bits, which pass the total by;
    ``before``: of all that the step takes.
    """
    f, rounding = accumulator.format, accumulator.rounding
    held = ScaledShape(significand_bits(f), shift_shape(f) or ZERO, f.lsb_exponent)
    # Bits below these are no more than a bit that tells of them: none that rounding adds to.
    drawn = drawn_bits(rounding)
    adding, number = float_sum_segments(held, total, f.precision + drawn)
    number = replace(number, nan=True, infinity=True)
    placing, placed = normalising(number, f, rounding, split=apart)
    codes = coding(placed, f, rounding, accumulator.overflow, random_bits=drawn)
    # Of what was held, its sign, and whether it is infinite or NaN; the clear.
    flags = beside + 2 + int(f.has_nan) + int(f.has_infinity)
    decoded = (Decoder(f), Multiplexer(f.bits))
    segments = (
        Segment("decoded", decoded, held.bits + total.bits + flags),
        *passed_by(adding, flags),
        *passed_by(placing, drawn),
        *codes,
    )
    return in_segments(STATE, build, segments, 16.0, apart=apart, bits=before, has_state=has_state)
