"""Adders and widths of a balanced tree of two-input adders.

The hardware is in ``hwgen.arithmetic.adder_tree``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


def tree_levels(terms: int) -> int:
    """Levels of adders that the sum of ``terms`` terms takes."""
    return (terms - 1).bit_length()


def tree_adders(terms: int, level: int) -> int:
    """Adders of ``level``, counted from 1, in the sum of ``terms`` terms."""
    return -(-terms // (1 << (level - 1))) // 2


@dataclass(frozen=True)
class Terms:
    """Widths of ``count`` signed terms: all ``width`` bits, but for the ``last``."""

    count: int
    width: int
    last: int

    @property
    def bits(self) -> int:
        """Bits of all of them."""
        return (self.count - 1) * self.width + self.last

    @property
    def widest(self) -> int:
        """Bits of the widest."""
        return max(self.width, self.last) if self.count > 1 else self.last

    def added(self) -> Terms:
        """Those behind a ``tree_level``."""
        last = self.last if self.count % 2 else max(self.width, self.last) + 1
        return Terms((self.count + 1) // 2, self.width + 1, last)


def level_widths(widths: Sequence[int]) -> list[int]:
    """Bits of the terms behind a ``tree_level``, of signed terms of ``widths`` bits."""
    pairs = [widths[i : i + 2] for i in range(0, len(widths), 2)]
    return [max(pair) + len(pair) - 1 for pair in pairs]
