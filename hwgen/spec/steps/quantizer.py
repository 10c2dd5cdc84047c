"""The steps of a quantizer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hwgen.formats.block_encode import IN_ELEMENT
from hwgen.formats.rounding import drawn_bits
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
    passed_by,
)
from hwgen.sizes.decode import significand_bits
from hwgen.sizes.leading_operand import leading_segments, leading_significand_segments
from hwgen.sizes.power_scale import (
    key_bits,
    larger_segment,
    magnitude_key_bits,
    micro_exponent_segments,
    scale_code_segments,
)
from hwgen.sizes.quantizer_alignment import aligned_segments, distant_segments, prepared_bits
from hwgen.sizes.rounding import NumberShape, coding, normalising, operand_logic, operand_shape

if TYPE_CHECKING:
    from hwgen.spec.quantizer import Quantizer


@dataclass(frozen=True)
class _Passing:
    """Bits of what passes by on the way through ``spec``'s unit."""

    spec: Quantizer

    @property
    def drawn(self) -> int:
        """Random bits of all lanes."""
        return self.spec.lanes * drawn_bits(self.spec.rounding)

    @property
    def flag(self) -> int:
        """Whether some number of the block is not finite, where that makes the block NaN."""
        return int(self.spec.nonfinite != IN_ELEMENT)

    @property
    def tensor_code(self) -> int:
        """The code of the tensor's scale, where it comes in."""
        tensor = self.spec.b.tensor_scale
        return 0 if tensor is None or not self.spec.has_tensor_scale_port else tensor.bits

    @property
    def beside(self) -> int:
        """What passes by until the elements are rounded."""
        return self.drawn + self.flag

    @property
    def scales(self) -> int:
        """The code of the block's scale, and the micro-exponents."""
        b = self.spec.b
        return self.scale_code + b.micro_exponents * b.micro_bits

    @property
    def scale_code(self) -> int:
        """The code of the block's scale."""
        spec = self.spec
        if spec.has_float_scale:
            return spec.b.scale.bits
        return spec.power_scale.highest_code.bit_length()

    def numbers(self, number: NumberShape) -> int:
        """The numbers of all lanes."""
        return self.spec.lanes * number.bits


def steps(spec: Quantizer) -> Steps:
    """Numbers and keys, the largest key, the scale, the numbers over it, their codes."""
    passing, decoded = _Passing(spec), operand_shape(spec.a)
    if spec.nonfinite != IN_ELEMENT:
        decoded = replace(decoded, nan=False, infinity=False)
    codes_bits = spec.lanes * spec.a.bits + passing.tensor_code + passing.drawn
    over_scale, number = (_divided if spec.has_float_scale else _shifted)(spec, decoded)
    return (
        Step("decode", "decoded", _decoding(spec), 1.5, bits=codes_bits),
        *_tree(spec, passing.numbers(_kept(spec, decoded)) + passing.beside + passing.tensor_code),
        *over_scale,
        *_rounding_steps(spec, number),
    )


def _kept(spec: Quantizer, decoded: NumberShape) -> NumberShape:
    """The shape of decoded numbers without bits that will not matter."""
    if spec.has_float_scale and spec.quotients.leading_ones:
        return decoded
    return replace(decoded, width=prepared_bits(decoded.width, spec.alignment))


def _rounding_steps(spec: Quantizer, number: NumberShape) -> Steps:
    """The steps from numbers over their scale to codes."""
    element, lanes, apart, passing = spec.b.element, spec.lanes, spec.is_tuned, _Passing(spec)
    placing, placed = normalising(number, element, spec.rounding, split=apart)
    carried, before = passing.scales + passing.beside, passing.numbers(number)
    quotient: Segments = ()
    if spec.has_float_scale:
        divisor_bits = spec.quotients.divisor_bits
        logic = (AnyBit(divisor_bits, count=lanes), Gates(lanes))
        quotient = (Segment("quotient", logic, before),)
        before = _dividing_bits(spec, number) + divisor_bits
    # Searching the leading one: among few bits, among many, or not at all.
    place = 0 if element.is_integer else 2 if spec.alignment.fixed else 4
    codes = coding(placed, element, spec.rounding, spec.element_overflow)
    if element.is_integer and element.signed and spec.symmetric:
        # The code above the most negative one is minus the largest.
        codes = (*codes, Segment("symmetric", (AnyBit(element.bits), Gates()), element.bits))
    ends: Series = ()
    if spec.nonfinite != IN_ELEMENT:
        ends = (Gates(lanes * element.bits),)
    in_place = Segment("in_place", bits=lanes * placed.bits)
    place_segments = passed_by((*quotient, *lockstep(placing, lanes), in_place), carried)
    coded = passed_by(lockstep(codes, lanes), passing.scales + passing.flag)
    results = Segment("codes", ends)
    return (
        *in_segments("place", "place", place_segments, place, apart=apart, bits=before + carried),
        *in_segments(
            "round", "rounded", (*coded, results), 3, apart=apart, bits=place_segments[-1].bits
        ),
    )


