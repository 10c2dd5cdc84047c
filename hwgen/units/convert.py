"""Conversion of one format to another."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module

from hwgen.arithmetic.coding import to_code
from hwgen.arithmetic.decode import Operand, decode
from hwgen.arithmetic.rounder import FixedPoint, Shifted, normalise
from hwgen.arithmetic.segmented import Boundary, Segmented, carry_along
from hwgen.formats import Scalar
from hwgen.spec.convert import Convert
from hwgen.units.unit import Signals, Unit


def magnitude_of(m: Module, operand: Operand, source: Scalar, name: str) -> FixedPoint | Shifted:
    """A decoded operand of the format ``source`` as sign and magnitude, in units of its step."""
    sign, significand = operand.sign, operand.significand
    if source.is_integer and source.signed:
        sign = significand[-1]
        significand = abs(significand)[: source.bits]
    if operand.shift is None:
        return FixedPoint(significand, source.lsb_exponent, sign, operand.nan, operand.infinity)
    return Shifted(
        significand, operand.shift, source.lsb_exponent, sign, operand.nan, operand.infinity
    )


class ConvertUnit(Unit):
    """Hardware of a :class:`hwgen.spec.Convert` spec."""

    spec: Convert

    def place(self, m: Module, signals: Signals) -> Segmented[dict[str, Any]]:
        """``number``: the magnitude with its rounding point where the output has it."""
        spec, split = self.spec, self.spec.is_tuned
        number = magnitude_of(m, decode(m, signals["a"], spec.a, "a"), spec.a, "a")
        carried = {k: v for k, v in signals.items() if k != "a"}
        number, carried = yield Boundary("magnitude", [number, carried])
        placing = normalise(m, number, spec.b, spec.rounding, "placed", split=split)
        placed, carried = yield from carry_along(placing, carried)
        return {**carried, "number": placed}

    def rounded(self, m: Module, signals: Signals) -> Segmented[dict[str, Any]]:
        """``result``: the output's code."""
        spec = self.spec
        args = (spec.rounding, spec.overflow, "result", signals.get("random_bits"))
        code = yield from to_code(m, signals["number"], spec.b, *args, split=spec.is_tuned)
        return {"result": code}


component = ConvertUnit
