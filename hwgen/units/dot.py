"""The dot product with a running accumulator."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value, signed

from hwgen.arithmetic import lane_sum, path, zero_sign
from hwgen.arithmetic.adder_tree import tree_level, tree_levels
from hwgen.arithmetic.decode import Operand, decode
from hwgen.arithmetic.pair_packing import PairPlan, PairSum, fixed_product
from hwgen.arithmetic.path import Path
from hwgen.arithmetic.product import Product, Special, align, multiply, sign_of, special_of
from hwgen.formats import Integer, Scalar
from hwgen.formats.widths import signed_width, value_range
from hwgen.spec.dot import DotProduct
from hwgen.units import fine_product
from hwgen.units.accumulating import (
    BESIDE_SUM,
    STATE,
    AccumulatingSteps,
    Live,
    accumulating_outline,
    adder_delay,
    passed,
)
from hwgen.units.delay import millionths
from hwgen.units.fine_product import factored
from hwgen.units.unit import Step, Unit, cuts_of

Build = Callable[[Module, Live], dict[str, Any]]


def plan_of(spec: DotProduct) -> lane_sum.LaneSum:
    """How the lanes are summed. A unit that is tuned for a target, one of a single lane, and one
    of packed products move whole products to their places."""
    whole = bool(spec.tuned_for) or spec.lanes == 1 or spec.packing is not None
    return lane_sum.lane_sum(spec.a, spec.b, spec.lanes, whole=whole)


def raised(spec: DotProduct) -> bool:
    """Whether the operands' shifts are ``raised``, as their sum in lanes wants them."""
    return not plan_of(spec).whole


def outline(spec: DotProduct) -> dict[str, tuple[float, int]]:
    """The steps in their order: delay in levels of LUTs, and bits of the data in front."""
    a, b, lanes = spec.a, spec.b, spec.lanes
    if spec.packing is not None:
        return _packed_outline(spec, spec.packing) | sum_outline(spec)
    plan = plan_of(spec)
    significand_bits = a.factor_bits + b.factor_bits
    has_sign = a.sign_apart or b.sign_apart
    product_bits = significand_bits + int(has_sign) + _shift_bits(a, b)
    found = {
        "operands": (max(decode_delay(f) for f in (a, b)), lanes * (a.bits + b.bits)),
        "products": (product_delay(a, b), lanes * (_decoded_bits(a) + _decoded_bits(b))),
        "aligned": (shift_delay(a, b), lanes * product_bits),
    }
    for level in range(1, tree_levels(lanes) + 1):
        bits = plan.bits_after(level - 1) if level > 1 else lanes * plan.lane_bits
        found[f"level{level}"] = (adder_delay(plan.width_behind(level)), bits)
    for level in range(1, plan.merge_levels + 1):
        bits = plan.merged_bits(level - 1)
        found[f"merged{level}"] = (adder_delay(spec.width_of_sum(lanes)), bits)
    return found | sum_outline(spec)


def _packed_outline(spec: DotProduct, packing: PairPlan) -> dict[str, tuple[float, int]]:
    """The steps up to the lanes' sum, where two lanes share a multiplier."""
    a, b, lanes = spec.a, spec.b, spec.lanes
    terms = lanes // 2 * [packing.bits] + lanes % 2 * [spec.product_width]
    found = {
        "operands": (max(decode_delay(f) for f in (a, b)), lanes * (a.bits + b.bits)),
        "products": (product_delay(a, b), lanes * (_decoded_bits(a) + _decoded_bits(b))),
        "aligned": (
            adder_delay(packing.corrected_bits) if packing.corrected_bits else 0.0,
            lanes // 2 * packing.product_bits + lanes % 2 * spec.product_width,
        ),
    }
    for level in range(1, tree_levels(spec.summed_terms) + 1):
        bits = sum(terms)
        pairs = [terms[i : i + 2] for i in range(0, len(terms), 2)]
        terms = [max(pair) + len(pair) - 1 for pair in pairs]
        found[f"level{level}"] = (adder_delay(max(terms)), bits)
    return found


