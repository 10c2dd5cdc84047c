"""The dot product whose formats are switched at run time."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Const, Module, Signal, Value, signed

from hwgen.arithmetic import product, zero_sign
from hwgen.arithmetic.adder_tree import tree_level
from hwgen.arithmetic.decode import Operand, decode
from hwgen.arithmetic.packed_product import (
    Weighted,
    add_weighted,
    row_products,
    select,
    signed_sums,
)
from hwgen.arithmetic.product import sign_of
from hwgen.arithmetic.segmented import Segmented, carry_along, lockstep
from hwgen.spec.multidot import MultiDot
from hwgen.units.accumulating import PAST_SUM, Accumulating
from hwgen.units.dot import any_special
from hwgen.units.split_product import SplitProducts, factored
from hwgen.units.unit import Signals, Unit, passed


class MultiDotUnit(SplitProducts, Accumulating, Unit):
    """Hardware of a :class:`hwgen.MultiDot` spec; initiation interval 1.

    Integers: the rows of one multiplier a lane (see ``hwgen.arithmetic.packed_product``).
    Minifloats: each code is decoded to the fields of the widest ones, and one multiplier of
    significands and one shifter a lane serve all modes. Lane sums count the unit of their
    mode; one shift of the whole sum brings them to that of the accumulator, which is the
    accumulator of a ``dot``, as is the output.

    Ports beside those of a ``dot``
    -------------------------------
    mode : In
        Which of ``spec.pairs`` the operands of this cycle are of.
    """

    spec: MultiDot

    def __init__(self, spec: MultiDot) -> None:
        Unit.__init__(self, spec)
        # The spec has what these builders read.
        Accumulating.__init__(self, spec)  # type: ignore[arg-type]

    def state(self) -> dict[str, Signal]:
        """The registers of the accumulator, by name."""
        return self.registers()

    def _chosen(self, signals: Signals) -> list[Value]:
        """For each mode a bit that is one where the mode is chosen."""
        mode = signals["mode"]
        # Zero is not compared: Yosys would write that as a logical operator on many bits.
        return [~mode.any(), *(mode == other for other in range(1, len(self.spec.pairs)))]

    def multiply_packed(self, m: Module, signals: Signals) -> Segmented[dict[str, Any]]:
        """``terms``: of each rows' product a list, one for each lane."""
        spec, plan, chosen = self.spec, self.spec.row_plan, self._chosen(signals)
        carried: Any = passed(signals, "clear", "mode", "random_bits")
        products = []
        for lane in range(spec.lanes):
            a = signals["a"].word_select(lane, spec.a_bits)
            b = signals["b"].word_select(lane, spec.b_bits)
            wide, narrow = (a, b) if spec.a_is_wide else (b, a)
            split, name = bool(spec.pipeline_target), f"lane_{lane}"
            products.append(row_products(m, plan, wide, narrow, chosen, name, split=split))
        multiplying = lockstep(products, split=bool(spec.pipeline_target))
        lanes, carried = yield from carry_along(multiplying, carried)
        return {**carried, "terms": [list(terms) for terms in zip(*lanes, strict=True)]}

    def decode_modes(self, m: Module, signals: Signals) -> dict[str, Any]:
        """Each lane's operands, decoded as codes of the mode that is chosen."""
        spec, chosen = self.spec, self._chosen(signals)
        values: dict[str, Any] = passed(signals, "clear", "mode", "random_bits")
        for name, bits in (("a", spec.a_bits), ("b", spec.b_bits)):
            values[name] = []
            for lane in range(spec.lanes):
                code = signals[name].word_select(lane, bits)
                operands = [
                    decode(
                        m,
                        code[: f.bits],
                        f,
                        f"lane_{lane}_{name}_mode{mode}",
                        special_is_zero=False,
                    )
                    for mode, f in enumerate(getattr(pair, name) for pair in spec.pairs)
                ]
                values[name].append(_merged(m, operands, chosen, f"lane_{lane}_{name}"))
        return values

    def multiply(self, m: Module, signals: Signals) -> dict[str, Any]:
        """``products``, one for each lane, their flags, and the sign of a zero sum."""
        spec = self.spec
        pair = spec.pairs[0]  # Only the kind of the formats matters, which is the same.
        multiplied = factored if spec.pipeline_target else product.multiply
        products = [
            multiplied(m, x, y, pair.a, pair.b, f"lane_{lane}")
            for lane, (x, y) in enumerate(zip(signals["a"], signals["b"], strict=True))
        ]
        signs: dict[str, Any] = {}
        if spec.zero_rounding is not None:
            lanes = zip(signals["a"], signals["b"], strict=True)
            lane_signs = [sign_of(x, pair.a) ^ sign_of(y, pair.b) for x, y in lanes]
            signs["zero_sign"] = zero_sign.sign_of_zeros(
                m, lane_signs, spec.zero_rounding, "signs_together"
            )
        return {
            **passed(signals, "clear", "mode", "random_bits"),
            **signs,
            "special": any_special([p.special for p in products if p.special is not None]),
            "products": [dataclasses.replace(p, special=None) for p in products],
        }

    def align(self, m: Module, signals: Signals) -> dict[str, Any]:
        """``terms``: one list, the lanes' products as integers in the unit of the mode."""
        width = self.spec.lanes_width(1)
        terms = [product.align(m, p, width, f"lane_{i}") for i, p in enumerate(signals["products"])]
        carried = passed(signals, "clear", "mode", *PAST_SUM[1:])
        return {**carried, "terms": [terms]}

    def add_lanes(self, m: Module, signals: Signals, level: int) -> dict[str, Any]:
        """The terms of each list in pairs, added: that level over the lanes, counted from 1."""
        terms = [
            tree_level(m, terms, f"sum_level{level}_{i}")
            for i, terms in enumerate(signals["terms"])
        ]
        return {**signals, "terms": terms}

    def apply_signs(self, m: Module, signals: Signals) -> dict[str, Any]:
        """``terms`` of the rows' sums with the signs that they have in the mode."""
        sums = [total for (total,) in signals["terms"]]
        return {**signals, "terms": signed_sums(m, self.spec.row_plan, sums, self._chosen(signals))}

    def combine(self, m: Module, signals: Signals, level: int) -> dict[str, Any]:
        """The rows' sums in pairs, added: that level of the sum of all lanes, counted from 1."""
        return {**signals, "terms": add_weighted(m, signals["terms"], f"combined{level}")}

    def place(self, m: Module, signals: Signals) -> dict[str, Any]:
        """``terms`` of one: the lanes' sum in units of the accumulator."""
        spec = self.spec
        (lanes_sum,) = signals["terms"]
        total = lanes_sum.term if isinstance(lanes_sum, Weighted) else lanes_sum[0]
        whole = Signal(signed(self.spec.lanes_width(spec.lanes)), name="sum_of_lanes")
        placed = []
        for mode, pair in enumerate(spec.pairs):
            up = pair.lsb_exponent - spec.lsb_exponent - self.spec.weight(mode)
            placed.append(whole << up if up >= 0 else whole >> -up)
        term = Signal(signed(spec.width_of_sum(spec.lanes * max(spec.products))), name="term")
        m.d.comb += [whole.eq(total), term.eq(select(self._chosen(signals), placed))]
        return {**passed(signals, *PAST_SUM), "terms": [term]}


def _merged(m: Module, operands: Sequence[Operand], chosen: Sequence[Value], name: str) -> Operand:
    """The one of the operands that is ``chosen``."""

    def chosen_field(field: str) -> Signal | None:
        values = [getattr(operand, field) for operand in operands]
        if all(value is None for value in values):
            return None
        width = max(len(value) for value in values if value is not None)
        signal = Signal(width, name=f"{name}_{field}")
        m.d.comb += signal.eq(select(chosen, [Const(0) if v is None else v for v in values]))
        return signal

    significand = chosen_field("significand")
    assert significand is not None
    return Operand(significand, *(chosen_field(f) for f in ("sign", "shift", "nan", "infinity")))


component = MultiDotUnit
