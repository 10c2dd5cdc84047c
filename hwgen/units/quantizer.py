"""Quantization of numbers to one block: the largest magnitude, the scale, the elements."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from hwgen.arithmetic import divide, float_scale
from hwgen.arithmetic.coding import to_code
from hwgen.arithmetic.decode import decode
from hwgen.arithmetic.divide import Division
from hwgen.arithmetic.leading_operand import Leading, leading, leading_significand
from hwgen.arithmetic.power_scale import (
    key,
    larger_of_pairs,
    magnitude_key,
    micro_exponent,
    scale_code,
)
from hwgen.arithmetic.quantizer_alignment import Distant, aligned, distant, moved, prepared
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
        """One level of the tree in each group of ``size`` keys; ``keep`` its keys as ``parts``."""
        keys: list[Value] = []
        for first in range(0, len(signals["keys"]), size):
            group = signals["keys"][first : first + size]
            keys += larger_of_pairs(m, group, f"{name}_{first}" if first else name)
        values = {**signals, "keys": keys, **({"parts": keys} if keep else {})}
        return (yield from last("larger", values))

    @abstractmethod
    def _key(self, code: Value, magnitude: Value, counts: Value) -> Value:
        """What is compared to find the largest number."""

    @abstractmethod
    def _prepared(self, number: FixedPoint | Shifted) -> FixedPoint | Shifted:
        """The number without bits that will not matter."""

    def decoded(self, m: Module, signals: Signals) -> dict[str, Any]:
        """``numbers``, signs and magnitudes, and ``keys``, what to compare of them."""
        spec, f = self.spec, self.spec.a
        numbers, keys = [], []
        not_finite: Value = Const(0)
        for lane in range(spec.lanes):
            name = f"lane_{lane}"
            code = signals["a"].word_select(lane, f.bits)
            number = magnitude_of(m, decode(m, code, f, name), f, name)
            counts: Value = Const(1)
            for flag in (number.nan, number.infinity):
                if flag is not None:
                    counts, not_finite = counts & ~flag, not_finite | flag
            if number.sign is not None and not spec.b.element.signed:
                # What no element can be counts as zero.
                counts = counts & ~number.sign
                number = _unless(number, number.sign)
            keys.append(self._key(code, _magnitude(number), counts))
            if spec.nonfinite != IN_ELEMENT:
                number = replace(number, nan=None, infinity=None)
            numbers.append(self._prepared(number))
        values = {k: v for k, v in signals.items() if k != "a"}
        if spec.nonfinite != IN_ELEMENT:
            flag = Signal(name="not_finite")
            m.d.comb += flag.eq(not_finite)
            values["not_finite"] = flag
        if spec.b.micro_block == 1:
            values["parts"] = keys
        return {**values, "numbers": numbers, "keys": keys}

    def place(self, m: Module, signals: Signals) -> Segmented[dict[str, Any]]:
        """``numbers`` with their rounding points where the elements have them."""
        element, rounding = self.spec.b.element, self.spec.rounding
        carried: Any = {**signals, "numbers": None}
        placing = lockstep(
            [
                normalise(m, number, element, rounding, f"lane_{lane}", split=self._split)
                for lane, number in enumerate(signals["numbers"])
            ],
            split=self._split,
        )
        numbers, carried = yield from carry_along(placing, carried)
        return (yield from last("in_place", {**carried, "numbers": numbers}))

    def rounded(self, m: Module, signals: Signals) -> Segmented[dict[str, Any]]:
        """The output ports: ``elements``, ``scale`` and, if there are any, ``micro_exponents``."""
        carried: Any = {k: v for k, v in signals.items() if k not in ("numbers", "random_bits")}
        codes = [
            self._element(m, number, signals.get("random_bits"), lane)
            for lane, number in enumerate(signals["numbers"])
        ]
        elements, carried = yield from carry_along(lockstep(codes, split=self._split), carried)
        not_finite, scale = carried.get("not_finite"), carried["scale"]
        if not_finite is not None:
            elements = [code & ~not_finite.replicate(len(code)) for code in elements]
            scale = Mux(not_finite, self.spec.b.scale.nan_code, scale)
        results: dict[str, Any] = {"elements": Cat(elements), "scale": scale}
        if self.spec.b.micro_bits:
            micro = Cat(carried["micro_exponents"])
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
    """The unit for scales that are powers of two: numbers over them are only shifted."""

    def _key(self, code: Value, magnitude: Value, counts: Value) -> Value:
        return key(code, magnitude, counts, self.spec.power_scale)

    def _prepared(self, number: FixedPoint | Shifted) -> FixedPoint | Shifted:
        return prepared(number, self.spec.alignment)

    def make_scale(self, m: Module, signals: Signals) -> Segmented[dict[str, Any]]:
        """``scale``: its code, from the largest key; the parts' micro-exponents too."""
        (largest,) = signals["keys"]
        carried: Any = {k: v for k, v in signals.items() if k != "keys"}
        making = scale_code(m, largest, self.spec.power_scale, "scale", split=self._split)
        scale, carried = yield from carry_along(making, carried)
        part_keys = carried.pop("parts", None)
        if self.spec.b.micro_bits:
            micros = lockstep(
                [
                    micro_exponent(
                        m,
                        part_key,
                        scale,
                        self.spec.power_scale,
                        f"part_{index}",
                        split=self._split,
                    )
                    for index, part_key in enumerate(part_keys)
                ],
                split=self._split,
            )
            micro, (scale, carried) = yield from carry_along(
                _named("micro", micros), [scale, carried]
            )
            carried = {**carried, "micro_exponents": micro}
        return {**carried, "scale": scale}

    def measure(self, m: Module, signals: Signals) -> Segmented[dict[str, Any]]:
        """How far each number is below the largest element."""
        where = self.spec.alignment
        total = signals["scale"] + where.base
        base: Value = Signal(total.shape(), name="base")
        m.d.comb += base.eq(total)
        base, carried = yield Boundary("base", [base, dict(signals)])
        bases = [base] * len(carried["numbers"])
        if "micro_exponents" in carried:
            part_bases: list[Value] = []
            for index, micro in enumerate(carried["micro_exponents"]):
                lowered = base - micro
                part_base = Signal(lowered.shape(), name=f"part_{index}_base")
                m.d.comb += part_base.eq(lowered)
                part_bases.append(part_base)
            part_bases, carried = yield Boundary("part_bases", [part_bases, carried])
            size = self.spec.b.micro_block
            bases = [part_base for part_base in part_bases for _ in range(size)]
        numbers, carried["numbers"] = carried["numbers"], None
        measuring = lockstep(
            [
                distant(m, number, bases[lane], where, f"lane_{lane}")
                for lane, number in enumerate(numbers)
            ],
            split=self._split,
        )
        numbers, carried = yield from carry_along(measuring, carried)
        return {**carried, "numbers": numbers}

    def align(self, m: Module, signals: Signals) -> Segmented[dict[str, Any]]:
        """``numbers`` over their scale, ready for rounding."""
        carried: Any = {**signals, "numbers": None}
        aligning = lockstep(
            [
                aligned(m, number, self.spec.alignment, f"lane_{lane}")
                for lane, number in enumerate(signals["numbers"])
            ],
            split=self._split,
        )
        numbers, carried = yield from carry_along(aligning, carried)
        return {**carried, "numbers": numbers}


