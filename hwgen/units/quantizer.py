"""Quantization of numbers to one block: the largest magnitude, the scale, the elements."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from hwgen.arithmetic import divide
from hwgen.arithmetic.coding import to_code
from hwgen.arithmetic.decode import decode
from hwgen.arithmetic.divide import Division
from hwgen.arithmetic.float_scale import Leading, leading, leading_significand
from hwgen.arithmetic.power_scale import (
    key,
    larger_of_pairs,
    magnitude_key,
    micro_exponent,
    scale_code,
)
from hwgen.arithmetic.quantizer_alignment import (
    Distant,
    aligned,
    distant,
    into_window,
    prepared,
)
from hwgen.arithmetic.rounder import FixedPoint, Normalised, Shifted, normalise
from hwgen.arithmetic.segmented import Boundary, Segmented, carry_along, last, lockstep
from hwgen.formats.block_encode import IN_ELEMENT
from hwgen.formats.rounding import RANDOM_BITS
from hwgen.spec.quantizer import Quantizer
from hwgen.units.convert import magnitude_of
from hwgen.units.unit import Signals, Unit

T = TypeVar("T")


class QuantizerUnit(Unit):
    """Hardware of a :class:`hwgen.Quantizer` spec: what is common to all scales."""

    spec: Quantizer

    @property
    def _split(self) -> bool:
        return self.spec.is_tuned

    def larger(
        self, m: Module, signals: Signals, name: str, size: int, keep: bool
    ) -> Segmented[dict[str, Any]]:
        """One level of the tree in each group of ``size`` keys; ``keep`` what comes of it."""
        keys: list[Value] = []
        for first in range(0, len(signals["keys"]), size):
            group = signals["keys"][first : first + size]
            keys += larger_of_pairs(m, group, f"{name}_{first}" if first else name)
        found = {**signals, "keys": keys, **({"parts": keys} if keep else {})}
        return (yield from last("larger", found))

    @abstractmethod
    def _key(self, code: Value, magnitude: Value, counts: Value) -> Value:
        """What is compared to find the largest number."""

    @abstractmethod
    def _prepared(self, number: FixedPoint | Shifted) -> FixedPoint | Shifted:
        """A number without what will not matter."""

    def decoded(self, m: Module, signals: Signals) -> dict[str, Any]:
        """Signs and magnitudes, and what to compare."""
        spec, f = self.spec, self.spec.a
        numbers, keys = [], []
        lost: Value = Const(0)
        for lane in range(spec.lanes):
            name = f"lane_{lane}"
            code = signals["a"].word_select(lane, f.bits)
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
        found = {k: v for k, v in signals.items() if k != "a"}
        if spec.nonfinite != IN_ELEMENT:
            flag = Signal(name="not_finite")
            m.d.comb += flag.eq(lost)
            found["not_finite"] = flag
        if spec.b.micro_block == 1:
            found["parts"] = keys
        return {**found, "numbers": numbers, "keys": keys}

    def place(self, m: Module, signals: Signals) -> Segmented[dict[str, Any]]:
        element, rounding = self.spec.b.element, self.spec.rounding
        rest: Any = {**signals, "numbers": None}
        placing = lockstep(
            [
                normalise(m, number, element, rounding, f"lane_{lane}", split=self._split)
                for lane, number in enumerate(signals["numbers"])
            ],
            split=self._split,
        )
        numbers, rest = yield from carry_along(placing, rest)
        return (yield from last("in_place", {**rest, "numbers": numbers}))

    def rounded(self, m: Module, signals: Signals) -> Segmented[dict[str, Any]]:
        rest: Any = {k: v for k, v in signals.items() if k not in ("numbers", "random_bits")}
        codes = [
            self._element(m, number, signals.get("random_bits"), lane)
            for lane, number in enumerate(signals["numbers"])
        ]
        elements, rest = yield from carry_along(lockstep(codes, split=self._split), rest)
        not_finite, scale = rest.get("not_finite"), rest["scale"]
        if not_finite is not None:
            elements = [code & ~not_finite.replicate(len(code)) for code in elements]
            scale = Mux(not_finite, self.spec.b.scale.nan_code, scale)
        results: dict[str, Any] = {"elements": Cat(elements), "scale": scale}
        if self.spec.b.micro_bits:
            micro = Cat(rest["micro_exponents"])
            if not_finite is not None:
                micro = micro & ~not_finite.replicate(len(micro))
            results["micro_exponents"] = micro
        return (yield from last("codes", results))

    def _element(
        self, m: Module, number: Normalised, random_bits: Value | None, lane: int
    ) -> Segmented[Value]:
        """The code of a number that is in its place."""
        spec, element = self.spec, self.spec.b.element
        drawn = None
        if random_bits is not None:
            drawn = random_bits.word_select(lane, RANDOM_BITS)
        args = (spec.rounding, spec.element_overflow, f"element_{lane}", drawn)
        code: Value = yield from to_code(m, number, element, *args, split=self._split)
        if element.is_integer and element.signed and spec.symmetric:
            # The code above the most negative one is minus the largest.
            lowest = code[-1] & ~code[:-1].any()
            code = yield Boundary("symmetric", code | lowest)
        return code


class PowerScaleQuantizerUnit(QuantizerUnit):
    """Scales are powers of two: numbers over their scale are only shifted."""

    def _key(self, code: Value, magnitude: Value, counts: Value) -> Value:
        return key(code, magnitude, counts, self.spec.power_scale)

    def _prepared(self, number: FixedPoint | Shifted) -> FixedPoint | Shifted:
        return prepared(number, self.spec.alignment)

    def make_scale(self, m: Module, signals: Signals) -> Segmented[dict[str, Any]]:
        (largest,) = signals["keys"]
        rest: Any = {k: v for k, v in signals.items() if k != "keys"}
        making = scale_code(m, largest, self.spec.power_scale, "scale", split=self._split)
        scale, rest = yield from carry_along(making, rest)
        parts = rest.pop("parts", None)
        if self.spec.b.micro_bits:
            micros = lockstep(
                [
                    micro_exponent(
                        m, part, scale, self.spec.power_scale, f"part_{index}", split=self._split
                    )
                    for index, part in enumerate(parts)
                ],
                split=self._split,
            )
            micro, (scale, rest) = yield from carry_along(_named("micro", micros), [scale, rest])
            rest = {**rest, "micro_exponents": micro}
        return {**rest, "scale": scale}

    def measure(self, m: Module, signals: Signals) -> Segmented[dict[str, Any]]:
        """How far each number is below the largest element."""
        where = self.spec.alignment
        total = signals["scale"] + where.base
        base: Value = Signal(total.shape(), name="base")
        m.d.comb += base.eq(total)
        base, found = yield Boundary("base", [base, dict(signals)])
        bases = [base] * len(found["numbers"])
        if "micro_exponents" in found:
            parts: list[Value] = []
            for index, micro in enumerate(found["micro_exponents"]):
                own = base - micro
                part = Signal(own.shape(), name=f"part_{index}_base")
                m.d.comb += part.eq(own)
                parts.append(part)
            parts, found = yield Boundary("part_bases", [parts, found])
            each = self.spec.b.micro_block
            bases = [part for part in parts for _ in range(each)]
        numbers, found["numbers"] = found["numbers"], None
        measuring = lockstep(
            [
                distant(m, number, bases[lane], where, f"lane_{lane}")
                for lane, number in enumerate(numbers)
            ],
            split=self._split,
        )
        numbers, found = yield from carry_along(measuring, found)
        return {**found, "numbers": numbers}

    def align(self, m: Module, signals: Signals) -> Segmented[dict[str, Any]]:
        rest: Any = {**signals, "numbers": None}
        aligning = lockstep(
            [
                aligned(m, number, self.spec.alignment, f"lane_{lane}")
                for lane, number in enumerate(signals["numbers"])
            ],
            split=self._split,
        )
        numbers, rest = yield from carry_along(aligning, rest)
        return {**rest, "numbers": numbers}


class FloatScaleQuantizerUnit(QuantizerUnit):
    """Scales have mantissas, or there is one for the tensor too: numbers are divided by them."""

    def __init__(self, spec: Quantizer) -> None:
        super().__init__(spec)
        self._scale, self._quotients = spec.float_scale, spec.quotients

    def _key(self, code: Value, magnitude: Value, counts: Value) -> Value:
        return magnitude_key(code, magnitude, counts, self.spec.a)

    def _prepared(self, number: FixedPoint | Shifted) -> FixedPoint | Shifted:
        return number if self._quotients.leading_ones else prepared(number, self.spec.alignment)

    def begin_scale(self, m: Module, signals: Signals) -> Segmented[dict[str, Any]]:
        (largest,) = signals["keys"]
        second: Leading | None = None
        code = signals.get("tensor_scale")
        rest: Any = {k: v for k, v in signals.items() if k not in ("keys", "tensor_scale")}
        if code is not None:
            assert self._scale.tensor_scale is not None
            operand = decode(m, code, self._scale.tensor_scale, "tensor_scale")
            finding = leading(
                m, operand, self._scale.tensor_scale, "tensor_scale", split=self._split
            )
            parts = carry_along(_named("tensor", finding), [largest, rest])
            second, (largest, rest) = yield from parts
        beginning = self._scale.begun(m, largest, second, split=self._split)
        found, (second, rest) = yield from carry_along(beginning, [second, rest])
        division, divisor, exponent = found
        return {
            **rest,
            "second": second,
            "division": division,
            "divisor": divisor,
            "exponent": exponent,
        }

    def divide_scale(self, m: Module, signals: Signals, name: str) -> dict[str, Any]:
        """A bit of the scale."""
        return {
            **signals,
            "division": divide.step(m, signals["division"], signals["divisor"], name),
        }

    def divide(self, m: Module, signals: Signals, name: str) -> dict[str, Any]:
        """A bit of each element."""
        numbers = []
        for lane, number in enumerate(signals["numbers"]):
            division = divide.step(m, number.division, signals["divisor"], f"{name}_{lane}")
            numbers.append(replace(number, division=division))
        return {**signals, "numbers": numbers}

    def place_scale(self, m: Module, signals: Signals) -> Segmented[dict[str, Any]]:
        gone = ("division", "divisor", "exponent")
        rest: Any = {k: v for k, v in signals.items() if k not in gone}
        placing = self._scale.placed(m, signals["division"], signals["exponent"], split=self._split)
        placed, rest = yield from carry_along(placing, rest)
        return {**rest, "placed": placed}

    def round_scale(self, m: Module, signals: Signals) -> Segmented[dict[str, Any]]:
        rest: Any = {k: v for k, v in signals.items() if k != "placed"}
        code, rest = yield from carry_along(
            self._scale.code(m, signals["placed"], split=self._split), rest
        )
        return {**rest, "scale": code}

    def multiply_scales(self, m: Module, signals: Signals) -> Segmented[dict[str, Any]]:
        second = signals["second"]
        rest: Any = {k: v for k, v in signals.items() if k != "second"}
        multiplying = self._scale.element_divisor(m, rest["scale"], second, split=self._split)
        divisor, rest = yield from carry_along(multiplying, rest)
        return {**rest, "divisor": divisor}

    def leading_ones(self, m: Module, signals: Signals) -> Segmented[dict[str, Any]]:
        if not self._quotients.leading_ones:
            return (yield from last("none", dict(signals)))
        rest: Any = {**signals, "numbers": None}
        finding = lockstep(
            [self._leading_one(m, number, lane) for lane, number in enumerate(signals["numbers"])],
            split=self._split,
        )
        numbers, rest = yield from carry_along(finding, rest)
        return {**rest, "numbers": numbers}

    def _leading_one(
        self, m: Module, number: FixedPoint | Shifted, lane: int
    ) -> Segmented[FixedPoint | Shifted]:
        shift: Value = number.shift if isinstance(number, Shifted) else Const(0)
        flags: Any = [number.sign, number.nan, number.infinity]
        name = f"lane_{lane}"
        finding = leading_significand(m, _magnitude(number), shift, name, split=self._split)
        found, flags = yield from carry_along(finding, flags)
        whole = Shifted(found.significand, found.exponent, number.lsb_exponent, *flags)
        return prepared(whole, self.spec.alignment)

    def measure(self, m: Module, signals: Signals) -> Segmented[dict[str, Any]]:
        rest: Any = dict(signals)
        total = rest["divisor"].exponent + self.spec.alignment.base
        base: Value = Signal(total.shape(), name="base")
        m.d.comb += base.eq(total)
        base, rest = yield Boundary("base", [base, rest])
        numbers, rest["numbers"] = rest["numbers"], None
        measuring = lockstep(
            [
                distant(m, number, base, self.spec.alignment, f"lane_{lane}")
                for lane, number in enumerate(numbers)
            ],
            split=self._split,
        )
        numbers, rest = yield from carry_along(measuring, rest)
        return {**rest, "numbers": numbers, "divisor": rest["divisor"].significand}

    def align(self, m: Module, signals: Signals) -> Segmented[dict[str, Any]]:
        """Dividends of the lanes."""
        rest: Any = {**signals, "numbers": None}
        aligning = lockstep(
            [self._dividend(m, number, lane) for lane, number in enumerate(signals["numbers"])],
            split=self._split,
        )
        numbers, rest = yield from carry_along(aligning, rest)
        return {**rest, "numbers": numbers}

    def _dividend(self, m: Module, number: Distant, lane: int) -> Segmented[_Lane]:
        where, name = self.spec.alignment, f"lane_{lane}"
        lost: Value = Const(0)
        shift: Value = Const(0)
        flags: Any = [number.sign, number.nan, number.infinity]
        if where.fixed:
            moving = into_window(m, number.significand, number.distance, where, name)
            (window, lost), flags = yield from carry_along(moving, flags)
        else:
            shift = Signal(range(where.furthest + 1), name=f"{name}_shift")
            m.d.comb += shift.eq(where.furthest - number.distance)
            values = [number.significand, shift, flags]
            window, shift, flags = yield Boundary("shift", values)
        sign, nan, infinity = flags
        return _Lane(
            division=self._quotients.begun(window),
            lost=lost,
            shift=shift,
            sign=sign,
            nan=nan,
            infinity=infinity,
        )

    def place(self, m: Module, signals: Signals) -> Segmented[dict[str, Any]]:
        lsb_exponent = self._quotients.lsb_exponent
        numbers: list[FixedPoint | Shifted] = []
        for lane, number in enumerate(signals["numbers"]):
            quotient = Signal(len(number.division.quotient) + 1, name=f"lane_{lane}_quotient")
            m.d.comb += quotient.eq(number.division.with_sticky_bit | number.lost)
            flags = (number.sign, number.nan, number.infinity)
            if self.spec.alignment.fixed:
                numbers.append(FixedPoint(quotient, lsb_exponent, *flags))
            else:
                numbers.append(Shifted(quotient, number.shift, lsb_exponent, *flags))
        kept: Any = {k: v for k, v in signals.items() if k != "divisor"}
        kept = yield Boundary("quotient", {**kept, "numbers": numbers})
        return (yield from super().place(m, kept))


@dataclass(frozen=True)
class _Lane:
    """A number that is being divided by its scale."""

    division: Division
    lost: Value
    shift: Value
    sign: Value | None = None
    nan: Value | None = None
    infinity: Value | None = None


def _named(name: str, parts: Segmented[T]) -> Segmented[T]:
    """The same parts, with names of their own beside others."""
    try:
        part = next(parts)
        while True:
            part = parts.send((yield replace(part, name=f"{name}_{part.name}")))
    except StopIteration as end:
        found: T = end.value
        return found


def _magnitude(number: FixedPoint | Shifted) -> Value:
    return number.magnitude if isinstance(number, FixedPoint) else number.significand


def _unless(number: FixedPoint | Shifted, negative: Value) -> FixedPoint | Shifted:
    """Zero in place of a negative number, and of minus infinity."""
    infinity = None if number.infinity is None else number.infinity & ~negative
    kept = _magnitude(number) & ~negative.replicate(len(_magnitude(number)))
    if isinstance(number, FixedPoint):
        return replace(number, magnitude=kept, infinity=infinity)
    return replace(number, significand=kept, infinity=infinity)


def component(spec: Quantizer) -> QuantizerUnit:
    """Of a scale that is a power of two, or one that is not."""
    return FloatScaleQuantizerUnit(spec) if spec.has_float_scale else PowerScaleQuantizerUnit(spec)
