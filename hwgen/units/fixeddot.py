"""The dot product whose weights are constants."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal, signed

from hwgen.arithmetic.constant_sum import Number, add_level
from hwgen.arithmetic.decode import Operand, decode
from hwgen.arithmetic.product import special_of
from hwgen.formats import Scalar
from hwgen.formats.widths import value_range
from hwgen.spec.fixeddot import FixedDot
from hwgen.units.accumulating import PAST_SUM
from hwgen.units.dot import DotProductSteps
from hwgen.units.unit import Signals, Unit, passed


class FixedDotUnit(Unit):
    """Hardware of a :class:`hwgen.FixedDot` spec; initiation interval 1.

    Its ports are those of ``hwgen.units.dot.DotProductUnit`` without ``b``.
    """

    spec: FixedDot

    @cached_property
    def builder(self) -> FixedDotSteps:
        """The builders of the spec's steps."""
        return FixedDotSteps(self.spec)

    def state(self) -> dict[str, Signal]:
        """The registers of the accumulator, by name."""
        return self.builder.registers()


class FixedDotSteps(DotProductSteps):
    """The builders of a dot product in which the lanes' sum is made as ``spec.plan`` says."""

    spec: FixedDot

    def operands(self, m: Module, signals: Signals) -> dict[str, Any]:
        """The decoded operand of each lane, and the decoded addend."""
        spec = self.spec
        values = passed(signals, "clear", "random_bits")
        if spec.addend is not None:
            values["c"] = decode(m, signals["c"], spec.addend, "c", special_is_zero=False)
        # Nothing reads those of weights that are zero, unless they have flags.
        codes = [signals["a"].word_select(lane, spec.a.bits) for lane in range(spec.lanes)]
        up = not spec.in_fixed_point and spec.raises_shifts
        values["a"] = [
            decode(m, code, spec.a, f"lane_{i}_a", raised=up, special_is_zero=False)
            for i, code in enumerate(codes)
        ]
        return values

    def multiply(self, m: Module, signals: Signals) -> dict[str, Any]:
        """The products with constants in the place of ``b``, behind any registers."""
        return super().multiply(m, {**signals, "b": self._constants(m)})

    def _constants(self, m: Module) -> list[Operand]:
        """The weights, decoded."""
        spec = self.spec
        return [
            decode(
                m, Const(int(code), spec.b.bits), spec.b, f"lane_{i}_b", raised=spec.raises_shifts
            )
            for i, code in enumerate(spec.b.encode(spec.weights.values))
        ]

    def place_numbers(self, m: Module, signals: Signals) -> dict[str, Any]:
        """The operands in fixed point, and flags of their products."""
        spec = self.spec
        numbers: dict[int, Number] = {}
        specials = []
        for lane, (x, weight) in enumerate(zip(signals["a"], spec.whole_weights, strict=True)):
            constant = Operand(Const(int(weight != 0), 1), Const(int(weight < 0), 1))
            specials.append(special_of(m, (x, spec.a), (constant, spec.b), f"lane_{lane}"))
            if weight:
                numbers[lane] = self._number(m, x, lane)
        signs = []
        if self._zero_rounding is not None:
            signs = self._signs({"a": signals["a"], "b": self._constants(m)})
        return {**self._carried_past_products(m, signals, specials, signs), "numbers": numbers}

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

    def add_numbers(self, m: Module, signals: Signals, level: int) -> dict[str, Any]:
        """``numbers`` behind that level of the plan's additions, counted from 1."""
        return {**signals, "numbers": add_level(m, self.spec.plan, signals["numbers"], level)}

    def place_sum(self, m: Module, signals: Signals) -> dict[str, Any]:
        """``terms`` of one: the lanes' sum, in units of the weights times ``a``'s step."""
        spec = self.spec
        total = Signal(signed(spec.width_of_sum(spec.lanes)), name="lane_sum")
        if not spec.in_fixed_point:
            # Below are zeros: the units of the weights are larger than b's step.
            below = spec.weight_lsb_exponent - spec.b.lsb_exponent
            m.d.comb += total.eq(signals["terms"][0] >> below)
        elif spec.plan.total is not None:
            number = signals["numbers"][spec.plan.total]
            assert number.carry is None
            m.d.comb += total.eq(number.value)
        carried = passed(signals, *PAST_SUM, "addend")
        return {**carried, "terms": [total]}


def magnitude_bits(a: Scalar) -> int:
    """Bits of the largest number of ``a``, in its format's steps."""
    return value_range(a)[1].bit_length()


component = FixedDotUnit
