"""Adders and widths of a balanced tree of two-input adders.

The hardware is in ``hwgen.arithmetic.adder_tree``.
"""

from __future__ import annotations

from collections.abc import Sequence


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
