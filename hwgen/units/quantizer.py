"""Quantization of numbers to one block: the largest magnitude, the scale, the elements."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from hwgen.arithmetic import divide
from hwgen.arithmetic.align import (
    aligned,
    alignment,
    distant,
    into_window,
    prepared,
)
from hwgen.arithmetic.decode import decode
from hwgen.arithmetic.divide import Division
from hwgen.arithmetic.fine_scale import leading, leading_significand
from hwgen.arithmetic.power_scale import (
    key,
    larger_of_pairs,
    magnitude_key,
    micro_exponent,
    power_scale,
    scale_code,
)
from hwgen.arithmetic.rounder import FixedPoint, Shifted, normalise, to_code
from hwgen.formats import Integer, Minifloat
from hwgen.formats.block_encode import IN_ELEMENT
from hwgen.formats.rounding import RANDOM_BITS
from hwgen.formats.scalar import PROPAGATE, SATURATE
from hwgen.spec.quantizer import Quantizer
from hwgen.units.convert import magnitude_of
from hwgen.units.unit import Step, Unit


class QuantizerUnit(Unit):
    """Hardware of a :class:`hwgen.Quantizer` spec: what is common to all scales."""

    spec: Quantizer

    def steps(self) -> Sequence[Step]:
        # Searching the leading one: among few bits, among many, or not at all.
        place = 2 if self._in_window else 4
        if isinstance(self.spec.b.element, Integer):
            place = 0
        return [
            Step("decode", 1.5, self._decode),
            *self._tree(),
            *self._over_scale(),
            Step("place", place, self._place),
            Step("round", 3, self._round),
        ]

    def _tree(self) -> list[Step]:
        """The largest key of each part that has an exponent of its own, then of the block."""
        f, steps = self.spec.b, []
        sizes = [f.micro_block, f.micro_exponents] if f.micro_bits else [f.block_size]
        for name, size in zip(("largest_of_parts", "largest")[-len(sizes) :], sizes, strict=True):
            while size > 1:
                last = name == "largest_of_parts" and size <= 2
                label = f"{name}_{(size - 1).bit_length()}"
                steps.append(Step(label, 2.5, _larger(label, size, last)))
                size = (size + 1) // 2
        return steps

    @property
    @abstractmethod
    def _in_window(self) -> bool:
        """Numbers over their scale come in fixed point."""

    @abstractmethod
    def _over_scale(self) -> Sequence[Step]:
        """From the largest key to ``scale``, its code, and to the numbers over it."""

    @abstractmethod
    def _key(self, code: Value, magnitude: Value, counts: Value) -> Value:
        """What is compared to find the largest number."""

    @abstractmethod
    def _prepared(self, number: FixedPoint | Shifted) -> FixedPoint | Shifted:
        """A number without what will not matter."""

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
            keys.append(self._key(code, _magnitude(number), counts))
            if spec.nonfinite != IN_ELEMENT:
                number = replace(number, nan=None, infinity=None)
            numbers.append(self._prepared(number))
        found = {k: v for k, v in live.items() if k != "a"}
        if spec.nonfinite != IN_ELEMENT:
            flag = Signal(name="not_finite")
            m.d.comb += flag.eq(lost)
            found["not_finite"] = flag
        if spec.b.micro_block == 1:
            found["parts"] = keys
        return {**found, "numbers": numbers, "keys": keys}

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
        results: dict[str, Any] = {"elements": Cat(codes), "scale": scale}
        if spec.b.micro_bits:
            micro = Cat(live["micro_exponents"])
            if not_finite is not None:
                micro = micro & ~not_finite.replicate(len(micro))
            results["micro_exponents"] = micro
        return results


class PowerQuantizerUnit(QuantizerUnit):
    """Scales are powers of two: numbers over their scale are only shifted."""

    def __init__(self, spec: Quantizer) -> None:
        super().__init__(spec)
        b = spec.b
        furthest = (1 << b.micro_bits) - 1
        self._scale = power_scale(spec.a, b.element, b.scale, spec.scale_rule, furthest)
        self._alignment = alignment(self._scale, b.element, spec.rounding)

    @property
    def _in_window(self) -> bool:
        return self._alignment.fixed

    def _key(self, code: Value, magnitude: Value, counts: Value) -> Value:
        return key(code, magnitude, counts, self._scale)

    def _prepared(self, number: FixedPoint | Shifted) -> FixedPoint | Shifted:
        return prepared(number, self._alignment)

    def _over_scale(self) -> Sequence[Step]:
        return [
            Step("scale", 2.5 if self._scale.by_exponent else 5, self._make_scale),
            Step("distance", 2.5, self._distance),
            Step("align", 2 if self._alignment.fixed else 0.5, self._align),
        ]

    def _make_scale(self, m: Module, live: Mapping[str, Any]) -> dict[str, Any]:
        (largest,) = live["keys"]
        scale = scale_code(m, largest, self._scale, "scale")
        found = {k: v for k, v in live.items() if k not in ("keys", "parts")}
        if self.spec.b.micro_bits:
            found["micro_exponents"] = [
                micro_exponent(m, part, scale, self._scale, f"part_{index}")
                for index, part in enumerate(live["parts"])
            ]
        return {**found, "scale": scale}

    def _distance(self, m: Module, live: Mapping[str, Any]) -> dict[str, Any]:
        """How far each number is below the largest element."""
        where = self._alignment
        total = live["scale"] + where.base
        base = Signal(total.shape(), name="base")
        m.d.comb += base.eq(total)
        bases = [base] * len(live["numbers"])
        for index, micro in enumerate(live.get("micro_exponents", ())):
            own = base - micro
            part = Signal(own.shape(), name=f"part_{index}_base")
            m.d.comb += part.eq(own)
            each = self.spec.b.micro_block
            bases[index * each : (index + 1) * each] = [part] * each
        found = [
            distant(m, number, bases[lane], where, f"lane_{lane}")
            for lane, number in enumerate(live["numbers"])
        ]
        return {**live, "numbers": found}

    def _align(self, m: Module, live: Mapping[str, Any]) -> dict[str, Any]:
        found = [
            aligned(m, number, self._alignment, f"lane_{lane}")
            for lane, number in enumerate(live["numbers"])
        ]
        return {**live, "numbers": found}


class FineQuantizerUnit(QuantizerUnit):
    """Scales have mantissas, or there is one for the tensor too: numbers are divided by them."""

    def __init__(self, spec: Quantizer) -> None:
        super().__init__(spec)
        self._scale, self._quotients = spec.fine_scale, spec.quotients
        self._alignment = self._quotients.where

    @property
    def _in_window(self) -> bool:
        return self._alignment.fixed

    def _key(self, code: Value, magnitude: Value, counts: Value) -> Value:
        return magnitude_key(code, magnitude, counts, self.spec.a)

    def _prepared(self, number: FixedPoint | Shifted) -> FixedPoint | Shifted:
        return number if self._quotients.leading_ones else prepared(number, self._alignment)

    def _over_scale(self) -> Sequence[Step]:
        def divisions(name: str, count: int, width: int, build: Any) -> list[Step]:
            delay = 1.5 + width / 8
            return [Step(f"{name}_{i}", delay, build(f"{name}_{i}")) for i in range(count)]

        scale, found = self._scale, self._quotients
        return [
            Step("divisor", 5 if scale.second is None else 7, self._begin_scale),
            *divisions("scale_bit", scale.divisions, scale.divisor_bits[0], _scale_bit),
            Step("place_scale", 5, self._place_scale),
            Step("round_scale", 3, self._round_scale),
            Step("scales", 2 if scale.second is None else 6, self._multiply_scales),
            Step("leading_ones", 4 if found.leading_ones else 0, self._leading_ones),
            Step("distance", 2.5, self._distance),
            Step("align", 2, self._align),
            *divisions("bit", found.divisions, found.divisor_bits, _element_bit),
        ]

    def _begin_scale(self, m: Module, live: Mapping[str, Any]) -> dict[str, Any]:
        (largest,) = live["keys"]
        second, code = None, live.get("tensor_scale")
        if code is not None:
            assert self._scale.second is not None
            second = leading(m, code, self._scale.second, "tensor_scale")
        division, divisor, exponent = self._scale.begun(m, largest, second)
        found = {k: v for k, v in live.items() if k not in ("keys", "tensor_scale")}
        return {
            **found,
            "second": second,
            "division": division,
            "divisor": divisor,
            "exponent": exponent,
        }

    def _place_scale(self, m: Module, live: Mapping[str, Any]) -> dict[str, Any]:
        placed = self._scale.placed(m, live["division"], live["exponent"])
        gone = ("division", "divisor", "exponent")
        return {**{k: v for k, v in live.items() if k not in gone}, "placed": placed}

    def _round_scale(self, m: Module, live: Mapping[str, Any]) -> dict[str, Any]:
        code = self._scale.code(m, live["placed"])
        return {**{k: v for k, v in live.items() if k != "placed"}, "scale": code}

    def _multiply_scales(self, m: Module, live: Mapping[str, Any]) -> dict[str, Any]:
        divisor = self._scale.element_divisor(m, live["scale"], live["second"])
        return {**{k: v for k, v in live.items() if k != "second"}, "divisor": divisor}

    def _leading_ones(self, m: Module, live: Mapping[str, Any]) -> dict[str, Any]:
        if not self._quotients.leading_ones:
            return dict(live)
        numbers = []
        for lane, number in enumerate(live["numbers"]):
            shift = number.shift if isinstance(number, Shifted) else Const(0)
            found = leading_significand(m, _magnitude(number), shift, f"lane_{lane}")
            flags = (number.sign, number.nan, number.infinity)
            whole = Shifted(found.significand, found.exponent, number.lsb_exponent, *flags)
            numbers.append(prepared(whole, self._alignment))
        return {**live, "numbers": numbers}

    def _distance(self, m: Module, live: Mapping[str, Any]) -> dict[str, Any]:
        total = live["divisor"].exponent + self._alignment.base
        base = Signal(total.shape(), name="base")
        m.d.comb += base.eq(total)
        numbers = [
            distant(m, number, base, self._alignment, f"lane_{lane}")
            for lane, number in enumerate(live["numbers"])
        ]
        return {**live, "numbers": numbers, "divisor": live["divisor"].significand}

    def _align(self, m: Module, live: Mapping[str, Any]) -> dict[str, Any]:
        """Dividends of the lanes."""
        where, found = self._alignment, []
        for lane, number in enumerate(live["numbers"]):
            lost: Value = Const(0)
            shift = Const(0)
            if where.fixed:
                name = f"lane_{lane}"
                window, lost = into_window(m, number.significand, number.distance, where, name)
            else:
                window = number.significand
                shift = Signal(range(where.furthest + 1), name=f"lane_{lane}_shift")
                m.d.comb += shift.eq(where.furthest - number.distance)
            found.append(
                _Lane(
                    division=self._quotients.begun(window),
                    lost=lost,
                    shift=shift,
                    sign=number.sign,
                    nan=number.nan,
                    infinity=number.infinity,
                )
            )
        return {**live, "numbers": found}

    def _place(self, m: Module, live: Mapping[str, Any]) -> dict[str, Any]:
        lsb_exponent = self._quotients.lsb_exponent
        numbers: list[FixedPoint | Shifted] = []
        for lane, number in enumerate(live["numbers"]):
            quotient = Signal(len(number.division.quotient) + 1, name=f"lane_{lane}_quotient")
            m.d.comb += quotient.eq(number.division.with_rest | number.lost)
            flags = (number.sign, number.nan, number.infinity)
            if self._alignment.fixed:
                numbers.append(FixedPoint(quotient, lsb_exponent, *flags))
            else:
                numbers.append(Shifted(quotient, number.shift, lsb_exponent, *flags))
        kept = {k: v for k, v in live.items() if k != "divisor"}
        return super()._place(m, {**kept, "numbers": numbers})


@dataclass(frozen=True)
class _Lane:
    """A number that is being divided by its scale."""

    division: Division
    lost: Value
    shift: Value
    sign: Value | None = None
    nan: Value | None = None
    infinity: Value | None = None


def _scale_bit(name: str) -> Any:
    def build(m: Module, live: Mapping[str, Any]) -> dict[str, Any]:
        division = divide.step(m, live["division"], live["divisor"], name)
        return {**live, "division": division}

    return build


def _element_bit(name: str) -> Any:
    def build(m: Module, live: Mapping[str, Any]) -> dict[str, Any]:
        found = [
            replace(
                number,
                division=divide.step(m, number.division, live["divisor"], f"{name}_{lane}"),
            )
            for lane, number in enumerate(live["numbers"])
        ]
        return {**live, "numbers": found}

    return build


def _larger(name: str, size: int, keep: bool) -> Any:
    """One level of the tree in each group of ``size`` keys; ``keep`` what comes of it."""

    def build(m: Module, live: Mapping[str, Any]) -> dict[str, Any]:
        keys: list[Value] = []
        for first in range(0, len(live["keys"]), size):
            group = live["keys"][first : first + size]
            keys += larger_of_pairs(m, group, f"{name}_{first}" if first else name)
        return {**live, "keys": keys, **({"parts": keys} if keep else {})}

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
