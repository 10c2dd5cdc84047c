"""L-Mul: a product by addition (arXiv 2410.00907), in the adder form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import or_, xor
from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value

from hwgen.arithmetic.coding import to_code
from hwgen.arithmetic.decode import special_flags
from hwgen.arithmetic.rounder import Normal, Shifted, normalise, place_normal
from hwgen.arithmetic.segmented import Segmented, carry_along
from hwgen.formats import Scalar
from hwgen.spec.lmul import LMul
from hwgen.units.unit import Signals, Unit


@dataclass(frozen=True)
class _Fields:
    """An operand: ``logarithm`` is exponent and mantissa, ``zero`` that it counts as zero."""

    logarithm: Value
    zero: Value
    sign: Value | None
    nan: Value | None
    infinity: Value | None


def _fields(m: Module, code: Value, number_format: Scalar, name: str) -> _Fields:
    f = number_format
    logarithm = code[: f.magnitude_bits]
    zero: Value = Const(0)
    if f.subnormals:
        zero = ~logarithm[f.mantissa_bits :].any()
    elif f.zero:
        zero = ~logarithm.any()
    return _Fields(
        logarithm, zero, code[-1] if f.signed else None, *special_flags(m, code, f, name)
    )


def _combined(operator: Callable[[Value, Value], Value], *flags: Value | None) -> Value | None:
    present = [flag for flag in flags if flag is not None]
    return reduce(operator, present) if present else None


def _specials(x: _Fields, y: _Fields) -> dict[str, Value | None]:
    """The sign, and the flags of NaN and infinity, as IEEE 754 has them for a product."""
    undefined = [
        infinite.infinity & other.zero
        for infinite, other in ((x, y), (y, x))
        if infinite.infinity is not None
    ]
    return {
        "sign": _combined(xor, x.sign, y.sign),
        "nan": _combined(or_, x.nan, y.nan, *undefined),
        "infinity": _combined(or_, x.infinity, y.infinity),
    }


class LMulUnit(Unit):
    """Hardware of a :class:`hwgen.spec.LMul` spec."""

    spec: LMul

    def added(self, m: Module, signals: Signals) -> dict[str, Any]:
        """``number``: the sum of the logarithms, as what is to be rounded."""
        x = _fields(m, signals["a"], self.spec.a, "a")
        y = _fields(m, signals["b"], self.spec.b, "b")
        number = self._normal(m, x, y) if self.spec.has_field else self._shifted(m, x, y)
        return {**_random(signals), "number": number}

    def placed(self, m: Module, signals: Signals) -> Segmented[dict[str, Any]]:
        """``number`` with its rounding point where the output has it."""
        number, target, rounding = signals["number"], self.spec.output, self.spec.rounding
        split = self.spec.is_tuned
        if isinstance(number, Normal):
            placing = place_normal(m, number, target, rounding, "placed", split=split)
        else:
            placing = normalise(m, number, target, rounding, "placed", split=split)
        number, carried = yield from carry_along(placing, _random(signals))
        return {**carried, "number": number}

    def rounded(self, m: Module, signals: Signals) -> Segmented[dict[str, Any]]:
        """``result``: the output's code."""
        spec = self.spec
        args = (spec.rounding, spec.overflow, "result", signals.get("random_bits"))
        code = yield from to_code(m, signals["number"], spec.output, *args, split=spec.is_tuned)
        return {"result": code}

    def _sum(self, m: Module, x: _Fields, y: _Fields) -> tuple[Signal, int]:
        """Both logarithms and the offset, added, and the number of fraction bits.

        The exponent above them has both biases.
        """
        spec = self.spec
        fraction_bits = spec.fraction_bits
        aligned = [
            Cat(Const(0, fraction_bits - f.mantissa_bits), operand.logarithm)
            for operand, f in ((x, spec.a), (y, spec.b))
        ]
        lowest_place = fraction_bits - spec.offset
        if lowest_place == 0:
            # The offset is the carry into the one adder: a place below, where both are one.
            total = (Cat(1, aligned[0]) + Cat(1, aligned[1]))[1:]
            biased_sum = Signal(len(total), name="sum")
            m.d.comb += biased_sum.eq(total)
            return biased_sum, fraction_bits
        logarithms = aligned[0] + aligned[1]
        plain = Signal(len(logarithms), name="plain_sum")
        raised = plain[lowest_place:] + 1
        biased_sum = Signal(lowest_place + len(raised), name="sum")
        m.d.comb += [plain.eq(logarithms), biased_sum.eq(Cat(plain[:lowest_place], raised))]
        return biased_sum, fraction_bits

    def _significand(self, total: Value, fraction_bits: int, x: _Fields, y: _Fields) -> Value:
        nonzero = ~(x.zero | y.zero)
        if fraction_bits == 0:  # Verilog has no empty ranges.
            return nonzero
        return Cat(total[:fraction_bits] & nonzero.replicate(fraction_bits), nonzero)

    def _normal(self, m: Module, x: _Fields, y: _Fields) -> Normal:
        """The number with what the exponent field of the output would be."""
        spec = self.spec
        total, fraction_bits = self._sum(m, x, y)
        biased, rebias = total[fraction_bits:], spec.rebias
        field = Signal(range(rebias, (1 << len(biased)) + rebias), name="field")
        m.d.comb += field.eq(biased + Const(rebias))
        significand = self._significand(total, fraction_bits, x, y)
        return Normal(significand, field, spec.lowest_field, **_specials(x, y))

    def _shifted(self, m: Module, x: _Fields, y: _Fields) -> Shifted:
        spec = self.spec
        total, fraction_bits = self._sum(m, x, y)
        significand = self._significand(total, fraction_bits, x, y)
        lsb_exponent = -spec.a.bias - spec.b.bias - fraction_bits
        return Shifted(significand, total[fraction_bits:], lsb_exponent, **_specials(x, y))


def _random(signals: Signals) -> dict[str, Any]:
    return {name: v for name, v in signals.items() if name == "random_bits"}


component = LMulUnit
