"""The steps of a block-scaled dot product."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hwgen.accumulator import Aligned
from hwgen.formats.rounding import drawn_bits
from hwgen.formats.widths import signed_width
from hwgen.plan import levels, product
from hwgen.plan.logic import Adder, Magnitude, Multiplier, Series, Shifter, parallel
from hwgen.plan.shape import Shape
from hwgen.plan.step import (
    Segment,
    Segments,
    Step,
    Steps,
    in_segments,
    lockstep,
    passed_by,
    with_bits,
)
from hwgen.sizes.adder_tree import level_widths, tree_adders, tree_levels
from hwgen.sizes.decode import operand_bits
from hwgen.sizes.product import product_shape, special_bits
from hwgen.sizes.product_rows import multiplied_segments, product_bits
from hwgen.sizes.rounding import (
    NumberShape,
    PlacedShape,
    coding,
    normalising,
    placing_bias,
    placing_normal,
)
from hwgen.sizes.shift import shift_segments
from hwgen.sizes.term_alignment import (
    largest_segments,
    leading_bits_segments,
    moved_right_segments,
    offset_segments,
    placed_bits,
    placed_segments,
    ranked_bits,
    ranked_segments,
)
from hwgen.sizes.zero_sign import products_have_sign

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
    drawn = drawn_bits(spec.rounding)
    sums, bits = sum_steps(spec, aligned=spec.alignment != ALONE)
    searching = 2 + width.bit_length()
    return (
        *sums,
        *in_segments(
            "normalise", "normalise", passed_by(segments, drawn), searching, apart=apart, bits=bits
        ),
        *in_segments(
            "round", "rounded", codes, coding_levels, apart=apart, bits=placed.bits + drawn
        ),
    )


def sum_steps(
    spec: BlockDot, *, aligned: bool, has_zero_sign: bool | None = None
) -> tuple[Steps, int]:
    """The steps up to the exact sum.

    ``has_zero_sign``: whether the sum comes with the sign of a zero, if not as the spec's own.

    It is ``terms`` and, unless blocks are ``aligned`` to one fixed point, the ``shifts`` that the
    scales make of it; its flags, ``special``; and ``zero_sign``, that of all its blocks, where a
    zero has one. Then the bits of all of these.
    """
    elements, scales, lanes, packing = spec.elements, spec.scales, spec.lanes, spec.packing
    multiply, align = _product_logic(spec)
    width, apart = spec.width_of_sum(1), spec.is_tuned
    if has_zero_sign is None:
        has_zero_sign = spec.zero_rounding is not None
    passing = _Passing(spec, has_zero_sign)
    to_align, ordering = levels.shift(*elements), spec.alignment in (SHORTENED, ALIGNED)
    split = product.split_steps(*elements, width, lanes) if apart else ()
    beside = passing.past_sums + passing.micro
    of_scales = spec.blocks * product_shape(*scales, sign_apart=False).bits
    made = [n + of_scales + beside for n in _products_bits(spec, split)]
    if packing is not None:
        to_align = levels.adder(packing.corrected_bits) if packing.corrected_bits else 0.0
    products_aligned: Steps = (Step("aligned", "align", align, to_align, bits=made[-1]),)
    beside += passing.of_scales
    if ordering:
        order = passed_by(_ordering(spec), spec.blocks * sum(_terms(spec)) + beside)
        products_aligned = in_segments(
            "aligned", "align_and_order", order, to_align, apart=apart, bits=made[-1]
        )
    of_block, scaling = levels.adder(signed_width(*spec.block_range)) + 2, _scaling(spec, passing)
    decoding = parallel(
        product.decoders(elements, lanes),
        *(product.decoders((f.scale,), lanes // f.block_size) for f in spec.operands),
    )
    summed = (
        spec.blocks * (width + spec.grown) + passing.past_sums + passing.of_scales + passing.order
    )
    taken, multiplying = levels.decoder(*elements), levels.product(*elements)
    steps = (
        Step("operands", "operands", decoding, taken),
        Step("products", "multiply", multiply, multiplying, bits=passing.decoded),
        *with_bits(split, made[:-1]),
        *products_aligned,
        *_level_steps(spec, passing),
        *in_segments("scaled", "scale_blocks", scaling, of_block, apart=apart, bits=summed),
    )
    if not aligned:
        return steps, passing.scaled
    aligning, bits = _alignment_steps(spec, passing)
    return (*steps, *aligning), bits


@dataclass(frozen=True)
class _Passing:
    """Bits of what passes by the sums of ``spec``'s blocks, on their way to one sum.

    ``has_zero_sign``: the sign of a zero does.
    """

    spec: BlockDot
    has_zero_sign: bool

    @property
    def decoded(self) -> int:
        """All that is decoded, and what comes with it."""
        spec = self.spec
        elements = spec.lanes * sum(map(operand_bits, spec.elements))
        scales = sum(operand_bits(f.scale) * (spec.lanes // f.block_size) for f in spec.operands)
        return elements + scales + drawn_bits(spec.rounding) + self.micro

    @property
    def micro(self) -> int:
        """The micro-exponents."""
        spec = self.spec
        return sum(
            spec.lanes // f.block_size * f.micro_exponents * f.micro_bits for f in spec.operands
        )

    @property
    def flags(self) -> int:
        """Random bits, and what a sum is instead."""
        flags = special_bits(*self.spec.elements, *self.spec.scales)
        return drawn_bits(self.spec.rounding) + flags

    @property
    def past_sums(self) -> int:
        """Random bits, flags, and the signs of blocks that are zero."""
        spec = self.spec
        signs = self.has_zero_sign and products_have_sign(*spec.elements)
        return self.flags + (spec.blocks if signs else 0)

    @property
    def shifts(self) -> int:
        """The shifts of all blocks."""
        return self.spec.blocks * self.spec.shift_bits

    @property
    def of_scales(self) -> int:
        """The significands and shifts of all blocks' scales."""
        significand = product_shape(*self.spec.scales, sign_apart=False).significand
        return self.spec.blocks * significand.width + self.shifts

    @property
    def order(self) -> int:
        """The order of the shifts, or the largest."""
        spec = self.spec
        if spec.alignment == SHORTENED:
            return ranked_bits(spec.blocks, spec.shift_bits)
        return spec.shift_bits if spec.alignment == ALIGNED else 0

    @property
    def past_products(self) -> int:
        """What passes by the products with scales: all but the order of the shifts."""
        largest = self.order if self.spec.alignment == ALIGNED else 0
        return self.flags + int(self.has_zero_sign) + self.shifts + largest

    @property
    def scaled(self) -> int:
        """All behind the products with scales."""
        terms = self.spec.blocks * signed_width(*self.spec.block_range)
        return terms + self.past_products + _placed(self.spec)

    @property
    def past_blocks(self) -> int:
        """What passes by the sum of the blocks."""
        if self.spec.alignment == ALIGNED:
            return self.flags + self.order
        return self.flags + int(self.has_zero_sign) + _placed(self.spec)