def sum_outline(spec: DotProduct) -> dict[str, tuple[float, int]]:
    """The steps behind the lanes' sum."""
    found = {}
    if spec.addend is not None:
        bits = spec.width_of_sum(spec.lanes)
        found["addend"] = (one_shift_delay(spec.addend), bits + _decoded_bits(spec.addend))
        found["plus"] = (adder_delay(spec.sum_width), bits + spec.sum_width)
    return found | accumulating_outline(spec, spec.sum_width)


def paths(spec: DotProduct) -> dict[str, Path]:
    """The longest way through each step of ``outline`` up to the exact sum; where ``spec`` is
    tuned for a target, its products are made between ``products``, the factors, and
    ``aligned``."""
    a, b = spec.a, spec.b
    operands = max((path.decoder(f) for f in (a, b)), key=lambda p: p.luts)
    products = fine_product.factors_path(a, b, spec.lanes)
    found = {"operands": operands, "products": products, "aligned": Path()}
    if not spec.tuned_for:
        shift = path.shifter(_shift_bits(a, b))
        found |= {
            "products": products + path.multiplier(*fine_product.factor_bits(a, b)),
            "aligned": shift,
        }
    found |= addend_paths(spec)
    plan = plan_of(spec)
    for level in range(1, tree_levels(spec.summed_terms) + 1):
        found[f"level{level}"] = path.adder(plan.width_behind(level))
    for level in range(1, plan.merge_levels + 1):
        found[f"merged{level}"] = path.adder(spec.width_of_sum(spec.lanes))
    return found


def addend_paths(spec: DotProduct) -> dict[str, Path]:
    """The longest way through the steps of an addend, if there is one."""
    if spec.addend is None:
        return {}
    shift = path.shifter(_shift_bits(spec.addend, Integer(1, False)))
    return {"addend": shift, "plus": path.adder(spec.sum_width)}


def cuts(spec: DotProduct) -> frozenset[str]:
    """The steps that have a register in front, beside the one behind the accumulator."""
    names = list(outline(spec))
    delays = [millionths(levels) for levels, _ in outline(spec).values()]
    return frozenset(names[i] for i in cuts_of(delays, spec.latency, names.index(STATE)))


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

    def steps(self) -> Sequence[Step]:
        return DotProductSteps(self.spec).steps()


