"""The block-scaled dot product."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal, Value, signed

from hwgen.arithmetic.adder_tree import tree_level, tree_levels
from hwgen.arithmetic.decode import decode
from hwgen.arithmetic.product import Special, align, multiply
from hwgen.arithmetic.rounder import FixedPoint, Shifted, normalise, to_code
from hwgen.spec.blockdot import BlockDot
from hwgen.units.accumulating import adder_delay, passed
from hwgen.units.dot import any_special, decode_delay, product_delay, shift_delay
from hwgen.units.unit import Step, Unit

Live = Mapping[str, Any]


class BlockDotUnit(Unit):
    """Hardware of a :class:`hwgen.BlockDot` spec; initiation interval 1.

    Ports beside those of every unit
    --------------------------------
    a, b : In(lanes * bits)
        Codes of the elements, block 0 and its element 0 in the lowest bits.
    a_scale, b_scale : In(blocks * bits)
        Codes of the scales.
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
        width = spec.width_of_sum(spec.a.block_size)
        return [
            *self.sum_steps(together=spec.blocks > 1),
            Step("normalise", 2 + width.bit_length(), self._normalise),
            Step("round", adder_delay(spec.output.bits) + 2, self._round),
        ]

    def sum_steps(self, *, together: bool) -> list[Step]:
        """Up to the exact sum: ``terms`` and, unless blocks are moved ``together`` to one fixed
        point, the ``shifts`` that the scales make of it; and its flags, ``special``."""
        spec = self.spec
        elements = (spec.a.element, spec.b.element)
        found = [
            Step("operands", max(map(decode_delay, elements)), self._operands),
            Step("products", product_delay(*elements), self._products),
            Step("aligned", shift_delay(*elements), self._align),
        ]
        size = spec.a.block_size
        for level in range(1, tree_levels(size) + 1):
            delay = adder_delay(spec.width_of_sum(min(1 << level, size)))
            found.append(Step(f"level{level}", delay, self._add))
        width = spec.width_of_sum(size)
        found.append(Step("scaled", adder_delay(width) + 2, self._scale))
        if together:
            found.append(Step("together", 6, self._shift_together))
            for level in range(1, tree_levels(spec.blocks) + 1):
                found.append(Step(f"block_level{level}", adder_delay(width), self._add_blocks))
        return found

    def _operands(self, m: Module, live: Live) -> dict[str, Any]:
        spec = self.spec
        found: dict[str, Any] = passed(live, "random_bits")
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
        products = [multiply(m, *xy, *elements, f"lane_{i}") for i, xy in enumerate(pairs)]
        pairs = zip(live["a_scale"], live["b_scale"], strict=True)
        of_scales = [multiply(m, *xy, *scales, f"scale_{i}") for i, xy in enumerate(pairs)]
        size = spec.a.block_size
        blocks = [products[i : i + size] for i in range(0, spec.lanes, size)]
        special = [
            _block_special([p.special for p in block], scale.special, scale.significand)
            for block, scale in zip(blocks, of_scales, strict=True)
        ]
        return {
            **passed(live, "random_bits"),
            "products": [[dataclasses.replace(p, special=None) for p in b] for b in blocks],
            "scales": [dataclasses.replace(p, special=None) for p in of_scales],
            "special": any_special([s for s in special if s is not None]),
        }

    def _align(self, m: Module, live: Live) -> dict[str, Any]:
        width = self.spec.width_of_sum(1)
        terms = [
            [align(m, p, width, f"block_{j}_lane_{i}") for i, p in enumerate(block)]
            for j, block in enumerate(live["products"])
        ]
        return {**passed(live, "random_bits", "scales", "special"), "terms": terms}

    def _add(self, m: Module, live: Live) -> dict[str, Any]:
        count = len(live["terms"][0])
        terms = [
            tree_level(m, block, f"block_{j}_of_{count}") for j, block in enumerate(live["terms"])
        ]
        return {**live, "terms": terms}

    def _scale(self, m: Module, live: Live) -> dict[str, Any]:
        """Each block's sum times the significands of its scales; their shifts beside it."""
        terms, shifts = [], []
        for index, ((total,), scale) in enumerate(zip(live["terms"], live["scales"], strict=True)):
            # Products of scales are never negative, but come with a sign bit that says so.
            product = total * scale.significand
            scaled = Signal(signed(len(product)), name=f"scaled_{index}")
            m.d.comb += scaled.eq(product)
            terms.append(scaled)
            shifts.append(scale.shift if scale.shift is not None else Const(0))
        return {**passed(live, "random_bits", "special"), "terms": terms, "shifts": shifts}

    def _shift_together(self, m: Module, live: Live) -> dict[str, Any]:
        terms = []
        for index, (term, shift) in enumerate(zip(live["terms"], live["shifts"], strict=True)):
            shifted = Signal(signed(len(term) + (1 << len(shift)) - 1), name=f"together_{index}")
            m.d.comb += shifted.eq(term << shift)
            terms.append(shifted)
        return {**passed(live, "random_bits", "special"), "terms": terms}

    def _add_blocks(self, m: Module, live: Live) -> dict[str, Any]:
        count = len(live["terms"])
        return {**live, "terms": tree_level(m, live["terms"], f"sum_of_{count}")}

    def _normalise(self, m: Module, live: Live) -> dict[str, Any]:
        spec = self.spec
        (total,) = live["terms"]
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
        lsb_exponent = spec.lsb_exponent + spec.scale_lsb_exponent
        number: FixedPoint | Shifted
        if spec.blocks == 1:
            shift = live["shifts"][0]
            number = Shifted(magnitude, shift, lsb_exponent, sign, nan, infinity)
        else:
            number = FixedPoint(magnitude, lsb_exponent, sign, nan, infinity)
        placed = normalise(m, number, spec.output, spec.rounding, "placed")
        return {**passed(live, "random_bits"), "placed": placed}

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
