"""The products of an array's elements that share multipliers.

Those of a few rows and columns that meet have their significands' products, lane by lane, from one
multiplier (``hwgen.arithmetic.grid_packing``). Signs, shifts and flags are each element's own, as
are the scales of blocks and all that is behind the products.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Module, Value

from hwgen.arithmetic import zero_sign
from hwgen.arithmetic.grid_packing import multiply_grid, product_of
from hwgen.sizes.grid_packing import GridPlan
from hwgen.spec.array import Array
from hwgen.units.blockdot import BlockDotSteps
from hwgen.units.dot import DotProductSteps
from hwgen.units.unit import Signals


class PackedProducts:
    """The builder of the step that multiplies, for the elements of one multiplier a lane."""

    def __init__(
        self, spec: Array, packing: GridPlan, element: DotProductSteps | BlockDotSteps
    ) -> None:
        """``element``: the builders of each element's other steps."""
        self._spec, self._packing, self._element = spec, packing, element

    def multiply(self, m: Module, signals: Signals) -> dict[str, Any]:
        """``elements``: by row and column what each has behind the step of its products.

        ``signals``: a list of decoded operands for each row and for each column, and of blocks
        their scales.
        """
        a, b = signals["a"], signals["b"]
        significands = [
            multiply_grid(m, self._packing, [x[i] for x in a], [y[i] for y in b], f"lane_{i}")
            for i in range(self._spec.lanes)
        ]
        return {
            "elements": [
                [
                    self._behind(m, signals, (row, column), [s[row][column] for s in significands])
                    for column in range(len(b))
                ]
                for row in range(len(a))
            ]
        }

    def _behind(
        self, m: Module, signals: Signals, place: tuple[int, int], significands: Sequence[Value]
    ) -> dict[str, Any]:
        """What the element in that row and column has, from its products of significands."""
        row, column = place
        element, a, b = self._element, self._spec.a.element, self._spec.b.element
        in_blocks, suffix = isinstance(element, BlockDotSteps), f"_{row}_{column}"
        own = {name: values[row if name[0] == "a" else column] for name, values in signals.items()}
        lanes = list(zip(own["a"], own["b"], strict=True))
        products = [
            product_of(
                m,
                *lane,
                a,
                b,
                significand,
                f"lane_{i}{suffix}",
                # Lanes of scalar formats take their signs where they are added.
                sign_apart=i > 0 and not in_blocks,
            )
            for i, (lane, significand) in enumerate(zip(lanes, significands, strict=True))
        ]
        if isinstance(element, BlockDotSteps):
            return element.behind_products(m, own, products, suffix)
        return element.behind_products(m, {}, products, zero_sign.product_signs(lanes, a, b))
