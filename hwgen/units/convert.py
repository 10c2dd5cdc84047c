"""Conversion of one format to another."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module

from hwgen.arithmetic.coding import to_code
from hwgen.arithmetic.decode import Operand, decode
from hwgen.arithmetic.parts import Part, Parts, beside
from hwgen.arithmetic.rounder import FixedPoint, Shifted, normalise
from hwgen.formats import Scalar
from hwgen.spec.convert import Convert
from hwgen.units.unit import Live, Unit


def magnitude_of(m: Module, operand: Operand, source: Scalar, name: str) -> FixedPoint | Shifted:
    """A decoded operand as sign and magnitude."""
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

    def place(self, m: Module, live: Live) -> Parts[dict[str, Any]]:
        spec, fine = self.spec, self.spec.is_tuned
        number = magnitude_of(m, decode(m, live["a"], spec.a, "a"), spec.a, "a")
        others = {k: v for k, v in live.items() if k != "a"}
        number, others = yield Part("magnitude", [number, others])
        placing = normalise(m, number, spec.b, spec.rounding, "placed", fine=fine)
        placed, others = yield from beside(placing, others)
        return {**others, "number": placed}

    def rounded(self, m: Module, live: Live) -> Parts[dict[str, Any]]:
        spec = self.spec
        args = (spec.rounding, spec.overflow, "result", live.get("random_bits"))
        code = yield from to_code(m, live["number"], spec.b, *args, fine=spec.is_tuned)
        return {"result": code}


component = ConvertUnit
