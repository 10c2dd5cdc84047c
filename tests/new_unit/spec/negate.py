"""The spec of the negative of an integer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from hwgen.errors import InputError
from hwgen.fields import require_choice, set_fields
from hwgen.formats import Scalar
from hwgen.plan.logic import Adder, Gates
from hwgen.plan.step import Step, Steps
from hwgen.spec.base import Port, Spec, code_port, option, require_scalar

LOWEST = ("saturate", "wrap")


@dataclass(frozen=True, kw_only=True)
class Negate(Spec):
    """The negative of a code of the integer format ``a``, in that format.

    ``lowest`` says what becomes of the most negative number: the largest, or itself.
    """

    unit: ClassVar[str] = "negate"

    a: Scalar
    lowest: str = field(
        default="saturate", metadata=option("|".join(LOWEST), "what the lowest number becomes")
    )
    stages: int = 1

    def _settle(self) -> None:
        set_fields(self, a=require_scalar("a", self.a))
        if not (self.a.is_integer and self.a.signed):
            raise InputError(f"a={self.a}: no hardware negates it; use a signed integer")
        require_choice("lowest", self.lowest, LOWEST)

    @property
    def _steps(self) -> Steps:
        bits = self.a.bits
        return (Step("negate", "negated", (Gates(bits), Adder(bits)), levels=2),)

    @property
    def inputs(self) -> tuple[Port, ...]:
        return (code_port("a", self.a),)

    @property
    def outputs(self) -> tuple[Port, ...]:
        return (code_port("result", self.a),)

    @property
    def latency(self) -> int:
        return self.stages

    @property
    def name(self) -> str:
        return f"negate_{self.a}_{self.lowest}_{self.stages_name}"

    @property
    def description(self) -> tuple[str, ...]:
        return (f"The negative of {self.a}; of the lowest number: {self.lowest}.",)
