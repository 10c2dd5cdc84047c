"""Shifting a number until its leading one is the top bit."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from hwgen.arithmetic import path
from hwgen.arithmetic.parts import Part, Parts

#: As many bits are asked whether any is set in front of a multiplexer, with no place between.
FEW = 4


def leading_one_first(
    m: Module, magnitude: Value, name: str, *, fine: bool
) -> Parts[tuple[Value, Value]]:
    """``magnitude`` shifted left until its top bit is one (zero stays), and by how much."""
    shift: Value = Const(0, 0) if fine else Const(0)
    for level in reversed(range((len(magnitude) - 1).bit_length())):
        step = 1 << level
        empty: Value = Signal(name=f"{name}_empty_{level}")
        moved = Signal(len(magnitude), name=f"{name}_leading_{level}")
        m.d.comb += empty.eq(~magnitude[-step:].any())
        search = path.any_of(step)
        if step > FEW:
            values = [magnitude, shift, empty]
            magnitude, shift, empty = yield Part(f"empty_{level}", search, values)
            search = path.Path()
        m.d.comb += moved.eq(Mux(empty, magnitude << step, magnitude))
        by = Cat(empty, shift) if fine else shift + (empty << level)
        values = [moved, by]
        magnitude, shift = yield Part(f"leading_{level}", search + path.Path(luts=1), values)
    return magnitude, shift
