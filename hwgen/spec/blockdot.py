"""The spec of the block-scaled dot product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hwgen.arithmetic.decode import require_decodable
from hwgen.arithmetic.rounder import require_rounding
from hwgen.errors import InputError
from hwgen.formats import BlockFormat, Scalar, parse
from hwgen.formats.rounding import NEAREST_EVEN
from hwgen.formats.widths import product_range, signed_width
from hwgen.spec.base import (
    Port,
    Spec,
    code_port,
    random_bits_port,
    require_int,
    require_mapping,
    require_scalar,
)

if TYPE_CHECKING:
    from hwgen.units.blockdot import BlockDotUnit

MAX_BLOCKS = 16
MAX_LANES = 256


@dataclass(frozen=True, kw_only=True)
class BlockDot(Spec):
    """Σ over ``blocks`` blocks of scale_a·scale_b·Σ aᵢ·bᵢ, rounded once to ``output``.

    ``a`` and ``b`` are block formats of one block size; elements and scales may differ. All is
    exact up to the one rounding, so that the order of lanes and blocks does not matter (OCP MX
    1.0, DotGeneral, leaves that open). A NaN scale makes the result NaN; infinities and NaN of
    elements follow IEEE 754. ``overflow``: by default infinity if the output has one. A tensor
    scale (NVFP4) is not in the unit: the result counts products of the tensors' scales.

    Several blocks are aligned in fixed point as wide as their scales can lie apart: exact,
    and large for E8M0.
    """

    unit: ClassVar[str] = "blockdot"

    a: BlockFormat
    b: BlockFormat
    blocks: int = 1
    output: Scalar
    rounding: str = NEAREST_EVEN
    overflow: str = ""
    stages: int = 0
    mapping: str = "lut"

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            a: str | BlockFormat,
            b: str | BlockFormat,
            blocks: int = 1,
            output: str | Scalar,
            rounding: str = NEAREST_EVEN,
            overflow: str = "",
            stages: int = 0,
            mapping: str = "lut",
        ) -> None: ...

    def __post_init__(self) -> None:
        for name in ("a", "b"):
            object.__setattr__(self, name, _require_block(name, parse(getattr(self, name))))
        if self.a.block_size != self.b.block_size:
            raise InputError(
                f"a={self.a} has blocks of {self.a.block_size}, b={self.b} of "
                f"{self.b.block_size}: use formats of one block size, such as "
                f"{self.b.element}_b{self.a.block_size}_{self.b.scale} for b"
            )
        require_int("blocks", self.blocks, 1, MAX_BLOCKS)
        if self.lanes > MAX_LANES:
            raise InputError(
                f"blocks={self.blocks} of {self.a.block_size} are {self.lanes} lanes: use up to "
                f"{MAX_LANES}"
            )
        output = require_scalar("output", parse(self.output))
        object.__setattr__(self, "output", output)
        if not self.overflow:
            object.__setattr__(self, "overflow", output.usual_overflow)
        require_rounding(output, self.rounding, self.overflow)
        require_mapping(self.mapping)
        if self.stages == 0:
            object.__setattr__(self, "stages", self.usual_stages)
        require_int("stages", self.stages, 1, self._most_stages)

    @property
    def lanes(self) -> int:
        """Products in a cycle."""
        return self.blocks * self.a.block_size

    @property
    def usual_stages(self) -> int:
        """Operands, products, their sum, scaling, normalising, rounding."""
        return 6

    @property
    def _most_stages(self) -> int:
        levels = (self.a.block_size - 1).bit_length() + (self.blocks - 1).bit_length()
        return 6 + levels + (self.blocks > 1) + 1

    @property
    def lsb_exponent(self) -> int:
        """Elements' sums count units of 2**lsb_exponent, times the scales."""
        return self.a.element.lsb_exponent + self.b.element.lsb_exponent

    @property
    def scale_lsb_exponent(self) -> int:
        """Products of scales count units of 2**scale_lsb_exponent."""
        return self.a.scale.lsb_exponent + self.b.scale.lsb_exponent

    def width_of_sum(self, products: int) -> int:
        """Bits of a signed sum of ``products`` products of elements."""
        low, high = product_range(self.a.element, self.b.element)
        return signed_width(low * products, high * products)

    @property
    def inputs(self) -> tuple[Port, ...]:
        return (
            code_port("a", self.a.element, self.lanes),
            code_port("a_scale", self.a.scale, self.blocks),
            code_port("b", self.b.element, self.lanes),
            code_port("b_scale", self.b.scale, self.blocks),
            *random_bits_port(self.rounding),
        )

    @property
    def outputs(self) -> tuple[Port, ...]:
        return (code_port("result", self.output),)

    @property
    def latency(self) -> int:
        return self.stages

    @property
    def name(self) -> str:
        parts = [self.unit, f"{self.a}", f"{self.b}", f"blocks{self.blocks}", f"to_{self.output}"]
        parts += [self.rounding, self.overflow, f"stages{self.stages}", self.mapping]
        return "_".join(parts)

    @property
    def description(self) -> tuple[str, ...]:
        return (
            f"Block-scaled dot product, {self.a} x {self.b}, {self.blocks} x {self.a.block_size} "
            "elements:",
            "  result <- sum over blocks of a_scale * b_scale * sum of a[i] * b[i],",
            f"            exact, then rounded once to {self.output}: rounding {self.rounding}, "
            f"overflow {self.overflow}",
            "  NaN scales make NaN; infinities and NaN of elements follow IEEE 754",
            f"  mapping {self.mapping}",
        )

    def component(self) -> BlockDotUnit:
        from hwgen.units.blockdot import BlockDotUnit

        return BlockDotUnit(self)


def _require_block(name: str, number_format: object) -> BlockFormat:
    """InputError unless hardware takes such blocks."""
    f = number_format
    if not isinstance(f, BlockFormat):
        raise InputError(
            f"{name}={f}: a block format is needed here, such as mxfp8_e4m3, nvfp4 or mxint8"
        )
    require_decodable(name, f.element)
    require_decodable(name, f.scale)
    if f.micro_bits:
        raise InputError(
            f"{name}={f}: no unit takes shared micro-exponents yet: use another block format"
        )
    if f.scale.signed or f.scale.has_infinity:
        raise InputError(f"{name}={f}: scales have no sign and no infinity, such as e8m0 or ue4m3")
    return f
