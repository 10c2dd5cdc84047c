"""The spec of the array: rows x columns of dot products, for a tiled matrix product."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from hwgen.accumulator import Accumulator, Exact, Float
from hwgen.errors import InputError
from hwgen.fields import require_choice, set_fields
from hwgen.formats import Format, Scalar, parse
from hwgen.formats.block import parse_block
from hwgen.formats.rounding import NEAREST_EVEN
from hwgen.formats.widths import product_range, signed_width, value_range
from hwgen.plan.step import Steps
from hwgen.sizes import zero_sign
from hwgen.sizes.alignment_window import Window, sum_window
from hwgen.sizes.decode import require_decodable
from hwgen.sizes.dsp_multiplier import PACKED_FOR, SIZED
from hwgen.sizes.grid_packing import GridPlan, grid_plan, no_grid
from hwgen.spec import array_ports
from hwgen.spec.accumulating import AccumulatingSpec
from hwgen.spec.base import (
    Port,
    Stream,
    option,
    require_int,
    require_mapping,
)
from hwgen.spec.blockdot import BlockDot
from hwgen.spec.dot import MAX_LANES, MAX_PRODUCTS, DotProduct
from hwgen.spec.steps import array, array_registers
from hwgen.spec.steps.array import BROADCAST, SYSTOLIC

OUTPUT_STATIONARY, WEIGHT_STATIONARY = "output_stationary", "weight_stationary"
DATAFLOWS = (OUTPUT_STATIONARY, WEIGHT_STATIONARY)
MOVEMENTS = (BROADCAST, SYSTOLIC)

MAX_SIDE = 64
#: Products in a cycle.
MAX_ARRAY_PRODUCTS = 4096
#: Bits of all data ports together.
MAX_PORT_BITS = 32768


@dataclass(frozen=True, kw_only=True)
class Array(AccumulatingSpec):
    """Rows x columns of dot products: a tile of a matrix product in each cycle.

    An element has ``lanes`` products of scalar formats (by default one), or ``blocks`` blocks of
    block formats, as of ``BlockDot``. ``accumulator``, ``output`` and the rest are as for
    ``DotProduct``; sums of blocks times their scales are as exact as those of scalars, and as wide.

    ``output_stationary``: element (r, c) has an accumulator, and each valid cycle adds
    Σ a[r, i]·b[c, i] to it, or restarts it with that (``clear``).

    ``weight_stationary``: element (r, c) holds weights. Where ``load[r]`` is set, row r takes
    those of the cycle's ``b``, which counts from this cycle on. Each valid cycle gives, for every
    column, Σ over rows and lanes of a[r, i]·weight[r, c, i], added to ``partial`` (unless
    ``clear``), a sum that the accumulator of an earlier cycle held: so that products over more
    than a column of the array are summed. Weights are zero after reset, even if the format has
    none.

    ``movement``: in ``systolic`` operands go from neighbour to neighbour, an element a cycle; in
    ``broadcast`` to all elements at once. Registers inside keep the ports in step, so that
    results are the same and come rows + columns − 2 cycles later. ``stages``: registers from
    input to result beside those, by default as of ``DotProduct``.

    ``mapping``: with ``dsp``, and ``dsp18x18`` and so on for larger multipliers, neighbouring
    elements share a multiplier where their significands' products fit it exactly: those of rows
    and columns that meet, or, where weights stay, of columns (see ``packing``). Of block formats
    they do with the latter alone.
    """

    unit: ClassVar[str] = "array"
    keeps_outputs: ClassVar[bool] = True

    a: Format
    b: Format
    rows: int = field(metadata=option("N", "rows of an array"))
    columns: int = field(metadata=option("N", "columns of an array"))
    lanes: int = 0
    blocks: int = 0
    dataflow: str = field(
        default=OUTPUT_STATIONARY,
        metadata=option("|".join(DATAFLOWS), "what stays in an array's elements"),
    )
    movement: str = field(
        default=BROADCAST,
        metadata=option("|".join(MOVEMENTS), "how operands come to an array's elements"),
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
            a: str | Format,
            b: str | Format,
            rows: int,
            columns: int,
            lanes: int = 0,
            blocks: int = 0,
            dataflow: str = OUTPUT_STATIONARY,
            movement: str = BROADCAST,
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
        set_fields(self, a=parse(self.a), b=parse(self.b))
        require_choice("dataflow", self.dataflow, DATAFLOWS)
        require_choice("movement", self.movement, MOVEMENTS)
        for name in ("rows", "columns"):
            require_int(name, getattr(self, name), 1, MAX_SIDE)
        if (self.a.scale is None) != (self.b.scale is None):
            raise InputError(
                f"a={self.a} and b={self.b}: use two block formats, or two of single numbers"
            )
        if self.has_blocks:
            self._require_blocks()
        else:
            self._require_lanes()
        self._require_size()
        per_cycle = self.summed_rows * self.lanes
        require_int(
            "max_products",
            self.max_products,
            per_cycle,
            MAX_PRODUCTS,
            f" (at least the {per_cycle} products that one cycle sums)",
        )
        require_mapping(self.mapping, packs=True)
        self._require_packing()
        self._require_accumulation()
        self._require_ports()

    def _require_lanes(self) -> None:
        for name, f in (("a", self.a), ("b", self.b)):
            require_decodable(name, f.element)
        if self.blocks != 0:
            raise InputError(
                f"blocks={self.blocks!r}: {self.a} and {self.b} have no blocks; give lanes"
            )
        if self.lanes == 0:
            set_fields(self, lanes=1)
        require_int("lanes", self.lanes, 1, MAX_LANES)

    def _require_blocks(self) -> None:
        element = self.block_element  # Which checks the formats.
        set_fields(self, blocks=element.blocks)
        lanes = element.lanes
        for name in ("a", "b"):
            f = parse_block(getattr(self, name))
            if f.micro_bits:
                raise InputError(
                    f"{name}={f}: an array takes no shared micro-exponents: use another block "
                    "format, or blockdot"
                )
        if self.lanes not in (0, lanes):
            raise InputError(
                f"lanes={self.lanes!r}: {self.blocks} of {self.a} have {lanes} numbers; leave "
                "lanes out"
            )
        set_fields(self, lanes=lanes)

    def _require_size(self) -> None:
        products = self.rows * self.columns * self.lanes
        if products > MAX_ARRAY_PRODUCTS:
            raise InputError(
                f"{self.rows} x {self.columns} elements of {self.lanes} lanes are {products} "
                f"products in a cycle: use up to {MAX_ARRAY_PRODUCTS}, or several arrays"
            )

    def _require_ports(self) -> None:
        bits = sum(port.width for port in (*self.inputs, *self.outputs))
        if bits > MAX_PORT_BITS:
            raise InputError(
                f"the ports of {self.rows} x {self.columns} elements have {bits} bits, with "
                f"{self.accumulator_width} of an accumulator: use up to {MAX_PORT_BITS}; fewer "
                "rows or columns, a narrower accumulator or an output format help"
            )

    def _require_packing(self) -> None:
        if self.mapping not in SIZED or self.packing is not None:
            return
        side = "one column" if self.is_weight_stationary else "one element"
        a, b = self.a.element, self.b.element
        # With dsp the products of blocks' elements are rows of LUTs, but for the smallest.
        advice = "use mapping='dsp', one product in each"
        if self.has_blocks:
            advice = "use mapping='lut'"
        sizes = (self._packed_rows, self.columns)
        raise no_grid(self.mapping, a, b, *sizes, side=side, advice=advice)

    @cached_property
    def packing(self) -> GridPlan | None:
        """How neighbouring elements share a multiplier; None where each has its own."""
        if self.mapping not in (SIZED if self.has_blocks else PACKED_FOR):
            return None
        a, b, multiplier = self.a.element, self.b.element, PACKED_FOR[self.mapping]
        return grid_plan(a, b, self._packed_rows, self.columns, multiplier)

    @property
    def _packed_rows(self) -> int:
        """Rows whose elements can share a multiplier.

        Of weights that stay each element has its own, and a row only its operand in common.
        """
        return 1 if self.is_weight_stationary else self.rows

    @property
    def has_blocks(self) -> bool:
        """The operands are block formats."""
        return self.a.scale is not None

    @property
    def is_weight_stationary(self) -> bool:
        """Elements hold weights, and columns are summed."""
        return self.dataflow == WEIGHT_STATIONARY

    @property
    def summed_rows(self) -> int:
        """Rows whose products go to one sum."""
        return self.rows if self.is_weight_stationary else 1

    @property
    def sums(self) -> int:
        """Accumulators, or results in a cycle: one of each element, or of each column."""
        return self.columns if self.is_weight_stationary else self.rows * self.columns

    @cached_property
    def scalar_element(self) -> DotProduct:
        """What an element multiplies and adds, of scalar formats."""
        return DotProduct(
            a=self.a.element,
            b=self.b.element,
            lanes=self.lanes,
            max_products=self.lanes,
            stages=2,  # Which are no matter here.
            pipeline_target=self.pipeline_target,
        )

    @cached_property
    def block_element(self) -> BlockDot:
        """What an element multiplies and adds, of block formats.

        Its sum is not yet rounded: an output without exponent keeps several blocks in one fixed
        point, and says nothing else. It is tuned where the array is: products of the others are
        whole, for DSP blocks to take.
        """
        return BlockDot(
            a=parse_block(self.a),
            b=parse_block(self.b),
            blocks=self.blocks,
            output="int8",
            stages=int(not self.is_tuned),  # How many is no matter here, unless it is tuned.
            pipeline_target=self.pipeline_target,
        )

    @property
    def aligns_blocks(self) -> bool:
        """Sums of blocks become fixed point.

        All do but those that a float accumulator takes one by one.
        """
        single = self.blocks * self.summed_rows == 1 and isinstance(self.accumulator, Float)
        return self.has_blocks and not single

    @property
    def numbers(self) -> tuple[Scalar, ...]:
        """Formats of all numbers that are multiplied."""
        operands = (self.a, self.b)
        scales = tuple(f.scale for f in operands if f.scale is not None)
        return (*(f.element for f in operands), *scales)

    @property
    def has_special(self) -> bool:
        """Some operand or scale can be infinite or NaN."""
        return any(f.has_nan or f.has_infinity for f in self.numbers)

    def _has_signed_zeros(self, rounding: str) -> bool:
        a, b, *scales = self.numbers
        if scales:
            return zero_sign.blocks_have_sign((a, b), scales, rounding)
        return zero_sign.sum_has_sign(a, b, None, rounding)

    @property
    def lsb_exponent(self) -> int:
        """Sums count units of 2**lsb_exponent: the product of all steps, scales' among them."""
        return sum(f.lsb_exponent for f in self.numbers)

    @cached_property
    def product_range(self) -> tuple[int, int]:
        """Smallest and largest product, with the scales, in units of 2**lsb_exponent."""
        a, b, *scales = self.numbers
        largest = 1
        for scale in scales:  # Which have no sign.
            largest *= value_range(scale)[1]
        low, high = product_range(a, b)
        return low * largest, high * largest

    def width_of_sum(self, products: int) -> int:
        """Bits of a signed sum of ``products`` products with their scales."""
        low, high = self.product_range
        return signed_width(low * products, high * products)

    @cached_property
    def window(self) -> Window | None:
        """Where a float accumulator of an element and a cycle's sum are added, in one step.

        None for those that add a ``partial`` sum, which is no loop, or a block beside its scales.
        """
        accumulator = self.accumulator
        beside_scales = self.has_blocks and not self.aligns_blocks
        if not isinstance(accumulator, Float) or self.is_weight_stationary or beside_scales:
            return None
        most = self.lanes * max(map(abs, self.product_range))
        return sum_window(self.lsb_exponent, most, accumulator.format, accumulator.rounding)

    @property
    def storage_bits(self) -> int:
        """Of operands and results on their way, and of what goes past the elements."""
        return array_registers.storage_bits(self)

    @property
    def skew(self) -> int:
        """Cycles that operands take from the first element to the last."""
        return self.rows + self.columns - 2 if self.movement == SYSTOLIC else 0

    @property
    def latency(self) -> int:
        """Cycles from a valid input to the result that holds it."""
        return self.stages + self.skew

    @property
    def usual_stages(self) -> int:
        """As of ``DotProduct``: weights stand in front of the products."""
        extra = int(isinstance(self.accumulator, Float)) + 2 * (self.output is not None)
        return 4 + extra

    @property
    def _steps(self) -> Steps:
        return array.steps(self)

    @property
    def inputs(self) -> tuple[Port, ...]:
        """``clear``, operands and their scales; of held weights ``load`` and ``partial``."""
        return array_ports.inputs(self)

    @property
    def outputs(self) -> tuple[Port, ...]:
        """A result, or an accumulator and its flags, of each element or each column."""
        return self._result_ports(self.sums)

    @property
    def input_streams(self) -> tuple[Stream, ...]:
        """Activations, weights and, of weights that stay, partial sums."""
        return array_ports.input_streams(self)

    @property
    def stream_summary(self) -> str:
        """As of any spec."""
        return array_ports.summary(self)

    @property
    def answers_last_only(self) -> bool:
        """The sums of a tile come out with its last step."""
        return not self.is_weight_stationary

    @property
    def facts(self) -> dict[str, int]:
        """As of every accumulator, and ``skew``: cycles that operands take through the array."""
        return {**super().facts, "skew": self.skew}

    @property
    def name(self) -> str:
        """A legal Verilog module name that tells the spec."""
        parts = [self.unit, f"{self.rows}x{self.columns}", f"{self.a}", f"{self.b}"]
        parts.append(f"blocks{self.blocks}" if self.has_blocks else f"lanes{self.lanes}")
        parts += [self.dataflow, self.movement, f"products{self.max_products}", self.mapping]
        parts += [*self._accumulation_name, self.stages_name]
        return "_".join(parts)

    @property
    def description(self) -> tuple[str, ...]:
        """What an element adds, where its operands are in the ports, and the sizes of it."""
        lanes = f"{self.lanes} lanes"
        if self.has_blocks:
            lanes = f"{self.blocks} x {self.lanes // self.blocks} lanes, times their scales"
        moved = {
            BROADCAST: "operands go to all elements at once",
            SYSTOLIC: f"operands go from neighbour to neighbour, {self.skew} cycles in all; the "
            "ports are in step",
        }
        computed: tuple[str, ...]
        if self.is_weight_stationary:
            computed = (
                "  weight[r] <- b, where load[r]; counts from this cycle on",
                "  accumulator[c] <- (clear ? 0 : partial[c]) + sum over r and i of "
                "a[r, i] * weight[r, c, i]",
            )
        else:
            computed = (
                "  accumulator[r, c] <- (clear ? 0 : accumulator[r, c]) + sum over i of "
                "a[r, i] * b[c, i]",
            )
        return (
            f"Array of {self.rows} rows x {self.columns} columns, {self.a} x {self.b}, {lanes} an "
            f"element, {self.dataflow.replace('_', '-')}:",
            *computed,
            *self._output_description,
            "",
            "  elements of a are at r * lanes + i, of b at c * lanes + i"
            + ("" if self.is_weight_stationary else f", of results at r * {self.columns} + c"),
            f"  movement     {self.movement}: {moved[self.movement]}",
            f"  accumulator  {self._accumulator_description}",
            f"  mapping      {self._mapping_description}",
        )

    @property
    def _mapping_description(self) -> str:
        if self.packing is None:
            return (
                f"{self.mapping}: where hwgen's synthesis puts the multiplications; the logic is "
                "the same for each"
            )
        return f"{self.mapping}: {self.packing}"
