"""Shifts by an amount that is known only when the circuit runs.

One expression or, ``split``, a multiplexer for each bit of the amount, between which registers may
stand.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed

from hwgen.arithmetic.segmented import Boundary, Segmented
from hwgen.plan.logic import AnyBit, Multiplexer, Series
from hwgen.plan.step import Segment, Segments


def shift_segments(
    name: str, width: int, levels: int, *, start: int | None = None, most: int | None = None
) -> Segments:
    """The segments of a shift of ``width`` bits, by an amount of ``levels`` bits.

    ``start``: the fewer bits of what is shifted left; ``most``: what is made of them at most.
    """
    segments: list[Segment] = []
    bits, most = width if start is None else start, width if most is None else most
    for level in range(levels):
        bits = min(bits + (1 << level), most)
        logic = (Multiplexer(width),)
        segments.append(Segment(f"{name}_{level}", logic, bits + levels - level - 1))
    return tuple(segments)


def joined(low: Value, high: Value) -> Value:
    """The bits of ``low`` below those of ``high``, with the sign of ``high``."""
    bits = Cat(low, high)
    return bits.as_signed() if high.shape().signed else bits


def right(m: Module, value: Value, amount: Value, name: str, *, split: bool) -> Segmented[Value]:
    """``value`` >> ``amount``, as wide as ``value``."""
    if not split:
        return value >> amount
    for level in range(len(amount)):
        shifted = Signal(value.shape(), name=f"{name}_{level}")
        m.d.comb += shifted.eq(Mux(amount[0], value >> (1 << level), value))
        higher_bits = amount[1:] if len(amount) > 1 else None
        value, amount = yield Boundary(f"{name}_{level}", [shifted, higher_bits])
    return value


def left(
    m: Module, value: Value, amount: Value, width: int, name: str, *, split: bool
) -> Segmented[Value]:
    """``value`` << ``amount``, of which ``width`` bits count."""
    if not split:
        return value << amount
    for level in range(len(amount)):
        bits = min(len(value) + (1 << level), width)
        shifted = Signal(signed(bits) if value.shape().signed else bits, name=f"{name}_{level}")
        m.d.comb += shifted.eq(Mux(amount[0], value << (1 << level), value))
        higher_bits = amount[1:] if len(amount) > 1 else None
        value, amount = yield Boundary(f"{name}_{level}", [shifted, higher_bits])
    return value


def window_segments(window: int, levels: int, *, sticky: bool) -> Segments:
    """The segments of ``into_window``, by a distance of ``levels`` bits."""
    segments, bits = [], window + 1 + levels
    for level in range(levels):
        lost: Series = (AnyBit(1 << level),) if sticky else ()
        segments.append(Segment(f"right_{level}", (Multiplexer(window), *lost), bits))
    return tuple(segments)


def into_window(
    m: Module, significand: Value, distance: Value, window: int, name: str, *, sticky: bool
) -> Segmented[tuple[Value, Value]]:
    """``significand`` at the top of ``window`` bits, shifted right by ``distance``.

    Then whether that lost a one, if that is asked (``sticky``). Bits below the window, of a
    significand that is wider, are lost at any distance.
    """
    lost: Value = Const(0)
    below = len(significand) - window
    if below > 0:
        lost = significand[0] if below == 1 else significand[:below].any()
        significand = significand[below:]
    if len(significand) < window:
        significand = Cat(Const(0, window - len(significand)), significand)
    for level in range(len(distance)):
        step, moves = 1 << level, distance[level]
        moved = Signal(window, name=f"{name}_right_{level}")
        m.d.comb += moved.eq(Mux(moves, significand[step:], significand))
        if sticky:
            drop = Signal(name=f"{name}_lost_{level}")
            m.d.comb += drop.eq(lost | (moves & significand[:step].any()))
            lost = drop
        values = [moved, lost, distance]
        significand, lost, distance = yield Boundary(f"right_{level}", values)
    return significand, lost
