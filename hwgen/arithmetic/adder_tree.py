"""Sums of many terms as a balanced tree of two-input adders."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Module, Signal, Value


def tree_levels(terms: int) -> int:
    """Levels of adders that the sum of ``terms`` terms takes."""
    return (terms - 1).bit_length()


def tree_adders(terms: int, level: int) -> int:
    """Adders of ``level``, counted from 1, in the sum of ``terms`` terms."""
    return -(-terms // (1 << (level - 1))) // 2


def level_widths(widths: Sequence[int]) -> list[int]:
    """Bits of the terms behind a ``tree_level``, of signed terms of ``widths`` bits."""
    pairs = [widths[i : i + 2] for i in range(0, len(widths), 2)]
    return [max(pair) + len(pair) - 1 for pair in pairs]


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
