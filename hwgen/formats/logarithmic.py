"""Logarithmic numbers (LNS): a sign and a fixed-point base-2 logarithm; powers of two."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from hwgen.errors import InputError
from hwgen.fields import check_fields, set_fields
from hwgen.formats.encoding import USUAL_BIAS
from hwgen.formats.rounding import (
    DOWN,
    RANDOM_BITS,
    STOCHASTIC,
    TOWARD_ZERO,
    UP,
    round_to_integer,
)
from hwgen.formats.scalar import Floats, Integers, Scalar

MAX_BITS = 16
MAX_EXPONENT_BITS, MAX_FRACTION_BITS = 8, 10


@dataclass(frozen=True)
class Logarithmic(Scalar):
    """(−1)^sign · 2^(c / 2^fraction_bits − bias), c the code without its sign; c = 0 is zero.

    ``lns4f3`` has a sign, 4 bits of the logarithm before its point and 3 behind; ``lns4f0`` are
    powers of two. The bias is by default 2^(E−1)−1, as of a minifloat. Values that are not
    powers of two are irrational: a value here is the float64 nearest to it. Rounding to
    nearest is nearest in the logarithm, as logarithmic hardware does it, and a number below
    the smallest goes to zero from half a step of the logarithm on; the directed modes and
    ``stochastic`` go by the values. Beyond the largest it saturates.
    """

    exponent_bits: int = field()  # No default, though other kinds have one.
    fraction_bits: int
    bias: int = USUAL_BIAS
    signed: bool = True
    bits: int = field(init=False, repr=False, compare=False)
    halves_by_value: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_fields(self)
        set_fields(self, bits=self.signed + self.exponent_bits + self.fraction_bits)
        if (
            not 1 <= self.exponent_bits <= MAX_EXPONENT_BITS
            or not 0 <= self.fraction_bits <= MAX_FRACTION_BITS
            or self.bits > MAX_BITS
        ):
            raise InputError(
                f"{'' if self.signed else 'u'}lns{self.exponent_bits}f{self.fraction_bits}: "
                f"logarithms have 1 to {MAX_EXPONENT_BITS} bits before their point and up "
                f"to {MAX_FRACTION_BITS} behind it, {MAX_BITS} in all, such as lns4f3 or ulns4f0"
            )
        if self.bias == USUAL_BIAS:
            set_fields(self, bias=self._usual_bias)
        if not -256 <= self.bias <= 512:
            raise InputError(f"{self}: the bias is from -256 to 512, such as lns4f3b9")

    @classmethod
    def parse(cls, name: str) -> Logarithmic | None:
        """The format called ``lns4f3``, ``ulns4f0``, ``lns4f3b9`` or so; None for other names.

        Raises:
            InputError: widths or a bias that no logarithm here has.

        """
        number = "(0|[1-9][0-9]{0,2})"
        match = re.fullmatch(rf"(u?)lns{number}f{number}(?:b([n-]?){number})?", name, re.ASCII)
        if match is None:
            return None
        unsigned, exponent_bits, fraction_bits, minus, bias = match.groups()
        return cls(
            int(exponent_bits),
            int(fraction_bits),
            USUAL_BIAS if bias is None else int(bias) * (-1 if minus else 1),
            not unsigned,
        )

    def __str__(self) -> str:
        bias = "" if self.bias == self._usual_bias else f"b{self.bias}".replace("-", "n")
        return f"{'' if self.signed else 'u'}lns{self.exponent_bits}f{self.fraction_bits}{bias}"

    @property
    def _usual_bias(self) -> int:
        return (1 << max(self.exponent_bits - 1, 0)) - 1

    @property
    def lsb_exponent(self) -> int:
        """Of powers of two only: InputError for others, whose values are irrational."""
        if self.fraction_bits:
            raise InputError(
                f"values of {self} are irrational and have no common step: exact sums need "
                "powers of two, such as lns4f0, or another format"
            )
        return 1 - self.bias

    @property
    def precision(self) -> int:
        """All the bits of a float64, which a value is rounded to; of a power of two, one."""
        return 53 if self.fraction_bits else 1

    @property
    def max(self) -> float:
        """Largest value, the float64 nearest to it."""
        return float(_magnitudes(self)[-1])

    @property
    def min(self) -> float:
        """Minus the largest value, or zero without sign."""
        return -self.max if self.signed else 0.0

    @property
    def smallest(self) -> float:
        """The value of code 1, the float64 nearest to it."""
        return float(_magnitudes(self)[1])

    @property
    def own_facts(self) -> dict[str, Any]:
        """Widths of the logarithm before and behind its point; no step is common to all values."""
        return {"exponent_bits": self.exponent_bits, "fraction_bits": self.fraction_bits}

    def _values(self, codes: Integers) -> Floats:
        magnitudes = _magnitudes(self)
        magnitude = codes & (len(magnitudes) - 1)
        values = magnitudes[magnitude]
        return np.asarray(np.where(codes != magnitude, -values, values))

    def _codes(
        self,
        numbers: Floats,
        rounding: str,
        overflow: str,
        random_bits: npt.NDArray[np.integer] | None,
    ) -> Integers:
        magnitudes, magnitude = _magnitudes(self), np.abs(numbers)
        negative = np.signbit(numbers)
        if rounding in (TOWARD_ZERO, UP, DOWN, STOCHASTIC):
            below = np.searchsorted(magnitudes, magnitude, side="right") - 1
            lower = magnitudes[below]
            above = np.minimum(below + 1, len(magnitudes) - 1)
            step = np.where(above > below, magnitudes[above] - lower, 1.0)
            part = np.where(above > below, (np.minimum(magnitude, self.max) - lower) / step, 0.0)
            rounded = round_to_integer(np.where(negative, -part, part), rounding, random_bits)
            code = below + np.abs(rounded).astype(np.int64)
        else:  # No number is half-way between two logarithms: it would be irrational.
            code = np.searchsorted(_middles(self), magnitude, side="left")
        if not self.signed:
            return np.asarray(np.where(negative, 0, code), np.int64)
        return np.asarray(code | negative.astype(np.int64) << (self.bits - 1), np.int64)

    def _stand_in(self, number: Fraction, odd: float, rounding: str, drawn: int) -> float:
        """As of any scalar format, by the exact values and middles.

        Those have all the bits of a float64, so the neighbour of ``number`` that rounding to odd
        chose may be the wrong one.
        """
        magnitude, sign = abs(number), math.copysign(1.0, odd)
        if not abs(odd) <= self.max:
            return odd
        lower = abs(odd) if Fraction(abs(odd)) < magnitude else math.nextafter(abs(odd), 0)
        upper = math.nextafter(lower, math.inf)
        values = _magnitudes(self)
        below = int(np.searchsorted(values, lower, side="right")) - 1
        if rounding == STOCHASTIC:
            if below + 1 == len(values):
                return odd
            start, end = Fraction(float(values[below])), Fraction(float(values[below + 1]))
            part = (magnitude - start) / (end - start)
            away = (math.floor(part * 2**RANDOM_BITS) + drawn) >> RANDOM_BITS
            return sign * float(values[below + away])
        if rounding in (TOWARD_ZERO, UP, DOWN):
            # Two values are never neighbours among the float64.
            return sign * (upper if lower == values[below] else lower)
        middles = _middles(self)
        at = int(np.searchsorted(middles, lower, side="left"))
        if at < len(middles) and lower == middles[at]:
            # The middle itself is 2 to a fraction, between the two: compare that power of both.
            count = 2 << self.fraction_bits
            power = 2 * at + 1 - self.bias * count
            return sign * (upper if magnitude**count > Fraction(2) ** power else lower)
        return sign * lower


@lru_cache(maxsize=64)
def _powers(fraction_bits: int) -> list[Decimal]:
    """2^(i / 2^fraction_bits) for i from 0, to 40 digits."""
    with localcontext() as context:
        context.prec = 40
        count = 1 << fraction_bits
        return [Decimal(2) ** (Decimal(i) / count) for i in range(count)]


@lru_cache(maxsize=64)
def _magnitudes(number_format: Logarithmic) -> Floats:
    """Value of each code without sign, the nearest float64."""
    fraction = np.array([float(power) for power in _powers(number_format.fraction_bits)])
    binades = np.arange(1 << number_format.exponent_bits) - number_format.bias
    values: Floats = np.ldexp(fraction[None, :], binades[:, None]).reshape(-1)
    values[0] = 0.0
    return values


@lru_cache(maxsize=64)
def _middles(number_format: Logarithmic) -> Floats:
    """Largest float64 below each half-way point of the logarithm between two codes."""
    halves = _powers(number_format.fraction_bits + 1)[1::2]
    nearest = [float(half) for half in halves]
    below = np.array(
        [
            near if Decimal(near) < half else np.nextafter(near, 0)
            for near, half in zip(nearest, halves, strict=True)
        ]
    )
    binades = np.arange(1 << number_format.exponent_bits) - number_format.bias
    middles: Floats = np.ldexp(below[None, :], binades[:, None]).reshape(-1)[:-1]
    return middles
