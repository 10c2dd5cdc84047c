"""The spec of a converter between two formats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hwgen.arithmetic.decode import require_decodable
from hwgen.arithmetic.rounder import require_rounding
from hwgen.formats import Scalar, parse
from hwgen.formats.rounding import NEAREST_EVEN
from hwgen.formats.scalar import SATURATE
from hwgen.spec.base import Port, Spec, code_port, random_bits_port, require_int, require_scalar

if TYPE_CHECKING:
    from hwgen.units.convert import ConvertUnit

MAX_STAGES = 3


@dataclass(frozen=True, kw_only=True)
class Convert(Spec):
    """A code of the format ``a`` to the code of the format ``b`` that it rounds to.

    ``rounding`` and ``overflow`` are as for ``Scalar.encode``. NaN in a format without it
    becomes zero; the sign of zero is kept where ``b`` has it.
    """

    unit: ClassVar[str] = "convert"

    a: Scalar
    b: Scalar
    rounding: str = NEAREST_EVEN
    overflow: str = SATURATE
    stages: int = 2

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            a: str | Scalar,
            b: str | Scalar,
            rounding: str = NEAREST_EVEN,
            overflow: str = SATURATE,
            stages: int = 2,
        ) -> None: ...

    def __post_init__(self) -> None:
        for name in ("a", "b"):
            found = require_scalar(name, parse(getattr(self, name)))
            object.__setattr__(self, name, found)
        require_decodable("a", self.a)
        require_rounding(self.b, self.rounding, self.overflow)
        require_int("stages", self.stages, 1, MAX_STAGES)

    @property
    def inputs(self) -> tuple[Port, ...]:
        return (code_port("a", self.a), *random_bits_port(self.rounding))

    @property
    def outputs(self) -> tuple[Port, ...]:
        return (code_port("result", self.b),)

    @property
    def latency(self) -> int:
        return self.stages

    @property
    def name(self) -> str:
        return f"convert_{self.a}_{self.b}_{self.rounding}_{self.overflow}_stages{self.stages}"

    @property
    def description(self) -> tuple[str, ...]:
        return (
            f"Converts {self.a} to {self.b}: rounding {self.rounding}, overflow {self.overflow}.",
        )

    def component(self) -> ConvertUnit:
        from hwgen.units.convert import ConvertUnit

        return ConvertUnit(self)
