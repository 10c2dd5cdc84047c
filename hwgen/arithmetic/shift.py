"""Shifts by an amount that is known only when the circuit runs.

One expression or, ``split``, a multiplexer for each bit of the amount, between which registers may
stand.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed

from hwgen.arithmetic.segmented import Boundary, Segmented


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
