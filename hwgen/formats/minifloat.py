"""Minifloats: binary floating-point formats of any shape up to 32 bits.

A minifloat is data: exponent bits, mantissa bits, bias, sign or none, and which codes are
special. Subnormals are always there. Families, and the ending of their names:

- ``e4m3`` finite: every code is a number (*Post-Training Quantization with Low-precision
  Minifloats and Integers on FPGAs*, arXiv 2311.12359); the largest e4m3 is 480.
- ``e4m3fn``: the all-ones code is NaN and nothing is infinite (OCP 8-bit Floating Point
  Specification, E4M3); the largest is 448.
- ``e4m3fnuz``: the code of −0 is NaN, nothing is infinite, the bias is one larger.
- ``e5m2ieee``: the all-ones exponent holds infinity and NaN (IEEE 754; OCP's E5M2, fp16, …).

``ue4m3`` has no sign; ``e4m3b11`` has the bias 11.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.errors import InputError
from hwgen.formats.rounding import NEAREST_EVEN, round_to_integer, truncates

MAX_BITS = 32
MIN_EXPONENT_BITS, MAX_EXPONENT_BITS = 1, 8
MAX_MANTISSA_BITS = 23
SPECIALS = ("finite", "fn", "fnuz", "ieee")
#: Stands for the bias that the other fields imply; no format has it.
USUAL_BIAS = 2**31

#: What becomes of a number beyond the largest: the largest, or the format's infinity or NaN.
SATURATE, SPECIAL = "saturate", "special"
OVERFLOWS = (SATURATE, SPECIAL)


@dataclass(frozen=True)
class Minifloat:
    """Sign, ``exponent_bits`` and ``mantissa_bits``, from the top bit of the code down.

    ``bias`` is by default the usual one, 2^(E−1)−1, or 2^(E−1) for ``fnuz``.
    """

    exponent_bits: int
    mantissa_bits: int
    bias: int = USUAL_BIAS
    signed: bool = True
    specials: str = "finite"

    def __post_init__(self) -> None:
        if self.specials not in SPECIALS:
            raise InputError(f"specials={self.specials!r}: use one of {', '.join(SPECIALS)}")
        if self.bias == USUAL_BIAS:
            object.__setattr__(self, "bias", self._usual_bias)
        if (
            not MIN_EXPONENT_BITS <= self.exponent_bits <= MAX_EXPONENT_BITS
            or not 0 <= self.mantissa_bits <= MAX_MANTISSA_BITS
            or self.bits > MAX_BITS
        ):
            raise InputError(
                f"{self}: minifloats have {MIN_EXPONENT_BITS} to {MAX_EXPONENT_BITS} exponent "
                f"bits and up to {MAX_MANTISSA_BITS} mantissa bits, such as e2m1 or e4m3"
            )
        if not -256 <= self.bias <= 512:
            raise InputError(f"{self}: the bias is from -256 to 512")
        if self._top < 1 or (self.specials == "fnuz" and not self.signed):
            raise InputError(
                f"{self}: fnuz formats have a sign, and the special codes of others leave a "
                "number beside zero, such as e4m3fnuz or e2m1fn"
            )

    @classmethod
    def parse(cls, name: str) -> Minifloat | None:
        """The format called ``name``, or None if that is not a minifloat's name."""
        number = "(0|[1-9][0-9]{0,2})"
        match = re.fullmatch(
            rf"(u?)e{number}m{number}(fnuz|fn|ieee|)(?:b(-?){number})?", name, re.ASCII
        )
        if match is None:
            return None
        unsigned, exponent_bits, mantissa_bits, specials, minus, bias = match.groups()
        found = cls(
            int(exponent_bits),
            int(mantissa_bits),
            USUAL_BIAS if bias is None else int(minus + bias),
            not unsigned,
            specials or "finite",
        )
        return found if str(found) == name else None

    def __str__(self) -> str:
        sign = "" if self.signed else "u"
        specials = "" if self.specials == "finite" else self.specials
        bias = "" if self.bias == self._usual_bias else f"b{self.bias}"
        return f"{sign}e{self.exponent_bits}m{self.mantissa_bits}{specials}{bias}"

    @property
    def _usual_bias(self) -> int:
        half = 1 << max(self.exponent_bits - 1, 0)
        return half if self.specials == "fnuz" else half - 1

    @property
    def bits(self) -> int:
        """Width of a code."""
        return int(self.signed) + self.exponent_bits + self.mantissa_bits

    @property
    def lsb_exponent(self) -> int:
        """Every value is a multiple of 2**lsb_exponent, the smallest subnormal."""
        return 1 - self.bias - self.mantissa_bits

    @property
    def has_nan(self) -> bool:
        """Some code is NaN."""
        return self.specials != "finite" and (self.specials != "ieee" or self.mantissa_bits > 0)

    @property
    def has_infinity(self) -> bool:
        """Some code is infinite."""
        return self.specials == "ieee"

    @property
    def _top(self) -> int:
        """Code of the largest finite value."""
        codes = 1 << (self.exponent_bits + self.mantissa_bits)
        reserved = {"finite": 0, "fnuz": 0, "fn": 1, "ieee": 1 << self.mantissa_bits}
        return codes - 1 - reserved[self.specials]

    @property
    def max(self) -> float:
        """Largest finite value."""
        return float(self._magnitudes(np.asarray(self._top)))

    @property
    def min(self) -> float:
        """Smallest finite value: the most negative, or zero."""
        return -self.max if self.signed else 0.0

    @property
    def symmetric_max(self) -> float:
        """Largest magnitude that both signs have: what a quantizer maps its range to."""
        return self.max

    @property
    def smallest_normal(self) -> float:
        """Smallest positive value with the full precision."""
        return float(np.ldexp(1.0, 1 - self.bias))

    def _magnitudes(self, codes: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Values of codes without their sign bit, as if none were special."""
        mantissa = codes & ((1 << self.mantissa_bits) - 1)
        exponent = codes >> self.mantissa_bits
        significand = np.where(exponent > 0, mantissa + (1 << self.mantissa_bits), mantissa)
        steps = np.maximum(exponent, 1) - 1 + self.lsb_exponent
        return np.asarray(np.ldexp(significand.astype(np.float64), steps))

    def decode(self, codes: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Codes (unsigned bit patterns, any shape) to their values, float64, exact."""
        pattern = np.asarray(codes).astype(np.int64)
        magnitude = pattern & ((1 << (self.exponent_bits + self.mantissa_bits)) - 1)
        negative = (pattern >> (self.exponent_bits + self.mantissa_bits)) & 1 == 1
        values = self._magnitudes(magnitude)
        if self.specials == "fn":
            values = np.where(magnitude > self._top, np.nan, values)
        elif self.specials == "ieee":
            infinity = self._top + 1
            values = np.where(magnitude == infinity, np.inf, values)
            values = np.where(magnitude > infinity, np.nan, values)
        elif self.specials == "fnuz":
            values = np.where(negative & (magnitude == 0), np.nan, values)
        return np.asarray(np.where(negative, -values, values))

    def quantize(
        self,
        values: npt.ArrayLike,
        rounding: str = NEAREST_EVEN,
        overflow: str = SATURATE,
        *,
        random_bits: npt.NDArray[np.integer] | None = None,
        nan: float | None = None,
    ) -> npt.NDArray[np.float64]:
        """The format's value for each of ``values`` (any shape), float64: rounded, then clamped.

        ``rounding``: one of ``rounding.MODES``; ``random_bits`` (uint32, same shape) for the
        stochastic one. ``overflow``: numbers beyond the largest become the largest
        (``saturate``) or the format's infinity or NaN (``special``). ``nan`` replaces NaN
        where the format has none; without it such a NaN is an InputError.
        """
        if overflow not in OVERFLOWS:
            raise InputError(f"overflow={overflow!r}: use one of {', '.join(OVERFLOWS)}")
        if overflow == SPECIAL and self.specials == "finite":
            raise InputError(f"{self} has neither infinity nor NaN: use overflow='saturate'")
        numbers = np.asarray(values, dtype=np.float64)
        missing = np.isnan(numbers)
        if missing.any() and not self.has_nan:
            if nan is None:
                raise InputError(
                    f"{np.count_nonzero(missing)} of {numbers.size} values are NaN and {self} "
                    "has no NaN: remove or replace them before encoding"
                )
            numbers = np.where(missing, nan, numbers)
            missing = np.zeros_like(missing)
        # Numbers far beyond the range round like those just beyond it.
        bounded = np.clip(np.where(missing, 0.0, numbers), -4 * self.max, 4 * self.max)
        # frexp's exponent is floor(log2|x|) + 1, exactly, for subnormal float64 too.
        binade = np.frexp(bounded)[1] - 1
        step = np.maximum(binade - self.mantissa_bits, self.lsb_exponent)
        scaled = round_to_integer(np.ldexp(bounded, -step), rounding, random_bits)
        rounded = np.ldexp(scaled, step)
        beyond = np.abs(rounded) > self.max
        result = np.clip(rounded, self.min, self.max)
        if overflow == SPECIAL:
            # Rounding toward zero stops at the largest value; an infinity stays one.
            lost = beyond & (np.isinf(numbers) | ~truncates(rounding, numbers))
            special = np.copysign(np.inf, numbers) if self.has_infinity else np.nan
            result = np.where(lost, special, result)
        result = np.where(missing, np.nan, result)
        if self.specials == "fnuz" or not self.signed:
            result = np.where(result == 0, 0.0, result)
        return np.asarray(result)

    def encode(
        self,
        values: npt.ArrayLike,
        rounding: str = NEAREST_EVEN,
        overflow: str = SATURATE,
        **options: Any,
    ) -> npt.NDArray[Any]:
        """Values (any shape) to codes: uint8, uint16 or uint32; arguments as for ``quantize``.

        The sign of zero is kept where the format has it: a negative value that rounds to zero
        becomes −0. NaN becomes the NaN code whose other bits are all ones (``fn``), zero
        (``fnuz``), or the quiet one with an otherwise empty mantissa (``ieee``).
        """
        quantized = self.quantize(values, rounding, overflow, **options)
        finite = np.where(np.isfinite(quantized), quantized, 0.0)
        # A positive code, read as an integer, counts the values below it, so a binade that
        # starts at 2^k steps holds 2^M codes whatever k is.
        exponent = np.where(finite == 0, self.lsb_exponent, np.frexp(finite)[1] - 1)
        step = np.maximum(exponent - self.mantissa_bits, self.lsb_exponent)
        significand = np.abs(np.ldexp(finite, -step)).astype(np.int64)
        code = ((step - self.lsb_exponent).astype(np.int64) << self.mantissa_bits) + significand
        sign = np.signbit(quantized).astype(np.int64) << (self.bits - 1) if self.signed else 0
        if self.specials == "fnuz":
            code = np.where(np.isnan(quantized), 1 << (self.bits - 1), code | sign)
        else:
            nan_code = (
                self._top + 1 + (1 << (self.mantissa_bits - 1) if self.has_infinity else 0)
                if self.has_nan
                else 0
            )
            code = np.where(np.isinf(quantized), self._top + 1, code)
            code = np.where(np.isnan(quantized), nan_code, code) | sign
        width = np.uint8 if self.bits <= 8 else np.uint16 if self.bits <= 16 else np.uint32
        return np.asarray(code, dtype=width)
