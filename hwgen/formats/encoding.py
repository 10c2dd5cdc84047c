"""What is known of a format's codes: all that hardware and models ask of a kind of format.

A kind says how its codes are built, and nobody asks for its class. Facts are here, and no
arithmetic: hardware and golden model read the same widths and special codes, and compute apart.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

#: Stands for the bias that the other fields of a format imply; no format has it.
USUAL_BIAS = 2**31


class Encoding(ABC):
    """Widths, range and special codes of a kind of format, with what most kinds have.

    Where ``has_hardware`` is set, a code is one of two things. With ``is_integer`` it is a number
    of steps of 2^``lsb_exponent``, two's complement if ``signed``. Else it is, from the top bit
    down, a sign if ``signed``, an exponent field and a mantissa field; without its sign it orders
    magnitudes as values do. An exponent field e then means (1 + mantissa/2^M)·2^(e − bias), M
    ``mantissa_bits``; with ``subnormals`` the field 0 means mantissa/2^M·2^(1 − bias), and so do
    all codes where there is no exponent field.
    """

    #: Hardware takes codes apart by what this class tells, and rounds to them.
    has_hardware: ClassVar[bool] = False
    #: Codes are whole numbers of steps. A zero among them has no sign (IEEE 754-2019, 5.4.1).
    is_integer: ClassVar[bool] = False
    #: Rounding to nearest changes half-way between two values, where a table can have it.
    halves_by_value: ClassVar[bool] = True

    #: Width of a code.
    bits: int
    #: There is a sign bit.
    signed: bool
    #: Width of the exponent field; 0: all values are multiples of one step, and near each other.
    exponent_bits: int = 0
    #: Width of the mantissa field.
    mantissa_bits: int = 0
    #: What is taken from an exponent field.
    bias: int = 0
    #: Codes with exponent field 0 have no leading one.
    subnormals: bool = True
    #: Some code is zero: code 0.
    zero: bool = True

    @property
    @abstractmethod
    def lsb_exponent(self) -> int:
        """Every value is a multiple of 2**lsb_exponent. InputError where no step is common."""

    @property
    @abstractmethod
    def precision(self) -> int:
        """Significant bits that a value has at most."""

    @property
    @abstractmethod
    def max(self) -> float:
        """Largest finite value."""

    @property
    @abstractmethod
    def min(self) -> float:
        """Smallest finite value: the most negative one, or the smallest without sign."""

    @property
    @abstractmethod
    def smallest(self) -> float:
        """Smallest magnitude that is not zero."""

    @property
    def smallest_normal(self) -> float | None:
        """Smallest positive value with the full precision, where smaller ones have less."""
        return None

    @property
    def symmetric_max(self) -> float:
        """Largest magnitude that both signs have: what a quantizer maps its range to."""
        return self.max

    @property
    def symmetric_min(self) -> float:
        """Smallest value that is not below minus the largest."""
        return max(self.min, -self.max)

    @property
    def has_nan(self) -> bool:
        """Some code is NaN."""
        return False

    @property
    def has_infinity(self) -> bool:
        """Some code is infinite: the one above ``largest_code``."""
        return False

    @property
    def has_minus_zero(self) -> bool:
        """Zero has a sign: there is a code of −0 beside that of +0."""
        return False

    @property
    def nan_at_minus_zero(self) -> bool:
        """NaN is the code that −0 would have; else it is the codes above all others."""
        return False

    @property
    def special_binade(self) -> bool:
        """No number has the largest exponent field: infinity and NaN (IEEE 754) have it."""
        return False

    @property
    def largest_code(self) -> int:
        """Code of the largest finite value."""
        return (1 << self.magnitude_bits) - 1

    @property
    def nan_code(self) -> int:
        """Code that NaN becomes, in formats that have it."""
        return self.largest_code + 1

    @property
    def saturates(self) -> bool:
        """What is out of range is the nearest number, whatever the rule for overflow is."""
        return False

    @property
    def sign_apart(self) -> bool:
        """Negative numbers have a sign bit beside their magnitude, and no two's complement."""
        return self.signed and not self.is_integer

    @property
    def magnitude_bits(self) -> int:
        """Width of a code without its sign."""
        return self.bits - int(self.signed)

    @property
    def factor_bits(self) -> int:
        """Bits of what hardware multiplies.

        Of an integer the whole, else a significand with the place of its leading one.
        """
        return self.bits if self.is_integer else self.precision

    @property
    def own_facts(self) -> dict[str, Any]:
        """What is to be told of this kind of format beside that of all, in plain JSON types."""
        return {"step": 2.0**self.lsb_exponent}
