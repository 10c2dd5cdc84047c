"""The steps of a sum of squares."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwgen.formats import Scalar
from hwgen.plan.logic import Series, Shifter, Square
from hwgen.plan.shape import Shape
from hwgen.plan.step import Steps
from hwgen.sizes.decode import shift_shape, significand_bits
from hwgen.sizes.product import ProductShape
from hwgen.sizes.square import square_bits
from hwgen.spec.steps import accumulating, dot

if TYPE_CHECKING:
    from hwgen.spec.sumsquares import SumSquares


def square_shape(a: Scalar) -> ProductShape:
    """The widths of the square of a decoded code."""
    shift = shift_shape(a)
    square = Shape(square_bits(significand_bits(a), a.signed and a.is_integer))
    return ProductShape(square, 0 if shift is None else shift.width + 1)


def steps(spec: SumSquares) -> Steps:
    """The steps of a dot product whose lanes have one operand each, which is squared."""
    a, lanes = spec.a, spec.lanes
    align: Series = ()
    if a.exponent_bits:
        align = (Shifter(spec.product_width, a.exponent_bits, count=lanes),)
    square, bits = square_shape(a), [lanes * square_shape(a).bits]
    products = dot.product_steps(spec, (a,), (Square(a.factor_bits, count=lanes),), align, bits)
    if spec.adds_product:
        return (*products[:2], *accumulating.product_steps(spec, square))
    accumulator_steps = accumulating.steps(spec, spec.sum_width, dot.made_width(spec))
    return (
        *products,
        *dot.level_steps(spec, (square, square)),
        *dot.addend_steps(spec, dot.lanes_width(spec)),
        *accumulator_steps,
    )