def _placed(spec: BlockDot) -> int:
    """Bits of the places of all blocks, with long gaps shortened."""
    if spec.alignment != SHORTENED:
        return 0
    return placed_bits(spec.blocks, spec.shift_bits, spec.gap)


def _terms(spec: BlockDot) -> list[int]:
    """Bits of the terms of a block in their places: of its products, or of two together."""
    terms = spec.block_size * [spec.width_of_sum(1)]
    return terms if spec.packing is None else level_widths(terms)


def _products_bits(spec: BlockDot, split: Steps) -> list[int]:
    """Bits of all products in front of each of the ``split`` steps, and of that behind them."""
    width, packing = spec.width_of_sum(1), spec.packing
    if packing is None:
        return [spec.lanes * n for n in product_bits(*spec.elements, width, split)]
    pairs, alone = divmod(spec.block_size, 2)
    return [spec.blocks * (pairs * packing.product_bits + alone * width)]


def scale_products(spec: BlockDot, count: int) -> Series:
    """The multipliers of ``count`` blocks' scales; a scale with one bit needs none."""
    if min(f.precision for f in spec.scales) == 1:
        return ()
    return (Multiplier(*product.factor_bits(*spec.scales), count=count),)


def _product_logic(spec: BlockDot) -> tuple[Series, Series]:
    """The logic of the steps that multiply and align.

    With smaller steps between them, all is in the first and in those.
    """
    elements, lanes, packing = spec.elements, spec.lanes, spec.packing
    if packing is not None:
        wide, narrow = sorted(packing.operand_bits, reverse=True)
        count = spec.blocks * len(_terms(spec))
        multiply = (*product.factors(*elements, lanes), Multiplier(wide, narrow, count=count))
        return (*multiply, *scale_products(spec, spec.blocks)), ()
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


