"""Specs: one frozen object that says what a datapath computes.

Hardware, golden model, stimulus, cost features, the key of a measurement and the module's
name are all derived from the spec; nothing else describes a unit. A new unit is a new
dataclass here, an entry in ``UNITS`` and a module in ``hwgen.units``.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from hwgen.errors import InputError
from hwgen.formats import Format, Integer, Minifloat, Scalar, parse
from hwgen.formats.widths import product_range, signed_width

if TYPE_CHECKING:
    from hwgen.units.dot import DotProductUnit

OPERAND_BITS = (2, 8)
MAX_LANES = 64
MAX_PRODUCTS = 2**20
MAPPINGS = ("lut", "dsp", "auto")


def _require_int(name: str, value: Any, low: int, high: int, why: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InputError(f"{name}={value!r}: use a whole number from {low} to {high}{why}")


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
class DotProduct:
    """Exact dot product with a running accumulator.

    Each valid cycle adds Σ aᵢ·bᵢ over ``lanes`` lanes to the accumulator, or restarts it
    with that sum (``clear``). Products and sums are exact: the accumulator is fixed-point,
    in units of 2**lsb_exponent, and holds any sum of up to ``max_products`` products of
    any codes; past that it wraps. Scalar names are taken as strings or as formats.
    """

    unit: ClassVar[str] = "dot"

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
        _require_int("lanes", self.lanes, 1, MAX_LANES, "")
        _require_int(
            "max_products",
            self.max_products,
            self.lanes,
            MAX_PRODUCTS,
            f" (at least the {self.lanes} lanes of one cycle)",
        )
        if self.mapping not in MAPPINGS:
            raise InputError(f"mapping={self.mapping!r}: use one of {', '.join(MAPPINGS)}")

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
    def name(self) -> str:
        """A legal Verilog module name that tells the spec."""
        return f"dot_{self.a}_{self.b}_lanes{self.lanes}_products{self.max_products}_{self.mapping}"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; ``from_dict`` reads them back."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {"unit": self.unit, **fields, "a": str(self.a), "b": str(self.b)}

    def component(self) -> DotProductUnit:
        """The Amaranth component that computes this spec."""
        from hwgen.units.dot import DotProductUnit

        return DotProductUnit(self)

    def verilog(self, command: str | None = None) -> str:
        """The unit as Verilog; ``command`` is what the header says made it."""
        from hwgen.emit import verilog

        return verilog(self, command)


Spec = DotProduct

UNITS: dict[str, type[DotProduct]] = {DotProduct.unit: DotProduct}


def from_dict(fields: dict[str, Any]) -> Spec:
    """The spec that ``to_dict`` described. InputError for an unknown unit or a bad field."""
    unit, arguments = fields.get("unit"), {k: v for k, v in fields.items() if k != "unit"}
    if unit not in UNITS:
        raise InputError(f"unknown unit {unit!r}: use one of {', '.join(UNITS)}")
    try:
        return UNITS[unit](**arguments)
    except TypeError as error:
        raise InputError(f"{unit}: {error}") from error
