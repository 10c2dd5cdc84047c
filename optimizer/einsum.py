"""An Einsum of two operands as a matrix product, as transformers of Keras are exported with.

Its indices are of four kinds: those of both operands and the result are a stack, those of both
operands alone are summed, and those of one operand are its rows or columns. Transposed and
reshaped, the operands are stacks of matrices.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Indices:
    """The indices of ``first`` and ``second`` operand and of ``result``, by kind."""

    first: str
    second: str
    result: str

    @property
    def stack(self) -> str:
        """Of both operands and the result."""
        return "".join(i for i in self.first if i in self.second and i in self.result)

    @property
    def summed(self) -> str:
        """Of both operands alone."""
        return "".join(i for i in self.first if i in self.second and i not in self.result)

    @property
    def rows(self) -> str:
        """Of the first operand and the result."""
        return "".join(i for i in self.first if i not in self.second)

    @property
    def columns(self) -> str:
        """Of the second operand and the result."""
        return "".join(i for i in self.second if i not in self.first)

    def groups(self, second: bool) -> tuple[str, str, str]:
        """The axes of an operand as a stack of matrices: stack, rows and columns."""
        if second:
            return (self.stack, self.summed, self.columns)
        return (self.stack, self.rows, self.summed)

    def target(self, groups: Sequence[str], sizes: Mapping[str, int], images: str) -> list[int]:
        """What a tensor in the order of ``groups`` is reshaped to: the stack, and a size a group.

        ``images``: the index whose size is the batch's, for which there is no number; sizes of the
        stack are those that are there (0 in a Reshape).
        """
        stack, *others = groups
        return [0] * len(stack) + [
            -1 if images in group else math.prod(sizes[i] for i in group) for group in others
        ]


def read(equation: str) -> Indices | None:
    """The indices of an ``equation`` of two operands, None where it is no matrix product."""
    terms, arrow, result = equation.replace(" ", "").partition("->")
    operands = terms.split(",")
    if not arrow or len(operands) != 2 or not all(t.isalpha() for t in operands):
        return None
    found = Indices(operands[0], operands[1], result)
    ordered = found.stack + found.rows + found.columns
    distinct = all(len(set(term)) == len(term) for term in (*operands, result))
    # What is summed over one operand alone is no product.
    whole = sorted(ordered) == sorted(result) and bool(found.summed)
    return found if distinct and whole else None
