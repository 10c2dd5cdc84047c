"""Sums of many terms as a balanced tree of two-input adders."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Module, Signal, Value


def tree_level(m: Module, terms: Sequence[Value], name: str) -> list[Value]:
    """The terms in pairs, each added, wide enough for any values of them.

    Every partial sum is a signal of its own, so that synthesis gives each addition one
    carry chain; written as one expression they would be merged and expanded without.
    """
    paired: list[Value] = []
    for i in range(0, len(terms) - 1, 2):
        total = terms[i] + terms[i + 1]
        partial = Signal(total.shape(), name=f"{name}_{i // 2}")
        m.d.comb += partial.eq(total)
        paired.append(partial)
    return [*paired, *terms[len(paired) * 2 :]]
