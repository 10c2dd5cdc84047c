"""A fixed-point sum, with or without a scale, to a format."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Const, Module, Signal, Value, signed

from hwgen.arithmetic import product_rows, rounder
from hwgen.arithmetic.coding import to_code
from hwgen.arithmetic.decode import decode
from hwgen.arithmetic.magnitude import magnitude
from hwgen.arithmetic.rounder import FixedPoint, Shifted
from hwgen.arithmetic.segmented import Boundary, Segmented, carry_along
from hwgen.spec.requantize import Requantize
from hwgen.units.unit import Signals, Unit, passed


class RequantizeUnit(Unit):
    """Hardware of a :class:`hwgen.spec.Requantize` or ``AccumulatorToFloat`` spec."""

    spec: Requantize

    def operands(self, m: Module, signals: Signals) -> dict[str, Any]:
        """The sum and the decoded scale."""
        scale = self.spec.scale
        assert scale is not None
        return {
            **passed(signals, "sum", "random_bits"),
            "scale": decode(m, signals["scale"], scale, "scale"),
        }

    def multiplied(self, m: Module, signals: Signals) -> Segmented[dict[str, Any]]:
        """``sum`` times the scale's significand, its shift, sign and flags.

        An infinite scale times a sum of zero is NaN.
        """
        total, scale, random_bits = signals["sum"], signals["scale"], passed(signals, "random_bits")
        multiplying = product_rows.multiplied(
            m, total, scale.significand, "product", split=self._split
        )
        product, (total, scale, random_bits) = yield from carry_along(
            multiplying, [total, scale, random_bits]
        )
        scaled = Signal(signed(len(product)), name="scaled")
        m.d.comb += scaled.eq(product)
        values = {**random_bits, "sum": scaled, "shift": scale.shift}
        if self.spec.has_sign_apart:
            sign = scale.sign if scale.sign is not None else Const(0)
            values["sign"] = total[-1] ^ sign
        if scale.nan is not None:
            values["nan"] = scale.nan
        if scale.infinity is not None:
            zero = Signal(name="zero_sum")
            m.d.comb += zero.eq(~total.any())
            nan = scale.nan if scale.nan is not None else Const(0)
            values["nan"] = nan | (scale.infinity & zero)
            values["infinity"] = scale.infinity & ~zero
        return values

    @property
    def _split(self) -> bool:
        return self.spec.is_tuned

    def normalise(self, m: Module, signals: Signals) -> Segmented[dict[str, Any]]:
        """``placed``: the magnitude where the output's rounding takes it."""
        spec, total = self.spec, signals["sum"]
        absolute = magnitude(m, total, "magnitude", split=self._split)
        sign: Value = signals.get("sign", total[-1])
        lsb_exponent = spec.lsb_exponent + (0 if spec.scale is None else spec.scale.lsb_exponent)
        nan, infinity, shift = (signals.get(name) for name in ("nan", "infinity", "shift"))
        number: FixedPoint | Shifted = (
            FixedPoint(absolute, lsb_exponent, sign, nan, infinity)
            if shift is None
            else Shifted(absolute, shift, lsb_exponent, sign, nan, infinity)
        )
        number, carried = yield Boundary("magnitude", [number, passed(signals, "random_bits")])
        placing = rounder.normalise(m, number, spec.b, spec.rounding, "placed", split=self._split)
        placed, carried = yield from carry_along(placing, carried)
        return {**carried, "placed": placed}

    def rounded(self, m: Module, signals: Signals) -> Segmented[dict[str, Any]]:
        """``result``: the output's code."""
        spec = self.spec
        random_bits = signals.get("random_bits")
        args = (spec.b, spec.rounding, spec.overflow, "rounded", random_bits)
        code = yield from to_code(m, signals["placed"], *args, split=self._split)
        return {"result": code}


component = RequantizeUnit
