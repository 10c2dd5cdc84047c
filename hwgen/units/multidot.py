"""The dot product whose formats are switched at run time."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from amaranth.hdl import Const, Module, Signal, Value, signed

from hwgen.arithmetic import path, zero_sign
from hwgen.arithmetic.adder_tree import tree_level, tree_levels
from hwgen.arithmetic.decode import Operand, decode
from hwgen.arithmetic.packed_product import (
    Packed,
    RowPlan,
    Weighted,
    add_weighted,
    select,
    selection,
)
from hwgen.arithmetic.parts import Parts, abreast, beside
from hwgen.arithmetic.product import align, multiply, sign_of
from hwgen.arithmetic.product_parts import factors
from hwgen.formats.widths import signed_width
from hwgen.spec.multidot import Modes, MultiDot
from hwgen.units.accumulating import BESIDE_SUM, AccumulatingSteps, adder_delay, passed
from hwgen.units.dot import any_special, decode_delay, product_delay, shift_delay
from hwgen.units.fine_product import factored, factors_path, steps_of
from hwgen.units.unit import Step, Unit, in_parts, scratch

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
            # No register between choosing codes and the ANDs of the rows, unless a target asks
            # for it: both fit one LUT.
            rows = max(rows.high - rows.low for rows in self._plan.rows)
            found = [in_parts("products", 1.5 + 1.5 * tree_levels(rows), self._rows)]
        else:
            found = self._float_products()
        for level in range(1, tree_levels(spec.lanes) + 1):
            bits = self._sum_width(min(1 << level, spec.lanes))
            add = partial(self._add_lanes, f"sum_level{level}")
            found.append(Step(f"level{level}", adder_delay(bits), add, path=path.adder(bits)))
        width = self._sum_width(spec.lanes)
        selected = selection(len(spec.pairs))
        if integers:
            signs = selected + path.Path(luts=1)
            found.append(Step("signed", 0.5, self._apply_signs, path=signs))
            for level in range(1, tree_levels(self._plan.term_count) + 1):
                combine = partial(self._combine, f"combined{level}")
                levels = adder_delay(width)
                # Terms have their places up to the highest row.
                longest = path.adder(width + self._plan.rows[-1].high)
                found.append(Step(f"combined{level}", levels, combine, path=longest))
        found.append(Step("placed", 1.0, self._place, path=selected))
        # The spec has what these steps read.
        accumulating = AccumulatingSteps(spec)  # type: ignore[arg-type]
        return [*found, *accumulating.steps(width, accumulating.registers())]

    def _float_products(self) -> list[Step]:
        """From codes of minifloats to products in their place."""
        spec = self.spec
        pairs = [(pair.a, pair.b) for pair in spec.pairs]
        formats = [f for pair in pairs for f in pair]
        decoding = max(decode_delay(f) for f in formats)
        decoded = path.longer(*map(path.decoder, formats)) + selection(len(pairs))
        multiplied = path.longer(*(factors_path(*pair, spec.lanes) for pair in pairs))
        fine = self._fine_products() if spec.tuned_for else []
        return [
            Step("operands", 1 + decoding, self._decode, path=decoded),
            Step(
                "products", max(product_delay(*p) for p in pairs), self._multiply, path=multiplied
            ),
            *fine,
            Step("aligned", max(shift_delay(*p) for p in pairs), self._shift, path=path.Path()),
        ]

    def _fine_products(self) -> list[Step]:
        """Of the widest fields that any mode has."""
        return steps_of(*_factor_bits(self.spec.formats), self._sum_width(1))

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
            wide, narrow = (pair.a, pair.b) if self._a_is_wide else (pair.b, pair.a)
            modes.append(Packed(wide, narrow, count))
        return RowPlan(tuple(modes))

    @property
    def _a_is_wide(self) -> bool:
        return self.spec.a_bits >= self.spec.b_bits

    def _rows(self, m: Module, live: Live) -> Parts[dict[str, Any]]:
        """Terms of each rows' sum, by lane."""
        spec, plan, chosen = self.spec, self._plan, self._chosen(live)
        rest: Any = passed(live, "clear", "mode", "random_bits")
        products = []
        for lane in range(spec.lanes):
            a = live["a"].word_select(lane, spec.a_bits)
            b = live["b"].word_select(lane, spec.b_bits)
            wide, narrow = (a, b) if self._a_is_wide else (b, a)
            fine, name = bool(spec.tuned_for), f"lane_{lane}"
            products.append(plan.products(m, wide, narrow, chosen, name, fine=fine))
        together = abreast(products, fine=bool(spec.tuned_for))
        lanes, rest = yield from beside(together, rest)
        return {**rest, "terms": [list(terms) for terms in zip(*lanes, strict=True)]}

    def _decode(self, m: Module, live: Live) -> dict[str, Any]:
        spec, chosen = self.spec, self._chosen(live)
        found: dict[str, Any] = passed(live, "clear", "mode", "random_bits")
        for name, bits in (("a", spec.a_bits), ("b", spec.b_bits)):
            found[name] = []
            for lane in range(spec.lanes):
                code = live[name].word_select(lane, bits)
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
                found[name].append(_merged(m, operands, chosen, f"lane_{lane}_{name}"))
        return found

    def _multiply(self, m: Module, live: Live) -> dict[str, Any]:
        spec = self.spec
        pair = spec.pairs[0]  # Only the kind of the formats matters, which is the same.
        multiplied = factored if spec.tuned_for else multiply
        products = [
            multiplied(m, x, y, pair.a, pair.b, f"lane_{lane}")
            for lane, (x, y) in enumerate(zip(live["a"], live["b"], strict=True))
        ]
        signs: dict[str, Any] = {}
        if spec.zero_rounding is not None:
            lanes = zip(live["a"], live["b"], strict=True)
            each = [sign_of(x, pair.a) ^ sign_of(y, pair.b) for x, y in lanes]
            signs["zero_sign"] = zero_sign.together(m, each, spec.zero_rounding, "signs_together")
        return {
            **passed(live, "clear", "mode", "random_bits"),
            **signs,
            "special": any_special([p.special for p in products if p.special is not None]),
            "products": [dataclasses.replace(p, special=None) for p in products],
        }

    def _shift(self, m: Module, live: Live) -> dict[str, Any]:
        width = self._sum_width(1)
        terms = [align(m, p, width, f"lane_{i}") for i, p in enumerate(live["products"])]
        rest = passed(live, "clear", "mode", *BESIDE_SUM[1:])
        return {**rest, "terms": [terms]}

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
        return {**passed(live, *BESIDE_SUM), "terms": [term]}


@functools.cache
def _factor_bits(formats: Modes) -> tuple[int, int, int]:
    """Bits of a lane's wider and narrower factor, and of its product's shift."""
    spec, m = MultiDot(formats=formats, lanes=1), scratch()
    unit, pair = MultiDotUnit(spec), spec.pairs[0]
    unit._MustUse__silence = True
    live = unit._decode(m, {port.name: Signal(port.width) for port in spec.inputs})
    found = factors(m, live["a"][0], live["b"][0], pair.a, pair.b, "lane")
    return len(found.wide), len(found.narrow), 0 if found.shift is None else len(found.shift)


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
