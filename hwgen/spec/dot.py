"""The spec of the dot product."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from hwgen.accumulator import Accumulator, Exact, Fixed, Float
from hwgen.accumulator import parse as parse_accumulator
from hwgen.arithmetic.decode import require_decodable
from hwgen.arithmetic.rounder import require_rounding
from hwgen.errors import InputError
from hwgen.formats import Scalar, parse
from hwgen.formats.rounding import NEAREST_EVEN, STOCHASTIC
from hwgen.formats.widths import product_range, signed_width, value_range
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
    from hwgen.units.dot import DotProductUnit

MAX_LANES = 256
MAX_PRODUCTS = 2**20
#: Bits of a cycle's sum with an addend. All named formats stay below; formats of very different
#: range, whose sum would mostly hold zeros, do not.
MAX_SUM_BITS = 640


@dataclass(frozen=True, kw_only=True)
class DotProduct(Spec):
    """Dot product with a running accumulator.

    Each valid cycle adds Σ aᵢ·bᵢ over ``lanes`` lanes to the accumulator, or restarts it
    with that sum (``clear``). Products and their sum are exact. ``accumulator``: what becomes of
    the sums (see ``hwgen.accumulator``). The ``exact`` one is fixed-point, in units of
    2**lsb_exponent, and holds any sum of up to ``max_products`` products of any codes; past
    that it wraps. ``output``: a format that the accumulated number is rounded to, once, by
    ``rounding`` and ``overflow`` (by default infinity if it has one, else its largest number);
    None for the accumulator as it is. ``stages``: registers from input to result, by default
    4 up to the accumulator, placed where they shorten the longest way. Format names are taken
    as strings or as formats. ``addend``: the format of one more number c that each valid cycle
    adds, exact like the products; a float accumulator rounds their sum with c once.

    Infinities and NaN of the operands travel as flags that stay until ``clear``: ports of their
    own beside an accumulator as it is, codes of the output format where it has them. There NaN
    without a code is zero.
    """

    unit: ClassVar[str] = "dot"
    keeps_outputs: ClassVar[bool] = True

    a: Scalar
    b: Scalar
    lanes: int
    addend: Scalar | None = None
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
            addend: str | Scalar | None = None,
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
        self._require_addend()
        object.__setattr__(self, "accumulator", parse_accumulator(self.accumulator))
        self._require_accumulator()
        self._require_output()
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
        for a float accumulator or an addend, and two for an output."""
        extra = int(isinstance(self.accumulator, Float)) + 2 * (self.output is not None)
        return min(4 + extra + (self.addend is not None), self._most_stages)

    @property
    def _most_stages(self) -> int:
        """Operands, products, alignment, levels of the sum, the addend (aligned, added), the
        accumulator, outputs."""
        levels = (self.lanes - 1).bit_length()
        steps = 4 + levels + (not isinstance(self.accumulator, Exact))
        return steps + 1 + 2 * (self.output is not None) + 2 * (self.addend is not None)

    def _require_addend(self) -> None:
        if self.addend is None:
            return
        addend = require_scalar("addend", parse(self.addend))
        require_decodable("addend", addend)
        object.__setattr__(self, "addend", addend)
        if self.sum_width > MAX_SUM_BITS:
            raise InputError(
                f"addend={addend}: its sum with {self.lanes} products of {self.a} and {self.b} "
                f"has {self.sum_width} bits, and up to {MAX_SUM_BITS} are taken: use an addend "
                "nearer to the products' range"
            )

    def _require_accumulator(self) -> None:
        accumulator = self.accumulator
        if isinstance(accumulator, Float):
            f = accumulator.format
            require_rounding(f, accumulator.rounding, accumulator.overflow)
            if f.exponent_bits == 0:
                raise InputError(f"accumulator={accumulator}: a format with exponent is needed")
            if self.has_special and not f.has_nan:
                raise InputError(
                    f"accumulator={accumulator} has no NaN, which {self._terms} may be: use "
                    " an accumulator format with NaN, such as fp32, or a fixed or exact one"
                )

    def _require_output(self) -> None:
        if self.output is None:
            if self.rounding != NEAREST_EVEN or self.overflow:
                raise InputError(
                    "rounding and overflow are those of the output format: give an output, or "
                    "an accumulator with a rounding of its own, such as fixed:24:8:toward_zero"
                )
            return
        output = require_scalar("output", parse(self.output))
        object.__setattr__(self, "output", output)
        if isinstance(self.accumulator, Float):
            raise InputError(
                f"accumulator={self.accumulator} holds rounded numbers, and is the output: leave "
                "output out, or use a fixed or exact accumulator"
            )
        if not self.overflow:
            object.__setattr__(self, "overflow", output.usual_overflow)
        require_rounding(output, self.rounding, self.overflow)
        if self.rounding == self._accumulator_rounding == STOCHASTIC:
            raise InputError("only one of accumulator and output can round stochastically")

    @property
    def _terms(self) -> str:
        plus = "" if self.addend is None else f" plus {self.addend}"
        return f"{self.a} times {self.b}{plus}"

    @property
    def has_special(self) -> bool:
        """Some operand can be infinite or NaN."""
        operands = (self.a, self.b, self.addend)
        return any(f is not None and (f.has_nan or f.has_infinity) for f in operands)

    @property
    def _accumulator_rounding(self) -> str:
        return NEAREST_EVEN if isinstance(self.accumulator, Exact) else self.accumulator.rounding

    @property
    def is_stochastic(self) -> bool:
        """Random bits come in with the operands."""
        return STOCHASTIC in (self.rounding, self._accumulator_rounding)

    @property
    def latency(self) -> int:
        """Cycles from a valid input to the result that holds it."""
        return self.stages

    @property
    def lsb_exponent(self) -> int:
        """Sums count units of 2**lsb_exponent."""
        if self.addend is None:
            return self.product_lsb_exponent
        return min(self.product_lsb_exponent, self.addend.lsb_exponent)

    @property
    def product_lsb_exponent(self) -> int:
        """Products count units of 2**product_lsb_exponent."""
        return self.a.lsb_exponent + self.b.lsb_exponent

    @property
    def accumulator_lsb_exponent(self) -> int:
        """The accumulator counts units of 2 to this, or its format does."""
        if isinstance(self.accumulator, Fixed):
            return -self.accumulator.fraction_bits
        if isinstance(self.accumulator, Float):
            return self.accumulator.format.lsb_exponent
        return self.lsb_exponent

    @property
    def inputs(self) -> tuple[Port, ...]:
        return (
            Port("clear", 1, "the accumulator restarts with this cycle's sum"),
            code_port("a", self.a, self.lanes),
            code_port("b", self.b, self.lanes),
            *(() if self.addend is None else (code_port("c", self.addend),)),
            *random_bits_port(STOCHASTIC if self.is_stochastic else NEAREST_EVEN),
        )

    @property
    def outputs(self) -> tuple[Port, ...]:
        if self.output is not None:
            return (code_port("result", self.output),)
        if isinstance(self.accumulator, Float):
            return (code_port("accumulator", self.accumulator.format),)
        unit = self.accumulator_lsb_exponent
        meaning = f"running sum in units of 2^{unit}, kept between results"
        flags = ("nan", "positive_infinity", "negative_infinity") if self.has_special else ()
        return (
            Port("accumulator", self.accumulator_width, meaning, signed=True),
            *(Port(flag, 1, "what the sum is instead") for flag in flags),
        )

    @property
    def description(self) -> tuple[str, ...]:
        low, high = self.product_range
        c, plus = self.addend, "" if self.addend is None else " + c"
        return (
            f"Dot product of {self.lanes} lanes, {self.a} x {self.b}, and a running "
            f"accumulator ({self.accumulator}):",
            "  accumulator <- (clear ? 0 : accumulator) + sum over lanes of a[i] * b[i]" + plus,
            *self._output_description,
            "",
            f"  a            {self.a.min:g} to {self.a.max:g} in steps of "
            f"2^{self.a.lsb_exponent} and up",
            f"  b            {self.b.min:g} to {self.b.max:g} in steps of "
            f"2^{self.b.lsb_exponent} and up",
            *(
                ()
                if c is None
                else (
                    f"  c            {c.min:g} to {c.max:g} in steps of 2^{c.lsb_exponent} and up",
                )
            ),
            f"  product      {self.product_width} bits signed, {low} to {high} in units of "
            f"2^{self.product_lsb_exponent}",
            f"  lane sum     {self.sum_width} bits signed{'' if c is None else ', with c'}",
            f"  accumulator  {self._accumulator_description}",
            f"  mapping      {self.mapping}: where hwgen's synthesis puts the multiplications; "
            "the logic is the same for each",
        )

    @property
    def _output_description(self) -> tuple[str, ...]:
        if self.output is None:
            return ()
        rules = f"rounding {self.rounding}, overflow {self.overflow}"
        return (f"  result <- accumulator rounded once to {self.output}: {rules}",)

    @property
    def _accumulator_description(self) -> str:
        if isinstance(self.accumulator, Float):
            return f"{self.accumulator}: rounded once a cycle"
        width = f"{self.accumulator_width} bits signed"
        if isinstance(self.accumulator, Fixed):
            return f"{width}, {self.accumulator}: each cycle's sum is rounded to its unit"
        return f"{width}, exact for {self.max_products} products, then it wraps"

    @cached_property
    def product_range(self) -> tuple[int, int]:
        """Smallest and largest product of any two codes, in units of 2**product_lsb_exponent."""
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
        """Bits of the signed sum of one cycle's products, with its addend."""
        return self._width_with_addends(self.lanes)

    @property
    def accumulator_width(self) -> int:
        """Bits of the accumulator."""
        if isinstance(self.accumulator, Fixed):
            return self.accumulator.bits
        if isinstance(self.accumulator, Float):
            return self.accumulator.format.bits
        return self._width_with_addends(self.max_products)

    def _width_with_addends(self, products: int) -> int:
        """Bits of a signed sum of ``products`` products in units of 2**lsb_exponent, with the
        addends of their cycles."""
        if self.addend is None:
            return self.width_of_sum(products)
        of_products = products << (self.product_lsb_exponent - self.lsb_exponent)
        of_addends = products // self.lanes << (self.addend.lsb_exponent - self.lsb_exponent)
        low, high = (
            product * of_products + addend * of_addends
            for product, addend in zip(self.product_range, value_range(self.addend), strict=True)
        )
        return signed_width(low, high)

    @property
    def facts(self) -> dict[str, int]:
        return {
            "accumulator_width": self.accumulator_width,
            "lsb_exponent": self.accumulator_lsb_exponent,
        }

    @property
    def name(self) -> str:
        """A legal Verilog module name that tells the spec."""
        parts = [self.unit, f"{self.a}", f"{self.b}", f"lanes{self.lanes}"]
        if self.addend is not None:
            parts.append(f"plus_{self.addend}")
        parts += [f"products{self.max_products}", self.mapping]
        if not isinstance(self.accumulator, Exact):
            parts.append(str(self.accumulator).replace(":", "_").replace("-", "n"))
        if self.output is not None:
            parts += [f"to_{self.output}", self.rounding, self.overflow]
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
            addend: str | Scalar | None = None,
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
