"""The block-scaled dot product."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal, Value, signed

from hwgen.accumulator import Aligned
from hwgen.arithmetic.adder_tree import tree_level, tree_levels
from hwgen.arithmetic.decode import decode
from hwgen.arithmetic.product import Special, align, multiply
from hwgen.arithmetic.rounder import (
    FixedPoint,
    Normal,
    Shifted,
    normalise,
    place_normal,
    to_code,
)
from hwgen.arithmetic.together import (
    largest_of,
    leading_bits,
    moved_right,
    offset_of,
    placed,
    ranked,
)
from hwgen.formats import BlockFormat, Minifloat
from hwgen.formats.widths import signed_width
from hwgen.spec.blockdot import ALIGNED, ALONE, SHORTENED, BlockDot
from hwgen.units import delay, fine_product
from hwgen.units.accumulating import adder_delay, passed
from hwgen.units.convert import source_bits
from hwgen.units.dot import any_special, decode_delay, product_delay, shift_delay
from hwgen.units.fine_product import factored
from hwgen.units.unit import Step, Unit

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

    def __init__(self, spec: BlockDot) -> None:
        self.spec = spec

    def steps(self) -> list[Step]:
        """From the values of the input ports to those of the output ports, by their names."""
        spec = self.spec
        width = signed_width(*spec.block_range)
        scales = (spec.a.scale, spec.b.scale)
        bits = width + sum(f.precision for f in scales)
        shift_bits = max(source_bits(f)[1] for f in scales) + 1
        normalise = delay.magnitude(bits) + delay.placing(bits, shift_bits, spec.output)
        rounding = delay.rounding(bits, spec.output)
        return [
            *self.sum_steps(together=spec.alignment != ALONE),
            Step("normalise", 2 + width.bit_length(), self._normalise, path=normalise),
            Step("round", adder_delay(spec.output.bits) + 2, self._round, path=rounding),
        ]

    def sum_steps(self, *, together: bool) -> list[Step]:
        """Up to the exact sum: ``terms`` and, unless blocks are moved ``together`` to one fixed
        point, the ``shifts`` that the scales make of it; and its flags, ``special``."""
        spec = self.spec
        elements = (spec.a.element, spec.b.element)
        scales = (spec.a.scale, spec.b.scale)
        operands = max((delay.decoder(f) for f in (*elements, *scales)), key=lambda p: p.luts)
        products = fine_product.factors_path(*elements, spec.lanes)
        fine = fine_product.steps(*elements, spec.width_of_sum(1))
        aligned = delay.Path()
        if spec.tuned_for:
            if max(f.precision for f in scales) > 1:
                products += delay.multiplier(*fine_product.factor_bits(*scales))
        else:
            products += delay.multiplier(*fine_product.factor_bits(*elements))
            aligned = delay.in_turn([s.longest for s in fine if s.name.startswith("shift")])
            fine = []
        found = [
            Step("operands", max(map(decode_delay, elements)), self._operands, path=operands),
            Step("products", product_delay(*elements), self._products, path=products),
            *fine,
            Step("aligned", shift_delay(*elements), self._align, path=aligned),
        ]
        micro = delay.shifter(2)
        size, group = spec.a.block_size, spec.micro_group
        if group == 1:
            found.append(Step("micro", 1, self._shift_by_micro, path=micro))
        for level in range(1, tree_levels(size) + 1):
            bits = spec.width_of_sum(min(1 << level, size))
            path = delay.adder(bits)
            found.append(Step(f"level{level}", adder_delay(bits), self._add, path=path))
            if group == 1 << level:
                found.append(Step("micro", 1, self._shift_by_micro, path=micro))
        width = signed_width(*spec.block_range)
        scaling = delay.Path()
        scale_bits = sum(f.precision for f in scales)
        if scale_bits > 2:
            scaling = delay.multiplier(max(width, scale_bits), min(width, scale_bits))
        found.append(Step("scaled", adder_delay(width) + 2, self._scale, path=scaling))
        if together:
            found.append(Step("together", 6, self._bring_together))
            for level in range(1, tree_levels(spec.blocks) + 1):
                found.append(Step(f"block_level{level}", adder_delay(width), self._add_blocks))
        return found

    def _operands(self, m: Module, live: Live) -> dict[str, Any]:
        spec = self.spec
        found: dict[str, Any] = passed(live, "random_bits", *MICRO)
        for name, f in (("a", spec.a), ("b", spec.b)):
            found[name] = [
                decode(m, live[name].word_select(i, f.element.bits), f.element, f"{name}_{i}")
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
        return {
            **passed(live, "random_bits", *MICRO),
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
            **passed(live, "random_bits", "special", *MICRO),
            "terms": terms,
            "significands": [scale.significand for scale in scales],
            "shifts": shifts,
        }
        if self.spec.alignment == SHORTENED:
            found["order"] = ranked(m, shifts, "order")
        if self.spec.alignment == ALIGNED:
            found["largest"] = largest_of(m, shifts, "largest")
        return found

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

    def _scale(self, m: Module, live: Live) -> dict[str, Any]:
        """Each block's sum times the significands of its scales; where it goes, beside it."""
        spec = self.spec
        width = signed_width(*spec.block_range)
        terms = []
        for index, ((total,), significand) in enumerate(
            zip(live["terms"], live["significands"], strict=True)
        ):
            scaled = Signal(signed(width), name=f"scaled_{index}")
            # A power of two is all in its shift; only NaN has another significand.
            m.d.comb += scaled.eq(total if _are_powers(spec.a, spec.b) else total * significand)
            terms.append(scaled)
        found = {**passed(live, "random_bits", "special", "shifts", "largest"), "terms": terms}
        if spec.alignment == SHORTENED:
            found["placed"] = placed(m, live["order"], spec.gap, "place")
        return found

    def _bring_together(self, m: Module, live: Live) -> dict[str, Any]:
        """Each block's sum at its place among the others."""
        spec = self.spec
        accumulator = spec.accumulator
        terms: list[Value] = []
        if isinstance(accumulator, Aligned):
            for index, (term, shift) in enumerate(zip(live["terms"], live["shifts"], strict=True)):
                distance = Signal(len(live["largest"]), name=f"distance_{index}")
                m.d.comb += distance.eq(live["largest"] - shift)
                drop, width = spec.window_drop, spec.window_term_width
                name = f"together_{index}"
                terms.append(
                    moved_right(m, term, distance, drop, width, accumulator.rounding, name)
                )
            return {**passed(live, "random_bits", "special", "largest"), "terms": terms}
        places, farthest = live["shifts"], spec.largest_shift
        if spec.alignment == SHORTENED:
            places, farthest = live["placed"].places, (spec.blocks - 1) * spec.gap
        for index, (term, place) in enumerate(zip(live["terms"], places, strict=True)):
            shifted = Signal(signed(len(term) + farthest), name=f"together_{index}")
            m.d.comb += shifted.eq(term << place)
            terms.append(shifted)
        return {**passed(live, "random_bits", "special", "placed"), "terms": terms}

    def _add_blocks(self, m: Module, live: Live) -> dict[str, Any]:
        terms = tree_level(m, live["terms"], f"sum_of_{len(live['terms'])}")
        return {**live, "terms": terms}

    def _normalise(self, m: Module, live: Live) -> dict[str, Any]:
        spec = self.spec
        (total,) = live["terms"]
        if isinstance(spec.accumulator, Aligned):
            # Its unit is chosen so that the sum of the blocks fits.
            total = total[: spec.accumulator.bits].as_signed()
        magnitude = Signal(len(total), name="magnitude")
        m.d.comb += magnitude.eq(abs(total))
        sign: Value = total[-1]
        nan = infinity = None
        if live["special"] is not None:
            special: Special = live["special"]
            both = special.positive_infinity & special.negative_infinity
            nan = special.nan | both
            infinity = special.positive_infinity | special.negative_infinity
            sign = Mux(infinity, special.negative_infinity, sign)
        flags = (sign, nan, infinity)
        lsb_exponent = spec.lsb_exponent + spec.scale_lsb_exponent
        output = spec.output
        if spec.alignment == ALIGNED:
            lsb_exponent += spec.window_drop
            found = Shifted(magnitude, live["largest"], lsb_exponent, *flags)
            placed_sum = normalise(m, found, output, spec.rounding, "placed")
        elif spec.alignment == ALONE:
            found = Shifted(magnitude, live["shifts"][0], lsb_exponent, *flags)
            placed_sum = normalise(m, found, output, spec.rounding, "placed")
        elif isinstance(output, Minifloat) and spec.rounds_to_float:
            leading = self._leading(m, magnitude, live)
            leading = dataclasses.replace(leading, sign=sign, nan=nan, infinity=infinity)
            placed_sum = place_normal(m, leading, output, spec.rounding, "placed")
        else:
            fixed = FixedPoint(magnitude, lsb_exponent, *flags)
            placed_sum = normalise(m, fixed, output, spec.rounding, "placed")
        return {**passed(live, "random_bits"), "placed": placed_sum}

    def _leading(self, m: Module, magnitude: Value, live: Live) -> Normal:
        """The bits of a sum of several blocks that its rounding needs."""
        spec, output = self.spec, self.spec.output
        assert isinstance(output, Minifloat)
        significand, zeros = leading_bits(m, magnitude, spec.kept_bits, "leading")
        place = Signal(signed((len(magnitude) - 1).bit_length() + 1), name="leading_place")
        m.d.comb += place.eq(len(magnitude) - 1 - zeros)
        lowest = spec.lsb_exponent + spec.scale_lsb_exponent + output.bias
        field = place + lowest
        if spec.alignment == SHORTENED:
            field = field + offset_of(m, place, live["placed"], "leading_offset")
        return Normal(significand, field, lowest)

    def _round(self, m: Module, live: Live) -> dict[str, Any]:
        spec = self.spec
        code = to_code(
            m,
            live["placed"],
            spec.output,
            spec.rounding,
            spec.overflow,
            "rounded",
            live.get("random_bits"),
        )
        return {"result": code}


def _are_powers(*operands: BlockFormat) -> bool:
    """Whether all scales are powers of two, and none is zero."""
    scales = [f.scale for f in operands]
    return all(
        isinstance(f, Minifloat) and f.mantissa_bits == 0 and not (f.subnormals or f.zero)
        for f in scales
    )


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
