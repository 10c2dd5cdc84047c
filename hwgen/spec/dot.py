"""The spec of the dot product."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Self

from hwgen.accumulator import MAX_INTERLEAVE, Accumulator, Exact, Float
from hwgen.errors import InputError
from hwgen.fields import set_fields
from hwgen.formats import Scalar
from hwgen.formats.rounding import NEAREST_EVEN, STOCHASTIC
from hwgen.formats.widths import product_range, signed_width, value_range
from hwgen.plan.step import Steps
from hwgen.sizes import zero_sign
from hwgen.sizes.alignment_window import Window, product_window, sum_window
from hwgen.sizes.dsp_multiplier import PACKED_FOR, SIZED
from hwgen.sizes.lane_sum import LaneSum, lane_sum
from hwgen.sizes.pair_packing import PairPlan, no_pair, pair_plan
from hwgen.sizes.pending_sum import PendingSum, pending_sum
from hwgen.spec.accumulating import AccumulatingSpec, require_pending
from hwgen.spec.base import (
    Port,
    code_port,
    option,
    require_decoded,
    require_int,
    require_mapping,
)
from hwgen.spec.random_bits import random_bits_port
from hwgen.spec.steps import dot

MAX_LANES = 256
MAX_PRODUCTS = 2**20
#: Bits of a cycle's sum with an addend. All named formats stay below; formats of very different
#: range, whose sum would mostly hold zeros, do not.
MAX_SUM_BITS = 640


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
    as strings or as formats. ``addend``: the format of one more number c that each valid cycle
    adds, exact like the products; a float accumulator rounds their sum with c once. ``mapping``:
    with ``dsp``, and ``dsp18x18`` and so on for larger multipliers, two lanes share a multiplier
    where their products and the sum of these fit it exactly (see ``packing``).

    Infinities and NaN of the operands travel as flags that stay until ``clear``: ports of their
    own beside an accumulator as it is, codes of the output format where it has them. There NaN
    without a code is zero. A zero of a format that has −0 has the sign of IEEE 754-2019, section
    6.3, from all that was added since ``clear``. The sum of products of two integers, and a
    register of a given width, are integers, whose zero is +0 (docs/units.md, Zero sums).
    """

    unit: ClassVar[str] = "dot"
    exchangeable: ClassVar[bool] = True
    keeps_outputs: ClassVar[bool] = True
    _has_fast_loop: ClassVar[bool] = True

    a: Scalar
    b: Scalar
    lanes: int
    addend: Scalar | None = field(
        default=None,
        metadata=option("FORMAT", "format of a number c that each dot product adds"),
    )
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
            pipeline_target: str = "",
        ) -> None: ...

    def _settle(self) -> None:
        set_fields(self, a=require_decoded("a", self.a), b=require_decoded("b", self.b))
        require_int("lanes", self.lanes, 1, MAX_LANES)
        require_int(
            "max_products",
            self.max_products,
            self.lanes,
            MAX_PRODUCTS,
            f" (at least the {self.lanes} lanes of one cycle)",
        )
        require_mapping(self.mapping, packs=True)
        self._require_packing()
        self._require_addend()
        self._require_accumulation()
        if isinstance(self.accumulator, Float) and self.accumulator.fast:
            require_pending(self.accumulator, self.pending, has_special=self.has_special)

    @property
    def usual_stages(self) -> int:
        """Four; one more for a float accumulator or an addend, and two for an output.

        Registers stand in front of the products, behind them, behind their sum, and at the
        accumulator. A ``fast`` one is rounded behind its loop, as to an output.
        """
        is_rounded = self.output is not None or self.pending is not None
        extra = int(isinstance(self.accumulator, Float)) + 2 * is_rounded
        return 4 + extra + (self.addend is not None)

    @property
    def _steps(self) -> Steps:
        return dot.steps(self)

    @cached_property
    def lane_sum(self) -> LaneSum:
        """How the lanes are summed.

        A unit that is tuned for a target, one of a single lane, and one of packed products move
        whole products to their places.
        """
        whole = self.is_tuned or self.lanes == 1 or self.packing is not None
        return lane_sum(self.a, self.b, self.lanes, whole=whole)

    @cached_property
    def window(self) -> Window | None:
        """Where a float accumulator and a cycle's sum, or its only product, are added."""
        return self._product_window or self._sum_window

    @property
    def adds_product(self) -> bool:
        """The accumulator is a float, and takes a cycle's only product beside its exponent."""
        return self._product_window is not None

    @cached_property
    def _product_window(self) -> Window | None:
        """The window of the only product, unless its place in fixed point makes a narrower one.

        Measured on 7-series and ECP5 (LUTs, one step): where both are as wide, the product beside
        its exponent takes 3 to 9% less; one bit wider 3 to 5% more, and two bits 12%.
        """
        of_sum = self._sum_window
        if of_sum is None or self.lanes > 1 or self.addend is not None:
            return None
        assert isinstance(self.accumulator, Float)
        target, rounding = self.accumulator.format, self.accumulator.rounding
        of_product = product_window(self.a, self.b, target, rounding)
        return of_product if of_product.width <= of_sum.width else None

    @cached_property
    def _sum_window(self) -> Window | None:
        if not isinstance(self.accumulator, Float) or self.accumulator.fast:
            return None
        target, rounding = self.accumulator.format, self.accumulator.rounding
        most = max(map(abs, self._range_with_addends(self.lanes)))
        return sum_window(self.lsb_exponent, most, target, rounding)

    @cached_property
    def pending(self) -> PendingSum | None:
        """Where a ``fast`` accumulator stands in fixed point; None if there is no such."""
        accumulator = self.accumulator
        if not isinstance(accumulator, Float) or not accumulator.fast:
            return None
        most = max(map(abs, self._range_with_addends(self.lanes)))
        return pending_sum(self.lsb_exponent, most, accumulator.format, accumulator.rounding)

    def with_fast_loop(self) -> Self | None:
        """The unit with a ``fast`` accumulator; None where it has no such, or has it."""
        accumulator = self.accumulator
        if not isinstance(accumulator, Float) or accumulator.fast or self.interleave > 1:
            return None
        try:
            return replace(self, accumulator=replace(accumulator, fast=True), stages=0)
        except InputError:
            return None

    def with_partial_sums(self, count: int) -> Self | None:
        """The unit with so many partial sums in a float accumulator; None where it has no such."""
        accumulator = self.accumulator
        if not isinstance(accumulator, Float) or not 1 <= count <= MAX_INTERLEAVE:
            return None
        return replace(self, accumulator=replace(accumulator, fast=False, interleave=count))

    @cached_property
    def packing(self) -> PairPlan | None:
        """How two lanes share a multiplier; None where each has its own."""
        if self.lanes == 1 or self.mapping not in PACKED_FOR:
            return None
        return pair_plan(self.a, self.b, PACKED_FOR[self.mapping])

    def _require_packing(self) -> None:
        if self.mapping not in SIZED or self.packing is not None:
            return
        if self.lanes == 1:
            raise InputError(
                f"mapping={self.mapping!r}: one lane has no other to share a multiplier with: "
                "use mapping='dsp'"
            )
        raise no_pair(self.mapping, self.a, self.b)

    @property
    def raises_shifts(self) -> bool:
        """Operands' shifts are ``raised``, as their sum in lanes wants them."""
        return self.adds_product or not self.lane_sum.whole

    @property
    def summed_terms(self) -> int:
        """Numbers that the lanes' sum is made of: one of each multiplier."""
        return self.lanes if self.packing is None else (self.lanes + 1) // 2

    def _require_addend(self) -> None:
        if self.addend is None:
            return
        addend = require_decoded("addend", self.addend)
        set_fields(self, addend=addend)
        if self.sum_width > MAX_SUM_BITS:
            raise InputError(
                f"addend={addend}: its sum with {self.lanes} products of {self.a} and {self.b} "
                f"has {self.sum_width} bits, and up to {MAX_SUM_BITS} are taken: use an addend "
                "nearer to the products' range"
            )

    @property
    def _terms(self) -> str:
        plus = "" if self.addend is None else f" plus {self.addend}"
        return f"{self.a} times {self.b}{plus}"

    @cached_property
    def has_special(self) -> bool:
        """Some operand can be infinite or NaN."""
        formats = (port.format for port in self._operand_ports)
        return any(f is not None and (f.has_nan or f.has_infinity) for f in formats)

    def _has_signed_zeros(self, rounding: str) -> bool:
        return zero_sign.sum_has_sign(self.a, self.b, self.addend, rounding)

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
    def inputs(self) -> tuple[Port, ...]:
        """``clear``, the operands of all lanes, the addend, random bits."""
        return (
            Port("clear", 1, f"{self._restarted} restarts with this cycle's sum"),
            *self._operand_ports,
            *random_bits_port(STOCHASTIC if self.is_stochastic else NEAREST_EVEN),
        )

    @property
    def _added_to(self) -> str:
        ago = f" of {self.interleave} valid inputs ago" if self.interleave > 1 else ""
        return f"accumulator{ago}"

    @property
    def _restarted(self) -> str:
        return "the accumulator" if self.interleave == 1 else "the partial sum whose turn it is"

    @property
    def _operand_ports(self) -> tuple[Port, ...]:
        return (
            code_port("a", self.a, self.lanes),
            code_port("b", self.b, self.lanes),
            *(() if self.addend is None else (code_port("c", self.addend),)),
        )

    @property
    def outputs(self) -> tuple[Port, ...]:
        """The result, or the accumulator and its flags."""
        return self._result_ports()

    @property
    def description(self) -> tuple[str, ...]:
        """What is added to the accumulator, and the ranges and widths of it."""
        low, high = self.product_range
        c, plus = self.addend, "" if self.addend is None else " + c"
        return (
            f"Dot product of {self.lanes} lanes, {self.a} x {self.b}, and a running "
            f"accumulator ({self.accumulator}):",
            f"  accumulator <- (clear ? 0 : {self._added_to}) + sum over lanes of a[i] * b[i]"
            + plus,
            *self._output_description,
            "",
            _range_description("a", self.a),
            *self._b_description,
            *(() if c is None else (_range_description("c", c),)),
            f"  product      {self.product_width} bits signed, {low} to {high} in units of "
            f"2^{self.product_lsb_exponent}",
            f"  lane sum     {self.sum_width} bits signed{'' if c is None else ', with c'}",
            f"  accumulator  {self._accumulator_description}",
            *self._mapping_description,
        )

    @property
    def _b_description(self) -> tuple[str, ...]:
        return (_range_description("b", self.b),)

    @property
    def _mapping_description(self) -> tuple[str, ...]:
        if self.packing is not None:
            return (f"  mapping      {self.mapping}: {self.packing}",)
        return (
            f"  mapping      {self.mapping}: where hwgen's synthesis puts the multiplications; "
            "the logic is the same for each",
        )

    @cached_property
    def product_range(self) -> tuple[int, int]:
        """Smallest and largest product of any two codes, in units of 2**product_lsb_exponent."""
        return product_range(self.a, self.b)

    def width_of_sum(self, products: int) -> int:
        """Bits of a signed sum of ``products`` products, from their true extremes."""
        return signed_width(*self._range_of_sum(products))

    def _range_of_sum(self, products: int) -> tuple[int, int]:
        """Least and largest sum of so many products, in units of 2**product_lsb_exponent."""
        low, high = self.product_range
        return low * products, high * products

    @cached_property
    def product_width(self) -> int:
        """Bits of one signed product."""
        return self.width_of_sum(1)

    @cached_property
    def sum_width(self) -> int:
        """Bits of the signed sum of one cycle's products, with its addend."""
        return signed_width(*self._range_with_addends(self.lanes))

    @property
    def _width_of_all(self) -> int:
        return signed_width(*self._range_with_addends(self.max_products))

    def _range_with_addends(self, products: int) -> tuple[int, int]:
        """Least and largest sum of ``products`` products in units of 2**lsb_exponent.

        The addends of their cycles are in it.
        """
        if self.addend is None:
            return self._range_of_sum(products)
        of_sums = 1 << (self.product_lsb_exponent - self.lsb_exponent)
        of_addends = products // self.lanes << (self.addend.lsb_exponent - self.lsb_exponent)
        ends = zip(self._range_of_sum(products), value_range(self.addend), strict=True)
        low, high = (total * of_sums + addend * of_addends for total, addend in ends)
        return low, high

    @property
    def name(self) -> str:
        """A legal Verilog module name that tells the spec."""
        parts = [self.unit, *self._formats_name, *self._lanes_name]
        if self.addend is not None:
            parts.append(f"plus_{self.addend}")
        parts += [f"products{self.max_products}", self.mapping]
        parts += [*self._accumulation_name, self.stages_name]
        return "_".join(parts)

    @property
    def _formats_name(self) -> list[str]:
        return [f"{self.a}", f"{self.b}"]

    @property
    def _lanes_name(self) -> list[str]:
        """What the unit's name says of the lanes."""
        return [f"lanes{self.lanes}"]


def _range_description(name: str, f: Scalar) -> str:
    step = "1" if f.lsb_exponent == 0 else f"2^{f.lsb_exponent}"
    # The steps of an integer or a fixed-point format are all the same.
    larger = "" if f.is_integer else " and up"
    return f"  {name:12} {f.min:g} to {f.max:g} in steps of {step}{larger}"


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
            pipeline_target: str = "",
        ) -> None: ...

    def _settle(self) -> None:
        if self.lanes != 1:
            raise InputError(f"lanes={self.lanes!r}: a mac has one lane; use dot for more")
        super()._settle()
