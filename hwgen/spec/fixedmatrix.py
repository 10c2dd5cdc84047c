"""The spec of the product of a constant matrix and a vector."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hwgen.errors import InputError
from hwgen.fields import set_fields, shown
from hwgen.formats import Scalar
from hwgen.formats.widths import signed_width, value_range
from hwgen.plan import constant_matrix
from hwgen.plan.step import Steps
from hwgen.spec.base import Port, Spec, code_port, option, require_decoded
from hwgen.spec.fixeddot import (
    DIGEST_DIGITS,
    Weights,
    common_shift,
    in_steps,
    require_numbers_of,
    require_ordered,
)
from hwgen.spec.steps import fixedmatrix

MAX_ROWS = 256
#: Constants of a matrix. INT8 ones in 16 rows of 256 take half a minute to plan, in 64 of 64 less.
MAX_WEIGHTS = 4096
_SUCH_AS = "such as 3,-5,7;0,1,-2"


@dataclass(frozen=True)
class Matrix:
    """Constants in rows of the same length: a row for each output, a column for each input.

    ``str``: the numbers of a row with commas between them, the rows with semicolons. InputError for
    rows that differ in length, and too many.
    """

    rows: tuple[Weights, ...]

    def __post_init__(self) -> None:
        rows = self.rows
        if not isinstance(rows, tuple) or not all(isinstance(row, Weights) for row in rows):
            raise InputError(
                f"constants: {shown(rows)}: give a tuple of Weights; Matrix.parse takes text, "
                "sequences and arrays"
            )
        if not rows:
            raise InputError(f"constants: no rows are given: give one for each output, {_SUCH_AS}")
        lengths = [len(row.values) for row in rows]
        for index, length in enumerate(lengths):
            if length != lengths[0]:
                raise InputError(
                    f"constants: row {index} has {length} weights, and row 0 has {lengths[0]}: "
                    "give every row one for each input"
                )
        if len(rows) > MAX_ROWS or len(rows) * lengths[0] > MAX_WEIGHTS:
            raise InputError(
                f"constants: {len(rows)} x {lengths[0]} weights are given: up to {MAX_WEIGHTS} in "
                f"up to {MAX_ROWS} rows are taken; divide larger ones among several units"
            )

    def __str__(self) -> str:
        return ";".join(map(str, self.rows))

    @classmethod
    def parse(cls, given: Any) -> Matrix:
        """The matrix of text such as ``3,-5;0,0.5``, or of a sequence or array of rows.

        Weights are kept as float64.

        Raises:
            InputError: something else, a number that is no finite float64, rows that do not go
                together, none, or too many.

        """
        if isinstance(given, Matrix):
            return given
        if isinstance(given, str):
            given = given.split(";") if given.strip() else []
        require_ordered(given, 2, "constants", f"give rows of numbers, {_SUCH_AS}")
        rows = []
        for index, row in enumerate(given):
            try:
                rows.append(Weights.parse(row))
            except InputError as error:
                raise InputError(f"constants, row {index}: {error}") from error
        return cls(tuple(rows))


@dataclass(frozen=True, kw_only=True)
class FixedMatrix(Spec):
    """The product of a constant matrix and a vector of codes, exact, in fixed point.

    Sum j is Σ wⱼᵢ·aᵢ. ``constants``: the weights wⱼᵢ, a row for each sum, as numbers; each is
    exactly one of the format ``b``. They become shifts and additions, which the rows share
    (``hwgen.plan.constant_matrix``). Each sum is a signed integer in units of 2**lsb_exponent, all
    as wide as the widest. If ``a`` has infinities or NaN, one-bit outputs say which sum is not
    finite, by the rules of IEEE 754 (NaN, infinity times a weight of zero, and infinities of both
    signs give NaN); such numbers count as zeros in the sums.

    ``stages``: by default a register behind every second addition.
    """

    unit: ClassVar[str] = "fixedmatrix"

    a: Scalar
    b: Scalar
    constants: Matrix = field(
        metadata=option(
            "ROWS|FILE",
            "the constants of a matrix, such as 3,-5;7,0, or a file of them: .npy, or text (.csv, "
            ".txt) with a row a line",
        )
    )
    stages: int = 0

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            a: str | Scalar,
            b: str | Scalar,
            constants: str | Matrix | Sequence[Sequence[float]] | np.ndarray[Any, Any],
            stages: int = 0,
            pipeline_target: str = "",
        ) -> None: ...

    def _settle(self) -> None:
        set_fields(self, a=require_decoded("a", self.a), b=require_decoded("b", self.b))
        set_fields(self, constants=Matrix.parse(self.constants))
        for index, row in enumerate(self.constants.rows):
            require_numbers_of(self.b, row.values, f"of row {index} and column ")

    @property
    def rows(self) -> int:
        """How many sums there are."""
        return len(self.constants.rows)

    @property
    def columns(self) -> int:
        """How many numbers come in."""
        return len(self.constants.rows[0].values)

    @cached_property
    def whole_weights(self) -> tuple[constant_matrix.Row, ...]:
        """The weights in units of 2**weight_lsb_exponent."""
        shift = self.weight_lsb_exponent - self.b.lsb_exponent
        return tuple(tuple(number >> shift for number in row) for row in self._b_steps)

    @property
    def weight_lsb_exponent(self) -> int:
        """The largest power of two of which all weights are multiples; b's, if all are zero."""
        return self.b.lsb_exponent + common_shift([n for row in self._b_steps for n in row])

    @property
    def _b_steps(self) -> list[list[int]]:
        return [in_steps(self.b, row.values) for row in self.constants.rows]

    @cached_property
    def plan(self) -> constant_matrix.MatrixPlan:
        """The additions that make the sums."""
        return constant_matrix.plan(self.whole_weights, *value_range(self.a))

    @property
    def has_specials(self) -> bool:
        """Some sum is infinite or NaN."""
        return self.a.has_nan or self.a.has_infinity

    @property
    def lsb_exponent(self) -> int:
        """Sums count units of 2 to this: a's step times what divides all weights."""
        return self.a.lsb_exponent + self.weight_lsb_exponent

    @cached_property
    def sum_width(self) -> int:
        """Bits of a signed sum, of any row."""
        return signed_width(*self.plan.range)

    @property
    def inputs(self) -> tuple[Port, ...]:
        """The codes ``a``."""
        return (code_port("a", self.a, self.columns),)

    @property
    def outputs(self) -> tuple[Port, ...]:
        """The sums, and flags of each if it can be infinite or NaN."""
        meaning = f"sums in units of 2^{self.lsb_exponent}"
        sums = Port("sums", self.sum_width, meaning, self.rows, signed=True)
        if not self.has_specials:
            return (sums,)
        flags = {
            "nan": "the sum is NaN",
            "positive_infinity": "the sum is infinite",
            "negative_infinity": "the sum is minus infinity",
        }
        return (sums, *(Port(name, 1, text, self.rows) for name, text in flags.items()))

    @property
    def _steps(self) -> Steps:
        return fixedmatrix.steps(self)

    @property
    def usual_stages(self) -> int:
        """A register behind every second addition."""
        return max(-(-self.plan.levels // 2), 1)

    @property
    def latency(self) -> int:
        """Enabled cycles from a valid input to its result: ``stages``."""
        return self.stages

    @property
    def facts(self) -> dict[str, int]:
        """How many additions there are, width of a sum, and the exponent of its unit."""
        return {
            "additions": self.plan.adders,
            "sum_width": self.sum_width,
            "lsb_exponent": self.lsb_exponent,
        }

    @property
    def name(self) -> str:
        """A legal Verilog module name that tells the spec."""
        digest = hashlib.sha256(str(self.constants).encode()).hexdigest()[:DIGEST_DIGITS]
        return (
            f"fixedmatrix_{self.a}_{self.b}_{self.rows}x{self.columns}_weights{digest}_"
            f"{self.stages_name}"
        )

    @property
    def description(self) -> tuple[str, ...]:
        """The formula, the constants' format, and the sums."""
        lines = [
            f"Product of a constant matrix of {self.rows} rows and {self.columns} columns and a "
            f"vector of {self.a}:",
            "  sums[j] <- sum over i of constants[j, i] * a[i]",
            "",
            f"  constants  of {self.b}, made of {self.plan.adders} additions",
            f"  sums       {self.sum_width} bits signed each, in units of 2^{self.lsb_exponent}",
        ]
        if self.has_specials:
            lines.append("  special    numbers that are infinite or NaN count as zeros in sums")
        return tuple(lines)
