"""Plain definitions of what units compute, from what their formats mean.

Nothing here is shared with the hardware or with ``hwgen.formats``'s rounding: numbers are
whole multiples of a small enough unit, and rounding is comparison with the format's values.
"""

from __future__ import annotations

import bisect
import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from hwgen.formats import Scalar
from hwgen.formats.rounding import DOWN, NEAREST_AWAY, NEAREST_EVEN, TOWARD_ZERO, UP
from hwgen.spec import Spec
from sim import golden
from sim.formal.aig import FALSE, TRUE, Aig
from sim.formal.circuit import Circuit, Words
from sim.formal.run import Start, compared, outputs_of, result
from sim.formal.solve import TABLE_INPUTS, Claim
from sim.formal.words import Word, select


class NotApplicable(Exception):
    """The property says nothing about this unit; the message says why."""


#: Of formats with infinities or NaN up to this many bits all codes are looked at.
TOLD_BITS = 16


def value(aig: Aig, code: Sequence[int], f: Scalar) -> Word:
    """A finite code's number in units of 2^f.lsb_exponent."""
    if f.is_integer:
        return Word.signed(aig, code) if f.signed else Word.unsigned(aig, code)
    assert f.subnormals
    magnitude = code[: f.bits - int(f.signed)]
    number = minifloat_magnitude(Word.unsigned(aig, magnitude), f.mantissa_bits)
    return select(code[-1], -number, number) if f.signed else number


def minifloat_magnitude(code: Word, mantissa_bits: int) -> Word:
    """(hidden bit . mantissa) · 2^(exponent field − 1), of codes of any width.

    As if the format went on for ever. The exponent field 0 has no hidden bit and counts as 1.
    """
    aig = code.aig
    mantissa, field = code.bits[:mantissa_bits], Word.unsigned(aig, code.bits[mantissa_bits:-1])
    normal = aig.any(field.bits)
    significand = Word.unsigned(aig, [*mantissa, normal])
    return significand << select(normal, field - 1, Word.constant(aig, 0))


def has_plain_value(f: Scalar) -> bool:
    """All codes are finite numbers that ``value`` knows."""
    return has_plain_numbers(f) and not (f.has_nan or f.has_infinity)


def has_plain_numbers(f: Scalar) -> bool:
    """``value`` knows all codes that are finite numbers.

    And ``meanings`` tells them from others.
    """
    if f.is_integer:
        return True
    tells = f.bits <= TOLD_BITS or not (f.has_nan or f.has_infinity)
    return f.has_hardware and f.subnormals and tells


def meanings(aig: Aig, code: Sequence[int], f: Scalar) -> tuple[int, int, int]:
    """Whether the code is NaN, infinite, zero: one of those that the format decodes so."""
    if not (f.has_nan or f.has_infinity):
        return FALSE, FALSE, value(aig, code, f).equals(0)
    numbers = f.decode(np.arange(1 << f.bits))
    word = Word.unsigned(aig, code)
    nan, infinite, zero = (
        aig.any(word.equals(int(pattern)) for pattern in np.flatnonzero(matches))
        for matches in (np.isnan(numbers), np.isinf(numbers), numbers == 0)
    )
    return nan, infinite, zero


def least(f: Scalar) -> int:
    """The least number, in units of 2^lsb_exponent, by the format's definition."""
    if f.is_integer:
        return -(1 << (f.bits - 1)) if f.signed else 0
    return -most(f) if f.signed else 0


def most(f: Scalar) -> int:
    """The largest number, in units of 2^lsb_exponent, by the format's definition."""
    if f.is_integer:
        return (1 << (f.bits - int(f.signed))) - 1
    magnitudes = f.decode(range(2 ** (f.bits - int(f.signed))))
    return int(max(magnitudes[np.isfinite(magnitudes)]) * 2.0**-f.lsb_exponent)


