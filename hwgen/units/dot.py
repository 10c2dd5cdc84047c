"""The dot product with a running accumulator."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value, signed

from hwgen.arithmetic import lane_sum, product, zero_sign
from hwgen.arithmetic.adder_tree import tree_level
from hwgen.arithmetic.decode import Operand, decode
from hwgen.arithmetic.pair_packing import PairSum, corrected, fixed_product, multiply_pair
from hwgen.arithmetic.product import Product, Special, sign_of, special_of
from hwgen.formats import Integer, Scalar
from hwgen.formats.widths import signed_width, value_range
from hwgen.sizes.pair_packing import PairPlan
from hwgen.sizes.zero_sign import products_have_sign
from hwgen.spec.dot import DotProduct
from hwgen.units.accumulating import PAST_SUM, Accumulating
from hwgen.units.split_product import SplitProducts, factored
from hwgen.units.unit import Signals, Unit, passed


class DotProductUnit(Unit):
    """Hardware of a :class:`hwgen.DotProduct` spec; initiation interval 1.

    Ports beside those of every unit
    --------------------------------
    clear : In(1)
        The accumulator restarts with this cycle's sum (with ``valid_in``).
    a, b : In(lanes * bits)
        Codes, lane 0 in the lowest bits.
    c : In(bits)
        Code of the addend, with an addend format only.
    random_bits : In(32)
        For stochastic rounding only.
    accumulator : Out(signed(accumulator_width)), or Out(bits) of a float one's codes
        Without an output format: the running sum, in units of 2**accumulator_lsb_exponent; it
        keeps its value between results.
    nan, positive_infinity, negative_infinity : Out(1)
        Beside a fixed-point accumulator, where operands can be such.
    result : Out(output.bits)
        With an output format: the code of the running sum, kept between results.
    """

    spec: DotProduct

    @cached_property
    def builder(self) -> DotProductSteps:
        """The builders of the spec's steps."""
        return DotProductSteps(self.spec)

    def state(self) -> dict[str, Signal]:
        """The registers of the accumulator, by name."""
        return self.builder.registers()