class FloatScaleQuantizerUnit(QuantizerUnit):
    """The unit for other scales, or one for the tensor too: numbers are divided by them."""

    def __init__(self, spec: Quantizer) -> None:
        super().__init__(spec)
        self._scale, self._quotients = spec.float_scale, spec.quotients

    def _key(self, code: Value, magnitude: Value, counts: Value) -> Value:
        return magnitude_key(code, magnitude, counts, self.spec.a)

    def _prepared(self, number: FixedPoint | Shifted) -> FixedPoint | Shifted:
        return number if self._quotients.leading_ones else prepared(number, self.spec.alignment)

    def begin_scale(self, m: Module, signals: Signals) -> Segmented[dict[str, Any]]:
        """``division`` of the largest magnitude by ``divisor``, and the ``exponent`` with it."""
        (largest,) = signals["keys"]
        tensor_scale: Leading | None = None
        code = signals.get("tensor_scale")
        carried: Any = {k: v for k, v in signals.items() if k not in ("keys", "tensor_scale")}
        if code is not None:
            assert self._scale.tensor_scale is not None
            operand = decode(m, code, self._scale.tensor_scale, "tensor_scale")
            finding = leading(
                m, operand, self._scale.tensor_scale, "tensor_scale", split=self._split
            )
            finding_tensor = carry_along(_named("tensor", finding), [largest, carried])
            tensor_scale, (largest, carried) = yield from finding_tensor
        beginning = float_scale.begun(m, self._scale, largest, tensor_scale, split=self._split)
        begun, (tensor_scale, carried) = yield from carry_along(beginning, [tensor_scale, carried])
        division, divisor, exponent = begun
        return {
            **carried,
            "second": tensor_scale,
            "division": division,
            "divisor": divisor,
            "exponent": exponent,
        }

    def divide_scale(self, m: Module, signals: Signals, name: str) -> dict[str, Any]:
        """One bit more of the scale's quotient."""
        return {
            **signals,
            "division": divide.step(m, signals["division"], signals["divisor"], name),
        }

    def divide(self, m: Module, signals: Signals, name: str) -> dict[str, Any]:
        """One bit more of each element's quotient."""
        numbers = []
        for lane, number in enumerate(signals["numbers"]):
            division = divide.step(m, number.division, signals["divisor"], f"{name}_{lane}")
            numbers.append(replace(number, division=division))
        return {**signals, "numbers": numbers}

    def place_scale(self, m: Module, signals: Signals) -> Segmented[dict[str, Any]]:
        """``placed``: the quotient where the scale's rounding takes it."""
        divided = ("division", "divisor", "exponent")
        carried: Any = {k: v for k, v in signals.items() if k not in divided}
        placing = float_scale.placed_quotient(
            m, self._scale, signals["division"], signals["exponent"], split=self._split
        )
        placed, carried = yield from carry_along(placing, carried)
        return {**carried, "placed": placed}

    def round_scale(self, m: Module, signals: Signals) -> Segmented[dict[str, Any]]:
        """``scale``: its code."""
        carried: Any = {k: v for k, v in signals.items() if k != "placed"}
        code, carried = yield from carry_along(
            float_scale.scale_code(m, self._scale, signals["placed"], split=self._split), carried
        )
        return {**carried, "scale": code}

    def multiply_scales(self, m: Module, signals: Signals) -> Segmented[dict[str, Any]]:
        """``divisor`` of the elements: block scale times tensor scale."""
        tensor_scale = signals["second"]
        carried: Any = {k: v for k, v in signals.items() if k != "second"}
        multiplying = float_scale.element_divisor(
            m, self._scale, carried["scale"], tensor_scale, split=self._split
        )
        divisor, carried = yield from carry_along(multiplying, carried)
        return {**carried, "divisor": divisor}

    def leading_ones(self, m: Module, signals: Signals) -> Segmented[dict[str, Any]]:
        """``numbers`` with their leading ones on top, where the divisions need that."""
        if not self._quotients.leading_ones:
            return (yield from last("none", dict(signals)))
        carried: Any = {**signals, "numbers": None}
        finding = lockstep(
            [self._leading_one(m, number, lane) for lane, number in enumerate(signals["numbers"])],
            split=self._split,
        )
        numbers, carried = yield from carry_along(finding, carried)
        return {**carried, "numbers": numbers}

    def _leading_one(
        self, m: Module, number: FixedPoint | Shifted, lane: int
    ) -> Segmented[FixedPoint | Shifted]:
        shift: Value = number.shift if isinstance(number, Shifted) else Const(0)
        flags: Any = [number.sign, number.nan, number.infinity]
        name = f"lane_{lane}"
        finding = leading_significand(m, _magnitude(number), shift, name, split=self._split)
        normalised, flags = yield from carry_along(finding, flags)
        whole = Shifted(normalised.significand, normalised.exponent, number.lsb_exponent, *flags)
        return prepared(whole, self.spec.alignment)

    def measure(self, m: Module, signals: Signals) -> Segmented[dict[str, Any]]:
        """How far each number's leading bit is below that of the largest quotient."""
        carried: Any = dict(signals)
        total = carried["divisor"].exponent + self.spec.alignment.base
        base: Value = Signal(total.shape(), name="base")
        m.d.comb += base.eq(total)
        base, carried = yield Boundary("base", [base, carried])
        numbers, carried["numbers"] = carried["numbers"], None
        measuring = lockstep(
            [
                distant(m, number, base, self.spec.alignment, f"lane_{lane}")
                for lane, number in enumerate(numbers)
            ],
            split=self._split,
        )
        numbers, carried = yield from carry_along(measuring, carried)
        return {**carried, "numbers": numbers, "divisor": carried["divisor"].significand}

    def align(self, m: Module, signals: Signals) -> Segmented[dict[str, Any]]:
        """``numbers``: the division of each lane, not yet begun."""
        carried: Any = {**signals, "numbers": None}
        aligning = lockstep(
            [self._dividend(m, number, lane) for lane, number in enumerate(signals["numbers"])],
            split=self._split,
        )
        numbers, carried = yield from carry_along(aligning, carried)
        return {**carried, "numbers": numbers}

    def _dividend(self, m: Module, number: Distant, lane: int) -> Segmented[_Lane]:
        where, name = self.spec.alignment, f"lane_{lane}"
        lost: Value = Const(0)
        shift: Value = Const(0)
        flags: Any = [number.sign, number.nan, number.infinity]
        if where.fixed:
            moving = moved(m, where, number.significand, number.distance, name)
            (window, lost), flags = yield from carry_along(moving, flags)
        else:
            shift = Signal(range(where.furthest + 1), name=f"{name}_shift")
            m.d.comb += shift.eq(where.furthest - number.distance)
            values = [number.significand, shift, flags]
            window, shift, flags = yield Boundary("shift", values)
        sign, nan, infinity = flags
        return _Lane(
            division=float_scale.begun_element(self._quotients, window),
            lost=lost,
            shift=shift,
            sign=sign,
            nan=nan,
            infinity=infinity,
        )

    def place(self, m: Module, signals: Signals) -> Segmented[dict[str, Any]]:
        """The quotients, with their rounding points where the elements have them."""
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
        carried: Any = {k: v for k, v in signals.items() if k != "divisor"}
        carried = yield Boundary("quotient", {**carried, "numbers": numbers})
        return (yield from super().place(m, carried))


