"""The spec of the exact dot product."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from hwgen.errors import InputError
from hwgen.formats import Format, Integer, Minifloat, Scalar, parse
from hwgen.formats.widths import product_range, signed_width
from hwgen.spec.base import Port, Spec, code_port, require_int, require_mapping

if TYPE_CHECKING:
    from hwgen.units.dot import DotProductUnit

OPERAND_BITS = (2, 8)
MAX_LANES = 64
MAX_PRODUCTS = 2**20


def _require_operand(name: str, number_format: Format) -> Scalar:
    """InputError unless the exact hardware can take the format as an operand."""
    f = number_format
    low, high = OPERAND_BITS
    decodable = isinstance(f, Integer) or (
        isinstance(f, Minifloat) and f.specials == "finite" and f.subnormals and f.exponent_bits > 0
    )
    if not isinstance(f, Scalar) or not low <= f.bits <= high or not f.signed or not decodable:
        raise InputError(
            f"{name}={f} cannot be an operand: use a signed integer or a finite minifloat of "
            f"{low} to {high} bits with sign, exponent and subnormals, such as int8, e2m1 or e4m3"
        )
    return f


@dataclass(frozen=True, kw_only=True)
class DotProduct(Spec):
    """Exact dot product with a running accumulator.

    Each valid cycle adds Σ aᵢ·bᵢ over ``lanes`` lanes to the accumulator, or restarts it
    with that sum (``clear``). Products and sums are exact: the accumulator is fixed-point,
    in units of 2**lsb_exponent, and holds any sum of up to ``max_products`` products of
    any codes; past that it wraps. Scalar names are taken as strings or as formats.
    """

    unit: ClassVar[str] = "dot"
    keeps_outputs: ClassVar[bool] = True

    a: Scalar
    b: Scalar
    lanes: int
    max_products: int = 4096
    mapping: str = "lut"

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            a: str | Scalar,
            b: str | Scalar,
            lanes: int,
            max_products: int = 4096,
            mapping: str = "lut",
        ) -> None: ...

    def __post_init__(self) -> None:
        for name in ("a", "b"):
            object.__setattr__(self, name, _require_operand(name, parse(getattr(self, name))))
        require_int("lanes", self.lanes, 1, MAX_LANES)
        require_int(
            "max_products",
            self.max_products,
            self.lanes,
            MAX_PRODUCTS,
            f" (at least the {self.lanes} lanes of one cycle)",
        )
        require_mapping(self.mapping)

    #: Register stages between operands and accumulator: their number is the latency.
    STAGES: ClassVar[tuple[str, ...]] = ("operands", "products", "sum", "accumulator")

    @property
    def latency(self) -> int:
        """Cycles from a valid input to the accumulator that holds it."""
        return len(self.STAGES)

    @property
    def lsb_exponent(self) -> int:
        """The accumulator counts units of 2**lsb_exponent."""
        return self.a.lsb_exponent + self.b.lsb_exponent

    @property
    def inputs(self) -> tuple[Port, ...]:
        return (
            Port("clear", 1, "the accumulator restarts with this cycle's sum"),
            code_port("a", self.a, self.lanes),
            code_port("b", self.b, self.lanes),
        )

    @property
    def outputs(self) -> tuple[Port, ...]:
        meaning = f"running sum in units of 2^{self.lsb_exponent}, kept between results"
        return (Port("accumulator", self.accumulator_width, meaning, signed=True),)

    @property
    def description(self) -> tuple[str, ...]:
        low, high = self.product_range
        return (
            f"Exact dot product of {self.lanes} lanes, {self.a} x {self.b}, and a running "
            "accumulator:",
            "  accumulator <- (clear ? 0 : accumulator) + sum over lanes of a[i] * b[i]",
            "",
            f"  a            {self.a.min:g} to {self.a.max:g} in steps of "
            f"2^{self.a.lsb_exponent} and up",
            f"  b            {self.b.min:g} to {self.b.max:g} in steps of "
            f"2^{self.b.lsb_exponent} and up",
            f"  product      {self.product_width} bits signed, {low} to {high} in units of "
            f"2^{self.lsb_exponent}",
            f"  lane sum     {self.sum_width} bits signed",
            f"  accumulator  {self.accumulator_width} bits signed, exact for "
            f"{self.max_products} products, then it wraps",
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
    def accumulator_width(self) -> int:
        """Bits of the signed accumulator."""
        return self.width_of_sum(self.max_products)

    @property
    def facts(self) -> dict[str, int]:
        return {"accumulator_width": self.accumulator_width, "lsb_exponent": self.lsb_exponent}

    @property
    def name(self) -> str:
        """A legal Verilog module name that tells the spec."""
        return f"dot_{self.a}_{self.b}_lanes{self.lanes}_products{self.max_products}_{self.mapping}"

    def component(self) -> DotProductUnit:
        """The Amaranth component that computes this spec."""
        from hwgen.units.dot import DotProductUnit

        return DotProductUnit(self)
