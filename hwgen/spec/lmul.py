"""The spec of L-Mul, a product by addition (arXiv 2410.00907)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from hwgen.errors import InputError
from hwgen.fields import set_fields
from hwgen.formats import Scalar
from hwgen.formats.rounding import NEAREST_EVEN
from hwgen.formats.scalar import SATURATE
from hwgen.plan.step import Steps
from hwgen.sizes.rounding import placing_bias, require_rounding
from hwgen.spec.base import (
    Port,
    Spec,
    code_port,
    option,
    require_int,
    require_scalar,
)
from hwgen.spec.random_bits import random_bits_port
from hwgen.spec.steps import lmul

MAX_OFFSET_EXPONENT = 32
#: Default of fields that follow from the operands: a spec keeps what they come to.
_DERIVED: Any = None
#: One whose codes have an exponent and a mantissa to add: see ``require_operand``.
FloatingPoint: TypeAlias = Scalar


def offset_exponent(mantissa_bits: int) -> int:
    """l(m) of the paper, for a mantissa of m bits: the result is raised by 2^−l(m)."""
    return mantissa_bits if mantissa_bits <= 3 else 3 if mantissa_bits == 4 else 4


def require_operand(number_format: Scalar) -> FloatingPoint:
    """The format, if its codes have an exponent and a mantissa to add.

    Raises:
        InputError: they do not.

    """
    if not number_format.has_hardware or number_format.smallest_normal is None:
        raise InputError(
            f"{number_format}: L-Mul adds exponents and mantissas; use a minifloat such as e4m3"
        )
    return number_format


@dataclass(frozen=True, kw_only=True)
class LMul(Spec):
    """About the product of a code of the format ``a`` and one of ``b``, by addition.

    L-Mul in the adder form: exponent and mantissa fields, side by side and aligned to the wider
    mantissa, are added, and 2^−``offset`` of the leading place; a carry out of the mantissas raises
    the exponent. The paper leaves the rest open. Here zero and subnormal operands count as
    zeros of their sign; a NaN operand, and an infinity times such a zero, give NaN; other
    infinities give infinity. The sign is that of both operands' signs, of a zero too. The exact
    result is rounded once to ``output``, to its subnormals too, by ``rounding`` and ``overflow``
    as for ``Scalar.encode``; NaN in a format without it becomes zero.

    ``output``: by default the format ``a``. ``offset``: by default l(m) of the wider mantissa.
    """

    unit: ClassVar[str] = "lmul"
    exchangeable: ClassVar[bool] = True

    a: FloatingPoint
    b: FloatingPoint
    output: Scalar = _DERIVED
    offset: int = field(default=_DERIVED, metadata=option("L", "L-Mul adds 2^-L to the mantissas"))
    rounding: str = NEAREST_EVEN
    overflow: str = SATURATE
    stages: int = 0

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            a: str | Scalar,
            b: str | Scalar,
            output: str | Scalar | None = None,
            offset: int | None = None,
            rounding: str = NEAREST_EVEN,
            overflow: str = SATURATE,
            stages: int = 0,
            pipeline_target: str = "",
        ) -> None: ...

    def _settle(self) -> None:
        for name in ("a", "b"):
            operand = require_operand(require_scalar(name, getattr(self, name)))
            set_fields(self, **{name: operand})
        output = self.a if self.output is _DERIVED else self.output
        set_fields(self, output=require_scalar("output", output))
        if self.offset is _DERIVED:
            set_fields(self, offset=offset_exponent(self.mantissa_bits))
        require_int("offset", self.offset, 0, MAX_OFFSET_EXPONENT)
        require_rounding(self.output, self.rounding, self.overflow)

    @property
    def mantissa_bits(self) -> int:
        """Bits of the wider mantissa."""
        return max(self.a.mantissa_bits, self.b.mantissa_bits)

    @property
    def fraction_bits(self) -> int:
        """Of the sum of both logarithms, and the offset."""
        return max(self.mantissa_bits, self.offset)

    @property
    def exponent_bits(self) -> int:
        """Of that sum: the offset's carry is that of the one adder, or of another."""
        bits = max(self.a.exponent_bits, self.b.exponent_bits)
        return bits + (1 if self.offset == self.fraction_bits else 2)

    @property
    def rebias(self) -> int:
        """What is added to the exponent, with both biases, for the output's field."""
        return placing_bias(self.output) - self.a.bias - self.b.bias

    @property
    def lowest_field(self) -> int:
        """The smallest field.

        Normal numbers begin at the exponent field 1, or at 0 where none are subnormal.
        """
        normal = sum(int(f.subnormals) for f in (self.a, self.b))
        return self.rebias + normal + (self.offset == 0)

    @property
    def has_field(self) -> bool:
        """The output has an exponent."""
        return self.output.exponent_bits > 0

    @property
    def _steps(self) -> Steps:
        return lmul.steps(self)

    @property
    def inputs(self) -> tuple[Port, ...]:
        """The codes ``a`` and ``b``, and random bits for stochastic rounding."""
        codes = (code_port("a", self.a), code_port("b", self.b))
        return (*codes, *random_bits_port(self.rounding))

    @property
    def outputs(self) -> tuple[Port, ...]:
        """About the product, a code of ``output``."""
        return (code_port("result", self.output),)

    @property
    def latency(self) -> int:
        """Enabled cycles from a valid input to its result: ``stages``."""
        return self.stages

    @property
    def name(self) -> str:
        """A legal Verilog module name that tells the spec."""
        return (
            f"lmul_{self.a}_{self.b}_{self.output}_offset{self.offset}_{self.rounding}_"
            f"{self.overflow}_{self.stages_name}"
        )

    @property
    def description(self) -> tuple[str, ...]:
        """The formula, and what counts as zero."""
        return (
            f"L-Mul (arXiv 2410.00907, adder form) of {self.a} and {self.b} to {self.output}:",
            f"  (1 + x + y + 2^-{self.offset}) 2^(e + f) for (1 + x) 2^e and (1 + y) 2^f; a carry "
            "raises the exponent",
            "  zero and subnormal operands count as zero",
            f"  rounding {self.rounding}, overflow {self.overflow}",
        )
