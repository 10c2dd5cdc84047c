"""Sums of terms times powers of two that may lie far apart: where each term is put.

Three ways, from exact and wide to cheap and narrow:

- each term at its own place, in fixed point as wide as the shifts can lie apart;
- the same, with long gaps between the terms shortened (``ranked``, ``placed``): as good for
  rounding, and far narrower where terms are few;
- all terms shifted right to the largest (``largest_of``, ``moved_right``), and rounded there.

The second way is correct by this. Sort the terms by their shifts and split them anywhere: the
upper ones sum to a multiple U of 2^q, q the lowest of their shifts, and the lower ones to L.
Rounding to p bits changes at multiples of 2^(q−1−p) only, for numbers of 2^(q−1) and more. So
while |L| is below that, and U is not zero, no more than the sign of L can matter, and the upper
ones may be moved down towards the others for as long as |L| stays below. Where U is zero, L is
all there is, and nothing has moved. Which of the two it was, the leading one of the sum tells:
it stands at q − 1 or above, or else below q − 1 − p. The coarser steps of subnormal results
change where those of p bits do. ``shortest_gap`` is what remains of a gap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed

from hwgen.arithmetic.coding import rounded_integer
from hwgen.arithmetic.segmented import Boundary, Segmented, last
from hwgen.formats.rounding import DOWN


@dataclass(frozen=True)
class Ranked:
    """The order of terms' shifts.

    ``ranks``: of each term, 0 for the smallest shift; no two are alike. ``shifts``: rising.
    """

    ranks: list[Value]
    shifts: list[Value]


@dataclass(frozen=True)
class Placed:
    """The places of terms.

    ``places``: of each term, how far left it goes. A leading one at bit x means 2^(x + offset), by
    the last of the ``offsets`` whose ``starts`` is not above x + 1.
    """

    places: list[Value]
    starts: list[Value]
    offsets: list[Value]


def ranked(m: Module, shifts: Sequence[Value], name: str) -> Segmented[Ranked]:
    """The order of the shifts: every two are compared."""
    count = len(shifts)
    pairs = [(j, k) for j in range(count) for k in range(j)]
    compared: list[Value] = []
    for j, k in pairs:
        later = Signal(name=f"{name}_{j}_from_{k}")
        m.d.comb += later.eq(shifts[j] >= shifts[k])
        compared.append(later)
    compared, shifts = yield Boundary("compared", [compared, list(shifts)])
    above: dict[tuple[int, int], Value] = {}
    for later, (j, k) in zip(compared, pairs, strict=True):
        above[j, k], above[k, j] = later, ~later
    ranks: list[Value] = []
    for j in range(count):
        rank = Signal(range(count), name=f"{name}_rank_{j}")
        m.d.comb += rank.eq(sum((above[j, k] for k in range(count) if k != j), Const(0)))
        ranks.append(rank)
    ranks, shifts = yield Boundary("ranks", [ranks, shifts])
    rising: list[Value] = []
    for place in range(count):
        shift = Signal(max(map(len, shifts)), name=f"{name}_shift_{place}")
        m.d.comb += shift.eq(_chosen([rank == place for rank in ranks], shifts))
        rising.append(shift)
    return (yield from last("rising", Ranked(ranks, rising)))


def placed(m: Module, order: Ranked, gap: int, name: str) -> Segmented[Placed]:
    """The places of the terms of ``order``, with no gap longer than ``gap``."""
    distances: list[Value] = []
    for index, (below, above) in enumerate(zip(order.shifts, order.shifts[1:], strict=False), 1):
        distance = Signal(len(above), name=f"{name}_distance_{index}")
        m.d.comb += distance.eq(above - below)
        distances.append(distance)
    distances, order = yield Boundary("distances", [distances, order])
    gaps: list[Value] = [Mux(distance > gap, gap, distance) for distance in distances]
    gaps, order = yield Boundary("gaps", [gaps, order])
    starts: list[Value] = [Const(0)]
    for index in range(1, len(order.shifts)):
        start = Signal(range(index * gap + 1), name=f"{name}_start_{index}")
        m.d.comb += start.eq(starts[-1] + gaps[index - 1])
        values = [[*starts, start], gaps, order]
        starts, gaps, order = yield Boundary(f"start_{index}", values)
    offsets: list[Value] = []
    for index, (shift, start) in enumerate(zip(order.shifts, starts, strict=True)):
        offset = Signal(len(shift), name=f"{name}_offset_{index}")
        m.d.comb += offset.eq(shift - start)
        offsets.append(offset)
    places: list[Value] = []
    for index, rank in enumerate(order.ranks):
        place = Signal(len(starts[-1]), name=f"{name}_place_{index}")
        m.d.comb += place.eq(_chosen([rank == k for k in range(len(starts))], starts))
        places.append(place)
    return (yield from last("places", Placed(places, starts, offsets)))


def offset_of(m: Module, leading: Value, where: Placed, name: str) -> Segmented[Signal]:
    """The offset of a leading one at bit ``leading``: what is added for its exponent."""
    reached: list[Value] = [leading + 1 >= start for start in where.starts[1:]]
    reached, where = yield Boundary("reached", [reached, where])
    last_reached: Value = where.offsets[0]
    for is_reached, offset in zip(reached, where.offsets[1:], strict=True):
        # Starts rise, and so do offsets: the last that is reached is the one.
        last_reached = Mux(is_reached, offset, last_reached)
    chosen = Signal(max(map(len, where.offsets)), name=name)
    m.d.comb += chosen.eq(last_reached)
    return (yield from last("offset", chosen))


def leading_bits(
    m: Module, magnitude: Value, count: int, name: str
) -> Segmented[tuple[Value, Value]]:
    """The highest ``count`` bits of ``magnitude`` from its leading one on, and the zeros above it.

    Below the bits is one more, which tells whether there is something below. Bits that can no more
    be among them leave the shifter as soon as that is known.
    """
    zeros: Value = Const(0)
    for level in reversed(range((len(magnitude) - 1).bit_length())):
        step = 1 << level
        magnitude = _shortened(magnitude, 2 * step - 1 + count)
        empty: Value = Signal(name=f"{name}_empty_{level}")
        shifted = Signal(len(magnitude), name=f"{name}_leading_{level}")
        m.d.comb += empty.eq(~magnitude[-step:].any())
        values = [magnitude, zeros, empty]
        magnitude, zeros, empty = yield Boundary(f"empty_{level}", values)
        m.d.comb += shifted.eq(Mux(empty, magnitude << step, magnitude))
        values = [shifted, zeros + (empty << level)]
        magnitude, zeros = yield Boundary(f"leading_{level}", values)
    if len(magnitude) <= count:
        magnitude = Cat(Const(0, count + 1 - len(magnitude)), magnitude)
    values = [_shortened(magnitude, count), zeros]
    magnitude, zeros = yield Boundary("kept", values)
    return magnitude, zeros


def largest_of(m: Module, shifts: Sequence[Value], name: str) -> Segmented[Value]:
    """The largest of the ``shifts``, by a tree of comparisons."""
    level, candidates = 0, list(shifts)
    while len(candidates) > 1:
        pairs: list[Value] = []
        for i in range(0, len(candidates) - 1, 2):
            larger = Signal(max(map(len, candidates[i : i + 2])), name=f"{name}_{level}_{i // 2}")
            m.d.comb += larger.eq(
                Mux(candidates[i] >= candidates[i + 1], candidates[i], candidates[i + 1])
            )
            pairs.append(larger)
        candidates = pairs + candidates[len(pairs) * 2 :]
        candidates = yield Boundary(f"largest_{level}", candidates)
        level += 1
    return candidates[0]


def moved_right(
    m: Module, term: Value, distance: Value, dropped: int, width: int, rounding: str, name: str
) -> Segmented[Signal]:
    """``term`` over 2^(``distance`` + ``dropped``), rounded to a whole number, ``width`` bits.

    ``dropped`` may be negative: then there are as many more bits below.
    """
    # Of what is dropped, the half and whether there is less are needed, unless it is cut off.
    below = 0 if rounding == DOWN else 2
    lost_bits = max(dropped - below, 0)
    if lost_bits:
        lost, number = term[: dropped - below], term[dropped - below :]
        fields = [lost.any() | number[0], number[1:]] if below else [number]
    else:
        fields = [Const(0, below - dropped), term]
    start = Cat(*fields)
    levels = len(start).bit_length()
    # Shifts past the width leave the sign, and so does the longest that there is.
    near: Value = Signal(levels, name=f"{name}_near")
    far = distance[levels:].any() if len(distance) > levels else Const(0)
    m.d.comb += near.eq(distance[:levels] | far.replicate(levels))
    number = Signal(signed(len(start)), name=f"{name}_start")
    m.d.comb += number.eq(start)
    number, near = yield Boundary("near", [number, near])
    for level in range(levels):
        step, moves = min(1 << level, len(start) - 1), near[level]
        moved = Signal(signed(len(start)), name=f"{name}_right_{level}")
        shifted = (number >> step)[: len(start)]
        if below:
            shifted = Cat(shifted[0] | number[:step].any(), shifted[1:])
        m.d.comb += moved.eq(Mux(moves, shifted, number))
        number, near = yield Boundary(f"right_{level}", [moved, near])
    result = Signal(signed(width), name=name)
    m.d.comb += result.eq(rounded_integer(m, number, -below, 0, rounding, f"{name}_rounded"))
    return (yield from last("rounded", result))


def _shortened(magnitude: Value, count: int) -> Value:
    """The highest ``count`` bits, and one for those below if there are any."""
    lost = len(magnitude) - count
    if lost <= 1:
        return magnitude
    return Cat(magnitude[:lost].any(), magnitude[lost:])


def _chosen(conditions: Sequence[Value], values: Sequence[Value]) -> Value:
    """The value whose condition holds, of which one does."""
    width = max(map(len, values))
    selected: Value = Const(0, width)
    for condition, value in zip(conditions, values, strict=True):
        selected = selected | (value & condition.replicate(len(value)))
    return selected
