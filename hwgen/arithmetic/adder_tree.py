"""Sums of many terms as a balanced tree of two-input adders."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Module, Signal, Value


def adder_tree(m: Module, terms: Sequence[Value], name: str) -> Value:
    """The sum of ``terms``, wide enough for any values of them.

    Every partial sum is a signal of its own, so that synthesis gives each addition one
    carry chain; written as one expression they would be merged and expanded without.
    """
    level, values = 0, list(terms)
    while len(values) > 1:
        level += 1
        paired: list[Value] = []
        for i in range(0, len(values) - 1, 2):
            total = values[i] + values[i + 1]
            partial = Signal(total.shape(), name=f"{name}_level{level}_{i // 2}")
            m.d.comb += partial.eq(total)
            paired.append(partial)
        values = paired + values[len(paired) * 2 :]
    return values[0]
