"""Specs of what follows an accumulator: its sum to a format, with or without a scale."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from hwgen.errors import InputError
from hwgen.fields import set_fields, shown
from hwgen.formats import Scalar
from hwgen.formats.rounding import NEAREST_EVEN
from hwgen.plan.step import Steps
from hwgen.spec.base import (
    Port,
    Spec,
    code_port,
    option,
    require_decoded,
    require_int,
    require_mapping,
    require_rounded,
)
from hwgen.spec.random_bits import random_bits_port
from hwgen.spec.steps import requantize

MAX_BITS = 1024
MAX_EXPONENT = 1024


@dataclass(frozen=True, kw_only=True)
class Requantize(Spec):
    """A fixed-point sum times a scale, exact, then rounded once to the format ``b``.

    The sum is a signed integer of ``bits`` bits in units of 2**lsb_exponent; the scale comes
    with it, a code of the format ``scale``. ``overflow``: by default infinity if ``b`` has one,
    else the largest number. Where ``b`` has −0, a zero product has the sign of its factors' signs,
    the sum's zero being +0; with an integer as scale it is an integer, and +0.
    """

    unit: ClassVar[str] = "requantize"

    bits: int = field(metadata=option("N", "bits of the sum that comes in"))
    lsb_exponent: int = field(default=0, metadata=option("N", "that sum counts units of 2^N"))
    scale: Scalar | None = field(
        metadata=option("FORMAT", "format of the scale that it is multiplied by")
    )
    b: Scalar
    rounding: str = NEAREST_EVEN
    overflow: str = ""
    stages: int = 0
    mapping: str = "lut"

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            bits: int,
            lsb_exponent: int = 0,
            scale: str | Scalar | None,
            b: str | Scalar,
            rounding: str = NEAREST_EVEN,
            overflow: str = "",
            stages: int = 0,
            mapping: str = "lut",
            pipeline_target: str = "",
        ) -> None: ...

    def _settle(self) -> None:
        require_int("bits", self.bits, 2, MAX_BITS)
        require_int("lsb_exponent", self.lsb_exponent, -MAX_EXPONENT, MAX_EXPONENT)
        self._require_scale()
        b, overflow = require_rounded("b", self.b, self.rounding, self.overflow)
        set_fields(self, b=b, overflow=overflow)
        require_mapping(self.mapping)

    def _require_scale(self) -> None:
        if self.scale is None:
            raise InputError("scale: give the format of the scale, such as fp32 or ufixed16_15")
        set_fields(self, scale=require_decoded("scale", self.scale))

    @property
    def zero_has_sign(self) -> bool:
        """Whether a zero product has the sign of its factors': unless both are integers."""
        scale = self.scale
        return scale is not None and not scale.is_integer and self.b.has_minus_zero and scale.zero

    @property
    def has_sign_apart(self) -> bool:
        """Whether the product has a sign beside that of its number."""
        scale = self.scale
        if scale is None:
            return False
        return scale.sign_apart or scale.has_infinity or self.zero_has_sign

    @property
    def usual_stages(self) -> int:
        """Three: in front of the product, behind it, and of the result."""
        return 3

    @property
    def _steps(self) -> Steps:
        return requantize.steps(self)

    @property
    def inputs(self) -> tuple[Port, ...]:
        """The sum, the code of its scale, random bits for stochastic rounding."""
        meaning = f"in units of 2^{self.lsb_exponent}"
        return (
            Port("sum", self.bits, meaning, signed=True),
            *(() if self.scale is None else (code_port("scale", self.scale),)),
            *random_bits_port(self.rounding),
        )

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
        parts = [self.unit, f"{self.bits}", f"{self.lsb_exponent}".replace("-", "n")]
        parts += [] if self.scale is None else [str(self.scale)]
        parts += [f"to_{self.b}", self.rounding, self.overflow, self.stages_name]
        # Without a scale there is nothing to multiply: only what is unusual is said.
        usual = self.scale is None and self.mapping == "lut"
        return "_".join(parts + ([] if usual else [self.mapping]))

    @property
    def description(self) -> tuple[str, ...]:
        """The sum's width and unit, its scale, and how it is rounded."""
        scaled = "" if self.scale is None else f" times the {self.scale} scale, exact,"
        return (
            f"A sum of {self.bits} bits in units of 2^{self.lsb_exponent}{scaled} rounded once to "
            f"{self.b}: rounding {self.rounding}, overflow {self.overflow}.",
        )


@dataclass(frozen=True, kw_only=True)
class AccumulatorToFloat(Requantize):
    """A fixed-point sum rounded once to the format ``b``, without a scale."""

    unit: ClassVar[str] = "accumulator_to_float"

    scale: Scalar | None = None

    def _require_scale(self) -> None:
        if self.scale is not None:
            raise InputError(f"scale={shown(self.scale)}: {self.unit} has none; use requantize")
