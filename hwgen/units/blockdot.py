"""The block-scaled dot product."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from typing import Any, cast

from amaranth.hdl import Const, Module, Mux, Signal, Value, signed

from hwgen.accumulator import Aligned
from hwgen.arithmetic import product, rounder, shift, zero_sign
from hwgen.arithmetic.adder_tree import tree_level
from hwgen.arithmetic.coding import to_code
from hwgen.arithmetic.decode import Operand, decode
from hwgen.arithmetic.magnitude import magnitude
from hwgen.arithmetic.pair_packing import PairSum, corrected, fixed_product, multiply_pair
from hwgen.arithmetic.product import Product, Special, special_of
from hwgen.arithmetic.product_rows import multiplied
from hwgen.arithmetic.rounder import FixedPoint, Normal, Normalised, Shifted, place_normal
from hwgen.arithmetic.segmented import Boundary, Segmented, carry_along, last, lockstep
from hwgen.arithmetic.term_alignment import (
    Placed,
    largest_of,
    leading_bits,
    moved_right,
    offset_of,
    placed,
    ranked,
)
from hwgen.formats.widths import signed_width
from hwgen.sizes.pair_packing import PairPlan
from hwgen.sizes.rounding import placing_bias
from hwgen.sizes.zero_sign import products_have_sign
from hwgen.spec.blockdot import BlockDot
from hwgen.spec.steps.blockdot import ALIGNED, ALONE, SHORTENED
from hwgen.units.dot import any_special
from hwgen.units.split_product import SplitProducts, factored
from hwgen.units.unit import Signals, Unit, passed

MICRO = ("a_micro", "b_micro")


class BlockDotUnit(Unit):
    """Hardware of a :class:`hwgen.BlockDot` spec; initiation interval 1.

    Ports beside those of every unit
    --------------------------------
    a, b : In(lanes * bits)
        Codes of the elements, block 0 and its element 0 in the lowest bits.
    a_scale, b_scale : In(blocks * bits)
        Codes of the scales; of the larger blocks there are fewer.
    a_micro, b_micro : In(blocks * micro_exponents * micro_bits)
        Micro-exponents, of the formats that have them; those of the first elements lowest.
    random_bits : In(32)
        For stochastic rounding only.
    result : Out(output.bits)
        Code of the dot product.
    """

    spec: BlockDot

    @cached_property
    def builder(self) -> BlockDotSteps:
        """The builders of the spec's steps."""
        return BlockDotSteps(self.spec)