class DotProductSteps:
    """The steps of a dot product, for units that have such among others."""

    def __init__(self, spec: DotProduct, zero_rounding: str | None = None) -> None:
        """``zero_rounding``: in place of the spec's, for a unit that has its own accumulator."""
        self.spec = spec
        self._accumulating = AccumulatingSteps(spec)
        self._zero_rounding = zero_rounding or spec.zero_rounding

    def steps(self) -> list[Step]:
        """From the values of the input ports to those of the output ports, by their names."""
        registers = self._accumulating.registers()
        return [*self.sum_steps(), *self._accumulating.steps(self.spec.sum_width, registers)]

    def sum_steps(self) -> list[Step]:
        """Up to the exact sum of a cycle."""
        builds: dict[str, Build] = {
            "operands": self._operands,
            "products": self._products,
            "aligned": self._align,
            **self._addend_builds,
        }
        for level in range(1, tree_levels(self.spec.summed_terms) + 1):
            builds[f"level{level}"] = partial(self._add, level)
        for level in range(1, plan_of(self.spec).merge_levels + 1):
            builds[f"merged{level}"] = partial(self._merge, level)
        longest = paths(self.spec)
        found = [
            Step(name, levels, builds[name], path=longest[name])
            for name, (levels, _) in outline(self.spec).items()
            if name in builds
        ]
        if self.spec.tuned_for:
            found[2:2] = self._fine_products()
        return found

    def _fine_products(self) -> list[Step]:
        """The steps between the factors and their product."""
        return fine_product.steps(self.spec.a, self.spec.b, self.spec.product_width)

    def _operand_formats(self) -> dict[str, Scalar]:
        """Of what comes in for each lane, by its port."""
        return {"a": self.spec.a, "b": self.spec.b}

    @property
    def _addend_builds(self) -> dict[str, Build]:
        return {"addend": self._align_addend, "plus": self._add_addend}

    def _operands(self, m: Module, live: Live) -> dict[str, Any]:
        spec = self.spec
        addend = {}
        if spec.addend is not None:
            addend = {"c": decode(m, live["c"], spec.addend, "c", special_is_zero=False)}
        return {
            **passed(live, "clear", "random_bits"),
            **addend,
            **{
                name: [
                    decode(
                        m,
                        code,
                        f,
                        f"lane_{lane}_{name}",
                        raised=raised(spec),
                        special_is_zero=False,
                    )
                    for lane in range(spec.lanes)
                    for code in [live[name].word_select(lane, f.bits)]
                ]
                for name, f in self._operand_formats().items()
            },
        }

    def _products(self, m: Module, live: Live) -> dict[str, Any]:
        spec = self.spec
        if spec.packing is not None:
            return self._packed_products(m, live, spec.packing)
        products = [
            multiply(m, x, y, spec.a, spec.b, f"lane_{lane}", sign_apart=lane > 0)
            if not spec.tuned_for
            else factored(m, x, y, spec.a, spec.b, f"lane_{lane}")
            for lane, (x, y) in enumerate(zip(live["a"], live["b"], strict=True))
        ]
        return self.behind_products(m, live, products, self._signs(live))

    def behind_products(
        self, m: Module, live: Live, products: list[Product], signs: Sequence[Value]
    ) -> dict[str, Any]:
        """The values behind the step of the products, of which there is one for each lane.
        ``signs``: of those that can be −0."""
        specials = [p.special for p in products]
        bare = [dataclasses.replace(p, special=None) for p in products]
        return {**self._beside_products(m, live, specials, signs), "products": bare}

    def _signs(self, live: Live) -> list[Value]:
        """The sign of each lane's product, where products have −0."""
        lanes = list(zip(live["a"], live["b"], strict=True))
        return zero_sign.product_signs(lanes, self.spec.a, self.spec.b)

    def _packed_products(self, m: Module, live: Live, packing: PairPlan) -> dict[str, Any]:
        """Sums of two lanes, that of an odd one its product."""
        a, b = self.spec.a, self.spec.b
        lanes = list(zip(live["a"], live["b"], strict=True))
        products: list[PairSum | Signal] = [
            packing.multiply(m, lanes[i], lanes[i + 1], f"lanes_{i}")
            for i in range(0, len(lanes) - 1, 2)
        ]
        if len(lanes) % 2:
            products.append(fixed_product(m, *lanes[-1], a, b, f"lane_{len(lanes) - 1}"))
        specials = [special_of(m, (x, a), (y, b), f"lane_{i}") for i, (x, y) in enumerate(lanes)]
        return {**self._beside_products(m, live, specials, self._signs(live)), "products": products}

    def _beside_products(
        self,
        m: Module,
        live: Live,
        specials: Sequence[Special | None],
        signs: Sequence[Value],
    ) -> dict[str, Any]:
        spec = self.spec
        found: dict[str, Any] = passed(live, "clear", "random_bits")
        flags = [special for special in specials if special is not None]
        if spec.addend is not None:
            # An addend is its product with one.
            addend = multiply(
                m, live["c"], Operand(Const(1, 1)), spec.addend, Integer(1, False), "c"
            )
            flags += [addend.special] if addend.special is not None else []
            found["addend"] = dataclasses.replace(addend, special=None)
            signs = [*signs, sign_of(live["c"], spec.addend)]
        if self._zero_rounding is not None:
            found["zero_sign"] = zero_sign.together(m, signs, self._zero_rounding, "signs_together")
        special = any_special(flags)
        if special is not None:
            found["special"] = special
        return found

    def _align(self, m: Module, live: Live) -> dict[str, Any]:
        plan = plan_of(self.spec)
        products = live["products"]
        kept = passed(live, *BESIDE_SUM, "addend")
        packing = self.spec.packing
        if packing is not None:
            terms = [
                packing.corrected(m, p, f"lanes_{2 * i}") if isinstance(p, PairSum) else p
                for i, p in enumerate(products)
            ]
            return {**kept, "terms": terms}
        if self.spec.tuned_for or len(products) == 1:
            width = self.spec.product_width
            terms = [align(m, p, width, f"lane_{i}") for i, p in enumerate(products)]
            return {**kept, "terms": terms}
        lanes = [lane_sum.place(m, p, plan, f"lane_{i}") for i, p in enumerate(products)]
        return {**kept, "lanes": lanes}

    def _align_addend(self, m: Module, live: Live) -> dict[str, Any]:
        spec = self.spec
        assert spec.addend is not None
        steps = align(m, live["addend"], signed_width(*value_range(spec.addend)), "addend")
        return {**live, "addend": steps}

    def _add_addend(self, m: Module, live: Live) -> dict[str, Any]:
        """The finer of the two steps is the sum's."""
        spec = self.spec
        assert spec.addend is not None
        total = Signal(signed(spec.sum_width), name="sum_with_addend")
        products = live["terms"][0] << (spec.product_lsb_exponent - spec.lsb_exponent)
        addend = live["addend"] << (spec.addend.lsb_exponent - spec.lsb_exponent)
        m.d.comb += total.eq(products + addend)
        found = {**passed(live, *BESIDE_SUM), "terms": [total]}
        if "zero_sign" in live and not zero_sign.products_have_sign(spec.a, spec.b):
            # The lanes' sum, an integer, is one term; only rounding down tells its sign.
            found["zero_sign"] = live["zero_sign"] | live["terms"][0][-1]
        return found

    def _add(self, level: int, m: Module, live: Live) -> dict[str, Any]:
        plan = plan_of(self.spec)
        if plan.whole:
            terms = tree_level(m, live["terms"], f"sum_level{level}")
            if self.spec.packing is not None and len(terms) == 1:
                # As wide as such sums are: terms of two lanes and of one meet.
                terms = [terms[0][: self.spec.width_of_sum(self.spec.lanes)].as_signed()]
            return {**live, "terms": terms}
        before = lane_sum.terms(m, live["lanes"], plan) if level == 1 else live["trees"]
        trees = lane_sum.add_level(m, before, plan, level)
        kept = passed(live, *BESIDE_SUM, "addend")
        if len(trees[0]) > 1:
            return {**kept, "trees": trees}
        return {**kept, "terms": [tree[0].value for tree in trees]}

    def _merge(self, level: int, m: Module, live: Live) -> dict[str, Any]:
        terms = lane_sum.merge_level(m, live["terms"], plan_of(self.spec), level)
        return {**live, "terms": terms}


