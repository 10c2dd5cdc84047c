"""Minifloats: binary floating-point formats of any shape up to 32 bits.

A minifloat is data: exponent bits, mantissa bits, bias, sign or none, what the lowest codes
are, and which codes are special. Families, and the ending of their names:

- ``e4m3`` finite: every code is a number (*Post-Training Quantization with Low-precision
  Minifloats and Integers on FPGAs*, arXiv 2311.12359); the largest e4m3 is 480.
- ``e4m3fn``: the all-ones code is NaN and nothing is infinite (OCP 8-bit Floating Point
  Specification, E4M3); the largest is 448.
- ``e4m3fnuz``: the code of −0 is NaN, nothing is infinite, the bias is one larger (ml_dtypes).
- ``e4m3ext``: as fnuz, and the largest code of each sign is infinite (P3109's extended
  formats, Binary8p4se); without sign NaN is the all-ones code, infinity the one below.
- ``e4m3sat``: the codes of fnuz, or without sign, with the bias one larger, of fn; what is out of
  range saturates under every rule of overflow, and NaN comes from NaN alone (P3109's finite
  formats, Binary8p4sf).
- ``e5m2ieee``: the all-ones exponent holds infinity and NaN (IEEE 754; OCP's E5M2, fp16, …).

After that ``ns`` stands for no subnormals: numbers with exponent field zero are normal, but
for code zero; ``nz`` for no zero either; ``b11`` and ``bn2`` for the biases 11 and −2.
``ue4m3…`` has no sign. Three scale formats have plain names that are not finite: see ``STANDARD``.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from hwgen.errors import InputError
from hwgen.fields import check_fields, require_choice, set_fields
from hwgen.formats.encoding import USUAL_BIAS
from hwgen.formats.rounding import (
    NEAREST_EVEN,
    RANDOM_BITS,
    STOCHASTIC,
    TOWARD_ZERO,
    UP,
    round_to_integer,
    truncates,
)
from hwgen.formats.scalar import SATURATE, SPECIAL, Floats, Integers, Scalar

MAX_BITS = 32
MAX_EXPONENT_BITS, MAX_MANTISSA_BITS = 8, 23
SPECIALS = ("finite", "fn", "fnuz", "ext", "sat", "ieee")

#: Far below the smallest value of any of these formats, and far from float64's underflow.
_TINY = 2.0**-900

#: Standards' plain names whose formats are not finite, and their systematic names: the
#: exponent-only scale of OCP MX (code 0 is 2^−127, 0xFF is NaN), the scale of NVFP4, and
#: UE5M3, whose all-ones code is NaN here; its other code book is ``ue5m3ieee``.
STANDARD = {"e8m0": "ue8m0fnnz", "ue4m3": "ue4m3fn", "ue5m3": "ue5m3fn"}
_PLAIN = {systematic: plain for plain, systematic in STANDARD.items()}


@dataclass(frozen=True)
class Minifloat(Scalar):
    """Sign, ``exponent_bits`` and ``mantissa_bits``, from the top bit of the code down.

    Up to 32 bits in all.

    ``bias`` is by default the usual one, 2^(E−1)−1, or 2^(E−1) for ``fnuz``, ``ext`` and
    ``sat``. ``specials`` is one of ``SPECIALS`` and says which codes are infinite or NaN. With no
    exponent bits every number is subnormal: sign-magnitude fixed point. Without ``subnormals`` the
    exponent field 0 is a binade like the others, but for code 0, which is zero if ``zero`` says so.

    InputError for widths, biases and special codes that leave no number, or none beside zero.
    """

    exponent_bits: int = field()  # No default, though other kinds have one.
    mantissa_bits: int = field()
    bias: int = USUAL_BIAS
    signed: bool = True
    specials: str = "finite"
    subnormals: bool = True
    zero: bool = True
    bits: int = field(init=False, repr=False, compare=False)
    has_hardware: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_fields(self)
        require_choice("specials", self.specials, SPECIALS)
        set_fields(self, bits=self.signed + self.exponent_bits + self.mantissa_bits)
        if (
            not 0 <= self.exponent_bits <= MAX_EXPONENT_BITS
            or not 0 <= self.mantissa_bits <= MAX_MANTISSA_BITS
            or not 1 <= self.bits <= MAX_BITS
        ):
            raise InputError(
                f"{'' if self.signed else 'u'}e{self.exponent_bits}m{self.mantissa_bits}: "
                f"minifloats have up to {MAX_EXPONENT_BITS} exponent bits and "
                f"{MAX_MANTISSA_BITS} mantissa bits, such as e2m1, e4m3 or e0m3"
            )
        if self.bias == USUAL_BIAS:
            set_fields(self, bias=self._usual_bias)
        # Without mantissa bits zero is the only subnormal: both descriptions say the same.
        if self.mantissa_bits == 0 and self.zero:
            set_fields(self, subnormals=True)
        if not -256 <= self.bias <= 512:
            raise InputError(f"{self}: the bias is from -256 to 512, such as e4m3b11")
        if not self.zero and (self.subnormals or self.signed):
            raise InputError(
                f"{self}: formats without zero have neither sign nor subnormals, such as e8m0"
            )
        if self.largest_code < int(self.zero) or (self.specials == "fnuz" and not self.signed):
            raise InputError(
                f"{self}: fnuz formats have a sign, and the special codes of others leave a "
                "number beside zero, such as e4m3fnuz or e2m1fn"
            )

    @classmethod
    def parse(cls, name: str) -> Minifloat | None:
        """The format of a systematic ``name`` or one of ``STANDARD``; None for other names.

        ``u`` for no sign, ``e{exponent bits}m{mantissa bits}``, one of ``SPECIALS`` but ``finite``,
        ``ns`` for no subnormals or ``nz`` for no zero either, ``b{bias}`` (``bn…`` below zero):
        ``e4m3fn``, ``ue8m0fnnz``, ``e4m3fnuzb11``.

        Raises:
            InputError: a name so built of a format that cannot be.

        """
        number = "(0|[1-9][0-9]{0,2})"
        match = re.fullmatch(
            rf"(u?)e{number}m{number}(fnuz|fn|ieee|ext|sat|finite|)(ns|nz|)(?:b([n-]?){number})?",
            STANDARD.get(name, name),
            re.ASCII,
        )
        if match is None:
            return None
        unsigned, exponent_bits, mantissa_bits, specials, lowest, minus, bias = match.groups()
        return cls(
            int(exponent_bits),
            int(mantissa_bits),
            USUAL_BIAS if bias is None else int(bias) * (-1 if minus else 1),
            signed=not unsigned,
            specials=specials or "finite",
            subnormals=not lowest,
            zero=lowest != "nz",
        )

    def __str__(self) -> str:
        shape = f"{'' if self.signed else 'u'}e{self.exponent_bits}m{self.mantissa_bits}"
        lowest = "" if self.subnormals else "ns" if self.zero else "nz"
        bias = "" if self.bias == self._usual_bias else f"b{self.bias}".replace("-", "n")
        specials = "" if self.specials == "finite" else self.specials
        name = f"{shape}{specials}{lowest}{bias}"
        if name in STANDARD:  # That plain name is taken.
            return f"{shape}finite"
        return _PLAIN.get(name, name)

    @property
    def _usual_bias(self) -> int:
        half = 1 << max(self.exponent_bits - 1, 0)
        return half if self.specials in ("fnuz", "ext", "sat") else half - 1

    @property
    def lsb_exponent(self) -> int:
        """Values are multiples of 2**lsb_exponent: of the lowest binade's step."""
        return self._lowest_binade - self.mantissa_bits

    @property
    def precision(self) -> int:
        """The mantissa's bits and the leading one."""
        return self.mantissa_bits + 1

    @property
    def has_nan(self) -> bool:
        """Some code is NaN; of ``ieee`` if there is a mantissa that tells it from infinity."""
        return self.specials != "finite" and (self.specials != "ieee" or self.mantissa_bits > 0)

    @property
    def has_infinity(self) -> bool:
        """Some code is infinite: of ``ieee`` and of P3109's extended formats."""
        return self.specials in ("ieee", "ext")

    @property
    def _lowest_binade(self) -> int:
        """Exponent of the lowest binade that has the full precision or, of subnormals, the step."""
        return 1 - self.bias if self.subnormals else -self.bias

    @property
    def nan_at_minus_zero(self) -> bool:
        """NaN has the code of −0: of ``fnuz`` and P3109, where there is a sign."""
        return self.signed and self.specials in ("fnuz", "ext", "sat")

    @property
    def special_binade(self) -> bool:
        """The largest exponent field is that of infinity and NaN: of ``ieee``."""
        return self.specials == "ieee"

    @property
    def saturates(self) -> bool:
        """What is out of range is the nearest number always: of P3109's finite formats."""
        return self.specials == "sat"

    @property
    def has_minus_zero(self) -> bool:
        """There is a sign, and its code beside zero is no NaN."""
        return self.signed and not self.nan_at_minus_zero

    @property
    def largest_code(self) -> int:
        """Code of the largest finite value: all ones, less the special codes above."""
        codes = 1 << (self.exponent_bits + self.mantissa_bits)
        reserved = {
            "finite": 0,
            "fnuz": 0,
            "fn": 1,
            "ext": 1 if self.signed else 2,
            "sat": 0 if self.signed else 1,
            "ieee": 1 << self.mantissa_bits,
        }
        return codes - 1 - reserved[self.specials]

    @property
    def max(self) -> float:
        """Largest finite value."""
        return float(self._magnitudes(np.asarray(self.largest_code)))

    @property
    def min(self) -> float:
        """Minus the largest value; without sign zero or, without that, the smallest."""
        return -self.max if self.signed else 0.0 if self.zero else self.smallest

    @property
    def smallest(self) -> float:
        """Smallest value above zero: of code 1, or of code 0 where that is no zero."""
        return float(self._magnitudes(np.asarray(1 if self.zero else 0)))

    @property
    def smallest_normal(self) -> float | None:
        """Smallest positive value with the full precision; None without exponent bits."""
        if not self.subnormals:
            return self.smallest
        return float(np.ldexp(1.0, 1 - self.bias)) if self.exponent_bits else None

    @property
    def own_facts(self) -> dict[str, Any]:
        """Widths, bias and what becomes of the lowest codes."""
        return {
            "exponent_bits": self.exponent_bits,
            "mantissa_bits": self.mantissa_bits,
            "bias": self.bias,
            "smallest_normal": self.smallest_normal,
            "subnormals": self.subnormals,
            "zero": self.zero,
        }

    def _magnitudes(self, codes: Integers) -> Floats:
        """Values of codes without their sign bit, as if none were special."""
        mantissa = codes & ((1 << self.mantissa_bits) - 1)
        exponent = codes >> self.mantissa_bits
        hidden = 1 << self.mantissa_bits
        if self.subnormals:
            significand = np.where(exponent > 0, mantissa + hidden, mantissa)
            exponent = np.maximum(exponent, 1) - 1
        else:
            significand = np.where((codes == 0) & self.zero, 0, mantissa + hidden)
        return np.asarray(np.ldexp(significand.astype(np.float64), exponent + self.lsb_exponent))

    def _values(self, codes: Integers) -> Floats:
        magnitude = codes & ((1 << (self.exponent_bits + self.mantissa_bits)) - 1)
        negative = codes != magnitude
        values = self._magnitudes(magnitude)
        if self.has_infinity:
            values = np.where(magnitude == self.largest_code + 1, np.inf, values)
        if self.nan_at_minus_zero:
            values = np.where(negative & (magnitude == 0), np.nan, values)
        elif self.has_nan:
            values = np.where(
                magnitude > self.largest_code + int(self.has_infinity), np.nan, values
            )
        return np.asarray(np.where(negative, -values, values))

    def _codes(
        self,
        numbers: Floats,
        rounding: str,
        overflow: str,
        random_bits: npt.NDArray[np.integer] | None,
    ) -> Integers:
        """As of any scalar format, with the sign of zero and NaN where the format has them.

        A negative number that rounds to zero becomes −0. NaN becomes the NaN code whose other bits
        are all ones (``fn``), zero (``fnuz``, ``ext``, ``sat``), or the quiet one with an otherwise
        empty mantissa (``ieee``).
        """
        missing = np.isnan(numbers)
        # Numbers far beyond the range round like those just beyond it, and tiny ones alike.
        bounded = np.clip(np.where(missing, 0.0, numbers), -4 * self.max, 4 * self.max)
        tiny = (np.abs(bounded) < _TINY) & (bounded != 0)
        bounded = np.where(tiny, np.copysign(_TINY, bounded), bounded)
        # frexp's exponent is floor(log2|x|) + 1, exactly, for subnormal float64 too.
        binade = np.where(bounded == 0, self._lowest_binade, np.frexp(bounded)[1] - 1)
        binade = np.maximum(binade, self._lowest_binade)
        scaled = np.ldexp(bounded, self.mantissa_bits - binade)
        # A positive code, read as an integer, counts the values below it, so a binade that
        # starts at 2^k steps holds 2^M codes whatever k is.
        base = (binade - self._lowest_binade).astype(np.int64) << self.mantissa_bits
        if not self.subnormals:
            base -= 1 << self.mantissa_bits
        significand = np.abs(round_to_integer(scaled, rounding, random_bits)).astype(np.int64)
        if self.mantissa_bits == 0 and self.zero and rounding == NEAREST_EVEN:
            # Without mantissa bits the even one of two codes (P3109's rule) is not always the
            # one with the even significand, the upper, which the casts to E8M0 take.
            significand = np.where(np.abs(scaled) == 1.5, 1 + ((base + 1) & 1), significand)
        code = base + significand
        if not self.subnormals and self.zero:
            below = np.abs(bounded) < self.smallest
            gap = self._above_zero(bounded, rounding, random_bits)
            code = np.where(below, gap, np.maximum(code, 1))
        negative = np.signbit(numbers)
        if not self.signed:
            # Nothing is below the smallest: what rounds below it, or to a zero that is not there.
            outside = np.where(self.zero, negative & (code > 0), numbers <= 0)
            stops = rounding in (TOWARD_ZERO, UP)
            if overflow == SPECIAL and self.has_nan and not (stops or self.saturates):
                missing |= outside
            code = np.where(outside, 0, code)
        code = np.maximum(code, 0)
        beyond = code > self.largest_code
        code = np.minimum(code, self.largest_code)
        nan_code = self.nan_code
        if overflow != SATURATE and not self.saturates:
            # Rounding toward zero stops at the largest value; an infinity stays one.
            lost = np.isinf(numbers) & beyond
            if overflow == SPECIAL:
                lost |= beyond & ~truncates(rounding, numbers)
            code = np.where(lost, self.largest_code + 1 if self.has_infinity else nan_code, code)
            missing |= lost & (not self.has_infinity)
        if self.signed:
            sign = negative.astype(np.int64) << (self.bits - 1)
            code = np.where(self.nan_at_minus_zero & (code == 0), 0, code | sign)
        return np.asarray(np.where(missing, nan_code, code))

    def _above_zero(
        self, numbers: Floats, rounding: str, random_bits: npt.NDArray[np.integer] | None
    ) -> Integers:
        """Code, 0 or 1, of numbers between zero and the smallest, where nothing lies between."""
        magnitude = np.abs(numbers)
        if rounding == STOCHASTIC:
            # A quotient in float64 is rounded, and could carry where the number does not: whole
            # numbers of a 2^-32 of the step, over the steps that the smallest number has.
            parts = np.floor(np.ldexp(magnitude, RANDOM_BITS - self.lsb_exponent))
            parts = np.where(magnitude < self.smallest, parts, 0.0).astype(np.int64)
            place = np.ldexp((parts // self._smallest_steps).astype(np.float64), -RANDOM_BITS)
        else:
            # Only where a number lies, beside the middle, counts; a quotient would be rounded.
            middle = self.smallest / 2
            place = ((magnitude > 0) * 1.0 + (magnitude >= middle) + (magnitude > middle)) / 4
        rounded = round_to_integer(np.copysign(place, numbers), rounding, random_bits)
        return np.abs(rounded).astype(np.int64)

    @property
    def _smallest_steps(self) -> int:
        """The smallest number in steps, in a format without subnormals."""
        return (1 << self.mantissa_bits) + int(self.zero)

    def _stand_in(self, number: Fraction, odd: float, rounding: str, drawn: int) -> float:
        if self.subnormals or not abs(odd) < self.smallest:
            return super()._stand_in(number, odd, rounding, drawn)
        if not self.zero:
            return odd  # All below the smallest is alike.
        parts = abs(number) * Fraction(2) ** (RANDOM_BITS - self.lsb_exponent)
        away = (math.floor(parts / self._smallest_steps) + drawn) >> RANDOM_BITS
        return math.copysign(self.smallest * away, odd)

    @property
    def nan_code(self) -> int:
        """The code that NaN becomes; of several the quiet one of IEEE 754."""
        if self.nan_at_minus_zero:
            return 1 << (self.bits - 1)
        quiet = 1 << (self.mantissa_bits - 1) if self.specials == "ieee" and self.has_nan else 0
        # Without sign, "ext" has infinity between the largest number and NaN.
        return self.largest_code + 1 + quiet + int(self.specials == "ext")