def _level_steps(spec: BlockDot, passing: _Passing) -> Steps:
    """The levels of adders of a block, and the shifts by micro-exponents among them."""
    size, group, level_steps = spec.block_size, spec.micro_group, []
    shifter = Shifter(spec.width_of_sum(max(group, 1)), 2, count=spec.lanes // max(group, 1))
    micro = Step("micro", "shift_by_micro", (shifter,), 1)
    terms, beside = _terms(spec), passing.past_sums + passing.micro
    beside += passing.of_scales + passing.order
    done = int(spec.packing is not None)
    if group == 1 << done:
        level_steps.append(replace(micro, bits=spec.blocks * sum(terms) + beside))
        terms, beside = _shifted_by_micro(spec, terms), beside - passing.micro
    for level in range(1 + done, tree_levels(size) + 1):
        bits = spec.width_of_sum(min(1 << level, size))
        adders = Adder(bits, count=spec.blocks * tree_adders(size, level))
        before, taken = spec.blocks * sum(terms) + beside, levels.adder(bits)
        level_steps.append(Step(f"level{level}", "add", (adders,), taken, bits=before))
        terms = level_widths(terms)
        if group == 1 << level:
            level_steps.append(replace(micro, bits=spec.blocks * sum(terms) + beside))
            terms, beside = _shifted_by_micro(spec, terms), beside - passing.micro
    return tuple(level_steps)


def _shifted_by_micro(spec: BlockDot, terms: Sequence[int]) -> list[int]:
    return [bits + spec.largest_micro_shift for bits in terms]


def _scaling(spec: BlockDot, passing: _Passing) -> Segments:
    segments: Segments = ()
    if not spec.scales_are_powers:
        significands = product_shape(*spec.scales, sign_apart=False).significand
        total = Shape(spec.width_of_sum(1) + spec.grown, True)
        multiplying, _ = multiplied_segments("product_0", total, significands)
        order = passing.order if spec.alignment == SHORTENED else 0
        segments = passed_by(lockstep(multiplying, spec.blocks), passing.past_products + order)
    if spec.alignment == SHORTENED:
        placing = placed_segments(spec.blocks, spec.shift_bits, spec.gap)
        segments = (*segments, *passed_by(placing, passing.scaled - _placed(spec)))
    return (*segments, Segment("scaled", (), passing.scaled))


def _alignment_steps(spec: BlockDot, passing: _Passing) -> tuple[Steps, int]:
    term, width, blocks = signed_width(*spec.block_range), spec.aligned_bits, spec.blocks
    if isinstance(spec.accumulator, Aligned):
        moving: Segments = (
            Segment("distance", (Adder(spec.shift_bits),), term + spec.shift_bits),
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
        shifting = shift_segments("moved", width, amount, start=term)
        moving = (*shifting, Segment("together", (), width))
    segments, beside = lockstep(moving, blocks), passing.past_blocks
    moved = in_segments(
        "together",
        "align_blocks",
        passed_by(segments, beside),
        6,
        apart=spec.is_tuned,
        bits=passing.scaled,
    )
    adders = [
        Adder(width + n, count=tree_adders(blocks, n)) for n in range(1, tree_levels(blocks) + 1)
    ]
    adding, terms = [], blocks * [moving[-1].bits or 0]
    for n, adder in enumerate(adders, 1):
        step = Step(f"block_level{n}", "add_blocks", (adder,), levels.adder(term))
        adding.append(replace(step, bits=sum(terms) + beside))
        terms = level_widths(terms)
    return (*moved, *adding), sum(terms) + beside


def _total_bits(spec: BlockDot) -> int:
    """Bits of the sum of all blocks, as adders make it."""
    made = made_width(spec, aligned=spec.alignment != ALONE)
    return min(made, spec.accumulator.bits) if isinstance(spec.accumulator, Aligned) else made


def _normalising(spec: BlockDot) -> tuple[Segments, PlacedShape]:
    width, lsb_exponent = _total_bits(spec), spec.lsb_exponent + spec.scale_lsb_exponent
    formats = (*spec.elements, *spec.scales)
    nan = any(f.has_nan or f.has_infinity for f in formats)
    number = NumberShape(width, lsb_exponent, nan=nan, infinity=nan)
    magnitude = Segment("magnitude", (Magnitude(width),), number.bits)
    if spec.alignment in (ALONE, ALIGNED):
        drop = spec.window_drop if spec.alignment == ALIGNED else 0
        number = replace(number, lsb_exponent=lsb_exponent + drop, shift=Shape(spec.shift_bits))
        magnitude = replace(magnitude, bits=number.bits)
    elif spec.rounds_to_float:
        leading, field, lowest = _leading(spec, width)
        leading = passed_by(leading, number.flags)
        magnitude = replace(magnitude, bits=number.bits + _placed(spec))
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
    significand, placed = spec.kept_bits + 1, _placed(spec)
    if spec.alignment == SHORTENED:
        offset = offset_segments(spec.blocks, place.width, spec.shift_bits, spec.gap)
        offset = passed_by(offset, significand + field.width)
        field = field + Shape(spec.shift_bits)
    segments = (
        *passed_by(leading_bits_segments(width, spec.kept_bits), placed),
        Segment("place", (Adder(place.width),), significand + place.width + placed),
        *offset,
        Segment("field", (Adder(field.width),), significand + field.width),
    )
    return segments, field, lowest


def made_width(spec: BlockDot, *, aligned: bool) -> int:
    """Bits of the exact sum as its adders make it."""
    if not aligned:
        return signed_width(*spec.block_range)
    return spec.aligned_bits + tree_levels(spec.blocks)
