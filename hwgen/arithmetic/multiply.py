"""Exact products of two significands."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, Value

from hwgen.arithmetic.adder_tree import adder_tree

#: Up to this many bits in both operands together, synthesis maps ``*`` to fewer LUTs than
#: rows on carry chains (measured on ECP5 and 7-series: tests/hwgen/test_multiply.py).
LOGIC_OPERAND_BITS = 6


def multiply(m: Module, x: Value, y: Value, *, mapping: str, name: str) -> Value:
    """``x * y``, each signed or unsigned, in a signal wide enough for every product.

    ``mapping`` ``dsp`` and ``auto`` leave the multiplication to the target's inference;
    ``lut`` writes the rows of the product as additions, one carry chain each.
    """
    shape = (x * y).shape()
    product = Signal(shape, name=name)
    if mapping != "lut" or len(x) + len(y) <= LOGIC_OPERAND_BITS:
        m.d.comb += product.eq(x * y)
        return product
    if len(y) > len(x):
        x, y = y, x
    rows: list[Value] = [Mux(y[i], x, 0) << i for i in range(len(y))]
    if y.shape().signed:
        # The top bit of a two's-complement multiplier weighs −2^(n−1).
        rows[-1] = -rows[-1]
    m.d.comb += product.eq(adder_tree(m, rows, f"{name}_rows"))
    return product
