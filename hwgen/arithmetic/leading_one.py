"""Shifting a number until its leading one is the top bit."""

from __future__ import annotations

from amaranth.hdl import Const, Module, Mux, Signal, Value


def leading_one_first(m: Module, magnitude: Value, name: str) -> tuple[Value, Value]:
    """``magnitude`` shifted left until its top bit is one (zero stays), and by how much."""
    shift: Value = Const(0)
    for level in reversed(range((len(magnitude) - 1).bit_length())):
        step = 1 << level
        empty = Signal(name=f"{name}_empty_{level}")
        moved = Signal(len(magnitude), name=f"{name}_leading_{level}")
        m.d.comb += [
            empty.eq(~magnitude[-step:].any()),
            moved.eq(Mux(empty, magnitude << step, magnitude)),
        ]
        magnitude, shift = moved, shift + (empty << level)
    return magnitude, shift
