"""What the longest way through logic passes: the measure that delay models of targets price.

Functions here tell it of usual logic, as the targets' flows map it: LUTs of four inputs and
carry chains.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from hwgen.formats import Scalar


@dataclass(frozen=True)
class Path:
    """The longest way through logic: how many LUTs it passes, how many carry chains it gets on
    and off, and how many bits it goes along them."""

    luts: float = 0.0
    chains: float = 0.0
    chain_bits: float = 0.0

    def __add__(self, other: Path) -> Path:
        return Path(
            self.luts + other.luts,
            self.chains + other.chains,
            self.chain_bits + other.chain_bits,
        )


def in_turn(paths: Iterable[Path]) -> Path:
    """One behind the other."""
    return sum(paths, Path())


def longer(*paths: Path) -> Path:
    """The one of them that takes most, a chain being worth about a LUT and a half."""
    return max(paths, key=lambda p: p.luts + 1.5 * p.chains + p.chain_bits / 32)


def adder(width: int) -> Path:
    """A carry chain; a comparison takes one too."""
    return Path(chains=1, chain_bits=width)


def any_of(width: int) -> Path:
    """Whether any of so many bits is set, in LUTs of four inputs."""
    return Path(luts=math.ceil(math.log(width, 4)) if width > 1 else 0)


def shifter(levels: int) -> Path:
    """A two-to-one multiplexer for each bit of the shift."""
    return Path(luts=levels)


def decoder(number_format: Scalar) -> Path:
    """Fields of a code to significand, shift and flags."""
    if number_format.is_integer:
        return Path()
    special = number_format.has_nan or number_format.has_infinity
    if not number_format.subnormals and not number_format.mantissa_bits:
        # The significand is whether there is a number.
        return any_of(number_format.bits) if special or number_format.zero else Path()
    return Path(luts=(1 if number_format.exponent_bits <= 3 else 2) + special)


def negation(bits: int) -> Path:
    """A magnitude with its sign: short ones are logic, others a chain."""
    return Path(luts=2) if bits <= 4 else Path(luts=1) + adder(bits)


def magnitude(width: int) -> Path:
    """Of a two's-complement number."""
    return Path(luts=1) + adder(width)


def multiplier(wide: int, narrow: int) -> Path:
    """Rows of ANDs, added in pairs."""
    found = Path(luts=1)
    for level in range((narrow - 1).bit_length()):
        found += adder(min(wide + (1 << level) + 1, wide + narrow))
    return found