def _decoding(spec: Quantizer) -> Series:
    """The logic from codes to magnitudes and keys."""
    decoding = tuple(
        logic.times(spec.lanes) for logic in (*operand_logic(spec.a), Gates(spec.a.bits))
    )
    return decoding if spec.nonfinite == IN_ELEMENT else (*decoding, AnyBit(spec.lanes))


def _key_bits(spec: Quantizer) -> int:
    return magnitude_key_bits(spec.a) if spec.has_float_scale else key_bits(spec.power_scale)


def _part_keys(spec: Quantizer) -> int:
    """The keys that are kept of the parts with an exponent of their own."""
    return spec.b.micro_exponents if spec.b.micro_bits else 0


def _tree(spec: Quantizer, carried: int) -> Steps:
    """The steps to the largest key of each part with an exponent of its own, then of the block.

    ``carried``: bits of what passes by.
    """
    f, key = spec.b, _key_bits(spec)
    tree_steps: list[Step] = []
    kept = _part_keys(spec) if f.micro_block == 1 else 0
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
                bits=(groups * size + kept) * key + carried,
            )
            size, kept = (size + 1) // 2, _part_keys(spec) if last else kept
    return tuple(tree_steps)


def _shifted(spec: Quantizer, decoded: NumberShape) -> tuple[Steps, NumberShape]:
    """The steps from the largest key to numbers over a power-of-two scale, and their shape."""
    b, lanes, apart, passing = spec.b, spec.lanes, spec.is_tuned, _Passing(spec)
    scale, where, number = spec.power_scale, spec.alignment, _kept(spec, decoded)
    base = Shape(scale.highest_code.bit_length()) + where.base
    parts, carried = _part_keys(spec) * _key_bits(spec), passing.numbers(number) + passing.beside
    making = passed_by(scale_code_segments(scale), parts + carried)
    measured = carried + passing.scales
    distance: Segments = (Segment("base", (Adder(base.width),), base.width + measured),)
    if b.micro_bits:
        micros = lockstep(micro_exponent_segments(scale), b.micro_exponents)
        making = (*making, *passed_by(named("micro", micros), passing.scale_code + carried))
        base = base - Shape(scale.furthest.bit_length())
        made = b.micro_exponents * base.width + measured
        distance = (
            *distance,
            Segment("part_bases", (Adder(base.width, count=b.micro_exponents),), made),
        )
    beside = passing.scales + passing.beside
    distance = (
        *distance,
        *passed_by(lockstep(distant_segments(base, number, where), lanes), beside),
    )
    aligning, over_scale = aligned_segments(number, where)
    to_scale, to_align = 2.5 if scale.by_exponent else 5, 2 if where.fixed else 0.5
    aligning = passed_by(lockstep(aligning, lanes), beside)
    largest = _key_bits(spec) + parts + carried
    shifting_steps = (
        *in_segments("scale", "make_scale", making, to_scale, apart=apart, bits=largest),
        *in_segments("distance", "measure", distance, 2.5, apart=apart, bits=measured),
        *in_segments("align", "align", aligning, to_align, apart=apart, bits=distance[-1].bits),
    )
    return shifting_steps, over_scale


