"""The dot product whose formats are switched at run time."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from amaranth.hdl import Const, Module, Signal, Value, signed

from hwgen.arithmetic.adder_tree import tree_level, tree_levels
from hwgen.arithmetic.decode import Operand, decode
from hwgen.arithmetic.packed_product import Packed, RowPlan, Weighted, add_weighted, select
from hwgen.arithmetic.product import align, multiply
from hwgen.formats import Integer
from hwgen.formats.widths import signed_width
from hwgen.spec.multidot import MultiDot
from hwgen.units.accumulating import STATE, AccumulatingSteps, adder_delay, passed
from hwgen.units.dot import any_special, decode_delay, product_delay, shift_delay
from hwgen.units.unit import Step, Unit

Live = Mapping[str, Any]


class MultiDotUnit(Unit):
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

    def steps(self) -> Sequence[Step]:
        spec = self.spec
        integers = spec.formats.are_integers
        if integers:
            # No register between choosing codes and the ANDs of the rows: both fit one LUT.
            rows = max(rows.high - rows.low for rows in self._plan.rows)
            found = [Step("products", 1.5 + 1.5 * tree_levels(rows), self._rows)]
        else:
            pairs = [(pair.a, pair.b) for pair in spec.pairs]
            decoding = max(decode_delay(f) for pair in pairs for f in pair)
            found = [
                Step("operands", 1 + decoding, self._decode),
                Step("products", max(product_delay(*pair) for pair in pairs), self._multiply),
                Step("aligned", max(shift_delay(*pair) for pair in pairs), self._shift),
            ]
        for level in range(1, tree_levels(spec.lanes) + 1):
            count = min(1 << level, spec.lanes)
            add = partial(self._add_lanes, f"sum_level{level}")
            found.append(Step(f"level{level}", adder_delay(self._sum_width(count)), add))
        width = self._sum_width(spec.lanes)
        if integers:
            found.append(Step("signed", 0.5, self._apply_signs))
            for level in range(1, tree_levels(self._plan.term_count) + 1):
                combine = partial(self._combine, f"combined{level}")
                found.append(Step(f"combined{level}", adder_delay(width), combine))
        found.append(Step("placed", 1.0, self._place))
        width = spec.accumulator_width
        # The spec has what these steps read.
        accumulating = AccumulatingSteps(spec)  # type: ignore[arg-type]
        builds = accumulating.builds()
        found.append(Step(STATE, adder_delay(width), builds[STATE], accumulating.registers()))
        if spec.output is not None:
            delay = width.bit_length() + adder_delay(width)
            found.append(Step("normalise", delay, builds["normalise"]))
            found.append(Step("round", adder_delay(spec.output.bits) + 2, builds["round"]))
        return found

    def _sum_width(self, lanes: int) -> int:
        """Bits of a signed sum of the products of so many lanes, each mode's in its own unit."""
        widths = []
        for mode, (pair, count) in enumerate(zip(self.spec.pairs, self.spec.products, strict=True)):
            low, high = (v * count * lanes << self._weight(mode) for v in pair.product_range)
            widths.append(signed_width(low, high))
        return max(widths)

    def _weight(self, mode: int) -> int:
        """Products of a mode come out times 2 to this."""
        return self._plan.modes[mode].weight if self.spec.formats.are_integers else 0

    def _chosen(self, live: Live) -> list[Value]:
        """A bit a mode."""
        mode = live["mode"]
        # Zero is not compared: Yosys would write that as a logical operator on many bits.
        return [~mode.any(), *(mode == other for other in range(1, len(self.spec.pairs)))]

    @property
    def _plan(self) -> RowPlan:
        """Rows for the bits of the operand with the narrower lanes."""
        spec = self.spec
        modes = []
        for pair, count in zip(spec.pairs, spec.products, strict=True):
            assert isinstance(pair.a, Integer) and isinstance(pair.b, Integer)
            wide, narrow = (pair.a, pair.b) if self._a_is_wide else (pair.b, pair.a)
            modes.append(Packed(wide, narrow, count))
        return RowPlan(tuple(modes))

    @property
    def _a_is_wide(self) -> bool:
        return self.spec.a_bits >= self.spec.b_bits

    def _rows(self, m: Module, live: Live) -> dict[str, Any]:
        """Terms of each rows' sum, by lane."""
        spec, plan, chosen = self.spec, self._plan, self._chosen(live)
        lanes = []
        for lane in range(spec.lanes):
            a = live["a"].word_select(lane, spec.a_bits)
            b = live["b"].word_select(lane, spec.b_bits)
            wide, narrow = (a, b) if self._a_is_wide else (b, a)
            lanes.append(plan.products(m, wide, narrow, chosen, f"lane_{lane}"))
        terms = [list(terms) for terms in zip(*lanes, strict=True)]
        return {**passed(live, "clear", "mode", "random_bits"), "terms": terms}

    def _decode(self, m: Module, live: Live) -> dict[str, Any]:
        spec, chosen = self.spec, self._chosen(live)
        found: dict[str, Any] = passed(live, "clear", "mode", "random_bits")
        for name, bits in (("a", spec.a_bits), ("b", spec.b_bits)):
            found[name] = []
            for lane in range(spec.lanes):
                code = live[name].word_select(lane, bits)
                operands = [
                    decode(m, code[: f.bits], f, f"lane_{lane}_{name}_mode{mode}")
                    for mode, f in enumerate(getattr(pair, name) for pair in spec.pairs)
                ]
                found[name].append(_merged(m, operands, chosen, f"lane_{lane}_{name}"))
        return found

    def _multiply(self, m: Module, live: Live) -> dict[str, Any]:
        pair = self.spec.pairs[0]  # Only the kind of the formats matters, which is the same.
        products = [
            multiply(m, x, y, pair.a, pair.b, f"lane_{lane}")
            for lane, (x, y) in enumerate(zip(live["a"], live["b"], strict=True))
        ]
        return {
            **passed(live, "clear", "mode", "random_bits"),
            "special": any_special([p.special for p in products if p.special is not None]),
            "products": [dataclasses.replace(p, special=None) for p in products],
        }

    def _shift(self, m: Module, live: Live) -> dict[str, Any]:
        width = self._sum_width(1)
        terms = [align(m, p, width, f"lane_{i}") for i, p in enumerate(live["products"])]
        return {**passed(live, "clear", "mode", "random_bits", "special"), "terms": [terms]}

    def _add_lanes(self, name: str, m: Module, live: Live) -> dict[str, Any]:
        terms = [tree_level(m, terms, f"{name}_{i}") for i, terms in enumerate(live["terms"])]
        return {**live, "terms": terms}

    def _apply_signs(self, m: Module, live: Live) -> dict[str, Any]:
        sums = [total for (total,) in live["terms"]]
        return {**live, "terms": self._plan.signed_sums(m, sums, self._chosen(live))}

    def _combine(self, name: str, m: Module, live: Live) -> dict[str, Any]:
        """The sum of all lanes from those of the rows."""
        return {**live, "terms": add_weighted(m, live["terms"], name)}

    def _place(self, m: Module, live: Live) -> dict[str, Any]:
        """The sum in units of the accumulator."""
        spec = self.spec
        (found,) = live["terms"]
        total = found.term if isinstance(found, Weighted) else found[0]
        whole = Signal(signed(self._sum_width(spec.lanes)), name="sum_of_lanes")
        placed = []
        for mode, pair in enumerate(spec.pairs):
            up = pair.lsb_exponent - spec.lsb_exponent - self._weight(mode)
            placed.append(whole << up if up >= 0 else whole >> -up)
        term = Signal(signed(spec.width_of_sum(spec.lanes * max(spec.products))), name="term")
        m.d.comb += [whole.eq(total), term.eq(select(self._chosen(live), placed))]
        return {**passed(live, "clear", "random_bits", "special"), "terms": [term]}


def _merged(m: Module, operands: Sequence[Operand], chosen: Sequence[Value], name: str) -> Operand:
    """The one of the operands that is ``chosen``."""

    def one(field: str) -> Signal | None:
        values = [getattr(operand, field) for operand in operands]
        if all(value is None for value in values):
            return None
        width = max(len(value) for value in values if value is not None)
        found = Signal(width, name=f"{name}_{field}")
        m.d.comb += found.eq(select(chosen, [Const(0) if v is None else v for v in values]))
        return found

    significand = one("significand")
    assert significand is not None
    return Operand(significand, *(one(f) for f in ("sign", "shift", "nan", "infinity")))
