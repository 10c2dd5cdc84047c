"""Widths of sums of products with constants.

The hardware is in ``hwgen.arithmetic.constant_sum``.
"""

from __future__ import annotations

from collections.abc import Mapping

from hwgen.plan.constant_sum import Additions


def number_bits(plan: Additions, inputs: Mapping[int, tuple[int, bool]]) -> list[int]:
    """Bits of all numbers in front of each level of additions, and behind the last.

    ``inputs``: of those that are there, the bits of the value, and whether there is a carry.
    """
    numbers = dict(inputs)
    for index, node in enumerate(plan.nodes[plan.inputs :], plan.inputs):
        if node.level <= plan.levels:
            _, carry = numbers[node.high if node.low_negative else node.low]
            numbers[index] = node.shape(lacks_one=carry).width, carry
    levels = [list(inputs), *map(plan.needed_behind, range(1, plan.levels + 1))]
    return [sum(sum(numbers[index]) for index in level) for level in levels]
