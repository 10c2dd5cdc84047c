"""The logic of a step: primitives with their widths, and what the longest path through them passes.

A path's measure is what the delay models of targets price: LUTs of four inputs and carry chains, as
the targets' flows map the primitives.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from hwgen.fields import changed
from hwgen.formats import Scalar


@dataclass(frozen=True)
class Path:
    """The longest path through logic.

    How many LUTs it passes, how many carry chains it gets on and off, and how many bits it goes
    along them.
    """

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
    """The path through paths one behind the other."""
    luts = chains = chain_bits = 0.0
    for path in paths:
        luts, chains, chain_bits = (
            luts + path.luts,
            chains + path.chains,
            chain_bits + path.chain_bits,
        )
    return Path(luts, chains, chain_bits)


def longer(*paths: Path) -> Path:
    """The longest of the paths, a chain being worth about a LUT and a half."""
    return max(paths, key=lambda p: p.luts + 1.5 * p.chains + p.chain_bits / 32)


@dataclass(frozen=True)
class Logic:
    """A primitive, ``count`` times side by side. Of each kind ``path`` is the path through one."""

    count: int = field(default=1, kw_only=True)

    @property
    def path(self) -> Path:
        """The longest path through one of it."""
        raise NotImplementedError

    def times(self, count: int) -> Logic:
        """``count`` of it side by side."""
        return self if count == 1 else changed(self, count=self.count * count)

    def primitives(self) -> Iterator[Logic]:
        """The primitives that it is made of: itself."""
        yield self


#: Logic one behind the other.
Series = tuple[Logic, ...]


@dataclass(frozen=True)
class Parallel(Logic):
    """Paths side by side, each a series; the longest one is its path."""

    branches: tuple[Series, ...]

    @cached_property
    def path(self) -> Path:
        """That of the longest branch."""
        return longer(*(path_of(path) for path in self.branches))

    def primitives(self) -> Iterator[Logic]:
        """The primitives of all branches."""
        for path in self.branches:
            for logic in path:
                yield from logic.times(self.count).primitives()


def parallel(*branches: Series) -> Series:
    """Paths side by side, as one piece of logic."""
    return branches[0] if len(branches) == 1 else (Parallel(branches),)


def path_of(series: Series) -> Path:
    """The longest path through logic one behind the other, if the longest paths of each meet."""
    return series[0].path if len(series) == 1 else in_turn(logic.path for logic in series)


def times(series: Series, count: int) -> Series:
    """``count`` of each piece of logic side by side."""
    return tuple(logic.times(count) for logic in series)


@dataclass(frozen=True)
class Gates(Logic):
    """``width`` bits of plain logic, ``levels`` of LUTs deep."""

    width: int = 1
    levels: int = 1

    @property
    def path(self) -> Path:
        """One LUT a level."""
        return Path(luts=self.levels)


@dataclass(frozen=True)
class Multiplexer(Logic):
    """One of two numbers of ``width`` bits."""

    width: int

    @property
    def path(self) -> Path:
        """One LUT."""
        return Path(luts=1)


@dataclass(frozen=True)
class Selection(Logic):
    """One of ``branches`` numbers of ``width`` bits, by a bit each."""

    width: int
    branches: int

    @property
    def path(self) -> Path:
        """That of an OR of each number's bit and its choice."""
        return any_bit(2 * self.branches)


@dataclass(frozen=True)
class Shifter(Logic):
    """A number of ``width`` bits, moved by an amount of ``levels`` bits.

    A two-to-one multiplexer for each bit of the amount.
    """

    width: int
    levels: int

    @property
    def path(self) -> Path:
        """One LUT for each bit of the amount."""
        return Path(luts=self.levels)


@dataclass(frozen=True)
class Adder(Logic):
    """A sum or difference of ``width`` bits, on a carry chain."""

    width: int

    @property
    def path(self) -> Path:
        """The whole carry chain."""
        return Path(chains=1, chain_bits=self.width)


@dataclass(frozen=True)
class Comparator(Logic):
    """Which of two numbers of ``width`` bits is larger, on a carry chain."""

    width: int

    @property
    def path(self) -> Path:
        """The whole carry chain."""
        return Path(chains=1, chain_bits=self.width)


@dataclass(frozen=True)
class AnyBit(Logic):
    """Whether any of ``width`` bits is set."""

    width: int

    @property
    def path(self) -> Path:
        """A tree of LUTs."""
        return any_bit(self.width)


def any_bit(width: int) -> Path:
    """Whether any of ``width`` bits is set, in LUTs of four inputs."""
    return Path(luts=math.ceil(math.log(width, 4)) if width > 1 else 0)


@dataclass(frozen=True)
class Decoder(Logic):
    """Fields of a code to significand, shift and flags."""

    format: Scalar

    @property
    def path(self) -> Path:
        """Whether the exponent's field is zero, and flags behind that."""
        f = self.format
        if f.is_integer:
            return Path()
        special = f.has_nan or f.has_infinity
        if not f.subnormals and not f.mantissa_bits:
            # The significand is whether there is a number.
            return any_bit(f.bits) if special or f.zero else Path()
        return Path(luts=(1 if f.exponent_bits <= 3 else 2) + special)


@dataclass(frozen=True)
class Negation(Logic):
    """A number of ``width`` bits with a sign that is apart.

    Short ones are logic, others a chain.
    """

    width: int

    @property
    def path(self) -> Path:
        """Two LUTs, or an inverter and the chain behind it."""
        short = self.width <= 4
        return Path(luts=2) if short else Path(luts=1, chains=1, chain_bits=self.width)


@dataclass(frozen=True)
class Magnitude(Logic):
    """The magnitude of a number of ``width`` bits; the chain takes the inverter in."""

    width: int

    @property
    def path(self) -> Path:
        """The chain, and its carry in."""
        return Path(chains=1, chain_bits=self.width + 1)


@dataclass(frozen=True)
class Multiplier(Logic):
    """Rows of ANDs, added in pairs."""

    wide: int
    narrow: int

    @property
    def path(self) -> Path:
        """An AND, then an adder for each level of the rows' sum."""
        path = Path(luts=1)
        for level in range((self.narrow - 1).bit_length()):
            bits = min(self.wide + (1 << level) + 1, self.wide + self.narrow)
            path += Path(chains=1, chain_bits=bits)
        return path


@dataclass(frozen=True)
class FactorRows(Logic):
    """The rows of a product of factors of ``wide`` and ``narrow`` bits, in pairs.

    Of both together up to ``SMALL`` bits it is the product, a table.
    """

    wide: int
    narrow: int

    #: Bits of both factors up to which a product is a few LUTs.
    SMALL = 5

    @property
    def path(self) -> Path:
        """That of the table, or of a pair of rows and their adder."""
        if self.wide + self.narrow <= self.SMALL:
            return Path(luts=2)
        if self.narrow == 1:
            return Path(luts=1)
        return Path(luts=1, chains=1, chain_bits=self.wide + 1)


@dataclass(frozen=True)
class Square(Logic):
    """The square of a number of ``width`` bits: half the rows of a product."""

    width: int

    @property
    def path(self) -> Path:
        """That of a multiplier with half the rows."""
        return Multiplier(self.width, max(self.width // 2, 1)).path
