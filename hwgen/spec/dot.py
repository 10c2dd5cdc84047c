"""The spec of the dot product."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from hwgen.accumulator import Accumulator, Exact, Float
from hwgen.arithmetic.decode import require_decodable
from hwgen.errors import InputError
from hwgen.formats import Scalar, parse
from hwgen.formats.rounding import NEAREST_EVEN, STOCHASTIC
from hwgen.formats.widths import product_range, signed_width
from hwgen.spec.accumulating import AccumulatingSpec
from hwgen.spec.base import (
    Port,
    code_port,
    random_bits_port,
    require_int,
    require_mapping,
    require_scalar,
)

if TYPE_CHECKING:
    from hwgen.units.dot import DotProductUnit

MAX_LANES = 256
MAX_PRODUCTS = 2**20


@dataclass(frozen=True, kw_only=True)
class DotProduct(AccumulatingSpec):
    """Dot product with a running accumulator.

    Each valid cycle adds Σ aᵢ·bᵢ over ``lanes`` lanes to the accumulator, or restarts it
    with that sum (``clear``). Products and their sum are exact. ``accumulator``: what becomes of
    the sums (see ``hwgen.accumulator``). The ``exact`` one is fixed-point, in units of
    2**lsb_exponent, and holds any sum of up to ``max_products`` products of any codes; past
    that it wraps. ``output``: a format that the accumulated number is rounded to, once, by
    ``rounding`` and ``overflow`` (by default infinity if it has one, else its largest number);
    None for the accumulator as it is. ``stages``: registers from input to result, by default
    4 up to the accumulator, placed where they shorten the longest way. Format names are taken
    as strings or as formats.

    Infinities and NaN of the operands travel as flags that stay until ``clear``: ports of their
    own beside an accumulator as it is, codes of the output format where it has them. There NaN
    without a code is zero.
    """

    unit: ClassVar[str] = "dot"
    keeps_outputs: ClassVar[bool] = True

    a: Scalar
    b: Scalar
    lanes: int
    max_products: int = 4096
    mapping: str = "lut"
    accumulator: Accumulator = field(default=Exact())
    output: Scalar | None = None
    rounding: str = NEAREST_EVEN
    overflow: str = ""
    stages: int = 0

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            a: str | Scalar,
            b: str | Scalar,
            lanes: int,
            max_products: int = 4096,
            mapping: str = "lut",
            accumulator: str | Accumulator = "exact",
            output: str | Scalar | None = None,
            rounding: str = NEAREST_EVEN,
            overflow: str = "",
            stages: int = 0,
        ) -> None: ...

    def __post_init__(self) -> None:
        for name in ("a", "b"):
            found = require_scalar(name, parse(getattr(self, name)))
            require_decodable(name, found)
            object.__setattr__(self, name, found)
        require_int("lanes", self.lanes, 1, MAX_LANES)
        require_int(
            "max_products",
            self.max_products,
            self.lanes,
            MAX_PRODUCTS,
            f" (at least the {self.lanes} lanes of one cycle)",
        )
        require_mapping(self.mapping)
        self._require_accumulation()
        if self.stages == 0:
            object.__setattr__(self, "stages", self.usual_stages)
        require_int("stages", self.stages, self._least_stages, self._most_stages)

    @property
    def _least_stages(self) -> int:
        """A register for the accumulator, and one for the output."""
        return 1 if self.output is None else 2

    @property
    def usual_stages(self) -> int:
        """In front of the products, behind them, behind their sum, and the accumulator; one more
        for a float accumulator, and two for an output."""
        extra = int(isinstance(self.accumulator, Float)) + 2 * (self.output is not None)
        return min(4 + extra, self._most_stages)

    @property
    def _most_stages(self) -> int:
        """Operands, products, alignment, levels of the sum, the accumulator, outputs."""
        levels = (self.lanes - 1).bit_length()
        steps = 4 + levels + (not isinstance(self.accumulator, Exact))
        return steps + 1 + 2 * (self.output is not None)

    @property
    def has_special(self) -> bool:
        return any(f.has_nan or f.has_infinity for f in (self.a, self.b))

    @property
    def latency(self) -> int:
        """Cycles from a valid input to the result that holds it."""
        return self.stages

    @property
    def lsb_exponent(self) -> int:
        """Sums count units of 2**lsb_exponent."""
        return self.a.lsb_exponent + self.b.lsb_exponent

    @property
    def inputs(self) -> tuple[Port, ...]:
        return (
            Port("clear", 1, "the accumulator restarts with this cycle's sum"),
            code_port("a", self.a, self.lanes),
            code_port("b", self.b, self.lanes),
            *random_bits_port(STOCHASTIC if self.is_stochastic else NEAREST_EVEN),
        )

    @property
    def outputs(self) -> tuple[Port, ...]:
        return self._result_ports()

    @property
    def description(self) -> tuple[str, ...]:
        low, high = self.product_range
        return (
            f"Dot product of {self.lanes} lanes, {self.a} x {self.b}, and a running "
            f"accumulator ({self.accumulator}):",
            "  accumulator <- (clear ? 0 : accumulator) + sum over lanes of a[i] * b[i]",
            *self._output_description,
            "",
            f"  a            {self.a.min:g} to {self.a.max:g} in steps of "
            f"2^{self.a.lsb_exponent} and up",
            f"  b            {self.b.min:g} to {self.b.max:g} in steps of "
            f"2^{self.b.lsb_exponent} and up",
            f"  product      {self.product_width} bits signed, {low} to {high} in units of "
            f"2^{self.lsb_exponent}",
            f"  lane sum     {self.sum_width} bits signed",
            f"  accumulator  {self._accumulator_description}",
            f"  mapping      {self.mapping}: where hwgen's synthesis puts the multiplications; "
            "the logic is the same for each",
        )

    @cached_property
    def product_range(self) -> tuple[int, int]:
        """Smallest and largest product of any two codes, in units of 2**lsb_exponent."""
        return product_range(self.a, self.b)

    def width_of_sum(self, products: int) -> int:
        """Bits of a signed sum of ``products`` products, from their true extremes."""
        low, high = self.product_range
        return signed_width(low * products, high * products)

    @property
    def product_width(self) -> int:
        """Bits of one signed product."""
        return self.width_of_sum(1)

    @property
    def sum_width(self) -> int:
        """Bits of the signed sum of one cycle's products."""
        return self.width_of_sum(self.lanes)

    @property
    def name(self) -> str:
        """A legal Verilog module name that tells the spec."""
        parts = [self.unit, f"{self.a}", f"{self.b}", f"lanes{self.lanes}"]
        parts += [f"products{self.max_products}", self.mapping]
        parts += self._accumulation_name
        if self.stages != self.usual_stages:
            parts.append(f"stages{self.stages}")
        return "_".join(parts)

    def component(self) -> DotProductUnit:
        """The Amaranth component that computes this spec."""
        from hwgen.units.dot import DotProductUnit

        return DotProductUnit(self)


@dataclass(frozen=True, kw_only=True)
class MultiplyAccumulate(DotProduct):
    """A dot product of one lane: acc ← (clear ? 0 : acc) + a·b."""

    unit: ClassVar[str] = "mac"

    lanes: int = 1

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            a: str | Scalar,
            b: str | Scalar,
            lanes: int = 1,
            max_products: int = 4096,
            mapping: str = "lut",
            accumulator: str | Accumulator = "exact",
            output: str | Scalar | None = None,
            rounding: str = NEAREST_EVEN,
            overflow: str = "",
            stages: int = 0,
        ) -> None: ...

    def __post_init__(self) -> None:
        if self.lanes != 1:
            raise InputError(f"lanes={self.lanes!r}: a mac has one lane; use dot for more")
        super().__post_init__()
