"""Quantization of numbers to one block: the largest magnitude, the scale, the elements."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from hwgen.arithmetic import divide
from hwgen.arithmetic.align import (
    Distant,
    aligned,
    distant,
    into_window,
    prepared,
)
from hwgen.arithmetic.coding import to_code
from hwgen.arithmetic.decode import decode
from hwgen.arithmetic.divide import Division
from hwgen.arithmetic.fine_scale import Leading, leading, leading_significand
from hwgen.arithmetic.parts import Part, Parts, abreast, beside, last
from hwgen.arithmetic.power_scale import (
    key,
    larger_of_pairs,
    magnitude_key,
    micro_exponent,
    scale_code,
)
from hwgen.arithmetic.rounder import FixedPoint, Normalised, Shifted, normalise
from hwgen.formats.block_encode import IN_ELEMENT
from hwgen.formats.rounding import RANDOM_BITS
from hwgen.spec.quantizer import Quantizer
from hwgen.units.convert import magnitude_of
from hwgen.units.unit import Live, Unit

T = TypeVar("T")


class QuantizerUnit(Unit):
    """Hardware of a :class:`hwgen.Quantizer` spec: what is common to all scales."""

    spec: Quantizer

    @property
    def _fine(self) -> bool:
        return self.spec.is_tuned

    def larger(
        self, m: Module, live: Live, name: str, size: int, keep: bool
    ) -> Parts[dict[str, Any]]:
        """One level of the tree in each group of ``size`` keys; ``keep`` what comes of it."""
        keys: list[Value] = []
        for first in range(0, len(live["keys"]), size):
            group = live["keys"][first : first + size]
            keys += larger_of_pairs(m, group, f"{name}_{first}" if first else name)
        found = {**live, "keys": keys, **({"parts": keys} if keep else {})}
        return (yield from last("larger", found))

    @abstractmethod
    def _key(self, code: Value, magnitude: Value, counts: Value) -> Value:
        """What is compared to find the largest number."""

    @abstractmethod
    def _prepared(self, number: FixedPoint | Shifted) -> FixedPoint | Shifted:
        """A number without what will not matter."""

    def decoded(self, m: Module, live: Live) -> dict[str, Any]:
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

    def place(self, m: Module, live: Live) -> Parts[dict[str, Any]]:
        element, rounding = self.spec.b.element, self.spec.rounding
        rest: Any = {**live, "numbers": None}
        placing = abreast(
            [
                normalise(m, number, element, rounding, f"lane_{lane}", fine=self._fine)
                for lane, number in enumerate(live["numbers"])
            ],
            fine=self._fine,
        )
        numbers, rest = yield from beside(placing, rest)
        return (yield from last("in_place", {**rest, "numbers": numbers}))

    def rounded(self, m: Module, live: Live) -> Parts[dict[str, Any]]:
        rest: Any = {k: v for k, v in live.items() if k not in ("numbers", "random_bits")}
        codes = [
            self._element(m, number, live.get("random_bits"), lane)
            for lane, number in enumerate(live["numbers"])
        ]
        elements, rest = yield from beside(abreast(codes, fine=self._fine), rest)
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
    ) -> Parts[Value]:
        """The code of a number that is in its place."""
        spec, element = self.spec, self.spec.b.element
        drawn = None
        if random_bits is not None:
            drawn = random_bits.word_select(lane, RANDOM_BITS)
        args = (spec.rounding, spec.element_overflow, f"element_{lane}", drawn)
        code: Value = yield from to_code(m, number, element, *args, fine=self._fine)
        if element.is_integer and element.signed and spec.symmetric:
            # The code above the most negative one is minus the largest.
            lowest = code[-1] & ~code[:-1].any()
            code = yield Part("symmetric", code | lowest)
        return code


class PowerQuantizerUnit(QuantizerUnit):
    """Scales are powers of two: numbers over their scale are only shifted."""

    def _key(self, code: Value, magnitude: Value, counts: Value) -> Value:
        return key(code, magnitude, counts, self.spec.power_scale)

    def _prepared(self, number: FixedPoint | Shifted) -> FixedPoint | Shifted:
        return prepared(number, self.spec.alignment)

    def make_scale(self, m: Module, live: Live) -> Parts[dict[str, Any]]:
        (largest,) = live["keys"]
        rest: Any = {k: v for k, v in live.items() if k != "keys"}
        making = scale_code(m, largest, self.spec.power_scale, "scale", fine=self._fine)
        scale, rest = yield from beside(making, rest)
        parts = rest.pop("parts", None)
        if self.spec.b.micro_bits:
            micros = abreast(
                [
                    micro_exponent(
                        m, part, scale, self.spec.power_scale, f"part_{index}", fine=self._fine
                    )
                    for index, part in enumerate(parts)
                ],
                fine=self._fine,
            )
            micro, (scale, rest) = yield from beside(_named("micro", micros), [scale, rest])
            rest = {**rest, "micro_exponents": micro}
        return {**rest, "scale": scale}

    def measure(self, m: Module, live: Live) -> Parts[dict[str, Any]]:
        """How far each number is below the largest element."""
        where = self.spec.alignment
        total = live["scale"] + where.base
        base: Value = Signal(total.shape(), name="base")
        m.d.comb += base.eq(total)
        base, found = yield Part("base", [base, dict(live)])
        bases = [base] * len(found["numbers"])
        if "micro_exponents" in found:
            parts: list[Value] = []
            for index, micro in enumerate(found["micro_exponents"]):
                own = base - micro
                part = Signal(own.shape(), name=f"part_{index}_base")
                m.d.comb += part.eq(own)
                parts.append(part)
            parts, found = yield Part("part_bases", [parts, found])
            each = self.spec.b.micro_block
            bases = [part for part in parts for _ in range(each)]
        numbers, found["numbers"] = found["numbers"], None
        measuring = abreast(
            [
                distant(m, number, bases[lane], where, f"lane_{lane}")
                for lane, number in enumerate(numbers)
            ],
            fine=self._fine,
        )
        numbers, found = yield from beside(measuring, found)
        return {**found, "numbers": numbers}

    def align(self, m: Module, live: Live) -> Parts[dict[str, Any]]:
        rest: Any = {**live, "numbers": None}
        aligning = abreast(
            [
                aligned(m, number, self.spec.alignment, f"lane_{lane}")
                for lane, number in enumerate(live["numbers"])
            ],
            fine=self._fine,
        )
        numbers, rest = yield from beside(aligning, rest)
        return {**rest, "numbers": numbers}


class FineQuantizerUnit(QuantizerUnit):
    """Scales have mantissas, or there is one for the tensor too: numbers are divided by them."""

    def __init__(self, spec: Quantizer) -> None:
        super().__init__(spec)
        self._scale, self._quotients = spec.fine_scale, spec.quotients

    def _key(self, code: Value, magnitude: Value, counts: Value) -> Value:
        return magnitude_key(code, magnitude, counts, self.spec.a)

    def _prepared(self, number: FixedPoint | Shifted) -> FixedPoint | Shifted:
        return number if self._quotients.leading_ones else prepared(number, self.spec.alignment)

    def begin_scale(self, m: Module, live: Live) -> Parts[dict[str, Any]]:
        (largest,) = live["keys"]
        second: Leading | None = None
        code = live.get("tensor_scale")
        rest: Any = {k: v for k, v in live.items() if k not in ("keys", "tensor_scale")}
        if code is not None:
            assert self._scale.second is not None
            operand = decode(m, code, self._scale.second, "tensor_scale")
            finding = leading(m, operand, self._scale.second, "tensor_scale", fine=self._fine)
            parts = beside(_named("tensor", finding), [largest, rest])
            second, (largest, rest) = yield from parts
        beginning = self._scale.begun(m, largest, second, fine=self._fine)
        found, (second, rest) = yield from beside(beginning, [second, rest])
        division, divisor, exponent = found
        return {
            **rest,
            "second": second,
            "division": division,
            "divisor": divisor,
            "exponent": exponent,
        }

    def divide_scale(self, m: Module, live: Live, name: str) -> dict[str, Any]:
        """A bit of the scale."""
        return {**live, "division": divide.step(m, live["division"], live["divisor"], name)}

    def divide(self, m: Module, live: Live, name: str) -> dict[str, Any]:
        """A bit of each element."""
        numbers = []
        for lane, number in enumerate(live["numbers"]):
            division = divide.step(m, number.division, live["divisor"], f"{name}_{lane}")
            numbers.append(replace(number, division=division))
        return {**live, "numbers": numbers}

    def place_scale(self, m: Module, live: Live) -> Parts[dict[str, Any]]:
        gone = ("division", "divisor", "exponent")
        rest: Any = {k: v for k, v in live.items() if k not in gone}
        placing = self._scale.placed(m, live["division"], live["exponent"], fine=self._fine)
        placed, rest = yield from beside(placing, rest)
        return {**rest, "placed": placed}

    def round_scale(self, m: Module, live: Live) -> Parts[dict[str, Any]]:
        rest: Any = {k: v for k, v in live.items() if k != "placed"}
        code, rest = yield from beside(self._scale.code(m, live["placed"], fine=self._fine), rest)
        return {**rest, "scale": code}

    def multiply_scales(self, m: Module, live: Live) -> Parts[dict[str, Any]]:
        second = live["second"]
        rest: Any = {k: v for k, v in live.items() if k != "second"}
        multiplying = self._scale.element_divisor(m, rest["scale"], second, fine=self._fine)
        divisor, rest = yield from beside(multiplying, rest)
        return {**rest, "divisor": divisor}

    def leading_ones(self, m: Module, live: Live) -> Parts[dict[str, Any]]:
        if not self._quotients.leading_ones:
            return (yield from last("none", dict(live)))
        rest: Any = {**live, "numbers": None}
        finding = abreast(
            [self._leading_one(m, number, lane) for lane, number in enumerate(live["numbers"])],
            fine=self._fine,
        )
        numbers, rest = yield from beside(finding, rest)
        return {**rest, "numbers": numbers}

    def _leading_one(
        self, m: Module, number: FixedPoint | Shifted, lane: int
    ) -> Parts[FixedPoint | Shifted]:
        shift: Value = number.shift if isinstance(number, Shifted) else Const(0)
        flags: Any = [number.sign, number.nan, number.infinity]
        name = f"lane_{lane}"
        finding = leading_significand(m, _magnitude(number), shift, name, fine=self._fine)
        found, flags = yield from beside(finding, flags)
        whole = Shifted(found.significand, found.exponent, number.lsb_exponent, *flags)
        return prepared(whole, self.spec.alignment)

    def measure(self, m: Module, live: Live) -> Parts[dict[str, Any]]:
        rest: Any = dict(live)
        total = rest["divisor"].exponent + self.spec.alignment.base
        base: Value = Signal(total.shape(), name="base")
        m.d.comb += base.eq(total)
        base, rest = yield Part("base", [base, rest])
        numbers, rest["numbers"] = rest["numbers"], None
        measuring = abreast(
            [
                distant(m, number, base, self.spec.alignment, f"lane_{lane}")
                for lane, number in enumerate(numbers)
            ],
            fine=self._fine,
        )
        numbers, rest = yield from beside(measuring, rest)
        return {**rest, "numbers": numbers, "divisor": rest["divisor"].significand}

    def align(self, m: Module, live: Live) -> Parts[dict[str, Any]]:
        """Dividends of the lanes."""
        rest: Any = {**live, "numbers": None}
        aligning = abreast(
            [self._dividend(m, number, lane) for lane, number in enumerate(live["numbers"])],
            fine=self._fine,
        )
        numbers, rest = yield from beside(aligning, rest)
        return {**rest, "numbers": numbers}

    def _dividend(self, m: Module, number: Distant, lane: int) -> Parts[_Lane]:
        where, name = self.spec.alignment, f"lane_{lane}"
        lost: Value = Const(0)
        shift: Value = Const(0)
        flags: Any = [number.sign, number.nan, number.infinity]
        if where.fixed:
            moving = into_window(m, number.significand, number.distance, where, name)
            (window, lost), flags = yield from beside(moving, flags)
        else:
            shift = Signal(range(where.furthest + 1), name=f"{name}_shift")
            m.d.comb += shift.eq(where.furthest - number.distance)
            values = [number.significand, shift, flags]
            window, shift, flags = yield Part("shift", values)
        sign, nan, infinity = flags
        return _Lane(
            division=self._quotients.begun(window),
            lost=lost,
            shift=shift,
            sign=sign,
            nan=nan,
            infinity=infinity,
        )

    def place(self, m: Module, live: Live) -> Parts[dict[str, Any]]:
        lsb_exponent = self._quotients.lsb_exponent
        numbers: list[FixedPoint | Shifted] = []
        for lane, number in enumerate(live["numbers"]):
            quotient = Signal(len(number.division.quotient) + 1, name=f"lane_{lane}_quotient")
            m.d.comb += quotient.eq(number.division.with_rest | number.lost)
            flags = (number.sign, number.nan, number.infinity)
            if self.spec.alignment.fixed:
                numbers.append(FixedPoint(quotient, lsb_exponent, *flags))
            else:
                numbers.append(Shifted(quotient, number.shift, lsb_exponent, *flags))
        kept: Any = {k: v for k, v in live.items() if k != "divisor"}
        kept = yield Part("quotient", {**kept, "numbers": numbers})
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


def _named(name: str, parts: Parts[T]) -> Parts[T]:
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
    return FineQuantizerUnit(spec) if spec.is_fine else PowerQuantizerUnit(spec)