def _divided(spec: Quantizer, decoded: NumberShape) -> tuple[Steps, NumberShape]:
    """The steps from the largest key to numbers over any scale, and their shape."""
    lanes, apart, quotients, passing = spec.lanes, spec.is_tuned, spec.quotients, _Passing(spec)
    where, beside = quotients.where, passing.scales + passing.beside
    number = _kept(spec, decoded)
    scaling, divisor = _scale_steps(spec, passing.numbers(number) + passing.beside)
    made = quotients.divisor_bits + divisor.width
    before_search = passing.numbers(number) + made + beside
    leading: Segments = (Segment("none"),)
    if quotients.leading_ones:
        finding, shift = leading_significand_segments(
            number.width, number.shift or ZERO, split=apart
        )
        leading = passed_by(lockstep(passed_by(finding, number.flags), lanes), made + beside)
        number = replace(number, width=prepared_bits(number.width, where), shift=shift)
    base, numbers = divisor + where.base, passing.numbers(number)
    before = numbers + made + beside
    measuring = (
        Segment("base", (Adder(base.width),), base.width + numbers),
        *lockstep(distant_segments(base, number, where), lanes),
    )
    distance = passed_by(measuring, made + beside)
    shift = Shape(where.distance_bits)
    aligning = where.moving_segments
    if not where.fixed:
        aligning = (Segment("shift", (Adder(shift.width),), where.significand_bits + shift.width),)
    beside += quotients.divisor_bits
    aligning = passed_by(lockstep(passed_by(aligning, number.flags), lanes), beside)
    quotient = replace(
        number,
        width=quotients.divisions + 1,
        lsb_exponent=quotients.lsb_exponent,
        shift=None if where.fixed else shift,
    )
    distant = lanes * (number.width + shift.width + number.flags) + beside
    dividing = (quotients.divisions, quotients.divisor_bits, lanes)
    steps = (
        *scaling,
        *in_segments(
            "leading_ones",
            "leading_ones",
            leading,
            4 if quotients.leading_ones else 0,
            apart=apart,
            bits=before_search,
        ),
        *in_segments("distance", "measure", distance, 2.5, apart=apart, bits=before),
        *in_segments("align", "align", aligning, 2, apart=apart, bits=distant),
        *_divisions("bit", "divide", *dividing, bits=_dividing_bits(spec, quotient) + beside),
    )
    return steps, quotient


def _dividing_bits(spec: Quantizer, quotient: NumberShape) -> int:
    """The numbers of all lanes while they are divided."""
    # Each has a bit that tells of ones below, and a shift, if only a zero.
    shift = ZERO if quotient.shift is None else quotient.shift
    return spec.lanes * (spec.quotients.dividing_bits + 1 + shift.width + quotient.flags)


def _scale_steps(spec: Quantizer, carried: int) -> tuple[Steps, Shape]:
    """The steps from the largest key to the divisor of the elements, and its exponent's shape.

    ``carried``: bits of what passes by.
    """
    apart, scale, tensor_exponent = spec.is_tuned, spec.float_scale, None
    key, tensor_bits = _key_bits(spec), 0
    tensor_segments: Segments = ()
    if scale.tensor_scale is not None:
        tensor_segments, tensor_exponent = leading_segments(scale.tensor_scale, split=apart)
        tensor_segments = passed_by(named("tensor", tensor_segments), key)
        tensor_bits = significand_bits(scale.tensor_scale) + tensor_exponent.width
    alone, before = tensor_exponent is None, key + _Passing(spec).tensor_code + carried
    beside = carried + tensor_bits
    beginning, exponent = scale.begun_segments(tensor_exponent, split=apart)
    beginning = (*passed_by(tensor_segments, carried), *passed_by(beginning, beside))
    divided = scale.dividing_bits + scale.divisor_bits[0] + exponent.width + beside
    placing, placed = scale.placed_segments(exponent, split=apart)
    placing, in_place = passed_by(placing, beside), placed.bits + beside
    codes, made = passed_by(scale.code_segments(placed), beside), scale.scale.bits + beside
    multiplying, divisor = scale.element_divisor_segments(tensor_exponent, split=apart)
    multiplying = passed_by(multiplying, scale.scale.bits + carried)
    dividing = (scale.divisions, scale.divisor_bits[0], 1)
    making, multiplied = 5 if alone else 7, 2 if alone else 6
    steps = (
        *in_segments("divisor", "begin_scale", beginning, making, apart=apart, bits=before),
        *_divisions("scale_bit", "divide_scale", *dividing, bits=divided),
        *in_segments("place_scale", "place_scale", placing, 5, apart=apart, bits=divided),
        *in_segments("round_scale", "round_scale", codes, 3, apart=apart, bits=in_place),
        *in_segments("scales", "multiply_scales", multiplying, multiplied, apart=apart, bits=made),
    )
    return steps, divisor


def _divisions(name: str, build: str, count: int, width: int, lanes: int, *, bits: int) -> Steps:
    """Steps of a division by ``width`` bits: a subtraction, whose carry chooses.

    ``bits``: in front of each.
    """
    logic = (Adder(width + 1, count=lanes), Multiplexer(width, count=lanes))
    return tuple(
        Step(f"{name}_{i}", build, logic, 1.5 + width / 8, (f"{name}_{i}",), bits)
        for i in range(count)
    )
