"""Conversion of one format to another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from amaranth.hdl import Module

from hwgen.arithmetic import path
from hwgen.arithmetic.decode import Operand, decode
from hwgen.arithmetic.parts import Part, Parts, beside
from hwgen.arithmetic.rounder import FixedPoint, Shifted, normalise, to_code
from hwgen.formats import Scalar
from hwgen.spec.convert import Convert
from hwgen.units.unit import Step, Unit, in_parts


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

    def steps(self) -> Sequence[Step]:
        spec = self.spec

        fine = bool(spec.tuned_for)

        def place(m: Module, live: Mapping[str, Any]) -> Parts[dict[str, Any]]:
            number = magnitude_of(m, decode(m, live["a"], spec.a, "a"), spec.a, "a")
            way = path.decoder(spec.a)
            if spec.a.is_integer and spec.a.signed:
                way += path.magnitude(spec.a.bits)
            others = {k: v for k, v in live.items() if k != "a"}
            number, others = yield Part("magnitude", way, [number, others])
            placing = normalise(m, number, spec.b, spec.rounding, "placed", fine=fine)
            placed, others = yield from beside(placing, others)
            return {**others, "number": placed}

        def rounded(m: Module, live: Mapping[str, Any]) -> Parts[dict[str, Any]]:
            args = (spec.rounding, spec.overflow, "result", live.get("random_bits"))
            code = yield from to_code(m, live["number"], spec.b, *args, fine=fine)
            return {"result": code}

        return [in_parts("place", 4, place), in_parts("round", 3, rounded)]