def any_special(terms: Sequence[Special]) -> Special | None:
    """The flags of a sum: those that any of its terms has."""
    if not terms:
        return None
    return Special(
        Cat(s.nan for s in terms).any(),
        Cat(s.positive_infinity for s in terms).any(),
        Cat(s.negative_infinity for s in terms).any(),
    )


def _decoded_bits(number_format: Scalar) -> int:
    """Sign, significand and shift."""
    f = number_format
    shift_bits = f.exponent_bits if f.exponent_bits > 1 else 0
    return int(f.sign_apart) + f.factor_bits + shift_bits


def _shift_bits(a: Scalar, b: Scalar) -> int:
    """Bits of the sum of the operands' shifts."""
    bits = [f.exponent_bits for f in (a, b) if f.exponent_bits > 1]
    return max(bits) + len(bits) - 1 if bits else 0


def one_shift_delay(number_format: Scalar) -> float:
    """Levels of the shifter of one decoded number."""
    return 0.7 * number_format.exponent_bits


def decode_delay(number_format: Scalar) -> float:
    if number_format.is_integer:
        return 0.0
    return 1.0 if number_format.exponent_bits <= 3 else 2.0


def product_delay(a: Scalar, b: Scalar) -> float:
    """Rows of the narrower significand, added in pairs."""
    rows = min(f.precision for f in (a, b))
    return 1.0 + 1.5 * (rows - 1).bit_length()


def shift_delay(a: Scalar, b: Scalar) -> float:
    """Levels of the shifter."""
    return 0.7 * _shift_bits(a, b)
