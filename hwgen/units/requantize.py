"""A fixed-point sum, with or without a scale, to a format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal, Value, signed

from hwgen.arithmetic.decode import decode
from hwgen.arithmetic.rounder import FixedPoint, Shifted, normalise, to_code
from hwgen.spec.requantize import Requantize
from hwgen.units import delay
from hwgen.units.accumulating import adder_delay, passed
from hwgen.units.convert import source_bits
from hwgen.units.dot import decode_delay
from hwgen.units.unit import Step, Unit

Live = Mapping[str, Any]


class RequantizeUnit(Unit):
    """Hardware of a :class:`hwgen.spec.Requantize` or ``AccumulatorToFloat`` spec."""

    spec: Requantize

    def steps(self) -> Sequence[Step]:
        spec = self.spec
        width, bits, shift_bits = spec.bits, 0, 0
        if spec.scale is not None:
            bits, shift_bits = source_bits(spec.scale)
            width += bits
        normalise = delay.magnitude(width) + delay.placing(width, shift_bits, spec.b)
        rounding = delay.rounding(width, spec.b)
        ends = [
            Step("normalise", 2 + spec.bits.bit_length(), self._normalise, path=normalise),
            Step("round", adder_delay(spec.b.bits) + 2, self._round, path=rounding),
        ]
        if spec.scale is None:
            return ends
        product = delay.multiplier(max(bits, spec.bits), min(bits, spec.bits))
        rows = min(spec.scale.precision, spec.bits)
        return [
            Step(
                "operands",
                decode_delay(spec.scale),
                self._operands,
                path=delay.decoder(spec.scale),
            ),
            Step("product", 1 + 1.5 * (rows - 1).bit_length(), self._multiply, path=product),
            *ends,
        ]

    def _operands(self, m: Module, live: Live) -> dict[str, Any]:
        scale = self.spec.scale
        assert scale is not None
        return {
            **passed(live, "sum", "random_bits"),
            "scale": decode(m, live["scale"], scale, "scale"),
        }

    def _multiply(self, m: Module, live: Live) -> dict[str, Any]:
        """Sum times significand; an infinite scale times a sum of zero is NaN."""
        total, scale = live["sum"], live["scale"]
        product = total * scale.significand
        scaled = Signal(signed(len(product)), name="scaled")
        m.d.comb += scaled.eq(product)
        found = {**passed(live, "random_bits"), "sum": scaled, "shift": scale.shift}
        if scale.sign is not None:
            found["flip"] = scale.sign
        if scale.nan is not None:
            found["nan"] = scale.nan
        if scale.infinity is not None:
            zero = Signal(name="zero_sum")
            m.d.comb += zero.eq(~total.any())
            nan = scale.nan if scale.nan is not None else Const(0)
            found["nan"] = nan | (scale.infinity & zero)
            found["infinity"] = scale.infinity & ~zero
            found["infinity_sign"] = total[-1]
        return found

    def _normalise(self, m: Module, live: Live) -> dict[str, Any]:
        spec, total = self.spec, live["sum"]
        magnitude = Signal(len(total), name="magnitude")
        m.d.comb += magnitude.eq(abs(total))
        flip = live.get("flip", Const(0))
        # A zero sum is positive whatever the scale's sign: exact zeros are.
        sign: Value = (total[-1] ^ flip) & total.any()
        infinity = live.get("infinity")
        if infinity is not None:
            sign = Mux(infinity, live["infinity_sign"] ^ flip, sign)
        lsb_exponent = spec.lsb_exponent + (0 if spec.scale is None else spec.scale.lsb_exponent)
        nan, shift = live.get("nan"), live.get("shift")
        number: FixedPoint | Shifted = (
            FixedPoint(magnitude, lsb_exponent, sign, nan, infinity)
            if shift is None
            else Shifted(magnitude, shift, lsb_exponent, sign, nan, infinity)
        )
        placed = normalise(m, number, spec.b, spec.rounding, "placed")
        return {**passed(live, "random_bits"), "placed": placed}

    def _round(self, m: Module, live: Live) -> dict[str, Any]:
        spec = self.spec
        random_bits = live.get("random_bits")
        args = (spec.b, spec.rounding, spec.overflow, "rounded", random_bits)
        return {"result": to_code(m, live["placed"], *args)}
