"""The steps of what units with an accumulator have in common, from a cycle's sum on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hwgen.accumulator import WRAP, Fixed, Float
from hwgen.arithmetic.coding import rounded_width
from hwgen.arithmetic.decode import shift_shape, significand_bits
from hwgen.arithmetic.float_add import ScaledShape, float_sum_segments
from hwgen.arithmetic.fused import fused_segments
from hwgen.arithmetic.rounding_plan import NumberShape, coding, normalising
from hwgen.formats.rounding import RANDOM_BITS, STOCHASTIC
from hwgen.plan import levels
from hwgen.plan.logic import Adder, AnyBit, Decoder, Gates, Magnitude, Multiplexer, Series
from hwgen.plan.shape import ZERO
from hwgen.plan.step import Segment, Step, Steps, in_segments

if TYPE_CHECKING:
    from hwgen.spec.accumulating import AccumulatingSpec

#: The step that holds the running sum.
STATE = "accumulate"


def steps(spec: AccumulatingSpec, sum_width: int, made_width: int) -> Steps:
    """The steps of ``hwgen.units.accumulating.Accumulating``, from a cycle's sum on.

    ``sum_width``: its bits; ``made_width``: with those that adders make without need.
    """
    width, accumulator, apart = spec.accumulator_width, spec.accumulator, spec.is_tuned
    if isinstance(accumulator, Float):
        return (_fused_step(spec, made_width),)
    fixed_steps = []
    if isinstance(accumulator, Fixed):
        rounding = (AnyBit(sum_width), Adder(width))
        fixed_steps.append(
            Step("term", "round_term", rounding, levels.adder(width), bits=made_width)
        )
        dropped = -accumulator.fraction_bits - spec.lsb_exponent
        made_width = rounded_width(made_width, dropped)
    # The clear, and the flags that hold a term back, are in front of the chain; limits behind.
    saturates = isinstance(accumulator, Fixed) and accumulator.overflow != WRAP
    limits: Series = (AnyBit(width), Multiplexer(width)) if saturates else ()
    logic = (Gates(width), Adder(width), *limits)
    accumulate = Step(STATE, "accumulate_fixed", logic, levels.adder(width), bits=made_width)
    fixed_steps.append(replace(accumulate, has_state=True))
    if spec.output is None:
        return tuple(fixed_steps)
    number = NumberShape(width, spec.accumulator_lsb_exponent, nan=spec.has_special)
    placing, placed = normalising(number, spec.output, spec.rounding)
    magnitude = Segment("magnitude", (Magnitude(width),))
    searching = width.bit_length() + levels.adder(width)
    codes = coding(placed, spec.output, spec.rounding, spec.overflow)
    round_levels = levels.adder(spec.output.bits) + 2
    return (
        *fixed_steps,
        *in_segments(
            "normalise",
            "normalise_output",
            (magnitude, *placing),
            searching,
            apart=apart,
        ),
        *in_segments("round", "round_output", codes, round_levels, apart=apart, bits=placed.bits),
    )


def product_steps(spec: AccumulatingSpec, product_bits: int | None) -> Steps:
    """The steps of a product that a float accumulator takes, from its significand on.

    ``product_bits``: of it, with exponent and sign.
    """
    assert spec.window is not None
    bits = spec.window.places.width
    place = (AnyBit(spec.window.term_bits), Adder(bits))
    term = Step("term", "place_term", place, levels.adder(bits), bits=product_bits)
    return (term, _fused_step(spec, None))


def _fused_step(spec: AccumulatingSpec, bits: int | None) -> Step:
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
    *,
    apart: bool,
    build: str = "accumulate_float",
    has_state: bool = True,
) -> Steps:
    """The step of a float accumulator that adds ``total``: a loop, unless it has no state."""
    f, rounding = accumulator.format, accumulator.rounding
    held = ScaledShape(significand_bits(f), shift_shape(f) or ZERO, f.lsb_exponent)
    # Bits below these are no more than a bit that tells of them: none that rounding adds to.
    drawn = RANDOM_BITS if rounding == STOCHASTIC else 0
    adding, number = float_sum_segments(held, total, f.precision + drawn)
    placing, placed = normalising(replace(number, nan=True), f, rounding)
    codes = coding(placed, f, rounding, accumulator.overflow)
    decoded = Segment("decoded", (Decoder(f), Multiplexer(f.bits)))
    segments, bits = (decoded, *adding, *placing, *codes), total.bits
    return in_segments(STATE, build, segments, 16.0, apart=apart, bits=bits, has_state=has_state)
