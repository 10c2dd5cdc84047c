"""The spec of a converter between two formats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hwgen.fields import set_fields
from hwgen.formats import Scalar
from hwgen.formats.rounding import NEAREST_EVEN
from hwgen.formats.scalar import SATURATE
from hwgen.plan.step import Steps
from hwgen.sizes.rounding import require_rounding
from hwgen.spec.base import (
    Port,
    RandomWords,
    Spec,
    code_port,
    require_decoded,
    require_scalar,
)
from hwgen.spec.random_bits import RANDOM_LFSR, RANDOM_PORT, random_bits_port, random_source
from hwgen.spec.steps import convert


@dataclass(frozen=True, kw_only=True)
class Convert(Spec):
    """A code of the format ``a`` to the code of the format ``b`` that it rounds to.

    ``rounding`` and ``overflow`` are as for ``Scalar.encode``. NaN in a format without it
    becomes zero; the sign of zero is kept where ``b`` has it.

    ``random``: where stochastic rounding has its bits from, the port ``random_bits`` (``port``)
    or a shift register inside (``lfsr``) that begins with ``random_seed``, 1 to 2^32 − 1.
    """

    unit: ClassVar[str] = "convert"

    a: Scalar
    b: Scalar
    rounding: str = NEAREST_EVEN
    overflow: str = SATURATE
    random: str | None = None
    random_seed: int | None = None
    stages: int = 0

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            a: str | Scalar,
            b: str | Scalar,
            rounding: str = NEAREST_EVEN,
            overflow: str = SATURATE,
            random: str | None = None,
            random_seed: int | None = None,
            stages: int = 0,
            pipeline_target: str = "",
        ) -> None: ...

    def _settle(self) -> None:
        set_fields(self, a=require_decoded("a", self.a), b=require_scalar("b", self.b))
        require_rounding(self.b, self.rounding, self.overflow)
        random, seed = random_source(self.rounding, self.random, self.random_seed)
        set_fields(self, random=random, random_seed=seed)

    @property
    def _steps(self) -> Steps:
        return convert.steps(self)

    @property
    def inputs(self) -> tuple[Port, ...]:
        """The code ``a``, and random bits if they come in at a port."""
        return (
            code_port("a", self.a),
            *(random_bits_port(self.rounding) if self.random == RANDOM_PORT else ()),
        )

    @property
    def random_words(self) -> RandomWords | None:
        """One word for each code, where random bits are made inside."""
        return None if self.random_seed is None else RandomWords(self.random_seed)

    @property
    def outputs(self) -> tuple[Port, ...]:
        """The code of ``b``."""
        return (code_port("result", self.b),)

    @property
    def latency(self) -> int:
        """Enabled cycles from a valid input to its result: ``stages``."""
        return self.stages

    @property
    def name(self) -> str:
        """A legal Verilog module name that tells the spec."""
        random = f"_lfsr{self.random_seed}" if self.random == RANDOM_LFSR else ""
        return (
            f"convert_{self.a}_{self.b}_{self.rounding}{random}_{self.overflow}_{self.stages_name}"
        )

    @property
    def description(self) -> tuple[str, ...]:
        """The formats, and the rules for what lies between and beyond."""
        return (
            f"Converts {self.a} to {self.b}: rounding {self.rounding}, overflow {self.overflow}.",
        )
