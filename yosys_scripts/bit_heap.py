"""A sum as columns of bits, added by 7-series carry chains that take up to six bits of a column.

An adder of two operands removes one bit of a sum for each LUT. Two neighbouring slots of a carry
chain, a LUT each, can remove four: the lower takes six bits of its column (its LUT adds five to
the sixth, which goes to DI by the slice's bypass pin), the upper adds the two carries of those
five, functions of five inputs, to the chain; one of them is its O5. Those are the atoms (0,6),
(1,4) and (2,2) of Preusser, "Generic and Universal Parallel Matrix Summation with a Flexible
Compression Goal for Xilinx FPGAs" (FPL 2017).

As in a plain adder, only the chain reads O5, and a slot's sum leaves the slice in its place (7
Series CLB User Guide, UG474). A ternary adder would remove two bits a LUT as well, but its O5 goes
to the next slot by routing: both it and the sum need the slot's one multiplexed output, unless a
register takes the sum. So it is not used here.

Imports nothing of this package: `worker.py` runs it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class HeapBit:
    """One bit of a column, the inverse of ``net``'s if ``inverted``.

    ``net``: of the module, or (chain, column) of a chain's sum, or (chain, None) of its carry out.
    """

    net: Any
    inverted: bool = False


@dataclass(frozen=True)
class Slot:
    """A bit of a chain: it adds two functions, of which x drives DI; S is x ^ y.

    Each is the parity of its bits or, with a count, whether so many of them or more are one.
    """

    x: tuple[HeapBit, ...] = ()
    y: tuple[HeapBit, ...] = ()
    x_count: int = 0
    y_count: int = 0


@dataclass
class Chain:
    """Slots from the column ``start`` up, and the bit that is the carry in."""

    start: int
    carry_in: HeapBit | None = None
    slots: list[Slot] = field(default_factory=list)

    @property
    def full_adder(self) -> bool:
        """A single slot needs no chain: both outputs of a LUT add three bits."""
        return len(self.slots) == 1 and bool(self.slots[0].x)

    def luts(self, width: int) -> int:
        """LUTs of a chain in ``width`` columns, one for each slot.

        A carry out leaves the slice in the place of one more slot's sum.
        """
        end = self.start + len(self.slots)
        return len(self.slots) + int(end < width and not self.full_adder)

    def below(self, width: int) -> Chain:
        """The chain without its slots from column ``width`` on; there may be none left."""
        slots = self.slots[: max(width - self.start, 0)]
        if len(slots) == 1 < len(self.slots):
            # It is no full adder: nothing needs its carry.
            slots = [Slot(y=(*slots[0].x, *slots[0].y))]
        return Chain(self.start, self.carry_in if slots else None, slots)

    def replace(self, columns: list[list[HeapBit]], sums: list[list[HeapBit]], number: int) -> None:
        """Take the bits that the chain adds out of ``columns``, and put its sum into ``sums``."""
        if self.carry_in is not None:
            columns[self.start].remove(self.carry_in)
        for column, slot in enumerate(self.slots, self.start):
            for bits, count in ((slot.x, slot.x_count), (slot.y, slot.y_count)):
                # A count is of bits of the column below.
                for bit in () if count else bits:
                    columns[column].remove(bit)
            sums[column].append(HeapBit((number, column)))
        end = self.start + len(self.slots)
        if end < len(sums):
            sums[end].append(HeapBit((number, None)))


#: How plans differ, of which the best is taken: LUTs that a bit above the second of a column is
#: held to cost, LUTs that a chain behind the first of its stage has to save, and columns above the
#: sum's, whose slots are left out again. Slots are made in pairs, so that of columns of four bits
#: twelve took 34 LUTs and thirteen 29.
_WAYS = tuple(
    (bit_luts, least, above)
    for above in (0, 1)
    for bit_luts in (0.8, 0.9, 1.0)
    for least in (0.5, 0.0)
)

#: What two slots take: bits of the lower column, whether a bit of the upper one.
_PAIRS = ((6, 0), (5, 0), (4, 1), (4, 0), (3, 1), (3, 0))


class _Stage:
    """The bits that chains of one stage may take (``free``), and all that wait beside them."""

    def __init__(self, columns: list[list[HeapBit]], bit_luts: float) -> None:
        # Inverted bits come first: DI and the carry in take bits from the end.
        self.free = [sorted(bits, key=lambda bit: not bit.inverted) for bits in columns]
        self.made: list[list[HeapBit]] = [[] for _ in columns]
        self.bit_luts = bit_luts

    def columns(self) -> list[list[HeapBit]]:
        return [a + b for a, b in zip(self.free, self.made, strict=True)]

    def _remaining(self, height: int) -> float:
        """LUTs that a column is held to take until it has one bit."""
        return 1 + (height - 2) * self.bit_luts if height > 1 else 0.0

    def _gain(self, column: int, removed: int) -> float:
        height = len(self.free[column]) + len(self.made[column])
        return self._remaining(height) - self._remaining(height - removed)

    def _options(self, column: int, carry: bool) -> Iterator[tuple[float, int, tuple[int, int]]]:
        """What can stand in a column.

        LUTs that it saves less those it takes, columns, bits of this column and of the next.
        ``carry``: a further bit of this column is the carry in.
        """
        width = len(self.free)
        taken = int(carry)
        free = len(self.free[column]) - taken
        if column == width - 1:
            if free >= 1:
                bits = min(free, 6)
                yield self._gain(column, bits - 1 + taken) - 1, 1, (bits, 0)
            return
        for bits in (2, 1):
            if free >= bits:
                yield self._gain(column, bits - 1 + taken) - 1, 1, (bits, 0)
        for low, high in _PAIRS:
            if free < low or len(self.free[column + 1]) < high:
                continue
            # With six inputs the LUT has no O5 for DI, and a carry in takes the bypass pin.
            if low == 6 and (carry or self.free[column][-1].inverted):
                continue
            gain = self._gain(column, low - 1 + taken) + self._gain(column + 1, high - 1)
            yield gain - 2, 2, (low, high)

    def best(self) -> tuple[float, Chain] | None:
        """The chain that saves most, and the LUTs that it saves less those it takes."""
        width = len(self.free)
        # From a column on, with a carry from below: (value, what stands here).
        rest: list[tuple[float, tuple[int, tuple[int, int]] | None]] = [(0.0, None)] * (width + 2)
        for column in reversed(range(width)):
            # The chain ends, and its carry out is one more bit.
            best: tuple[float, tuple[int, tuple[int, int]] | None]
            best = (self._gain(column, -1) - 1, None)
            for gain, columns, bits in self._options(column, False):
                value = gain + rest[column + columns][0]
                if value >= best[0]:
                    best = (value, (columns, bits))
            rest[column] = best
        starts = []
        for column in range(width):
            for carry in (True, False):
                if carry and (len(self.free[column]) < 2 or self.free[column][-1].inverted):
                    continue
                for gain, columns, bits in self._options(column, carry):
                    if bits == (1, 0) and not carry:
                        continue
                    value = gain + rest[column + columns][0]
                    alone = self._gain(column + 1, -1) if column + 1 < width else 0.0
                    if bits == (2, 0) and carry and gain + alone > value:
                        # A full adder.
                        value, columns = gain + alone, 0
                    starts.append((value, -column, carry, columns, bits))
        if not starts:
            return None
        value, column, carry, columns, bits = max(starts)
        steps = [(columns or 1, bits)]
        at = -column + columns
        while columns and at < width and (step := rest[at][1]) is not None:
            steps.append(step)
            at += step[0]
        return value, self._chain(-column, carry, steps)

    def _chain(self, start: int, carry: bool, steps: list[tuple[int, tuple[int, int]]]) -> Chain:
        free = [list(bits) for bits in self.free]
        chain = Chain(start, free[start].pop() if carry else None)
        at = start
        for columns, (low, high) in steps:
            last = free[at].pop()
            others = [free[at].pop(0) for _ in range(low - 1)]
            if columns == 1 and at == len(free) - 1:
                # Nothing needs the carry out of the last column.
                chain.slots.append(Slot(y=(*others, last)))
            elif not others:
                chain.slots.append(Slot(y=(last,)))
            else:
                chain.slots.append(Slot(x=(last,), y=tuple(others)))
            if columns == 2:
                x: tuple[HeapBit, ...] = (free[at + 1].pop(),) if high else ()
                x_count = 0
                if low >= 5:
                    x, x_count = tuple(others), 4
                chain.slots.append(Slot(x=x, x_count=x_count, y=tuple(others), y_count=2))
            at += columns
        return chain

    def take(self, chain: Chain, number: int) -> None:
        chain.replace(self.free, self.made, number)


def _chains(columns: list[list[HeapBit]], bit_luts: float, least: float) -> list[Chain] | None:
    """Chains that leave one bit in each column; None if they come to no end."""
    chains: list[Chain] = []
    limit = sum(map(len, columns)) + 4 * len(columns)
    while max(map(len, columns)) > 1:
        # Chains of one stage do not wait for each other.
        stage = _Stage(columns, bit_luts)
        begun = len(chains)
        while (best := stage.best()) is not None:
            saved, chain = best
            if len(chains) > begun and saved < least:
                break
            stage.take(chain, len(chains))
            chains.append(chain)
        if len(chains) == begun or len(chains) > limit:
            return None
        columns = stage.columns()
    return chains


def luts(chains: Sequence[Chain], width: int) -> int:
    """LUTs of all chains of a sum of ``width`` columns."""
    return sum(chain.luts(width) for chain in chains)


def plan(columns: list[list[HeapBit]]) -> tuple[list[Chain], list[HeapBit | None]] | None:
    """The chains with the fewest LUTs of some ways, and the bit that each column is left with.

    They are numbered from 0 on, and read bits of the columns and of chains before them. A carry
    out of the last column is lost.
    """
    ways = []
    for bit_luts, least, above in _WAYS:
        chains = _chains([*columns, *([[]] * above)], bit_luts, least)
        if chains is not None:
            ways.append([chain.below(len(columns)) for chain in chains])
    if not ways:
        return None
    chains = min(ways, key=lambda way: (luts(way, len(columns)), len(way)))
    left = [list(bits) for bits in columns]
    for number, chain in enumerate(chains):
        chain.replace(left, left, number)
    return chains, [bits[0] if bits else None for bits in left]
