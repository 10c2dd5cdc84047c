"""The steps of a sum of squares."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hwgen.plan.logic import Series, Shifter, Square
from hwgen.plan.step import Steps
from hwgen.spec.steps import accumulating, dot

if TYPE_CHECKING:
    from hwgen.spec.sumsquares import SumSquares


def steps(spec: SumSquares) -> Steps:
    """The steps of a dot product whose lanes have one operand each, which is squared."""
    a, lanes = spec.a, spec.lanes
    align: Series = ()
    if a.exponent_bits:
        align = (Shifter(spec.product_width, a.exponent_bits, count=lanes),)
    products = dot.product_steps(spec, (a,), (Square(a.factor_bits, count=lanes),), align)
    if spec.adds_product:
        return (*products[:2], *accumulating.product_steps(spec, None))
    accumulator_steps = accumulating.steps(spec, spec.sum_width, dot.made_width(spec))
    sums = (*products[2:], *dot.level_steps(spec))  # Of other bits than products.
    square_steps = (*products[:2], *(replace(step, bits=None) for step in sums))
    return (*square_steps, *dot.addend_steps(spec, dot.lanes_width(spec)), *accumulator_steps)
