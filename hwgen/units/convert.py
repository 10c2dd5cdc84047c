"""Conversion of one format to another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from amaranth.hdl import Module

from hwgen.arithmetic.decode import Operand, decode
from hwgen.arithmetic.rounder import FixedPoint, Shifted, normalise, to_code
from hwgen.formats import Integer, Minifloat, Scalar
from hwgen.spec.convert import Convert
from hwgen.units import delay
from hwgen.units.unit import Step, Unit


def magnitude_of(m: Module, operand: Operand, source: Scalar, name: str) -> FixedPoint | Shifted:
    """A decoded operand as sign and magnitude."""
    sign, significand = operand.sign, operand.significand
    if isinstance(source, Integer) and source.signed:
        sign = significand[-1]
        significand = abs(significand)[: source.bits]
    if operand.shift is None:
        return FixedPoint(significand, source.lsb_exponent, sign, operand.nan, operand.infinity)
    return Shifted(
        significand, operand.shift, source.lsb_exponent, sign, operand.nan, operand.infinity
    )


def source_bits(source: Scalar) -> tuple[int, int]:
    """Bits of an operand's magnitude, and of its shift."""
    if isinstance(source, Minifloat) and source.exponent_bits > 1:
        return source.precision, source.exponent_bits
    return source.precision, 0


class ConvertUnit(Unit):
    """Hardware of a :class:`hwgen.spec.Convert` spec."""

    spec: Convert

    def steps(self) -> Sequence[Step]:
        spec = self.spec

        def place(m: Module, live: Mapping[str, Any]) -> dict[str, Any]:
            number = magnitude_of(m, decode(m, live["a"], spec.a, "a"), spec.a, "a")
            placed = normalise(m, number, spec.b, spec.rounding, "placed")
            return {**{k: v for k, v in live.items() if k != "a"}, "number": placed}

        def rounded(m: Module, live: Mapping[str, Any]) -> dict[str, Any]:
            code = to_code(
                m,
                live["number"],
                spec.b,
                spec.rounding,
                spec.overflow,
                "result",
                live.get("random_bits"),
            )
            return {"result": code}

        width, shift_bits = source_bits(spec.a)
        path = delay.decoder(spec.a)
        if isinstance(spec.a, Integer) and spec.a.signed:
            path += delay.magnitude(spec.a.bits)
        path += delay.placing(width, shift_bits, spec.b)
        return [
            Step("place", 4, place, path=path),
            Step("round", 3, rounded, path=delay.rounding(width, spec.b)),
        ]
