"""The spec of the sum of squares."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from hwgen.accumulator import Accumulator
from hwgen.errors import InputError
from hwgen.fields import set_fields
from hwgen.formats import Scalar
from hwgen.formats.rounding import DOWN, NEAREST_EVEN
from hwgen.formats.widths import value_range
from hwgen.plan.step import Steps
from hwgen.spec.base import Port
from hwgen.spec.dot import DotProduct
from hwgen.spec.steps import sumsquares


@dataclass(frozen=True, kw_only=True)
class SumSquares(DotProduct):
    """A sum of squares: of a vector's norm, say.

    Each valid cycle adds Σ aᵢ² to the accumulator, or restarts it with that sum. It is a ``dot`` of
    ``a`` with itself, with one port for both and about half the logic
    (``hwgen.arithmetic.square``); the rest is as there.
    """

    unit: ClassVar[str] = "sumsquares"
    exchangeable: ClassVar[bool] = False

    b: Scalar = field(init=False, repr=False)

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            a: str | Scalar,
            lanes: int,
            addend: str | Scalar | None = None,
            max_products: int = 4096,
            mapping: str = "lut",
            accumulator: str | Accumulator = "exact",
            output: str | Scalar | None = None,
            rounding: str = NEAREST_EVEN,
            overflow: str = "",
            stages: int = 0,
            pipeline_target: str = "",
        ) -> None: ...

    def _settle(self) -> None:
        set_fields(self, b=self.a)
        if self.mapping != "lut":
            raise InputError(
                f"mapping={self.mapping!r}: squares are made in LUTs: use mapping='lut', or dot "
                "with the same operand twice"
            )
        super()._settle()

    @property
    def _operand_ports(self) -> tuple[Port, ...]:
        return tuple(port for port in super()._operand_ports if port.name != "b")

    @property
    def _steps(self) -> Steps:
        return sumsquares.steps(self)

    @cached_property
    def product_range(self) -> tuple[int, int]:
        """Zero, and the largest square, in units of 2**product_lsb_exponent."""
        return 0, max(abs(end) for end in value_range(self.a)) ** 2

    def _has_signed_zeros(self, rounding: str) -> bool:
        """Squares are positive: only an addend can be −0, and only rounding down shows it."""
        return rounding == DOWN and self.addend is not None and super()._has_signed_zeros(rounding)

    @property
    def _formats_name(self) -> list[str]:
        return [f"{self.a}"]

    @property
    def _b_description(self) -> tuple[str, ...]:
        return ()

    @property
    def _mapping_description(self) -> tuple[str, ...]:
        return ()
