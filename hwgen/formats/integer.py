"""Two's-complement and unsigned integers, and fixed-point numbers, as number formats."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from hwgen.errors import InputError
from hwgen.fields import check_fields
from hwgen.formats.rounding import round_to_integer
from hwgen.formats.scalar import Floats, Integers, Scalar

MIN_BITS, MAX_BITS = 1, 16
MAX_FRACTION_BITS = 32


@dataclass(frozen=True)
class Integer(Scalar):
    """Integer of ``bits`` bits (1 to 16): −2^(bits−1) … 2^(bits−1)−1, or 0 … 2^bits−1 without sign.

    With ``fraction_bits`` (up to 32) it is a fixed-point number, that times 2^−fraction_bits:
    ``fixed8_6`` has 8 bits, 6 of them fraction, and is the element of MXINT8.

    A code is the bit pattern as an unsigned integer: −1 of ``int4`` is 0xF. Encoding uses
    the full range; a quantizer that wants the symmetric range scales so that −2^(bits−1)
    does not occur (the hardware accepts it all the same). InputError for other widths.
    """

    bits: int
    signed: bool = True
    fraction_bits: int = 0
    has_hardware: ClassVar[bool] = True
    is_integer: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_fields(self)
        if (
            not MIN_BITS <= self.bits <= MAX_BITS
            or not 0 <= self.fraction_bits <= MAX_FRACTION_BITS
        ):
            raise InputError(
                f"{self}: integers have {MIN_BITS} to {MAX_BITS} bits, such as int4 or uint8, and "
                f"fixed-point numbers up to {MAX_FRACTION_BITS} fraction bits, such as fixed8_6"
            )

    @classmethod
    def parse(cls, name: str) -> Integer | None:
        """The format called ``int8``, ``uint4``, ``fixed8_6`` or the like; None for other names.

        Raises:
            InputError: a width that no integer here has.

        """
        number = "(0|[1-9][0-9]{0,3})"
        match = re.fullmatch(rf"(u?)(?:int{number}|fixed{number}_{number})", name, re.ASCII)
        if match is None:
            return None
        unsigned, bits, fixed_bits, fraction_bits = match.groups()
        return cls(int(bits or fixed_bits), not unsigned, int(fraction_bits or 0))

    def __str__(self) -> str:
        sign = "" if self.signed else "u"
        if self.fraction_bits == 0:
            return f"{sign}int{self.bits}"
        return f"{sign}fixed{self.bits}_{self.fraction_bits}"

    @property
    def lsb_exponent(self) -> int:
        """Values are multiples of 2**lsb_exponent: of one, but for fixed point."""
        return -self.fraction_bits

    @property
    def precision(self) -> int:
        """Bits of the magnitude; of an integer of the one sign bit, one."""
        return max(self.bits - int(self.signed), 1)

    @property
    def _range(self) -> tuple[int, int]:
        """Smallest and largest, in units of the lowest bit."""
        if self.signed:
            return -(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1
        return 0, (1 << self.bits) - 1

    @property
    def max(self) -> float:
        """Largest value, all ones but for the sign."""
        return self._range[1] * self.smallest

    @property
    def min(self) -> float:
        """Smallest value: zero, or the most negative code."""
        return self._range[0] * self.smallest

    @property
    def smallest(self) -> float:
        """One step."""
        return 2.0**self.lsb_exponent

    def _values(self, codes: Integers) -> Floats:
        sign = 1 << (self.bits - 1) if self.signed else 0
        return np.asarray(np.ldexp(((codes ^ sign) - sign).astype(np.float64), self.lsb_exponent))

    def _codes(
        self,
        numbers: Floats,
        rounding: str,
        overflow: str,
        random_bits: npt.NDArray[np.integer] | None,
    ) -> Integers:
        # Clamping first keeps infinities out of the rounding and changes no result: the
        # bounds are whole numbers. So do numbers of steps beyond float64, which are infinite.
        with np.errstate(over="ignore"):
            steps = np.clip(np.ldexp(numbers, self.fraction_bits), *self._range)
        whole = round_to_integer(steps, rounding, random_bits).astype(np.int64)
        return np.asarray(whole & ((1 << self.bits) - 1))
