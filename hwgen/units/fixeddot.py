"""The dot product whose weights are constants."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal, signed

from hwgen.arithmetic import path
from hwgen.arithmetic.constant_sum import Number, add_level
from hwgen.arithmetic.decode import Operand, decode
from hwgen.arithmetic.path import Path
from hwgen.arithmetic.product import special_of
from hwgen.formats import Scalar
from hwgen.formats.widths import value_range
from hwgen.spec.fixeddot import FixedDot
from hwgen.units.accumulating import BESIDE_SUM, Live, adder_delay, passed
from hwgen.units.dot import (
    DotProductSteps,
    addend_paths,
    decode_delay,
    one_shift_delay,
    raised,
    sum_outline,
)
from hwgen.units.unit import Step, Unit


class FixedDotUnit(Unit):
    """Hardware of a :class:`hwgen.FixedDot` spec; initiation interval 1.

    Its ports are those of ``hwgen.units.dot.DotProductUnit`` without ``b``.
    """

    spec: FixedDot

    def steps(self) -> Sequence[Step]:
        return FixedDotSteps(self.spec).steps()


class FixedDotSteps(DotProductSteps):
    """The steps of a dot product in which the lanes' sum is made as ``spec.plan`` says."""

    spec: FixedDot

    def sum_steps(self) -> list[Step]:
        """Up to the exact sum of a cycle."""
        spec, plan = self.spec, self.spec.plan
        total = Step("sum", 0.0, self._sum, path=Path())
        if not spec.in_fixed_point:
            found = super().sum_steps()
            found.insert(len(found) - len(addend_paths(spec)), total)
            return found
        shift = path.shifter(spec.a.exponent_bits)
        if plan.last_input is not None and spec.a.sign_apart:
            shift += path.negation(magnitude_bits(spec.a))
        found = [
            Step("operands", decode_delay(spec.a), self._operands, path=path.decoder(spec.a)),
            Step("numbers", one_shift_delay(spec.a), self._numbers, path=shift),
        ]
        for level in range(1, plan.levels + 1):
            width, build = plan.width_at(level), partial(self._add_numbers, level)
            found.append(Step(f"level{level}", adder_delay(width), build, path=path.adder(width)))
        found.append(total)
        delays = sum_outline(spec)
        for name, way in addend_paths(spec).items():
            found.append(Step(name, delays[name][0], self._addend_builds[name], path=way))
        return found

    def _operands(self, m: Module, live: Live) -> dict[str, Any]:
        spec = self.spec
        found = passed(live, "clear", "random_bits")
        if spec.addend is not None:
            found["c"] = decode(m, live["c"], spec.addend, "c", special_is_zero=False)
        # Nothing reads those of weights that are zero, unless they have flags.
        codes = [live["a"].word_select(lane, spec.a.bits) for lane in range(spec.lanes)]
        up = not spec.in_fixed_point and raised(spec)
        found["a"] = [
            decode(m, code, spec.a, f"lane_{i}_a", raised=up, special_is_zero=False)
            for i, code in enumerate(codes)
        ]
        return found

    def _products(self, m: Module, live: Live) -> dict[str, Any]:
        """With constants in the place of b, behind any registers."""
        return super()._products(m, {**live, "b": self._constants(m)})

    def _constants(self, m: Module) -> list[Operand]:
        """The weights, decoded."""
        spec = self.spec
        return [
            decode(m, Const(int(code), spec.b.bits), spec.b, f"lane_{i}_b", raised=raised(spec))
            for i, code in enumerate(spec.b.encode(spec.weights.values))
        ]

    def _numbers(self, m: Module, live: Live) -> dict[str, Any]:
        """The operands in fixed point, and flags of their products."""
        spec = self.spec
        found: dict[int, Number] = {}
        specials = []
        for lane, (x, weight) in enumerate(zip(live["a"], spec.whole_weights, strict=True)):
            constant = Operand(Const(int(weight != 0), 1), Const(int(weight < 0), 1))
            specials.append(special_of(m, (x, spec.a), (constant, spec.b), f"lane_{lane}"))
            if weight:
                found[lane] = self._number(m, x, lane)
        signs = []
        if self._zero_rounding is not None:
            signs = self._signs({"a": live["a"], "b": self._constants(m)})
        return {**self._beside_products(m, live, specials, signs), "numbers": found}

    def _number(self, m: Module, x: Operand, lane: int) -> Number:
        if self.spec.a.is_integer:
            return Number(x.significand)
        magnitude = Signal(magnitude_bits(self.spec.a), name=f"lane_{lane}_magnitude")
        m.d.comb += magnitude.eq(x.significand if x.shift is None else x.significand << x.shift)
        if x.sign is None:
            return Number(magnitude)
        if lane != self.spec.plan.last_input:
            return Number.with_sign(magnitude, x.sign)
        number = Signal(signed(len(magnitude) + 1), name=f"lane_{lane}_number")
        m.d.comb += number.eq(Mux(x.sign, -magnitude, magnitude))
        return Number(number)

    def _add_numbers(self, level: int, m: Module, live: Live) -> dict[str, Any]:
        return {**live, "numbers": add_level(m, self.spec.plan, live["numbers"], level)}

    def _sum(self, m: Module, live: Live) -> dict[str, Any]:
        spec = self.spec
        total = Signal(signed(spec.width_of_sum(spec.lanes)), name="lane_sum")
        if not spec.in_fixed_point:
            # Below are zeros: the units of the weights are larger than b's step.
            below = spec.weight_lsb_exponent - spec.b.lsb_exponent
            m.d.comb += total.eq(live["terms"][0] >> below)
        elif spec.plan.total is not None:
            number = live["numbers"][spec.plan.total]
            assert number.carry is None
            m.d.comb += total.eq(number.value)
        kept = passed(live, *BESIDE_SUM, "addend")
        return {**kept, "terms": [total]}


def magnitude_bits(a: Scalar) -> int:
    """Bits of the largest number, in its format's steps."""
    return value_range(a)[1].bit_length()