class DotProductSteps(SplitProducts, Accumulating):
    """The builders of a dot product's steps, for units that have such among others."""

    def __init__(self, spec: DotProduct, zero_rounding: str | None = None) -> None:
        """``zero_rounding``: in place of the spec's, for a unit that has its own accumulator."""
        super().__init__(spec)
        self.spec = spec
        self._zero_rounding = zero_rounding or spec.zero_rounding

    def _operand_formats(self) -> dict[str, Scalar]:
        """The format of each lane's operands, by their port."""
        return {"a": self.spec.a, "b": self.spec.b}

    def operands(self, m: Module, signals: Signals) -> dict[str, Any]:
        """Each lane's decoded operands, a list for each port, and the decoded addend."""
        spec = self.spec
        addend = {}
        if spec.addend is not None:
            addend = {"c": decode(m, signals["c"], spec.addend, "c", special_is_zero=False)}
        return {
            **passed(signals, "clear", "random_bits"),
            **addend,
            **{
                name: [
                    decode(
                        m,
                        code,
                        f,
                        f"lane_{lane}_{name}",
                        raised=spec.raises_shifts,
                        special_is_zero=False,
                    )
                    for lane in range(spec.lanes)
                    for code in [signals[name].word_select(lane, f.bits)]
                ]
                for name, f in self._operand_formats().items()
            },
        }

    def multiply(self, m: Module, signals: Signals) -> dict[str, Any]:
        """``products``, one for each lane or, packed, for each two, and what passes them by."""
        spec = self.spec
        if spec.packing is not None:
            return self._packed_products(m, signals, spec.packing)
        fused = spec.adds_product
        products = [
            product.multiply(m, x, y, spec.a, spec.b, f"lane_{lane}", sign_apart=lane > 0 or fused)
            if not spec.pipeline_target
            else factored(m, x, y, spec.a, spec.b, f"lane_{lane}")
            for lane, (x, y) in enumerate(zip(signals["a"], signals["b"], strict=True))
        ]
        return self.behind_products(m, signals, products, self._signs(signals))

    def behind_products(
        self, m: Module, signals: Signals, products: list[Product], signs: Sequence[Value]
    ) -> dict[str, Any]:
        """The values behind the step of the products, of which there is one for each lane.

        ``signs``: of those that can be −0.
        """
        specials = [p.special for p in products]
        bare = [dataclasses.replace(p, special=None) for p in products]
        return {**self._carried_past_products(m, signals, specials, signs), "products": bare}

    def _signs(self, signals: Signals) -> list[Value]:
        """The sign of each lane's product, where products have −0."""
        lanes = list(zip(signals["a"], signals["b"], strict=True))
        return zero_sign.product_signs(lanes, self.spec.a, self.spec.b)

    def _packed_products(self, m: Module, signals: Signals, packing: PairPlan) -> dict[str, Any]:
        """The products as sums of two lanes, the last of an odd number of lanes alone."""
        a, b = self.spec.a, self.spec.b
        lanes = list(zip(signals["a"], signals["b"], strict=True))
        products: list[PairSum | Signal] = [
            multiply_pair(m, packing, lanes[i], lanes[i + 1], f"lanes_{i}")
            for i in range(0, len(lanes) - 1, 2)
        ]
        if len(lanes) % 2:
            products.append(fixed_product(m, *lanes[-1], a, b, f"lane_{len(lanes) - 1}"))
        specials = [special_of(m, (x, a), (y, b), f"lane_{i}") for i, (x, y) in enumerate(lanes)]
        return {
            **self._carried_past_products(m, signals, specials, self._signs(signals)),
            "products": products,
        }

    def _carried_past_products(
        self,
        m: Module,
        signals: Signals,
        specials: Sequence[Special | None],
        signs: Sequence[Value],
    ) -> dict[str, Any]:
        spec = self.spec
        carried: dict[str, Any] = passed(signals, "clear", "random_bits")
        flags = [special for special in specials if special is not None]
        if spec.addend is not None:
            # An addend is its product with one.
            addend = product.multiply(
                m, signals["c"], Operand(Const(1, 1)), spec.addend, Integer(1, False), "c"
            )
            flags += [addend.special] if addend.special is not None else []
            carried["addend"] = dataclasses.replace(addend, special=None)
            signs = [*signs, sign_of(signals["c"], spec.addend)]
        if self._zero_rounding is not None:
            carried["zero_sign"] = zero_sign.sign_of_zeros(
                m, signs, self._zero_rounding, "signs_together"
            )
        special = any_special(flags)
        if special is not None:
            carried["special"] = special
        return carried

    def align(self, m: Module, signals: Signals) -> dict[str, Any]:
        """``terms`` or ``lanes``: products as integers in units of ``product_lsb_exponent``."""
        plan = self.spec.lane_sum
        products = signals["products"]
        carried = passed(signals, *PAST_SUM, "addend")
        packing = self.spec.packing
        if packing is not None:
            terms = [
                corrected(m, packing, p, f"lanes_{2 * i}") if isinstance(p, PairSum) else p
                for i, p in enumerate(products)
            ]
            return {**carried, "terms": terms}
        if plan.whole:
            width = self.spec.product_width
            terms = [product.align(m, p, width, f"lane_{i}") for i, p in enumerate(products)]
            return {**carried, "terms": terms}
        lanes = [lane_sum.place(m, p, plan, f"lane_{i}") for i, p in enumerate(products)]
        return {**carried, "lanes": lanes}

    def align_addend(self, m: Module, signals: Signals) -> dict[str, Any]:
        """``addend`` as an integer, in units of its format's ``lsb_exponent``."""
        spec = self.spec
        assert spec.addend is not None
        aligned = product.align(
            m, signals["addend"], signed_width(*value_range(spec.addend)), "addend"
        )
        return {**signals, "addend": aligned}

    def add_addend(self, m: Module, signals: Signals) -> dict[str, Any]:
        """``terms`` of one sum, the lanes' and the addend's, in the smaller of their two units."""
        spec = self.spec
        assert spec.addend is not None
        total = Signal(signed(spec.sum_width), name="sum_with_addend")
        products = signals["terms"][0] << (spec.product_lsb_exponent - spec.lsb_exponent)
        addend = signals["addend"] << (spec.addend.lsb_exponent - spec.lsb_exponent)
        m.d.comb += total.eq(products + addend)
        values = {**passed(signals, *PAST_SUM), "terms": [total]}
        if "zero_sign" in signals and not products_have_sign(spec.a, spec.b):
            # The lanes' sum, an integer, is one term; only rounding down tells its sign.
            values["zero_sign"] = signals["zero_sign"] | signals["terms"][0][-1]
        return values

    def add(self, m: Module, signals: Signals, level: int) -> dict[str, Any]:
        """The terms behind that level of the adder trees, counted from 1."""
        plan = self.spec.lane_sum
        if plan.whole:
            terms = tree_level(m, signals["terms"], f"sum_level{level}")
            if self.spec.packing is not None and len(terms) == 1:
                # As wide as such sums are: terms of two lanes and of one meet.
                terms = [terms[0][: self.spec.width_of_sum(self.spec.lanes)].as_signed()]
            return {**signals, "terms": terms}
        trees_before = lane_sum.terms(m, signals["lanes"], plan) if level == 1 else signals["trees"]
        trees = lane_sum.add_level(m, trees_before, plan, level)
        carried = passed(signals, *PAST_SUM, "addend")
        if len(trees[0]) > 1:
            return {**carried, "trees": trees}
        return {**carried, "terms": [tree[0].value for tree in trees]}

    def merge(self, m: Module, signals: Signals, level: int) -> dict[str, Any]:
        """The terms behind that level of the adders of the trees' sums, counted from 1."""
        terms = lane_sum.merge_level(m, signals["terms"], self.spec.lane_sum, level)
        return {**signals, "terms": terms}


def any_special(terms: Sequence[Special]) -> Special | None:
    """The flags of a sum: those that any of its terms has; None if there are no terms."""
    if not terms:
        return None
    return Special(
        Cat(s.nan for s in terms).any(),
        Cat(s.positive_infinity for s in terms).any(),
        Cat(s.negative_infinity for s in terms).any(),
    )


component = DotProductUnit
