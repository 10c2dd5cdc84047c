"""Shifting a number until its leading one is the top bit."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from hwgen.arithmetic.segmented import Boundary, Segmented
from hwgen.sizes.leading_one import FEW


def leading_one_first(
    m: Module, magnitude: Value, name: str, *, split: bool
) -> Segmented[tuple[Value, Value]]:
    """``magnitude`` shifted left until its top bit is one (zero stays), and by how much."""
    shift: Value = Const(0, 0) if split else Const(0)
    for level in reversed(range((len(magnitude) - 1).bit_length())):
        step = 1 << level
        empty: Value = Signal(name=f"{name}_empty_{level}")
        shifted = Signal(len(magnitude), name=f"{name}_leading_{level}")
        m.d.comb += empty.eq(~magnitude[-step:].any())
        if step > FEW:
            values = [magnitude, shift, empty]
            magnitude, shift, empty = yield Boundary(f"empty_{level}", values)
        m.d.comb += shifted.eq(Mux(empty, magnitude << step, magnitude))
        distance = Cat(empty, shift) if split else shift + (empty << level)
        values = [shifted, distance]
        magnitude, shift = yield Boundary(f"leading_{level}", values)
    return magnitude, shift
