"""Two's-complement integers as number formats."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwgen.errors import InputError
from hwgen.formats.rounding import require_numbers

MIN_BITS, MAX_BITS = 2, 8


@dataclass(frozen=True)
class Integer:
    """Signed two's-complement integer of ``bits`` bits, values −2^(bits−1) … 2^(bits−1)−1.

    A code is the bit pattern as an unsigned integer: −1 of ``int4`` is 0xF. Encoding uses
    the full range; a quantizer that wants the symmetric range scales so that −2^(bits−1)
    does not occur (the hardware accepts it all the same).
    """

    bits: int

    def __post_init__(self) -> None:
        if not MIN_BITS <= self.bits <= MAX_BITS:
            raise InputError(
                f"int{self.bits}: integers have {MIN_BITS} to {MAX_BITS} bits, "
                f"such as int{MIN_BITS} or int{MAX_BITS}"
            )

    @classmethod
    def parse(cls, name: str) -> Integer | None:
        """The format called ``name``, or None if that is not an integer's name."""
        match = re.fullmatch(r"int(0|[1-9][0-9]{0,3})", name)
        return cls(int(match[1])) if match else None

    def __str__(self) -> str:
        return f"int{self.bits}"

    @property
    def lsb_exponent(self) -> int:
        """Every value is a multiple of 2**lsb_exponent."""
        return 0

    @property
    def max(self) -> float:
        """Largest value."""
        return float(2 ** (self.bits - 1) - 1)

    @property
    def min(self) -> float:
        """Smallest (most negative) value."""
        return float(-(2 ** (self.bits - 1)))

    @property
    def symmetric_max(self) -> float:
        """Largest magnitude that both signs have: what a quantizer maps its range to."""
        return self.max

    def decode(self, codes: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Codes (unsigned bit patterns, any shape) to their values, float64, exact."""
        pattern = np.asarray(codes).astype(np.int64)
        half = 1 << (self.bits - 1)
        return ((pattern ^ half) - half).astype(np.float64)

    def quantize(self, values: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Nearest value of the format, ties to even, saturating; float64, any shape."""
        return np.clip(np.rint(require_numbers(values, self)), self.min, self.max)

    def encode(self, values: npt.ArrayLike) -> npt.NDArray[np.uint8]:
        """Values (any shape) to codes: round to nearest even, then saturate."""
        return (self.quantize(values).astype(np.int64) & ((1 << self.bits) - 1)).astype(np.uint8)
