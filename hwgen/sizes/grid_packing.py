"""How every product of a few numbers with a few others shares one multiplier: the plan.

The hardware is in ``hwgen.arithmetic.grid_packing``, which has the source.
"""

from __future__ import annotations

from dataclasses import dataclass

from hwgen.errors import InputError
from hwgen.formats import Scalar
from hwgen.formats.widths import signed_width, value_range
from hwgen.sizes.dsp_multiplier import PACKED_FOR, Multiplier, is_gate, require_multiplier


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