class BlockDotSteps(SplitProducts):
    """The builders of a block-scaled dot product's steps, for units that have such among others."""

    def __init__(self, spec: BlockDot, zero_rounding: str | None = None) -> None:
        """``zero_rounding``: in place of the spec's, for a unit that rounds the sum itself."""
        self.spec = spec
        self._zero_rounding = zero_rounding or spec.zero_rounding

    @property
    def _split(self) -> bool:
        return self.spec.is_tuned

    def operands(self, m: Module, signals: Signals) -> dict[str, Any]:
        """Each lane's decoded elements, and each block's decoded scales."""
        spec = self.spec
        operands: dict[str, Any] = passed(signals, "random_bits", *MICRO)
        for name, f in (("a", spec.a), ("b", spec.b)):
            operands[name] = [
                decode(
                    m,
                    signals[name].word_select(i, f.element.bits),
                    f.element,
                    f"{name}_{i}",
                    special_is_zero=False,
                )
                for i in range(spec.lanes)
            ]
            scale = f"{name}_scale"
            operands[scale] = [
                decode(m, signals[scale].word_select(i, f.scale.bits), f.scale, f"{scale}_{i}")
                for i in range(spec.lanes // f.block_size)
            ]
        return operands

    def multiply(self, m: Module, signals: Signals) -> dict[str, Any]:
        """``products`` of elements and ``scales``, products of scales, by block."""
        spec, elements = self.spec, self.spec.elements
        if spec.packing is not None:
            return self._packed_products(m, signals, spec.packing)
        pairs = zip(signals["a"], signals["b"], strict=True)
        multiplied = factored if spec.pipeline_target else product.multiply
        products = [multiplied(m, *xy, *elements, f"lane_{i}") for i, xy in enumerate(pairs)]
        return self.behind_products(m, signals, products)

    def behind_products(
        self, m: Module, signals: Signals, products: list[Product], suffix: str = ""
    ) -> dict[str, Any]:
        """The values behind the step of the products, of which there is one for each lane.

        ``suffix``: of the names of what is made beside them.
        """
        bare = [dataclasses.replace(p, special=None) for p in products]
        specials = [p.special for p in products]
        blocks = _parts(bare, self.spec.block_size)
        return self._with_scales(m, signals, blocks, specials, suffix)

    def _packed_products(self, m: Module, signals: Signals, packing: PairPlan) -> dict[str, Any]:
        """The products of each block as sums of two lanes, of an odd number the last alone."""
        a, b = self.spec.elements
        lanes = list(zip(signals["a"], signals["b"], strict=True))
        products: list[list[PairSum | Signal]] = []
        for j, block in enumerate(_parts(lanes, self.spec.block_size)):
            name = f"block_{j}_lane"
            pairs = enumerate(zip(block[::2], block[1::2], strict=False))
            products.append(
                [multiply_pair(m, packing, *pair, f"{name}s_{2 * i}") for i, pair in pairs]
            )
            if len(block) % 2:
                x, y = block[-1]
                alone = fixed_product(m, x, y, a, b, f"{name}_{len(block) - 1}")
                products[-1].append(alone)
        specials = [special_of(m, (x, a), (y, b), f"lane_{i}") for i, (x, y) in enumerate(lanes)]
        return self._with_scales(m, signals, products, specials)

    def _with_scales(
        self,
        m: Module,
        signals: Signals,
        products: Sequence[Sequence[Any]],
        specials: list[Special | None],
        suffix: str = "",
    ) -> dict[str, Any]:
        """``products``, by block, with those of the scales, and what blocks are instead.

        ``specials``: what each lane's product is instead.
        """
        spec = self.spec
        a, b = spec.scales
        pairs = zip(*(self._by_block(signals[f"{name}_scale"]) for name in "ab"), strict=True)
        of_scales = [
            product.multiply(m, x, y, a, b, f"scale_{i}{suffix}") for i, (x, y) in enumerate(pairs)
        ]
        special = [
            _block_special(block, scale.special, scale.significand)
            for block, scale in zip(_parts(specials, spec.block_size), of_scales, strict=True)
        ]
        return {
            **passed(signals, "random_bits", *MICRO),
            **self._block_signs(m, signals, suffix),
            "products": products,
            "scales": [dataclasses.replace(p, special=None) for p in of_scales],
            "special": any_special([s for s in special if s is not None]),
        }

    def _block_signs(self, m: Module, signals: Signals, suffix: str) -> dict[str, Any]:
        """The sign of each block that is zero, where its products can be −0."""
        spec, rounding = self.spec, self._zero_rounding
        if rounding is None or not products_have_sign(*spec.elements):
            return {}
        lanes = list(zip(signals["a"], signals["b"], strict=True))
        size = spec.block_size
        blocks = _parts(zero_sign.product_signs(lanes, *spec.elements), size)
        return {
            "block_signs": [
                zero_sign.sign_of_zeros(m, signs, rounding, f"signs_{j * size}{suffix}")
                for j, signs in enumerate(blocks)
            ]
        }

    def _by_block(self, scales: list[Operand]) -> list[Operand]:
        """The scales of an operand, one for each of the smaller blocks."""
        return [scales[i * len(scales) // self.spec.blocks] for i in range(self.spec.blocks)]

    def align(self, m: Module, signals: Signals) -> dict[str, Any]:
        """Products of elements in fixed point; the scales' significands and shifts with them."""
        terms = [
            [self._in_place(m, p, f"block_{j}_lane", i) for i, p in enumerate(block)]
            for j, block in enumerate(signals["products"])
        ]
        scales = signals["scales"]
        shifts = [scale.shift if scale.shift is not None else Const(0) for scale in scales]
        return {
            **passed(signals, "random_bits", "special", "block_signs", *MICRO),
            "terms": terms,
            "significands": [scale.significand for scale in scales],
            "shifts": shifts,
        }

    def _in_place(self, m: Module, made: Product | PairSum | Signal, name: str, i: int) -> Signal:
        """A product, or a sum of two, as a number: the ``i``-th of its block."""
        packing = self.spec.packing
        if packing is None:
            return product.align(m, cast(Product, made), self.spec.width_of_sum(1), f"{name}_{i}")
        if isinstance(made, PairSum):
            return corrected(m, packing, made, f"{name}s_{2 * i}")
        return cast(Signal, made)

    def align_and_order(self, m: Module, signals: Signals) -> Segmented[dict[str, Any]]:
        """As ``align``, and which shift is the largest, or the order of all."""
        carried: Any = self.align(m, signals)
        shifts = carried["shifts"]
        if self.spec.alignment == SHORTENED:
            order, carried = yield from carry_along(ranked(m, shifts, "order"), carried)
            return {**carried, "order": order}
        largest, carried = yield from carry_along(largest_of(m, shifts, "largest"), carried)
        return {**carried, "largest": largest}

    def add(self, m: Module, signals: Signals) -> dict[str, Any]:
        """The terms of each block in pairs, added."""
        count = len(signals["terms"][0])
        terms = [
            tree_level(m, block, f"block_{j}_of_{count}")
            for j, block in enumerate(signals["terms"])
        ]
        return {**signals, "terms": terms}

    def shift_by_micro(self, m: Module, signals: Signals) -> dict[str, Any]:
        """Sums of neighbours, shifted left by what their micro-exponents leave of the largest."""
        spec = self.spec
        terms: list[list[Value]] = []
        for j, block in enumerate(signals["terms"]):
            terms.append([])
            for i, term in enumerate(block):
                lane = j * spec.block_size + i * spec.micro_group
                shift_left: Value = Const(0)
                for name, f in (("a", spec.a), ("b", spec.b)):
                    if f.micro_bits:
                        micro = signals[f"{name}_micro"].word_select(
                            lane // f.micro_block, f.micro_bits
                        )
                        shift_left = shift_left + ~micro
                width = len(term) + spec.largest_micro_shift
                shifted = Signal(signed(width), name=f"block_{j}_micro_{i}")
                m.d.comb += shifted.eq(term << shift_left)
                terms[-1].append(shifted)
        carried = {name: value for name, value in signals.items() if name not in MICRO}
        return {**carried, "terms": terms}

    def scale_blocks(self, m: Module, signals: Signals) -> Segmented[dict[str, Any]]:
        """Each block's sum times the significands of its scales, and where it goes."""
        spec = self.spec
        carried: Any = passed(signals, "random_bits", "special", "shifts", "largest", "order")
        totals: list[Value] = [total for (total,) in signals["terms"]]
        if self._zero_rounding is not None:
            zeros = signals.get("block_signs", [None] * spec.blocks)
            rounding = self._zero_rounding
            signs = [
                zero_sign.of_sum(*block, rounding) for block in zip(totals, zeros, strict=True)
            ]
            carried["zero_sign"] = zero_sign.sign_of_zeros(m, signs, rounding, "zero_sign")
        # A power of two is all in its shift; only NaN has another significand.
        if not spec.scales_are_powers:
            multiplying = [
                multiplied(m, total, significand, f"product_{index}", split=self._split)
                for index, (total, significand) in enumerate(
                    zip(totals, signals["significands"], strict=True)
                )
            ]
            totals, carried = yield from carry_along(
                lockstep(multiplying, split=self._split), carried
            )
        terms: list[Value] = []
        width = signed_width(*spec.block_range)
        for index, total in enumerate(totals):
            scaled = Signal(signed(width), name=f"scaled_{index}")
            m.d.comb += scaled.eq(total)
            terms.append(scaled)
        carried = {**carried, "terms": terms}
        if spec.alignment == SHORTENED:
            order = carried.pop("order")
            places, carried = yield from carry_along(placed(m, order, spec.gap, "place"), carried)
            carried = {**carried, "placed": places}
        boundary_values: dict[str, Any] = yield from last("scaled", carried)
        return boundary_values

    def align_blocks(self, m: Module, signals: Signals) -> Segmented[dict[str, Any]]:
        """Each block's sum at its place among the others."""
        spec, split = self.spec, self._split
        accumulator = spec.accumulator
        if isinstance(accumulator, Aligned):
            return (yield from self._move_to_window(m, signals, accumulator))
        carried: Any = passed(signals, "random_bits", "special", "zero_sign", "placed")
        places = signals["shifts"]
        if spec.alignment == SHORTENED:
            places = signals["placed"].places
        width = self.spec.aligned_bits
        shifting = []
        for index, (term, place) in enumerate(zip(signals["terms"], places, strict=True)):
            shifting.append(self._moved_to(m, term, place, width, f"together_{index}"))
        terms, carried = yield from carry_along(lockstep(shifting, split=split), carried)
        return {**carried, "terms": terms}

    def _moved_to(
        self, m: Module, term: Value, place: Value, width: int, name: str
    ) -> Segmented[Signal]:
        moved = yield from shift.left(m, term, place, width, "moved", split=self._split)
        shifted = Signal(signed(width), name=name)
        m.d.comb += shifted.eq(moved)
        return (yield from last("together", shifted))

    def _move_to_window(
        self, m: Module, signals: Signals, accumulator: Aligned
    ) -> Segmented[dict[str, Any]]:
        carried: Any = passed(signals, "random_bits", "special", "largest")
        moving = []
        for index, (term, block_shift) in enumerate(
            zip(signals["terms"], signals["shifts"], strict=True)
        ):
            moving.append(
                self._to_window(m, term, signals["largest"], block_shift, accumulator, index)
            )
        terms, carried = yield from carry_along(lockstep(moving, split=self._split), carried)
        return {**carried, "terms": terms}

    def _to_window(
        self,
        m: Module,
        term: Value,
        largest: Value,
        block_shift: Value,
        accumulator: Aligned,
        index: int,
    ) -> Segmented[Signal]:
        spec = self.spec
        distance: Value = Signal(len(largest), name=f"distance_{index}")
        m.d.comb += distance.eq(largest - block_shift)
        term, distance = yield Boundary("distance", [term, distance])
        drop, width, name = spec.window_drop, spec.window_term_width, f"together_{index}"
        rounding = accumulator.rounding
        return (yield from moved_right(m, term, distance, drop, width, rounding, name))

    def add_blocks(self, m: Module, signals: Signals) -> dict[str, Any]:
        """The blocks' sums in pairs, added."""
        terms = tree_level(m, signals["terms"], f"sum_of_{len(signals['terms'])}")
        return {**signals, "terms": terms}

    def normalise(self, m: Module, signals: Signals) -> Segmented[dict[str, Any]]:
        """``placed``: the sum's magnitude where the output's rounding takes it."""
        spec = self.spec
        (total,) = signals["terms"]
        if isinstance(spec.accumulator, Aligned):
            # Its unit is chosen so that the sum of the blocks fits.
            total = total[: spec.accumulator.bits].as_signed()
        absolute: Value = magnitude(m, total, "magnitude", split=self._split)
        sign = total[-1]
        if self._zero_rounding is not None:
            sign = zero_sign.of_sum(total, signals["zero_sign"], self._zero_rounding)
        nan = infinity = None
        if signals["special"] is not None:
            special: Special = signals["special"]
            both = special.positive_infinity & special.negative_infinity
            nan = special.nan | both
            infinity = special.positive_infinity | special.negative_infinity
            sign = Mux(infinity, special.negative_infinity, sign)
        carried: Any = passed(signals, "random_bits", "shifts", "largest", "placed")
        values = [absolute, [sign, nan, infinity], carried]
        number, flags, carried = yield Boundary("magnitude", values)
        lsb_exponent = spec.lsb_exponent + spec.scale_lsb_exponent
        output, modes = spec.output, (spec.rounding, "placed")
        random_bits: Any = passed(carried, "random_bits")
        placing: Segmented[Normalised]
        if spec.alignment == ALIGNED:
            lsb_exponent += spec.window_drop
            shifted = Shifted(number, carried["largest"], lsb_exponent, *flags)
            placing = rounder.normalise(m, shifted, output, *modes, split=self._split)
        elif spec.alignment == ALONE:
            shifted = Shifted(number, carried["shifts"][0], lsb_exponent, *flags)
            placing = rounder.normalise(m, shifted, output, *modes, split=self._split)
        elif spec.rounds_to_float:
            finding = self._leading(m, number, carried.get("placed"))
            leading, (flags, random_bits) = yield from carry_along(finding, [flags, random_bits])
            sign, nan, infinity = flags
            leading = dataclasses.replace(leading, sign=sign, nan=nan, infinity=infinity)
            placing = place_normal(m, leading, output, *modes, split=self._split)
        else:
            fixed = FixedPoint(number, lsb_exponent, *flags)
            placing = rounder.normalise(m, fixed, output, *modes, split=self._split)
        placed_sum, random_bits = yield from carry_along(placing, random_bits)
        return {**random_bits, "placed": placed_sum}

    def _leading(self, m: Module, magnitude: Value, where: Placed | None) -> Segmented[Normal]:
        """The bits of a sum of several blocks that its rounding needs."""
        spec, output = self.spec, self.spec.output
        width = len(magnitude)
        searching = leading_bits(m, magnitude, spec.kept_bits, "leading")
        (significand, zeros), where = yield from carry_along(searching, where)
        place: Value = Signal(signed((width - 1).bit_length() + 1), name="leading_place")
        m.d.comb += place.eq(width - 1 - zeros)
        values = [significand, place, where]
        significand, place, where = yield Boundary("place", values)
        lowest = spec.lsb_exponent + spec.scale_lsb_exponent + placing_bias(output)
        field = place + lowest
        if spec.alignment == SHORTENED:
            assert where is not None
            finding = offset_of(m, place, where, "leading_offset")
            offset, (significand, field) = yield from carry_along(finding, [significand, field])
            field = field + offset
        return (yield from last("field", Normal(significand, field, lowest)))

    def rounded(self, m: Module, signals: Signals) -> Segmented[dict[str, Any]]:
        """``result``: the output's code of the dot product."""
        spec = self.spec
        args = (spec.rounding, spec.overflow, "rounded", signals.get("random_bits"))
        code = yield from to_code(m, signals["placed"], spec.output, *args, split=self._split)
        return {"result": code}


def _parts(items: list[Any], size: int) -> list[list[Any]]:
    """The ``items`` of all lanes by block, of ``size`` lanes."""
    return [items[i : i + size] for i in range(0, len(items), size)]


def _block_special(
    lanes: list[Special | None], scale: Special | None, significand: Value
) -> Special | None:
    """What a block's sum times its scales is instead of a number.

    NaN with a NaN scale, or with an infinite sum and a scale of zero.
    """
    special = any_special([lane for lane in lanes if lane is not None])
    nan = scale.nan if scale is not None else Const(0)
    if special is None:
        return None if scale is None else Special(nan, Const(0), Const(0))
    infinite = special.positive_infinity | special.negative_infinity
    return dataclasses.replace(special, nan=special.nan | nan | (infinite & ~significand.any()))


component = BlockDotUnit
