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
from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Mux, Signal, Value

from hwgen.arithmetic.decode import Operand
from hwgen.arithmetic.dsp_multiplier import (
    PACKED_FOR,
    Multiplier,
    is_gate,
    joined,
    require_multiplier,
    signed_number,
)
from hwgen.arithmetic.product import Product, special_of, sum_of_shifts
from hwgen.errors import InputError
from hwgen.formats import Scalar
from hwgen.formats.widths import signed_width, value_range

#: Bits of a product that is negated in LUTs, not on a carry chain.
SHORT = 5


@dataclass(frozen=True)
class GridPlan:
    """``rows`` significands of ``a`` times ``columns`` of ``b`` in one multiplier.

    ``bits``: of one product, x is 2 to this. ``rows_first``: the rows stand at x^i, the columns
    at x^(rows·j); else the other way round. ``is_signed``: products have a sign. ``operand_bits``:
    of both operands of the multiplier.
    """

    rows: int
    columns: int
    bits: int
    rows_first: bool
    is_signed: bool
    operand_bits: tuple[int, int]

    def __str__(self) -> str:
        size = " x ".join(map(str, self.operand_bits))
        return f"{self.products} elements in a multiplier of {size} bits"

    @property
    def products(self) -> int:
        """How many products one multiplier makes."""
        return self.rows * self.columns

    def multipliers(self, rows: int, columns: int) -> int:
        """How many an array of ``rows`` and ``columns`` takes, of one lane."""
        return -(-rows // self.rows) * -(-columns // self.columns)

    def product_bits(self, a: Scalar, b: Scalar) -> int:
        """Bits of a product's significand with its sign, wherever that is."""
        return self.bits + int(a.sign_apart or b.sign_apart)

    def multiply(
        self, m: Module, a: Sequence[Operand], b: Sequence[Operand], name: str
    ) -> list[list[Value]]:
        """The products of significands, without signs that are apart.

        Those of each of ``a`` with each of ``b``, up to as many as the plan has.
        """
        rows, columns = len(a), len(b)
        steps = (
            (self.bits, rows * self.bits) if self.rows_first else (columns * self.bits, self.bits)
        )
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
        if self.is_signed:
            half = 1 << (self.bits - 1)
            product = product + sum(half << place for row in places for place in row)
        total = Signal(rows * columns * self.bits, name=f"{name}_products")
        m.d.comb += total.eq(product)
        return [[self._product(total[place:][: self.bits]) for place in row] for row in places]

    def _product(self, field: Value) -> Value:
        return Cat(field[:-1], ~field[-1]).as_signed() if self.is_signed else field


def grid_plan(
    a: Scalar, b: Scalar, rows: int, columns: int, multiplier: Multiplier
) -> GridPlan | None:
    """The plan with the fewest multipliers for an array of ``rows`` and ``columns``.

    Of these it has the smallest operands. None if no two products share one, and of factors that
    need no multiplier.
    """
    if is_gate(a) or is_gate(b):
        return None

    fitting = [
        plan
        for plan_rows in range(1, min(rows, multiplier.wide) + 1)
        for plan_columns in range(1, min(columns, multiplier.wide) + 1)
        for rows_first in (True, False)
        for plan in [_plan(a, b, plan_rows, plan_columns, rows_first)]
        if plan.products > 1 and multiplier.takes(*plan.operand_bits)
    ]

    def size(plan: GridPlan) -> tuple[int, tuple[int, int]]:
        return plan.multipliers(rows, columns), plan.operand_bits

    return min(fitting, key=size, default=None)


def no_grid(
    mapping: str, a: Scalar, b: Scalar, rows: int, columns: int, *, side: str, advice: str
) -> InputError:
    """Why the multiplier of ``mapping`` takes no two products of an array.

    ``side``: what has no other to share it with, where it is that; ``advice``: what to do. Raises
    InputError where products need no multiplier.
    """
    require_multiplier(mapping, a, b)
    shapes = [(r, c) for r, c in ((2, 1), (1, 2)) if r <= rows and c <= columns]
    if not shapes:
        return InputError(
            f"mapping={mapping!r}: no two products of {side} have a factor in common: {advice}"
        )
    narrow, wide = sorted(min(_plan(a, b, r, c, True).operand_bits for r, c in shapes))
    return InputError(
        f"mapping={mapping!r}: two products of {a} and {b} with a factor in common are exact in a "
        f"multiplier of {wide} x {narrow} bits, and this has {PACKED_FOR[mapping]}: {advice}, or "
        "narrower formats"
    )


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


def _plan(a: Scalar, b: Scalar, rows: int, columns: int, rows_first: bool) -> GridPlan:
    ranges = [_significand_range(f) for f in (a, b)]
    corners = [x * y for x in ranges[0] for y in ranges[1]]
    least, most = min(corners), max(corners)
    bits = signed_width(least, most) if least < 0 else most.bit_length()
    steps = (bits, rows * bits) if rows_first else (columns * bits, bits)
    operand_bits = [
        signed_width(*(sum(end << i * step for i in range(count)) for end in ends))
        for ends, step, count in zip(ranges, steps, (rows, columns), strict=True)
    ]
    return GridPlan(rows, columns, bits, rows_first, least < 0, (operand_bits[0], operand_bits[1]))


def _significand_range(number_format: Scalar) -> tuple[int, int]:
    """Smallest and largest decoded significand."""
    f = number_format
    if f.is_integer:
        return value_range(f)
    return 0, (1 << f.precision) - 1
