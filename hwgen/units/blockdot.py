"""The block-scaled dot product."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal, Value, signed

from hwgen.accumulator import Aligned
from hwgen.arithmetic import path, shift, zero_sign
from hwgen.arithmetic.adder_tree import tree_level, tree_levels
from hwgen.arithmetic.decode import decode
from hwgen.arithmetic.magnitude import magnitude, magnitude_path
from hwgen.arithmetic.parts import Part, Parts, abreast, beside, last
from hwgen.arithmetic.product import Special, align, multiply
from hwgen.arithmetic.product_parts import multiplied
from hwgen.arithmetic.rounder import (
    FixedPoint,
    Normal,
    Normalised,
    Shifted,
    normalise,
    place_normal,
    placing_bias,
    to_code,
)
from hwgen.arithmetic.together import (
    Placed,
    largest_of,
    leading_bits,
    moved_right,
    offset_of,
    placed,
    ranked,
)
from hwgen.formats import BlockFormat
from hwgen.formats.widths import signed_width
from hwgen.spec.blockdot import ALIGNED, ALONE, SHORTENED, BlockDot
from hwgen.units import fine_product
from hwgen.units.accumulating import adder_delay, passed
from hwgen.units.dot import any_special, decode_delay, product_delay, shift_delay
from hwgen.units.fine_product import factored
from hwgen.units.unit import Step, Unit, in_parts

Live = Mapping[str, Any]

MICRO = ("a_micro", "b_micro")


class BlockDotUnit(Unit):
    """Hardware of a :class:`hwgen.BlockDot` spec; initiation interval 1.

    Ports beside those of every unit
    --------------------------------
    a, b : In(lanes * bits)
        Codes of the elements, block 0 and its element 0 in the lowest bits.
    a_scale, b_scale : In(blocks * bits)
        Codes of the scales.
    a_micro, b_micro : In(blocks * micro_exponents * micro_bits)
        Micro-exponents, of the formats that have them; those of the first elements lowest.
    random_bits : In(32)
        For stochastic rounding only.
    result : Out(output.bits)
        Code of the dot product.
    """

    spec: BlockDot

    def steps(self) -> Sequence[Step]:
        return BlockDotSteps(self.spec).steps()


class BlockDotSteps:
    """The steps of a block-scaled dot product, for units that have such among others."""

    def __init__(self, spec: BlockDot, zero_rounding: str | None = None) -> None:
        """``zero_rounding``: in place of the spec's, for a unit that rounds the sum itself."""
        self.spec = spec
        self._zero_rounding = zero_rounding or spec.zero_rounding

    def steps(self) -> list[Step]:
        """From the values of the input ports to those of the output ports, by their names."""
        spec = self.spec
        width = signed_width(*spec.block_range)
        return [
            *self.sum_steps(together=spec.alignment != ALONE),
            in_parts("normalise", 2 + width.bit_length(), self._normalise),
            in_parts("round", adder_delay(spec.output.bits) + 2, self._round),
        ]

    @property
    def _fine(self) -> bool:
        return bool(self.spec.tuned_for)

    def sum_steps(self, *, together: bool) -> list[Step]:
        """Up to the exact sum: ``terms`` and, unless blocks are moved ``together`` to one fixed
        point, the ``shifts`` that the scales make of it; its flags, ``special``; and ``zero_sign``,
        that of its blocks together, where a zero has one."""
        spec = self.spec
        elements = (spec.a.element, spec.b.element)
        scales = (spec.a.scale, spec.b.scale)
        operands = max((path.decoder(f) for f in (*elements, *scales)), key=lambda p: p.luts)
        products = fine_product.factors_path(*elements, spec.lanes)
        fine = fine_product.steps(*elements, spec.width_of_sum(1))
        aligned = path.Path()
        if spec.tuned_for:
            # Beside those of the elements: significands of the scales, and their shifts.
            of_scales = path.adder(max(f.bits for f in scales) + 1)
            if max(f.precision for f in scales) > 1:
                significands = path.multiplier(*fine_product.factor_bits(*scales))
                of_scales = path.longer(of_scales, significands)
            products = path.longer(products, of_scales)
        else:
            products += path.multiplier(*fine_product.factor_bits(*elements))
            aligned = path.in_turn([s.longest for s in fine if s.name.startswith("shift")])
            fine = []
        align = Step("aligned", shift_delay(*elements), self._align, path=aligned)
        if spec.alignment in (SHORTENED, ALIGNED):
            align = in_parts(align.name, align.delay, self._align_and_order)
        found = [
            Step("operands", max(map(decode_delay, elements)), self._operands, path=operands),
            Step("products", product_delay(*elements), self._products, path=products),
            *fine,
            align,
        ]
        micro = path.shifter(2)
        size, group = spec.a.block_size, spec.micro_group
        if group == 1:
            found.append(Step("micro", 1, self._shift_by_micro, path=micro))
        for level in range(1, tree_levels(size) + 1):
            bits = spec.width_of_sum(min(1 << level, size))
            longest = path.adder(bits)
            found.append(Step(f"level{level}", adder_delay(bits), self._add, path=longest))
            if group == 1 << level:
                found.append(Step("micro", 1, self._shift_by_micro, path=micro))
        width = signed_width(*spec.block_range)
        found.append(in_parts("scaled", adder_delay(width) + 2, self._scale))
        if together:
            found.append(in_parts("together", 6, self._bring_together))
            bits = self._together_bits
            for level in range(1, tree_levels(spec.blocks) + 1):
                longest = path.adder(bits + level)
                name = f"block_level{level}"
                found.append(Step(name, adder_delay(width), self._add_blocks, path=longest))
        return found

    @property
    def _together_bits(self) -> int:
        """Bits of a block's sum at its place among the others."""
        spec = self.spec
        if spec.alignment == ALIGNED:
            return spec.window_term_width
        return signed_width(*spec.block_range) + self._farthest

    @property
    def _farthest(self) -> int:
        """How far left a block's sum goes."""
        spec = self.spec
        if spec.alignment == SHORTENED:
            return (spec.blocks - 1) * spec.gap
        return spec.largest_shift

    def _operands(self, m: Module, live: Live) -> dict[str, Any]:
        spec = self.spec
        found: dict[str, Any] = passed(live, "random_bits", *MICRO)
        for name, f in (("a", spec.a), ("b", spec.b)):
            found[name] = [
                decode(
                    m,
                    live[name].word_select(i, f.element.bits),
                    f.element,
                    f"{name}_{i}",
                    special_is_zero=False,
                )
                for i in range(spec.lanes)
            ]
            scale = f"{name}_scale"
            found[scale] = [
                decode(m, live[scale].word_select(i, f.scale.bits), f.scale, f"{scale}_{i}")
                for i in range(spec.blocks)
            ]
        return found

    def _products(self, m: Module, live: Live) -> dict[str, Any]:
        """Products of elements; of scales too, by block."""
        spec = self.spec
        elements, scales = (spec.a.element, spec.b.element), (spec.a.scale, spec.b.scale)
        pairs = zip(live["a"], live["b"], strict=True)
        multiplied = factored if spec.tuned_for else multiply
        products = [multiplied(m, *xy, *elements, f"lane_{i}") for i, xy in enumerate(pairs)]
        pairs = zip(live["a_scale"], live["b_scale"], strict=True)
        of_scales = [multiply(m, *xy, *scales, f"scale_{i}") for i, xy in enumerate(pairs)]
        size = spec.a.block_size
        blocks = [products[i : i + size] for i in range(0, spec.lanes, size)]
        special = [
            _block_special([p.special for p in block], scale.special, scale.significand)
            for block, scale in zip(blocks, of_scales, strict=True)
        ]
        signs: dict[str, Any] = {}
        if self._zero_rounding is not None and zero_sign.products_have_sign(*elements):
            each = zero_sign.product_signs(list(zip(live["a"], live["b"], strict=True)), *elements)
            signs["block_signs"] = [
                zero_sign.together(m, each[i : i + size], self._zero_rounding, f"signs_{i}")
                for i in range(0, spec.lanes, size)
            ]
        return {
            **passed(live, "random_bits", *MICRO),
            **signs,
            "products": [[dataclasses.replace(p, special=None) for p in b] for b in blocks],
            "scales": [dataclasses.replace(p, special=None) for p in of_scales],
            "special": any_special([s for s in special if s is not None]),
        }

    def _align(self, m: Module, live: Live) -> dict[str, Any]:
        """Products of elements in fixed point; the order of the scales' shifts beside it."""
        width = self.spec.width_of_sum(1)
        terms = [
            [align(m, p, width, f"block_{j}_lane_{i}") for i, p in enumerate(block)]
            for j, block in enumerate(live["products"])
        ]
        scales = live["scales"]
        shifts = [scale.shift if scale.shift is not None else Const(0) for scale in scales]
        found = {
            **passed(live, "random_bits", "special", "block_signs", *MICRO),
            "terms": terms,
            "significands": [scale.significand for scale in scales],
            "shifts": shifts,
        }
        return found

    def _align_and_order(self, m: Module, live: Live) -> Parts[dict[str, Any]]:
        """The same, and which shift is the largest, or the order of all, beside it."""
        found: Any = self._align(m, live)
        shifts = found["shifts"]
        if self.spec.alignment == SHORTENED:
            order, found = yield from beside(ranked(m, shifts, "order"), found)
            return {**found, "order": order}
        largest, found = yield from beside(largest_of(m, shifts, "largest"), found)
        return {**found, "largest": largest}

    def _add(self, m: Module, live: Live) -> dict[str, Any]:
        count = len(live["terms"][0])
        terms = [
            tree_level(m, block, f"block_{j}_of_{count}") for j, block in enumerate(live["terms"])
        ]
        return {**live, "terms": terms}

    def _shift_by_micro(self, m: Module, live: Live) -> dict[str, Any]:
        """Sums of neighbours, shifted left by what their micro-exponents leave of the largest."""
        spec = self.spec
        terms: list[list[Value]] = []
        for j, block in enumerate(live["terms"]):
            terms.append([])
            for i, term in enumerate(block):
                lane = j * spec.a.block_size + i * spec.micro_group
                left: Value = Const(0)
                for name, f in (("a", spec.a), ("b", spec.b)):
                    if f.micro_bits:
                        micro = live[f"{name}_micro"].word_select(
                            lane // f.micro_block, f.micro_bits
                        )
                        left = left + ~micro
                width = len(term) + spec.largest_micro_shift
                shifted = Signal(signed(width), name=f"block_{j}_micro_{i}")
                m.d.comb += shifted.eq(term << left)
                terms[-1].append(shifted)
        rest = {name: value for name, value in live.items() if name not in MICRO}
        return {**rest, "terms": terms}

    def _scale(self, m: Module, live: Live) -> Parts[dict[str, Any]]:
        """Each block's sum times the significands of its scales; where it goes, beside it."""
        spec = self.spec
        found: Any = passed(live, "random_bits", "special", "shifts", "largest", "order")
        totals: list[Value] = [total for (total,) in live["terms"]]
        if self._zero_rounding is not None:
            zeros = live.get("block_signs", [None] * spec.blocks)
            rounding = self._zero_rounding
            signs = [
                zero_sign.of_sum(*block, rounding) for block in zip(totals, zeros, strict=True)
            ]
            found["zero_sign"] = zero_sign.together(m, signs, rounding, "zero_sign")
        # A power of two is all in its shift; only NaN has another significand.
        if not _are_powers(spec.a, spec.b):
            multiplying = [
                multiplied(m, total, significand, f"product_{index}", fine=self._fine)
                for index, (total, significand) in enumerate(
                    zip(totals, live["significands"], strict=True)
                )
            ]
            totals, found = yield from beside(abreast(multiplying, fine=self._fine), found)
        terms: list[Value] = []
        width = signed_width(*spec.block_range)
        for index, total in enumerate(totals):
            scaled = Signal(signed(width), name=f"scaled_{index}")
            m.d.comb += scaled.eq(total)
            terms.append(scaled)
        found = {**found, "terms": terms}
        if spec.alignment == SHORTENED:
            order = found.pop("order")
            where, found = yield from beside(placed(m, order, spec.gap, "place"), found)
            found = {**found, "placed": where}
        scaled_: dict[str, Any] = yield from last("scaled", path.Path(), found)
        return scaled_

    def _bring_together(self, m: Module, live: Live) -> Parts[dict[str, Any]]:
        """Each block's sum at its place among the others."""
        spec, fine = self.spec, self._fine
        accumulator = spec.accumulator
        if isinstance(accumulator, Aligned):
            return (yield from self._move_to_window(m, live, accumulator))
        kept: Any = passed(live, "random_bits", "special", "zero_sign", "placed")
        places = live["shifts"]
        if spec.alignment == SHORTENED:
            places = live["placed"].places
        width = self._together_bits
        shifting = []
        for index, (term, place) in enumerate(zip(live["terms"], places, strict=True)):
            shifting.append(self._moved_to(m, term, place, width, f"together_{index}"))
        terms, kept = yield from beside(abreast(shifting, fine=fine), kept)
        return {**kept, "terms": terms}

    def _moved_to(
        self, m: Module, term: Value, place: Value, width: int, name: str
    ) -> Parts[Signal]:
        found = yield from shift.left(m, term, place, width, "moved", fine=self._fine)
        shifted = Signal(signed(width), name=name)
        m.d.comb += shifted.eq(found)
        return (yield from last("together", path.Path(), shifted))

    def _move_to_window(self, m: Module, live: Live, accumulator: Aligned) -> Parts[dict[str, Any]]:
        kept: Any = passed(live, "random_bits", "special", "largest")
        moving = []
        for index, (term, shift_) in enumerate(zip(live["terms"], live["shifts"], strict=True)):
            moving.append(self._to_window(m, term, live["largest"], shift_, accumulator, index))
        terms, kept = yield from beside(abreast(moving, fine=self._fine), kept)
        return {**kept, "terms": terms}

    def _to_window(
        self, m: Module, term: Value, largest: Value, by: Value, accumulator: Aligned, index: int
    ) -> Parts[Signal]:
        spec = self.spec
        distance: Value = Signal(len(largest), name=f"distance_{index}")
        m.d.comb += distance.eq(largest - by)
        term, distance = yield Part("distance", path.adder(len(largest)), [term, distance])
        drop, width, name = spec.window_drop, spec.window_term_width, f"together_{index}"
        rounding = accumulator.rounding
        return (yield from moved_right(m, term, distance, drop, width, rounding, name))

    def _add_blocks(self, m: Module, live: Live) -> dict[str, Any]:
        terms = tree_level(m, live["terms"], f"sum_of_{len(live['terms'])}")
        return {**live, "terms": terms}

    def _normalise(self, m: Module, live: Live) -> Parts[dict[str, Any]]:
        spec = self.spec
        (total,) = live["terms"]
        if isinstance(spec.accumulator, Aligned):
            # Its unit is chosen so that the sum of the blocks fits.
            total = total[: spec.accumulator.bits].as_signed()
        found_magnitude: Value = magnitude(m, total, "magnitude", fine=self._fine)
        sign = total[-1]
        if self._zero_rounding is not None:
            sign = zero_sign.of_sum(total, live["zero_sign"], self._zero_rounding)
        nan = infinity = None
        if live["special"] is not None:
            special: Special = live["special"]
            both = special.positive_infinity & special.negative_infinity
            nan = special.nan | both
            infinity = special.positive_infinity | special.negative_infinity
            sign = Mux(infinity, special.negative_infinity, sign)
        rest: Any = passed(live, "random_bits", "shifts", "largest", "placed")
        values = [found_magnitude, [sign, nan, infinity], rest]
        number, flags, rest = yield Part("magnitude", magnitude_path(len(total)), values)
        lsb_exponent = spec.lsb_exponent + spec.scale_lsb_exponent
        output, modes = spec.output, (spec.rounding, "placed")
        random_bits: Any = passed(rest, "random_bits")
        placing: Parts[Normalised]
        if spec.alignment == ALIGNED:
            lsb_exponent += spec.window_drop
            found = Shifted(number, rest["largest"], lsb_exponent, *flags)
            placing = normalise(m, found, output, *modes, fine=self._fine)
        elif spec.alignment == ALONE:
            found = Shifted(number, rest["shifts"][0], lsb_exponent, *flags)
            placing = normalise(m, found, output, *modes, fine=self._fine)
        elif spec.rounds_to_float:
            finding = self._leading(m, number, rest.get("placed"))
            leading, (flags, random_bits) = yield from beside(finding, [flags, random_bits])
            sign, nan, infinity = flags
            leading = dataclasses.replace(leading, sign=sign, nan=nan, infinity=infinity)
            placing = place_normal(m, leading, output, *modes, fine=self._fine)
        else:
            fixed = FixedPoint(number, lsb_exponent, *flags)
            placing = normalise(m, fixed, output, *modes, fine=self._fine)
        placed_sum, random_bits = yield from beside(placing, random_bits)
        return {**random_bits, "placed": placed_sum}

    def _leading(self, m: Module, magnitude: Value, where: Placed | None) -> Parts[Normal]:
        """The bits of a sum of several blocks that its rounding needs."""
        spec, output = self.spec, self.spec.output
        width = len(magnitude)
        searching = leading_bits(m, magnitude, spec.kept_bits, "leading")
        (significand, zeros), where = yield from beside(searching, where)
        place: Value = Signal(signed((width - 1).bit_length() + 1), name="leading_place")
        m.d.comb += place.eq(width - 1 - zeros)
        values = [significand, place, where]
        significand, place, where = yield Part("place", path.adder(len(place)), values)
        lowest = spec.lsb_exponent + spec.scale_lsb_exponent + placing_bias(output)
        field = place + lowest
        if spec.alignment == SHORTENED:
            assert where is not None
            finding = offset_of(m, place, where, "leading_offset")
            offset, (significand, field) = yield from beside(finding, [significand, field])
            field = field + offset
        way = path.adder(len(field))
        return (yield from last("field", way, Normal(significand, field, lowest)))

    def _round(self, m: Module, live: Live) -> Parts[dict[str, Any]]:
        spec = self.spec
        args = (spec.rounding, spec.overflow, "rounded", live.get("random_bits"))
        code = yield from to_code(m, live["placed"], spec.output, *args, fine=self._fine)
        return {"result": code}


def _are_powers(*operands: BlockFormat) -> bool:
    """Whether all scales are powers of two, and none is zero."""
    scales = [f.scale for f in operands]
    return all(f.mantissa_bits == 0 and not (f.subnormals or f.zero) for f in scales)


def _block_special(
    lanes: list[Special | None], scale: Special | None, significand: Value
) -> Special | None:
    """What a block's sum times its scales is instead of a number: NaN with a NaN scale, or
    with an infinite sum and a scale of zero."""
    found = any_special([special for special in lanes if special is not None])
    nan = scale.nan if scale is not None else Const(0)
    if found is None:
        return None if scale is None else Special(nan, Const(0), Const(0))
    infinite = found.positive_infinity | found.negative_infinity
    return dataclasses.replace(found, nan=found.nan | nan | (infinite & ~significand.any()))
