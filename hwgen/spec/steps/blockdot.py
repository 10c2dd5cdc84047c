"""The steps of a block-scaled dot product."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hwgen.accumulator import Aligned
from hwgen.arithmetic.adder_tree import tree_adders, tree_levels
from hwgen.arithmetic.decode import significand_bits
from hwgen.arithmetic.product_rows import multiplied_segments
from hwgen.arithmetic.rounding_plan import (
    NumberShape,
    PlacedShape,
    coding,
    normalising,
    placing_bias,
    placing_normal,
)
from hwgen.arithmetic.shift import shift_segments
from hwgen.arithmetic.term_alignment import (
    largest_segments,
    leading_bits_segments,
    moved_right_segments,
    offset_segments,
    placed_segments,
    ranked_segments,
)
from hwgen.formats.widths import signed_width
from hwgen.plan import levels, product
from hwgen.plan.logic import Adder, Magnitude, Multiplier, Series, Shifter, parallel
from hwgen.plan.shape import Shape
from hwgen.plan.step import Segment, Segments, Step, Steps, in_segments, lockstep, without_bits

if TYPE_CHECKING:
    from hwgen.spec.blockdot import BlockDot

#: How blocks' sums are aligned: a block alone; each at its place in fixed point; with long
#: gaps between them shortened; shifted right to the largest.
ALONE, FIXED_POINT, SHORTENED, ALIGNED = "alone", "fixed_point", "shortened", "aligned"


def steps(spec: BlockDot) -> Steps:
    """The sum of the blocks, at one place, and its rounding."""
    width, output, apart = signed_width(*spec.block_range), spec.output, spec.is_tuned
    segments, placed = _normalising(spec)
    codes = coding(placed, output, spec.rounding, spec.overflow)
    coding_levels = levels.adder(output.bits) + 2
    return without_bits(
        (
            *sum_steps(spec, aligned=spec.alignment != ALONE),
            *in_segments("normalise", "normalise", segments, 2 + width.bit_length(), apart=apart),
            *in_segments("round", "rounded", codes, coding_levels, apart=apart),
        )
    )


def sum_steps(spec: BlockDot, *, aligned: bool) -> Steps:
    """The steps up to the exact sum.

    It is ``terms`` and, unless blocks are ``aligned`` to one fixed point, the ``shifts`` that the
    scales make of it; its flags, ``special``; and ``zero_sign``, that of all its blocks, where a
    zero has one.
    """
    elements, scales = spec.elements, spec.scales
    multiply, align = _product_logic(spec)
    width, apart = spec.width_of_sum(1), spec.is_tuned
    to_align, order = levels.shift(*elements), _ordering(spec)
    products_aligned: Steps = (Step("aligned", "align", align, to_align),)
    if spec.alignment in (SHORTENED, ALIGNED):
        products_aligned = in_segments("aligned", "align_and_order", order, to_align, apart=apart)
    of_block = levels.adder(signed_width(*spec.block_range))
    decoding = product.decoders((*elements, *scales), spec.lanes)
    return (
        Step("operands", "operands", decoding, levels.decoder(*elements)),
        Step("products", "multiply", multiply, levels.product(*elements)),
        *(product.split_steps(*elements, width, spec.lanes) if apart else ()),
        *products_aligned,
        *_level_steps(spec),
        *in_segments("scaled", "scale_blocks", _scaling(spec), of_block + 2, apart=apart),
        *(_alignment_steps(spec) if aligned else ()),
    )


def _product_logic(spec: BlockDot) -> tuple[Series, Series]:
    """The logic of the steps that multiply and align.

    With smaller steps between them, all is in the first and in those.
    """
    elements, lanes = spec.elements, spec.lanes
    if not spec.is_tuned:
        align = product.shift(*elements, spec.width_of_sum(1), lanes)
        return product.multiplication(*elements, lanes), align
    # Beside those of the elements: significands of the scales, and their shifts.
    timing_paths: list[Series] = [
        product.factors(*elements, lanes),
        (Adder(max(f.bits for f in spec.scales) + 1, count=spec.blocks),),
    ]
    if max(f.precision for f in spec.scales) > 1:
        multiplier = Multiplier(*product.factor_bits(*spec.scales), count=spec.blocks)
        timing_paths.append((multiplier,))
    return parallel(*timing_paths), ()


def _ordering(spec: BlockDot) -> Segments:
    """The segments that say which shift is the largest, or the order of all.

    They work while the products are aligned.
    """
    if spec.alignment == SHORTENED:
        return ranked_segments(spec.blocks, spec.shift_bits)
    return largest_segments(spec.blocks, spec.shift_bits)


def _level_steps(spec: BlockDot) -> Steps:
    """The levels of adders of a block, and the shifts by micro-exponents among them."""
    size, group, level_steps = spec.a.block_size, spec.micro_group, []
    shifter = Shifter(spec.width_of_sum(max(group, 1)), 2, count=spec.lanes // max(group, 1))
    micro = Step("micro", "shift_by_micro", (shifter,), 1)
    if group == 1:
        level_steps.append(micro)
    for level in range(1, tree_levels(size) + 1):
        bits = spec.width_of_sum(min(1 << level, size))
        adders = Adder(bits, count=spec.blocks * tree_adders(size, level))
        level_steps.append(Step(f"level{level}", "add", (adders,), levels.adder(bits)))
        if group == 1 << level:
            level_steps.append(micro)
    return tuple(level_steps)


def _scaling(spec: BlockDot) -> Segments:
    segments: Segments = ()
    if not spec.scales_are_powers:
        grown = tree_levels(spec.a.block_size) + spec.largest_micro_shift
        significands = Shape(sum(map(significand_bits, spec.scales)))
        total = Shape(spec.width_of_sum(1) + grown, True)
        multiplying, _ = multiplied_segments("product_0", total, significands)
        segments = lockstep(multiplying, spec.blocks)
    if spec.alignment == SHORTENED:
        segments = (*segments, *placed_segments(spec.blocks, spec.shift_bits, spec.gap))
    return (*segments, Segment("scaled"))


def _alignment_steps(spec: BlockDot) -> Steps:
    term, width, blocks = signed_width(*spec.block_range), spec.aligned_bits, spec.blocks
    if isinstance(spec.accumulator, Aligned):
        moving: Segments = (
            Segment("distance", (Adder(spec.shift_bits),)),
            *moved_right_segments(
                term,
                spec.shift_bits,
                spec.window_drop,
                spec.window_term_width,
                spec.accumulator.rounding,
            ),
        )
    else:
        amount = spec.shift_bits
        if spec.alignment == SHORTENED:
            amount = ((blocks - 1) * spec.gap).bit_length()
        moving = (*shift_segments("moved", width, amount), Segment("together"))
    moved = in_segments(
        "together", "align_blocks", lockstep(moving, blocks), 6, apart=spec.is_tuned
    )
    adders = [
        Adder(width + n, count=tree_adders(blocks, n)) for n in range(1, tree_levels(blocks) + 1)
    ]
    return (
        *moved,
        *(
            Step(f"block_level{n}", "add_blocks", (adder,), levels.adder(term))
            for n, adder in enumerate(adders, 1)
        ),
    )


def _total_bits(spec: BlockDot) -> int:
    """Bits of the sum of all blocks, as adders make it."""
    made = made_width(spec, aligned=spec.alignment != ALONE)
    return min(made, spec.accumulator.bits) if isinstance(spec.accumulator, Aligned) else made


def _normalising(spec: BlockDot) -> tuple[Segments, PlacedShape]:
    width, lsb_exponent = _total_bits(spec), spec.lsb_exponent + spec.scale_lsb_exponent
    formats = (*spec.elements, *spec.scales)
    nan = any(f.has_nan or f.has_infinity for f in formats)
    number = NumberShape(width, lsb_exponent, nan=nan)
    magnitude = Segment("magnitude", (Magnitude(width),))
    if spec.alignment in (ALONE, ALIGNED):
        drop = spec.window_drop if spec.alignment == ALIGNED else 0
        number = replace(number, lsb_exponent=lsb_exponent + drop, shift=Shape(spec.shift_bits))
    elif spec.rounds_to_float:
        leading, field, lowest = _leading(spec, width)
        number = replace(number, width=spec.kept_bits + 1)
        placing, placed = placing_normal(number, field, lowest, spec.output, spec.rounding)
        return (magnitude, *leading, *placing), placed
    placing, placed = normalising(number, spec.output, spec.rounding, split=spec.is_tuned)
    return (magnitude, *placing), placed


def _leading(spec: BlockDot, width: int) -> tuple[Segments, Shape, int]:
    """The segments to the bits of a sum of several blocks that its rounding needs.

    Then the shape of the exponent's field, and the lowest one.
    """
    place = Shape((width - 1).bit_length() + 1, True)
    lowest = spec.lsb_exponent + spec.scale_lsb_exponent + placing_bias(spec.output)
    field = place + lowest
    offset: Segments = ()
    if spec.alignment == SHORTENED:
        offset = offset_segments(spec.blocks, place.width)
        field = field + Shape(spec.shift_bits)
    segments = (
        *leading_bits_segments(width, spec.kept_bits),
        Segment("place", (Adder(place.width),)),
        *offset,
        Segment("field", (Adder(field.width),)),
    )
    return segments, field, lowest


def made_width(spec: BlockDot, *, aligned: bool) -> int:
    """Bits of the exact sum as its adders make it."""
    if not aligned:
        return signed_width(*spec.block_range)
    return spec.aligned_bits + tree_levels(spec.blocks)