def truth_table(aig: Aig, spec: Spec, first: Mapping[str, Sequence[int]]) -> Words:
    """The outputs by the golden model's answers to all inputs, as decision trees over them."""
    bits = [literal for port in spec.inputs for literal in first[port.name]]
    patterns = np.arange(2 ** len(bits), dtype=np.uint64)
    inputs: dict[str, Any] = {}
    place = 0
    for port in spec.inputs:
        fields = [
            ((patterns >> np.uint64(place + n * port.bits)) & np.uint64(2**port.bits - 1))
            for n in range(port.count)
        ]
        codes = np.stack(fields, axis=1)
        inputs[port.name] = codes if port.format is None else codes.astype(port.format.code_dtype)
        place += port.width
    outputs = golden.expected(spec, inputs)
    words: Words = {}
    for port in spec.outputs:
        columns = [outputs[port.name][:, element].astype(np.int64) for element in range(port.count)]
        words[port.name] = [
            literal for column in columns for literal in tabulated(aig, bits, column, port.bits)
        ]
    return words


def by_truth_table(start: Start, spec: Spec, unit: Circuit) -> Iterable[Claim]:
    """The claim that results are the golden model's.

    NotApplicable for too many inputs, and for units whose results depend on earlier ones too.
    """
    if spec.state_step is not None or spec.storage_bits or spec.random_words is not None:
        raise NotApplicable(
            f"unit {spec.unit} keeps something from one input to the next, and no plain definition "
            "of it is written: a truth table knows one input alone"
        )
    if sum(port.width for port in spec.inputs) > TABLE_INPUTS:
        raise NotApplicable(
            f"no plain definition of unit {spec.unit} is written for these formats, and a truth "
            f"table is made for up to {TABLE_INPUTS} bits of inputs"
        )
    got = result(start, spec, unit, "unit")
    wanted = truth_table(start.aig, spec, got.first)
    yield compared("results", start, got.cycles, outputs_of(spec, got.outputs, wanted))


def tabulated(aig: Aig, bits: Sequence[int], numbers: Any, width: int) -> list[int]:
    """The word of ``width`` bits that is ``numbers[pattern]`` for each pattern of ``bits``."""
    memo: dict[bytes, int] = {}

    def tree(column: Any, depth: int) -> int:
        """The function that the column of bits is, of the first ``depth`` inputs."""
        if column.all():
            return TRUE
        if not column.any():
            return FALSE
        key = column.tobytes()
        if key not in memo:
            half = len(column) // 2
            low, high = tree(column[:half], depth - 1), tree(column[half:], depth - 1)
            memo[key] = aig.mux(bits[depth - 1], high, low)
        return memo[key]

    return [tree((numbers >> bit) & 1 == 1, len(bits)) for bit in range(width)]


@dataclass(frozen=True)
class Addend:
    """A number that is added, and its sign bit: zeros have one too."""

    value: Fraction
    negative: bool

    def __mul__(self, other: Addend) -> Addend:
        return Addend(self.value * other.value, self.negative != other.negative)


@functools.cache
def addend(f: Scalar, code: int) -> Addend:
    """The number that a code is, of a format of numbers alone."""
    value = float(f.decode(code))
    return Addend(Fraction(value), math.copysign(1.0, value) < 0)


def rounded_sum(f: Scalar, mode: str, addends: Sequence[Addend]) -> int:
    """The code of their sum in a format of numbers alone, the largest for all beyond it.

    IEEE 754-2019, 4.3: of the format's numbers the one that the mode names, by comparison with
    both neighbours. 6.3: a zero sum of numbers of one sign has that; of both, + or, rounding
    down, −.
    """
    total = sum((a.value for a in addends), Fraction(0))
    negative = total < 0
    if total == 0:
        signs = {a.negative for a in addends}
        negative = signs == {True} or (mode == DOWN and True in signs)
    values = _magnitudes(f)
    k = bisect.bisect_right(values, abs(total)) - 1
    if k + 1 < len(values) and values[k] != abs(total):
        middle = (values[k] + values[k + 1]) / 2
        k += {
            NEAREST_EVEN: abs(total) > middle or (abs(total) == middle and k % 2 == 1),
            NEAREST_AWAY: abs(total) >= middle,
            TOWARD_ZERO: False,
            UP: not negative,
            DOWN: negative,
        }[mode]
    return k | int(negative) << (f.bits - 1)


@functools.cache
def _magnitudes(f: Scalar) -> list[Fraction]:
    """The numbers from zero up, by their codes."""
    return [Fraction(v) for v in f.decode(range(1 << (f.bits - 1))).tolist()]


#: Modes whose rounding is defined here and in ``sim.models.accumulator_to_float``.
DEFINED_MODES = (NEAREST_EVEN, NEAREST_AWAY, TOWARD_ZERO, UP, DOWN)
