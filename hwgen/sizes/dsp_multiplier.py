"""Multipliers that products are packed for.

The hardware is in ``hwgen.arithmetic.dsp_multiplier``.
"""

from __future__ import annotations

from dataclasses import dataclass

from hwgen.errors import InputError
from hwgen.formats import Scalar


@dataclass(frozen=True)
class Multiplier:
    """Bits of the two operands of a DSP block's multiplier, two's complement."""

    wide: int
    narrow: int

    def __str__(self) -> str:
        return f"{self.wide} x {self.narrow}"

    def takes(self, x_bits: int, y_bits: int) -> bool:
        """Whether it multiplies numbers of ``x_bits`` and of ``y_bits`` bits."""
        return max(x_bits, y_bits) <= self.wide and min(x_bits, y_bits) <= self.narrow


#: The multiplier that a mapping packs products for. Every target has that of ``dsp``, which takes
#: a product alone where no two fit it; of the others each is on some targets, and a choice of one
#: with which nothing can be packed is an error.
PACKED_FOR = {
    "dsp": Multiplier(16, 16),
    "dsp18x18": Multiplier(18, 18),
    "dsp25x18": Multiplier(25, 18),
    "dsp27x18": Multiplier(27, 18),
}


#: The mappings of a certain multiplier.
SIZED = tuple(name for name in PACKED_FOR if name != "dsp")


def is_gate(number_format: Scalar) -> bool:
    """Whether decoded significands have one bit: a product with them needs no multiplier."""
    return number_format.factor_bits == 1


def require_multiplier(mapping: str, a: Scalar, b: Scalar) -> None:
    """InputError if products of the formats need none."""
    for f in (a, b):
        if is_gate(f):
            raise InputError(
                f"mapping={mapping!r}: a significand of {f} has one bit, and its products are "
                "gates: use mapping='lut'"
            )
