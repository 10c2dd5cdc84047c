"""The steps of a quantizer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hwgen.arithmetic.float_scale import leading_segments, leading_significand_segments
from hwgen.arithmetic.power_scale import (
    key_bits,
    larger_segment,
    magnitude_key_bits,
    micro_exponent_segments,
    scale_code_segments,
)
from hwgen.arithmetic.quantizer_alignment import (
    aligned_segments,
    distant_segments,
    prepared_bits,
    window_segments,
)
from hwgen.arithmetic.rounding_plan import (
    NumberShape,
    coding,
    normalising,
    operand_logic,
    operand_shape,
)
from hwgen.formats.block_encode import IN_ELEMENT
from hwgen.plan.logic import Adder, AnyBit, Gates, Multiplexer, Series
from hwgen.plan.shape import ZERO, Shape
from hwgen.plan.step import (
    Segment,
    Segments,
    Step,
    Steps,
    in_segments,
    lockstep,
    named,
    without_bits,
)

if TYPE_CHECKING:
    from hwgen.spec.quantizer import Quantizer


def steps(spec: Quantizer) -> Steps:
    """Numbers and keys, the largest key, the scale, the numbers over it, their codes."""
    number = replace(operand_shape(spec.a), nan=spec.a.has_nan and spec.nonfinite == IN_ELEMENT)
    over_scale, number = _divided(spec, number) if spec.has_float_scale else _shifted(spec, number)
    element, lanes, apart = spec.b.element, spec.lanes, spec.is_tuned
    placing, placed = normalising(number, element, spec.rounding, split=apart)
    quotient: Segments = ()
    if spec.has_float_scale:
        bits = spec.quotients.divisor_bits
        quotient = (Segment("quotient", (AnyBit(bits, count=lanes), Gates(lanes))),)
    # Searching the leading one: among few bits, among many, or not at all.
    place = 0 if element.is_integer else 2 if spec.alignment.fixed else 4
    codes = coding(placed, element, spec.rounding, spec.element_overflow)
    if element.is_integer and element.signed and spec.symmetric:
        # The code above the most negative one is minus the largest.
        codes = (*codes, Segment("symmetric", (AnyBit(element.bits), Gates())))
    ends: Series = ()
    if spec.nonfinite != IN_ELEMENT:
        ends = (Gates(lanes * element.bits),)
    place_segments = (*quotient, *lockstep(placing, lanes), Segment("in_place"))
    round_segments = (*lockstep(codes, lanes), Segment("codes", ends))
    return without_bits(
        (
            Step("decode", "decoded", _decoding(spec), 1.5),
            *_tree(spec),
            *over_scale,
            *in_segments("place", "place", place_segments, place, apart=apart),
            *in_segments("round", "rounded", round_segments, 3, apart=apart),
        )
    )


def _decoding(spec: Quantizer) -> Series:
    """The logic from codes to magnitudes and keys."""
    decoding = tuple(
        logic.times(spec.lanes) for logic in (*operand_logic(spec.a), Gates(spec.a.bits))
    )
    return decoding if spec.nonfinite == IN_ELEMENT else (*decoding, AnyBit(spec.lanes))


def _tree(spec: Quantizer) -> Steps:
    """The steps to the largest key of each part with an exponent of its own, then of the block."""
    f = spec.b
    tree_steps: list[Step] = []
    key = magnitude_key_bits(spec.a) if spec.has_float_scale else key_bits(spec.power_scale)
    sizes = [f.micro_block, f.micro_exponents] if f.micro_bits else [f.block_size]
    for name, size in zip(("largest_of_parts", "largest")[-len(sizes) :], sizes, strict=True):
        groups = f.micro_exponents if name == "largest_of_parts" else 1
        while size > 1:
            last = name == "largest_of_parts" and size <= 2
            label = f"{name}_{(size - 1).bit_length()}"
            tree_steps += in_segments(
                label,
                "larger",
                [larger_segment(key, groups * (size // 2))],
                2.5,
                apart=spec.is_tuned,
                arguments=(label, size, last),
            )
            size = (size + 1) // 2
    return tuple(tree_steps)


def _shifted(spec: Quantizer, number: NumberShape) -> tuple[Steps, NumberShape]:
    """The steps from the largest key to numbers over a power-of-two scale, and their shape."""
    b, lanes, apart = spec.b, spec.lanes, spec.is_tuned
    scale, where = spec.power_scale, spec.alignment
    number = replace(number, width=prepared_bits(number.width, where))
    base = Shape(scale.highest_code.bit_length()) + where.base
    making = scale_code_segments(scale)
    distance: Segments = (Segment("base", (Adder(base.width),)),)
    if b.micro_bits:
        micros = lockstep(micro_exponent_segments(scale), b.micro_exponents)
        making = (*making, *named("micro", micros))
        base = base - Shape(scale.furthest.bit_length())
        part_bases = Segment("part_bases", (Adder(base.width, count=b.micro_exponents),))
        distance = (*distance, part_bases)
    distance = (*distance, *lockstep(distant_segments(base, number.shift, where), lanes))
    aligning, number = aligned_segments(number, where)
    to_scale, to_align = 2.5 if scale.by_exponent else 5, 2 if where.fixed else 0.5
    shifting_steps = (
        *in_segments("scale", "make_scale", making, to_scale, apart=apart),
        *in_segments("distance", "measure", distance, 2.5, apart=apart),
        *in_segments("align", "align", lockstep(aligning, lanes), to_align, apart=apart),
    )
    return shifting_steps, number


def _divided(spec: Quantizer, number: NumberShape) -> tuple[Steps, NumberShape]:
    """The steps from the largest key to numbers over any scale, and their shape."""
    lanes, apart, scale, quotients = spec.lanes, spec.is_tuned, spec.float_scale, spec.quotients
    where, tensor_exponent = quotients.where, None
    tensor_segments: Segments = ()
    if scale.tensor_scale is not None:
        tensor_segments, tensor_exponent = leading_segments(scale.tensor_scale, split=apart)
        tensor_segments = named("tensor", tensor_segments)
    beginning, exponent = scale.begun_segments(tensor_exponent, split=apart)
    placing, placed = scale.placed_segments(exponent, split=apart)
    multiplying, divisor = scale.element_divisor_segments(tensor_exponent, split=apart)
    leading: Segments = (Segment("none"),)
    if quotients.leading_ones:
        finding, shift = leading_significand_segments(
            number.width, number.shift or ZERO, split=apart
        )
        leading, number = lockstep(finding, lanes), replace(number, shift=shift)
    number = replace(number, width=prepared_bits(number.width, where))
    base = divisor + where.base
    measuring = lockstep(distant_segments(base, number.shift, where), lanes)
    distance = (Segment("base", (Adder(base.width),)), *measuring)
    shift = Shape(where.distance_bits)
    aligning = window_segments(where) if where.fixed else (Segment("shift", (Adder(shift.width),)),)
    alone = tensor_exponent is None
    steps = (
        *in_segments(
            "divisor", "begin_scale", (*tensor_segments, *beginning), 5 if alone else 7, apart=apart
        ),
        *_divisions("scale_bit", "divide_scale", scale.divisions, scale.divisor_bits[0], 1),
        *in_segments("place_scale", "place_scale", placing, 5, apart=apart),
        *in_segments("round_scale", "round_scale", scale.code_segments(placed), 3, apart=apart),
        *in_segments("scales", "multiply_scales", multiplying, 2 if alone else 6, apart=apart),
        *in_segments(
            "leading_ones", "leading_ones", leading, 4 if quotients.leading_ones else 0, apart=apart
        ),
        *in_segments("distance", "measure", distance, 2.5, apart=apart),
        *in_segments("align", "align", lockstep(aligning, lanes), 2, apart=apart),
        *_divisions("bit", "divide", quotients.divisions, quotients.divisor_bits, lanes),
    )
    quotient = NumberShape(
        quotients.divisions + 1,
        quotients.lsb_exponent,
        None if where.fixed else shift,
        number.sign,
        number.nan,
    )
    return steps, quotient


def _divisions(name: str, build: str, count: int, width: int, lanes: int) -> Steps:
    """Steps of a division by ``width`` bits: a subtraction, whose carry chooses."""
    logic = (Adder(width + 1, count=lanes), Multiplexer(width, count=lanes))
    return tuple(
        Step(f"{name}_{i}", build, logic, 1.5 + width / 8, (f"{name}_{i}",)) for i in range(count)
    )
