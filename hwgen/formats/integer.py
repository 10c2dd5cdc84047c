"""Two's-complement and unsigned integers as number formats."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.errors import InputError
from hwgen.formats.rounding import NEAREST_EVEN, round_to_integer

MIN_BITS, MAX_BITS = 1, 16


@dataclass(frozen=True)
class Integer:
    """Integer of ``bits`` bits: −2^(bits−1) … 2^(bits−1)−1, or 0 … 2^bits−1 without sign.

    A code is the bit pattern as an unsigned integer: −1 of ``int4`` is 0xF. Encoding uses
    the full range; a quantizer that wants the symmetric range scales so that −2^(bits−1)
    does not occur (the hardware accepts it all the same).
    """

    bits: int
    signed: bool = True

    def __post_init__(self) -> None:
        if not MIN_BITS <= self.bits <= MAX_BITS:
            raise InputError(
                f"{self}: integers have {MIN_BITS} to {MAX_BITS} bits, such as int4 or uint8"
            )

    @classmethod
    def parse(cls, name: str) -> Integer | None:
        """The format called ``name``, or None if that is not an integer's name."""
        match = re.fullmatch(r"(u?)int(0|[1-9][0-9]{0,3})", name, re.ASCII)
        return cls(int(match[2]), signed=not match[1]) if match else None

    def __str__(self) -> str:
        return f"{'' if self.signed else 'u'}int{self.bits}"

    @property
    def lsb_exponent(self) -> int:
        """Every value is a multiple of 2**lsb_exponent."""
        return 0

    @property
    def max(self) -> float:
        """Largest value."""
        return float((1 << (self.bits - int(self.signed))) - 1)

    @property
    def min(self) -> float:
        """Smallest (most negative) value."""
        return -float(1 << (self.bits - 1)) if self.signed else 0.0

    @property
    def symmetric_max(self) -> float:
        """Largest magnitude that both signs have: what a quantizer maps its range to."""
        return self.max

    @property
    def has_nan(self) -> bool:
        """Some code is NaN."""
        return False

    @property
    def has_infinity(self) -> bool:
        """Some code is infinite."""
        return False

    def decode(self, codes: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Codes (unsigned bit patterns, any shape) to their values, float64, exact."""
        pattern = np.asarray(codes).astype(np.int64)
        if not self.signed:
            return pattern.astype(np.float64)
        half = 1 << (self.bits - 1)
        return ((pattern ^ half) - half).astype(np.float64)

    def quantize(
        self,
        values: npt.ArrayLike,
        rounding: str = NEAREST_EVEN,
        *,
        random_bits: npt.NDArray[np.integer] | None = None,
        nan: float | None = None,
    ) -> npt.NDArray[np.float64]:
        """The format's value for each of ``values`` (any shape), float64: rounded, saturated.

        ``rounding``: one of ``rounding.MODES``; ``random_bits`` (uint32, same shape) for the
        stochastic one. ``nan`` replaces NaN; without it a NaN is an InputError.
        """
        numbers = np.asarray(values, dtype=np.float64)
        missing = np.isnan(numbers)
        if missing.any():
            if nan is None:
                raise InputError(
                    f"{np.count_nonzero(missing)} of {numbers.size} values are NaN and {self} "
                    "has no NaN: remove or replace them before encoding"
                )
            numbers = np.where(missing, nan, numbers)
        # Clamping first keeps infinities out of the rounding and changes no result: the
        # bounds are whole numbers.
        bounded = np.clip(numbers, self.min, self.max)
        return round_to_integer(bounded, rounding, random_bits)

    def encode(
        self, values: npt.ArrayLike, rounding: str = NEAREST_EVEN, **options: Any
    ) -> npt.NDArray[Any]:
        """Values (any shape) to codes: uint8 or uint16; arguments as for ``quantize``."""
        whole = self.quantize(values, rounding, **options).astype(np.int64)
        width = np.uint8 if self.bits <= 8 else np.uint16
        return np.asarray(whole & ((1 << self.bits) - 1), dtype=width)
