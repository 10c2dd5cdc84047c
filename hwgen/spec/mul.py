"""The spec of the exact product of two numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hwgen.fields import set_fields
from hwgen.formats import Scalar
from hwgen.formats.widths import product_range, signed_width
from hwgen.plan.step import Steps
from hwgen.spec.base import Port, Spec, code_port, require_decoded, require_mapping
from hwgen.spec.steps import mul


@dataclass(frozen=True, kw_only=True)
class Multiply(Spec):
    """The product of a code of the format ``a`` and one of ``b``, exact, in fixed point.

    The product is a signed integer in units of 2**lsb_exponent, wide enough for any two
    codes. If one of the formats has infinities or NaN, one-bit outputs say which product is
    not finite, by the rules of IEEE 754 (a NaN operand and infinity times zero give NaN);
    the integer is 0 then.
    """

    unit: ClassVar[str] = "mul"
    exchangeable: ClassVar[bool] = True

    a: Scalar
    b: Scalar
    stages: int = 0
    mapping: str = "lut"

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            a: str | Scalar,
            b: str | Scalar,
            stages: int = 0,
            mapping: str = "lut",
            pipeline_target: str = "",
        ) -> None: ...

    def _settle(self) -> None:
        set_fields(self, a=require_decoded("a", self.a), b=require_decoded("b", self.b))
        require_mapping(self.mapping)

    @property
    def inputs(self) -> tuple[Port, ...]:
        """The codes ``a`` and ``b``."""
        return code_port("a", self.a), code_port("b", self.b)

    @property
    def outputs(self) -> tuple[Port, ...]:
        """The product, and flags if it can be infinite or NaN."""
        meaning = f"in units of 2^{self.lsb_exponent}"
        product = Port("product", self.product_width, meaning, signed=True)
        if not self.has_specials:
            return (product,)
        flags = {
            "nan": "the product is NaN",
            "positive_infinity": "the product is infinite",
            "negative_infinity": "the product is minus infinity",
        }
        return (product, *(Port(name, 1, text) for name, text in flags.items()))

    @property
    def has_specials(self) -> bool:
        """Some product is infinite or NaN."""
        return any(f.has_nan or f.has_infinity for f in (self.a, self.b))

    @property
    def product_range(self) -> tuple[int, int]:
        """Smallest and largest finite product, in units of 2**lsb_exponent."""
        return product_range(self.a, self.b)

    @property
    def product_width(self) -> int:
        """Bits of the signed product."""
        return signed_width(*self.product_range)

    @property
    def lsb_exponent(self) -> int:
        """The product counts units of 2**lsb_exponent."""
        return self.a.lsb_exponent + self.b.lsb_exponent

    @property
    def latency(self) -> int:
        """Enabled cycles from a valid input to its result: ``stages``."""
        return self.stages

    @property
    def _steps(self) -> Steps:
        return mul.steps(self)

    @property
    def facts(self) -> dict[str, int]:
        """Width of the product, and the exponent of its unit."""
        return {"product_width": self.product_width, "lsb_exponent": self.lsb_exponent}

    @property
    def name(self) -> str:
        """A legal Verilog module name that tells the spec."""
        return f"mul_{self.a}_{self.b}_{self.stages_name}_{self.mapping}"

    @property
    def description(self) -> tuple[str, ...]:
        """The formats, and the width and unit of the product."""
        lines = [
            f"Exact product, {self.a} x {self.b}.",
            "",
            f"  product  {self.product_width} bits signed, in units of 2^{self.lsb_exponent}",
            f"  mapping  {self.mapping}: where hwgen's synthesis puts the multiplication; the "
            "logic is the same for each",
        ]
        if self.has_specials:
            lines.append("  special  product is 0 where nan or an infinity is set")
        return tuple(lines)
