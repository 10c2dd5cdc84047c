"""Quantization of numbers to one block: the largest magnitude, the scale, the elements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from hwgen.arithmetic.align import aligned, alignment, distant, prepared
from hwgen.arithmetic.decode import decode
from hwgen.arithmetic.power_scale import key, larger_of_pairs, power_scale, scale_code
from hwgen.arithmetic.rounder import FixedPoint, Shifted, normalise, to_code
from hwgen.formats import Integer, Minifloat
from hwgen.formats.block_encode import IN_ELEMENT
from hwgen.formats.rounding import RANDOM_BITS
from hwgen.formats.scalar import PROPAGATE, SATURATE
from hwgen.spec.quantizer import Quantizer
from hwgen.units.convert import magnitude_of
from hwgen.units.unit import Step, Unit


class QuantizerUnit(Unit):
    """Hardware of a :class:`hwgen.Quantizer` spec."""

    spec: Quantizer

    def __init__(self, spec: Quantizer) -> None:
        super().__init__(spec)
        b = spec.b
        self._scale = power_scale(spec.a, b.element, b.scale, spec.scale_rule)
        self._alignment = alignment(self._scale, b.element, spec.rounding)

    def steps(self) -> Sequence[Step]:
        levels = (self.spec.lanes - 1).bit_length()
        # Searching the leading one: among few bits, among many, or not at all.
        place = 2 if self._alignment.fixed else 4
        if isinstance(self.spec.b.element, Integer):
            place = 0
        return [
            Step("decode", 1.5, self._decode),
            *[
                Step(f"largest_{level}", 2.5, _larger(f"largest_{level}"))
                for level in range(levels)
            ],
            Step("scale", 2.5 if self._scale.by_exponent else 5, self._make_scale),
            Step("distance", 2.5, self._distance),
            Step("align", 2 if self._alignment.fixed else 0.5, self._align),
            Step("place", place, self._place),
            Step("round", 3, self._round),
        ]

    def _decode(self, m: Module, live: Mapping[str, Any]) -> dict[str, Any]:
        """Signs and magnitudes, and what to compare."""
        spec, f = self.spec, self.spec.a
        numbers, keys = [], []
        lost: Value = Const(0)
        for lane in range(spec.lanes):
            name = f"lane_{lane}"
            code = live["a"].word_select(lane, f.bits)
            number = magnitude_of(m, decode(m, code, f, name), f, name)
            counts: Value = Const(1)
            for flag in (number.nan, number.infinity):
                if flag is not None:
                    counts, lost = counts & ~flag, lost | flag
            if number.sign is not None and not spec.b.element.signed:
                # What no element can be counts as zero.
                counts = counts & ~number.sign
                number = _unless(number, number.sign)
            keys.append(key(code, _magnitude(number), counts, self._scale))
            if spec.nonfinite != IN_ELEMENT:
                number = replace(number, nan=None, infinity=None)
            numbers.append(prepared(number, self._alignment))
        found = {k: v for k, v in live.items() if k != "a"}
        if spec.nonfinite != IN_ELEMENT:
            flag = Signal(name="not_finite")
            m.d.comb += flag.eq(lost)
            found["not_finite"] = flag
        return {**found, "numbers": numbers, "keys": keys}

    def _make_scale(self, m: Module, live: Mapping[str, Any]) -> dict[str, Any]:
        (largest,) = live["keys"]
        return {
            **{k: v for k, v in live.items() if k != "keys"},
            "scale": scale_code(m, largest, self._scale, "scale"),
        }

    def _distance(self, m: Module, live: Mapping[str, Any]) -> dict[str, Any]:
        """How far each number is below the largest element."""
        where = self._alignment
        total = live["scale"] + where.base
        base = Signal(total.shape(), name="base")
        m.d.comb += base.eq(total)
        found = [
            distant(m, number, base, where, f"lane_{lane}")
            for lane, number in enumerate(live["numbers"])
        ]
        return {**live, "numbers": found}

    def _align(self, m: Module, live: Mapping[str, Any]) -> dict[str, Any]:
        found = [
            aligned(m, number, self._alignment, f"lane_{lane}")
            for lane, number in enumerate(live["numbers"])
        ]
        return {**live, "numbers": found}

    def _place(self, m: Module, live: Mapping[str, Any]) -> dict[str, Any]:
        element, rounding = self.spec.b.element, self.spec.rounding
        found = [
            normalise(m, number, element, rounding, f"lane_{lane}")
            for lane, number in enumerate(live["numbers"])
        ]
        return {**live, "numbers": found}

    def _round(self, m: Module, live: Mapping[str, Any]) -> dict[str, Any]:
        spec, element, scale = self.spec, self.spec.b.element, live["scale"]
        overflow = PROPAGATE if element.has_nan or element.has_infinity else SATURATE
        random_bits, not_finite = live.get("random_bits"), live.get("not_finite")
        codes: list[Value] = []
        for lane, number in enumerate(live["numbers"]):
            drawn = None
            if random_bits is not None:
                drawn = random_bits.word_select(lane, RANDOM_BITS)
            name = f"element_{lane}"
            code: Value = to_code(m, number, element, spec.rounding, overflow, name, drawn)
            if isinstance(element, Integer) and element.signed and spec.symmetric:
                # The code above the most negative one is minus the largest.
                lowest = code[-1] & ~code[:-1].any()
                code = code | lowest
            if not_finite is not None:
                code = code & ~not_finite.replicate(element.bits)
            codes.append(code)
        if not_finite is not None:
            assert isinstance(spec.b.scale, Minifloat)
            scale = Mux(not_finite, spec.b.scale.nan_code, scale)
        return {"elements": Cat(codes), "scale": scale}


def _larger(name: str) -> Any:
    def build(m: Module, live: Mapping[str, Any]) -> dict[str, Any]:
        return {**live, "keys": larger_of_pairs(m, live["keys"], name)}

    return build


def _magnitude(number: FixedPoint | Shifted) -> Value:
    return number.magnitude if isinstance(number, FixedPoint) else number.significand


def _unless(number: FixedPoint | Shifted, negative: Value) -> FixedPoint | Shifted:
    """Zero in place of a negative number, and of minus infinity."""
    infinity = None if number.infinity is None else number.infinity & ~negative
    kept = _magnitude(number) & ~negative.replicate(len(_magnitude(number)))
    if isinstance(number, FixedPoint):
        return replace(number, magnitude=kept, infinity=infinity)
    return replace(number, significand=kept, infinity=infinity)
