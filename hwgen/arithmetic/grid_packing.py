"""Every product of a few numbers with a few others in one multiplier.

(Σᵢ aᵢ·x^i) · (Σⱼ bⱼ·y^j), with y = x^rows, has every aᵢ·bⱼ in a place of its own, x a power of
two that holds one product. (Two products with a common factor: Fu et al., Deep Learning with INT8
Optimization on Xilinx Devices, WP486, 2017; four: Han et al., Convolutional Neural Network with
INT4 Optimization on Xilinx Devices, WP521, 2020.)

Products with a sign take one from the product above where they are negative. Half of x is
therefore added to each: none is negative then, and the highest bit of each is inverted. A DSP
block with an adder behind its multiplier adds these constants.
"""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Mux, Signal, Value

from hwgen.arithmetic.decode import Operand
from hwgen.arithmetic.dsp_multiplier import joined, signed_number
from hwgen.arithmetic.product import Product, special_of, sum_of_shifts
from hwgen.formats import Scalar
from hwgen.sizes.grid_packing import GridPlan

#: Bits of a product that is negated in LUTs, not on a carry chain.
SHORT = 5


def multiply_grid(
    m: Module, plan: GridPlan, a: Sequence[Operand], b: Sequence[Operand], name: str
) -> list[list[Value]]:
    """The products of significands, without signs that are apart.

    Those of each of ``a`` with each of ``b``, up to as many as the plan has.
    """
    rows, columns = len(a), len(b)
    steps = (plan.bits, rows * plan.bits) if plan.rows_first else (columns * plan.bits, plan.bits)
    operands = []
    for numbers, step, side in ((a, steps[0], "rows"), (b, steps[1], "columns")):
        value = joined([operand.significand for operand in numbers], step)
        operand = Signal(value.shape(), name=f"{name}_{side}")
        m.d.comb += operand.eq(value)
        operands.append(operand)
    places = [[i * steps[0] + j * steps[1] for j in range(columns)] for i in range(rows)]
    product: Value = operands[0] * operands[1]
    if rows * columns == 1:
        alone = Signal(product.shape(), name=f"{name}_product")
        m.d.comb += alone.eq(product)
        return [[alone]]
    if plan.is_signed:
        half = 1 << (plan.bits - 1)
        product = product + sum(half << place for row in places for place in row)
    total = Signal(rows * columns * plan.bits, name=f"{name}_products")
    m.d.comb += total.eq(product)
    return [[_field_product(plan, total[place:][: plan.bits]) for place in row] for row in places]


def _field_product(plan: GridPlan, field: Value) -> Value:
    return Cat(field[:-1], ~field[-1]).as_signed() if plan.is_signed else field


def product_of(
    m: Module,
    x: Operand,
    y: Operand,
    a: Scalar,
    b: Scalar,
    significand: Value,
    name: str,
    *,
    sign_apart: bool,
) -> Product:
    """The product whose significands' product is ``significand``: as of ``product.multiply``."""
    signs = [operand.sign for operand in (x, y) if operand.sign is not None]
    sign = signs[0] ^ signs[1] if len(signs) == 2 else signs[0] if signs else None
    if sign is not None and not sign_apart:
        short = len(significand) <= SHORT
        product = (
            signed_number(sign, significand) if short else Mux(sign, -significand, significand)
        )
        significand, sign = Signal(product.shape(), name=f"{name}_significand"), None
        m.d.comb += significand.eq(product)
    special = special_of(m, (x, a), (y, b), name)
    return Product(significand, sum_of_shifts(x, y), special, sign=sign)
