"""Minifloats: small binary floating-point formats, here the finite ones.

The finite family follows *Post-Training Quantization with Low-precision Minifloats and
Integers on FPGAs* (arXiv 2311.12359): ``e{E}m{M}`` has one sign bit, E exponent bits with
bias 2^(E−1)−1, M mantissa bits and subnormals; no code is an infinity or a NaN, so the
all-ones exponent is an ordinary binade (the largest e4m3 is 480, where OCP's has 448).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwgen.errors import InputError
from hwgen.formats.rounding import require_numbers

MAX_BITS = 8
MIN_EXPONENT_BITS, MAX_EXPONENT_BITS = 1, 5


@dataclass(frozen=True)
class Minifloat:
    """Sign, ``exponent_bits`` and ``mantissa_bits``, from the top bit of the code down."""

    exponent_bits: int
    mantissa_bits: int

    def __post_init__(self) -> None:
        if (
            not MIN_EXPONENT_BITS <= self.exponent_bits <= MAX_EXPONENT_BITS
            or self.mantissa_bits < 0
            or not self.bits <= MAX_BITS
        ):
            raise InputError(
                f"e{self.exponent_bits}m{self.mantissa_bits}: minifloats have "
                f"{MIN_EXPONENT_BITS} to {MAX_EXPONENT_BITS} exponent bits and at most "
                f"{MAX_BITS} bits with the sign, such as e2m1 or e4m3"
            )

    @classmethod
    def parse(cls, name: str) -> Minifloat | None:
        """The format called ``name``, or None if that is not a minifloat's name."""
        match = re.fullmatch(r"e(0|[1-9][0-9]{0,2})m(0|[1-9][0-9]{0,2})", name)
        return cls(int(match[1]), int(match[2])) if match else None

    def __str__(self) -> str:
        return f"e{self.exponent_bits}m{self.mantissa_bits}"

    @property
    def bits(self) -> int:
        """Width of a code."""
        return 1 + self.exponent_bits + self.mantissa_bits

    @property
    def bias(self) -> int:
        """Exponent bias, 2^(E−1)−1."""
        return (1 << (self.exponent_bits - 1)) - 1

    @property
    def lsb_exponent(self) -> int:
        """Every value is a multiple of 2**lsb_exponent, the smallest subnormal."""
        return 1 - self.bias - self.mantissa_bits

    @property
    def max(self) -> float:
        """Largest value."""
        return float(self.decode(2 ** (self.bits - 1) - 1))

    @property
    def min(self) -> float:
        """Smallest (most negative) value."""
        return -self.max

    @property
    def symmetric_max(self) -> float:
        """Largest magnitude that both signs have: what a quantizer maps its range to."""
        return self.max

    def decode(self, codes: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Codes (unsigned bit patterns, any shape) to their values, float64, exact."""
        pattern = np.asarray(codes).astype(np.int64)
        mantissa = pattern & (2**self.mantissa_bits - 1)
        exponent = (pattern >> self.mantissa_bits) & (2**self.exponent_bits - 1)
        sign = np.where(pattern >> (self.bits - 1) & 1, -1.0, 1.0)
        significand = np.where(exponent > 0, mantissa + 2**self.mantissa_bits, mantissa)
        steps = np.ldexp(significand.astype(np.float64), np.maximum(exponent, 1) - 1)
        return np.asarray(sign * np.ldexp(steps, self.lsb_exponent))

    def quantize(self, values: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Nearest value of the format, ties to even, then saturated; float64, any shape."""
        numbers = np.clip(require_numbers(values, self), 2 * self.min, 2 * self.max)
        # frexp's exponent is floor(log2|x|) + 1, exactly, for subnormal float64 too.
        binade = np.frexp(numbers)[1] - 1
        step = np.maximum(binade - self.mantissa_bits, self.lsb_exponent)
        rounded = np.ldexp(np.rint(np.ldexp(numbers, -step)), step)
        return np.asarray(np.clip(rounded, self.min, self.max))

    def encode(self, values: npt.ArrayLike) -> npt.NDArray[np.uint8]:
        """Values (any shape) to codes: round to nearest even, then saturate.

        The sign of zero is kept: a negative value that rounds to zero becomes −0.
        """
        quantized = self.quantize(values)
        steps = np.ldexp(np.abs(quantized), -self.lsb_exponent).astype(np.int64)
        # A positive code, read as an integer, counts the values below it, so a binade that
        # starts at 2^k steps holds 2^M codes whatever k is.
        binade = np.maximum(np.frexp(steps.astype(np.float64))[1] - 1 - self.mantissa_bits, 0)
        code = (binade << self.mantissa_bits) + (steps >> binade)
        sign = np.signbit(quantized).astype(np.int64) << (self.bits - 1)
        return np.asarray(code | sign, dtype=np.uint8)
