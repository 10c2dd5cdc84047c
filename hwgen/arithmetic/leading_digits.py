"""The leading digits of a number in two's complement, moved to the top: of a fused multiply-add."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from operator import and_

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from hwgen.arithmetic.segmented import Segmented, cut
from hwgen.sizes.leading_digits import PART, digit_levels


@dataclass(frozen=True)
class Leading:
    """The highest bits of a number from its leading one on, as ``leading_first`` makes them.

    ``sticky``: whether there is something below; ``shift``: how far left the number was moved.
    ``negative``, ``limit``: what it was made of, behind the same registers. ``nonzero``: whether
    there was a number if it is not ``negative``, told early in segments, and else not at all.
    """

    number: Value
    sticky: Value
    shift: Value
    negative: Value
    limit: Value
    nonzero: Value


def leading_first(
    m: Module,
    number: Value,
    negative: Value,
    limit: Value,
    count: int,
    name: str,
    *,
    split: bool,
) -> Segmented[Leading]:
    """``number`` shifted left, by at most ``limit``, until its top bit differs from ``negative``.

    Four groups of bits are asked at a time which is the first that is not empty. A digit of the
    limit counts for as long as all digits above it were reached. It is one long function, as every
    cut of a level carries the same values along.
    """
    levels = len(number).bit_length()
    sticky: Value = Const(0)
    nonzero: Value = Const(0)
    unlimited: Value = limit[levels:].any() if len(limit) > levels else Const(0)
    shifts: list[Value] = []
    for level, digits in digit_levels(len(number)):
        step, choices = 1 << level, range(1 << digits)
        columns = count + step - 1
        padded = _padded(number, choices[-1] * step)
        ends = [max(len(padded) - columns - n * step, 0) for n in choices]
        below = [Const(0) if split and end == 0 else padded[:end].any() for end in ends]
        # Of the whole number, if nobody asked before: what the groups leave at its low end.
        if split and not shifts:
            nonzero = padded[: len(padded) - choices[-1] * step].any()
        highest = [padded[len(padded) - n * step :][:step] for n in choices[1:]]
        if split and step > PART:
            # The sign goes to all bits, which takes long: they are asked in parts at first.
            parts = [_parts(group, negative) for group in highest]
            values = [number, negative, limit, parts, below, unlimited, sticky, shifts, nonzero]
            values = yield from cut(f"parts_{level}", values)
            number, negative, limit, parts, below, unlimited, sticky, shifts, nonzero = values
            occupied = [Cat(part).any() for part in parts]
        else:
            occupied = [(group ^ negative.replicate(step)).any() for group in highest]
        asked = _none(m, occupied, f"{name}_empty_{level}")
        values = [number, negative, limit, asked, below, unlimited, sticky, shifts, nonzero]
        values = yield from cut(f"asked_{level}", values)
        number, negative, limit, asked, below, unlimited, sticky, shifts, nonzero = values
        empty = list(accumulate(asked, and_))
        if split and not shifts:
            nonzero = nonzero | ~empty[-1]
        digit = limit[level : level + digits]
        amount, following = _digit(m, empty, digit, unlimited, name, level)
        values = [number, negative, limit, below, following, sticky, [*shifts, amount], nonzero]
        values = yield from cut(f"empty_{level}", values)
        number, negative, limit, below, unlimited, sticky, shifts, nonzero = values
        sticky = sticky | _chosen(shifts[-1], below)
        padded = _padded(_padded(number, choices[-1] * step), columns)
        shifted = Signal(columns, name=f"{name}_leading_{level}")
        tops = [_top(padded, n * step, columns) for n in choices]
        m.d.comb += shifted.eq(_chosen(shifts[-1], tops))
        # Behind the last level nothing asks for the limit's digits.
        unlimited = unlimited if level else Const(0)
        values = [shifted, negative, limit, unlimited, sticky, shifts, nonzero]
        values = yield from cut(f"leading_{level}", values)
        number, negative, limit, unlimited, sticky, shifts, nonzero = values
    sticky_bit = Signal(name=f"{name}_rest")
    m.d.comb += sticky_bit.eq(sticky)
    return Leading(number, sticky_bit, Cat(reversed(shifts)), negative, limit, nonzero)


def _digit(
    m: Module, empty: list[Value], limit: Value, unlimited: Value, name: str, level: int
) -> tuple[Signal, Signal]:
    """By how many groups the number is moved, and whether the limit is reached no more.

    ``empty``: whether the highest groups are: one, two, and so on; ``limit``: its digit.
    """
    reached = [limit >= n for n in range(1, len(empty) + 1)]
    moves = [e & (unlimited | r) for e, r in zip(empty, reached, strict=True)]
    amount = Signal(len(limit), name=f"{name}_by_{level}")
    m.d.comb += amount.eq(
        moves[0] if len(limit) == 1 else Cat(moves[2] | (moves[0] & ~moves[1]), moves[1])
    )
    stopped = [r & ~e for e, r in zip(empty, reached, strict=True)]
    following = Signal(name=f"{name}_unlimited_{level}")
    m.d.comb += following.eq(unlimited | Cat(stopped).any())
    return amount, following


def _padded(number: Value, columns: int) -> Value:
    """``number`` with zeros below it, where it has fewer bits than are moved at most."""
    return Cat(Const(0, max(columns - len(number), 0)), number)


def _parts(group: Value, negative: Value) -> list[Value]:
    """Whether not all bits are ``negative`` in each part of a group."""
    parts = [group[i : i + PART] for i in range(0, len(group), PART)]
    return [(part ^ negative.replicate(len(part))).any() for part in parts]


def _none(m: Module, occupied: list[Value], name: str) -> list[Value]:
    """Signals that say which are not ``occupied``."""
    empty = [Signal(name=f"{name}_{index}") for index in range(len(occupied))]
    m.d.comb += [bit.eq(~value) for bit, value in zip(empty, occupied, strict=True)]
    return list(empty)


def _top(number: Value, shift: int, columns: int) -> Value:
    """The highest bits of ``number`` << ``shift``, the length kept."""
    end = max(len(number) - shift, 0)
    bits = number[max(end - columns, 0) : end]
    return Cat(Const(0, columns - len(bits)), bits)


def _chosen(amount: Value, values: list[Value]) -> Value:
    """One of two or of four values."""
    if len(values) == 2:
        return Mux(amount, values[1], values[0])
    low, high = (Mux(amount[0], values[n + 1], values[n]) for n in (0, 2))
    return Mux(amount[1], high, low)
