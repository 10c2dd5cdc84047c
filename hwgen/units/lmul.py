"""L-Mul: a product by addition (arXiv 2410.00907), in the adder form."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_, xor
from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value

from hwgen.arithmetic import path
from hwgen.arithmetic.decode import special_flags
from hwgen.arithmetic.parts import Parts, beside
from hwgen.arithmetic.rounder import Normal, Shifted, normalise, place_normal, placing_bias, to_code
from hwgen.formats import Scalar
from hwgen.spec.lmul import LMul
from hwgen.units.unit import Step, Unit, in_parts


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


def _combined(operator: Callable[[Value, Value], Value], *parts: Value | None) -> Value | None:
    there = [part for part in parts if part is not None]
    return reduce(operator, there) if there else None


def _specials(x: _Fields, y: _Fields) -> dict[str, Value | None]:
    """IEEE 754 for infinities, NaN, and signs."""
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

    def steps(self) -> Sequence[Step]:
        spec = self.spec
        target = spec.output
        has_field = target.exponent_bits > 0

        fine = bool(spec.tuned_for)

        def added(m: Module, live: Mapping[str, Any]) -> dict[str, Any]:
            x = _fields(m, live["a"], spec.a, "a")
            y = _fields(m, live["b"], spec.b, "b")
            number = self._normal(m, x, y) if has_field else self._shifted(m, x, y)
            return {**_random(live), "number": number}

        def placed(m: Module, live: Mapping[str, Any]) -> Parts[dict[str, Any]]:
            number = live["number"]
            if isinstance(number, Normal):
                placing = place_normal(m, number, target, spec.rounding, "placed", fine=fine)
            else:
                placing = normalise(m, number, target, spec.rounding, "placed", fine=fine)
            number, rest = yield from beside(placing, _random(live))
            return {**rest, "number": number}

        def rounded(m: Module, live: Mapping[str, Any]) -> Parts[dict[str, Any]]:
            args = (spec.rounding, spec.overflow, "result", live.get("random_bits"))
            code = yield from to_code(m, live["number"], target, *args, fine=fine)
            return {"result": code}

        bits = max(spec.a.exponent_bits, spec.b.exponent_bits)
        fraction_bits = max(spec.mantissa_bits, spec.offset)
        add = path.decoder(spec.a) + path.adder(bits + fraction_bits + 2)
        if spec.offset != fraction_bits:
            add += path.adder(bits + spec.offset + 2)
        if has_field:
            add += path.adder(bits + 2)
        return [
            Step("add", 4, added, path=add),
            in_parts("place", 4, placed),
            in_parts("round", 3, rounded),
        ]

    def _sum(self, m: Module, x: _Fields, y: _Fields) -> tuple[Signal, int]:
        """Both logarithms and the offset, added, and the number of fraction bits; the exponent
        above them has both biases."""
        spec = self.spec
        fraction_bits = max(spec.mantissa_bits, spec.offset)
        aligned = [
            Cat(Const(0, fraction_bits - f.mantissa_bits), operand.logarithm)
            for operand, f in ((x, spec.a), (y, spec.b))
        ]
        lowest_place = fraction_bits - spec.offset
        if lowest_place == 0:
            # The offset is the carry into the one adder: a place below, where both are one.
            total = (Cat(1, aligned[0]) + Cat(1, aligned[1]))[1:]
            sum_ = Signal(len(total), name="sum")
            m.d.comb += sum_.eq(total)
            return sum_, fraction_bits
        logarithms = aligned[0] + aligned[1]
        plain = Signal(len(logarithms), name="plain_sum")
        raised = plain[lowest_place:] + 1
        sum_ = Signal(lowest_place + len(raised), name="sum")
        m.d.comb += [plain.eq(logarithms), sum_.eq(Cat(plain[:lowest_place], raised))]
        return sum_, fraction_bits

    def _significand(self, total: Value, fraction_bits: int, x: _Fields, y: _Fields) -> Value:
        there = ~(x.zero | y.zero)
        if fraction_bits == 0:  # Verilog has no empty ranges.
            return there
        return Cat(total[:fraction_bits] & there.replicate(fraction_bits), there)

    def _normal(self, m: Module, x: _Fields, y: _Fields) -> Normal:
        """With what the exponent field of the output would be."""
        spec = self.spec
        total, fraction_bits = self._sum(m, x, y)
        rebias = placing_bias(spec.output) - spec.a.bias - spec.b.bias
        biased = total[fraction_bits:]
        field = Signal(range(rebias, (1 << len(biased)) + rebias), name="field")
        m.d.comb += field.eq(biased + Const(rebias))
        # Normal numbers begin at the exponent field 1, or at 0 where none are subnormal.
        lowest = rebias + sum(int(f.subnormals) for f in (spec.a, spec.b)) + (spec.offset == 0)
        significand = self._significand(total, fraction_bits, x, y)
        return Normal(significand, field, lowest, **_specials(x, y))

    def _shifted(self, m: Module, x: _Fields, y: _Fields) -> Shifted:
        spec = self.spec
        total, fraction_bits = self._sum(m, x, y)
        significand = self._significand(total, fraction_bits, x, y)
        lsb_exponent = -spec.a.bias - spec.b.bias - fraction_bits
        return Shifted(significand, total[fraction_bits:], lsb_exponent, **_specials(x, y))


def _random(live: Mapping[str, Any]) -> dict[str, Any]:
    return {name: v for name, v in live.items() if name == "random_bits"}