@dataclass(frozen=True)
class _Lane:
    """A number that is being divided by its scale."""

    division: Division
    lost: Value
    shift: Value
    sign: Value | None = None
    nan: Value | None = None
    infinity: Value | None = None


def _named(name: str, segmented: Segmented[T]) -> Segmented[T]:
    """``segmented`` with ``name`` in front of its boundaries' names."""
    try:
        boundary = next(segmented)
        while True:
            boundary = segmented.send((yield replace(boundary, name=f"{name}_{boundary.name}")))
    except StopIteration as end:
        result: T = end.value
        return result


def _magnitude(number: FixedPoint | Shifted) -> Value:
    return number.magnitude if isinstance(number, FixedPoint) else number.significand


def _unless(number: FixedPoint | Shifted, negative: Value) -> FixedPoint | Shifted:
    """The number, zero in place of a negative one and of minus infinity."""
    infinity = None if number.infinity is None else number.infinity & ~negative
    magnitude = _magnitude(number) & ~negative.replicate(len(_magnitude(number)))
    if isinstance(number, FixedPoint):
        return replace(number, magnitude=magnitude, infinity=infinity)
    return replace(number, significand=magnitude, infinity=infinity)


def component(spec: Quantizer) -> QuantizerUnit:
    """The unit of a scale that is a power of two, or of one that is not."""
    return FloatScaleQuantizerUnit(spec) if spec.has_float_scale else PowerScaleQuantizerUnit(spec)
