"""The spec of the dot product whose formats are switched at run time."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from hwgen.accumulator import Exact
from hwgen.errors import InputError
from hwgen.fields import set_fields, shown
from hwgen.formats import Scalar, parse_scalar
from hwgen.formats.rounding import NEAREST_EVEN, STOCHASTIC
from hwgen.formats.widths import product_range, signed_width
from hwgen.plan.step import Steps
from hwgen.sizes.decode import require_decodable
from hwgen.sizes.packed_product import Packed, RowPlan
from hwgen.sizes.zero_sign import products_have_sign
from hwgen.spec.base import (
    Port,
    Spec,
    code_port,
    option,
    require_int,
    require_mapping,
    require_rounded,
    require_scalar,
)
from hwgen.spec.dot import MAX_LANES, MAX_PRODUCTS
from hwgen.spec.random_bits import random_bits_port
from hwgen.spec.steps import multidot

MAX_MODES = 8


@dataclass(frozen=True)
class Pair:
    """The formats of the two operands in one mode; ``str``: ``a:b``, or ``a`` if they agree."""

    a: Scalar
    b: Scalar

    def __post_init__(self) -> None:
        set_fields(self, a=parse_scalar(self.a), b=parse_scalar(self.b))

    def __str__(self) -> str:
        return f"{self.a}" if self.a == self.b else f"{self.a}:{self.b}"

    @property
    def product_range(self) -> tuple[int, int]:
        """Smallest and largest product, in units of 2**lsb_exponent."""
        return product_range(self.a, self.b)

    @property
    def lsb_exponent(self) -> int:
        """Products count units of 2**lsb_exponent."""
        return self.a.lsb_exponent + self.b.lsb_exponent

    @property
    def has_special(self) -> bool:
        """Some operand can be infinite or NaN."""
        return any(f.has_nan or f.has_infinity for f in (self.a, self.b))


@dataclass(frozen=True)
class Modes:
    """The pairs of formats between which a unit is switched (2 to 8).

    All are of integers and fixed-point formats, or all of minifloats. ``str``: the pairs with
    commas between them; ``parse`` reads that back. InputError for others.
    """

    pairs: tuple[Pair, ...]

    def __post_init__(self) -> None:
        pairs = self.pairs
        if not isinstance(pairs, tuple) or not all(isinstance(pair, Pair) for pair in pairs):
            raise InputError(
                f"formats={shown(pairs)}: give a tuple of Pairs; Modes.parse "
                "takes names and formats"
            )
        for pair in pairs:
            require_decodable("formats", pair.a)
            require_decodable("formats", pair.b)
        if len(pairs) < 2:
            raise InputError(
                f"formats={self}: one mode has nothing to switch: use a dot, or give several, "
                "such as int8,int4,int2"
            )
        if len(pairs) > MAX_MODES:
            raise InputError(f"formats={self}: {len(pairs)} modes: use 2 to {MAX_MODES}")
        twice = [str(pair) for i, pair in enumerate(pairs) if pair in pairs[:i]]
        if twice:
            raise InputError(f"formats={self}: {twice[0]} is there twice: give each mode once")
        kinds = {f.is_integer for pair in pairs for f in (pair.a, pair.b)}
        if len(kinds) > 1:
            raise InputError(
                f"formats={self}: integers and minifloats have no multiplier in common: integers "
                "share the rows of a two's-complement one, minifloats that of their significands "
                "and a shifter behind it. Use formats of one kind, such as e0m3 beside e2m1"
            )

    def __str__(self) -> str:
        return ",".join(map(str, self.pairs))

    @classmethod
    def parse(cls, names: Any) -> Modes:
        """The modes of ``names``.

        Text such as ``int8,int4`` or ``int8:int4,int4``, or a sequence of formats and of pairs of
        them.

        Raises:
            InputError: something else, or modes that no unit is switched between.

        """
        if isinstance(names, Modes):
            return names
        items = names.split(",") if isinstance(names, str) else names
        if not isinstance(items, list | tuple) or not items or items == [""]:
            raise InputError(
                f"formats={shown(names)}: give the formats of each mode, such as int8,int4,int2 or "
                "int8:int4,int4"
            )
        return cls(tuple(_pair(item) for item in items))

    @property
    def are_integers(self) -> bool:
        """All are integers or fixed-point formats; else all are minifloats."""
        return self.pairs[0].a.is_integer


def _pair(item: Any) -> Pair:
    if isinstance(item, Pair):
        return item
    names = item.split(":") if isinstance(item, str) else item
    if isinstance(names, list | tuple) and len(names) not in (1, 2):
        raise InputError(f"formats: {shown(item)} is neither a format nor a pair such as int8:int4")
    operands = list(names) if isinstance(names, list | tuple) else [names]
    formats = [require_scalar("formats", name) for name in operands]
    return Pair(formats[0], formats[-1])


@dataclass(frozen=True, kw_only=True)
class MultiDot(Spec):
    """A dot product whose formats are switched at run time, with shared multipliers.

    ``formats``: the modes, a format each or a pair ``a:b``. In the mode of a cycle each of
    ``lanes`` lanes takes as many codes as fit its ports, lowest bits first: ``products`` says
    how many. Lanes are as wide as the widest formats. Minifloats are not packed: one code a
    lane. Bits of a lane above its codes do not count.

    Each valid cycle adds Σ aᵢ·bᵢ to the accumulator, or restarts it with that sum (``clear``).
    The accumulator is exact: one fixed-point number in the modes' finest unit, 2**lsb_exponent,
    that holds any sum of up to ``max_products`` products of any codes of any modes. So the
    mode may change from any cycle to the next, with ``clear`` or without; past that many
    products it wraps. ``output``, ``rounding``, ``overflow``, ``stages`` and infinities and NaN
    of operands are as those of a ``dot`` with an exact accumulator.
    """

    unit: ClassVar[str] = "multidot"
    keeps_outputs: ClassVar[bool] = True

    formats: Modes = field(
        metadata=option(
            "LIST", "operand formats of each mode, such as int8,int4,int2 or int8:int4,int4"
        )
    )
    lanes: int
    max_products: int = 4096
    mapping: str = "lut"
    output: Scalar | None = None
    rounding: str = NEAREST_EVEN
    overflow: str = ""
    stages: int = 0

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            formats: str | Modes | list[Any] | tuple[Any, ...],
            lanes: int,
            max_products: int = 4096,
            mapping: str = "lut",
            output: str | Scalar | None = None,
            rounding: str = NEAREST_EVEN,
            overflow: str = "",
            stages: int = 0,
            pipeline_target: str = "",
        ) -> None: ...

    def _settle(self) -> None:
        set_fields(self, formats=Modes.parse(self.formats))
        require_int("lanes", self.lanes, 1, MAX_LANES)
        most = self.lanes * max(self.products)
        require_int(
            "max_products",
            self.max_products,
            most,
            MAX_PRODUCTS,
            f" (at least the {most} products of one cycle)",
        )
        require_mapping(self.mapping)
        self._require_output()

    def _require_output(self) -> None:
        if self.output is None:
            if self.rounding != NEAREST_EVEN or self.overflow:
                raise InputError("rounding and overflow are those of the output: give an output")
            return
        output, overflow = require_rounded("output", self.output, self.rounding, self.overflow)
        set_fields(self, output=output, overflow=overflow)

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The formats of each mode."""
        return self.formats.pairs

    @property
    def a_bits(self) -> int:
        """Bits of a lane of ``a``."""
        return max(pair.a.bits for pair in self.pairs)

    @property
    def b_bits(self) -> int:
        """Bits of a lane of ``b``."""
        return max(pair.b.bits for pair in self.pairs)

    @property
    def products(self) -> tuple[int, ...]:
        """Products of a lane in each mode."""
        if not self.formats.are_integers:
            return (1,) * len(self.pairs)
        return tuple(min(self.a_bits // p.a.bits, self.b_bits // p.b.bits) for p in self.pairs)

    @property
    def accumulator(self) -> Exact:
        """What becomes of the sums, as of a ``dot``."""
        return Exact()

    @property
    def usual_stages(self) -> int:
        """Those of a ``dot``, and one more for what the modes need."""
        return 5 + 2 * (self.output is not None)

    @property
    def _steps(self) -> Steps:
        return multidot.steps(self)

    def lanes_width(self, lanes: int) -> int:
        """Bits of a signed sum of the products of so many lanes, each mode's in its own unit."""
        widths = []
        for mode, (pair, count) in enumerate(zip(self.pairs, self.products, strict=True)):
            low, high = (v * count * lanes << self.weight(mode) for v in pair.product_range)
            widths.append(signed_width(low, high))
        return max(widths)

    def weight(self, mode: int) -> int:
        """Products of a mode come out times 2 to this."""
        return self.row_plan.modes[mode].weight if self.formats.are_integers else 0

    @cached_property
    def row_plan(self) -> RowPlan:
        """Rows for the bits of the operand with the narrower lanes."""
        modes = []
        for pair, count in zip(self.pairs, self.products, strict=True):
            wide, narrow = (pair.a, pair.b) if self.a_is_wide else (pair.b, pair.a)
            modes.append(Packed(wide, narrow, count))
        return RowPlan(tuple(modes))

    @property
    def a_is_wide(self) -> bool:
        """The rows are those of ``b``."""
        return self.a_bits >= self.b_bits

    @cached_property
    def lsb_exponent(self) -> int:
        """The accumulator counts units of 2**lsb_exponent."""
        return min(pair.lsb_exponent for pair in self.pairs)

    @property
    def factors(self) -> tuple[Scalar, ...]:
        """The formats of what is multiplied, in any mode."""
        return tuple(f for pair in self.pairs for f in (pair.a, pair.b))

    @property
    def zero_rounding(self) -> str | None:
        """The rounding by which a zero sum has a sign; None where it has none."""
        if self.output is None or not self.output.has_minus_zero:
            return None
        signed = any(products_have_sign(pair.a, pair.b) for pair in self.pairs)
        return self.rounding if signed else None

    @property
    def accumulator_lsb_exponent(self) -> int:
        """The accumulator counts units of 2 to this, by the name that other units have for it."""
        return self.lsb_exponent

    def width_of_sum(self, products: int) -> int:
        """Bits of a signed sum of ``products`` products of any modes, in their finest unit."""
        places = [pair.lsb_exponent - self.lsb_exponent for pair in self.pairs]
        ranges = [pair.product_range for pair in self.pairs]
        low = min(r[0] << place for r, place in zip(ranges, places, strict=True))
        high = max(r[1] << place for r, place in zip(ranges, places, strict=True))
        return signed_width(low * products, high * products)

    @property
    def accumulator_width(self) -> int:
        """Bits of the accumulator."""
        return self.width_of_sum(self.max_products)

    @property
    def has_special(self) -> bool:
        """Some operand can be infinite or NaN."""
        return any(pair.has_special for pair in self.pairs)

    @property
    def has_flags(self) -> bool:
        """A cycle's sum comes with flags, by the name that other units have for it."""
        return self.has_special

    @property
    def pending(self) -> None:
        """None, and below what is kept and rounded to, by the names that other units have."""
        return

    @property
    def interleave(self) -> int:
        """Running sums that take turns: an exact one does not."""
        return 1

    @property
    def keeps_flags(self) -> bool:
        """Beside the running sum is kept whether it is infinite or NaN."""
        return self.has_special

    @property
    def keeps_zero_sign(self) -> bool:
        """Beside the running sum is kept the sign that it has as a zero."""
        return self.zero_rounding is not None

    @property
    def rounded_to(self) -> tuple[Scalar, str, str]:
        """What a running sum is rounded to: format, rounding and overflow."""
        assert self.output is not None
        return self.output, self.rounding, self.overflow

    @property
    def mode_bits(self) -> int:
        """Bits of the number of the mode."""
        return (len(self.pairs) - 1).bit_length()

    @property
    def is_stochastic(self) -> bool:
        """Random bits come in with the operands."""
        return self.rounding == STOCHASTIC

    @property
    def latency(self) -> int:
        """Enabled cycles from a valid input to its result: ``stages``."""
        return self.stages

    @property
    def inputs(self) -> tuple[Port, ...]:
        """``clear``, the number of the mode, lanes of ``a`` and ``b``, random bits."""
        modes = ", ".join(f"{index}: {pair}" for index, pair in enumerate(self.pairs))
        past = "" if len(self.pairs) == 1 << self.mode_bits else "; above it the last"
        meaning = "codes of the mode's format, a lane an element"
        return (
            Port("clear", 1, "the accumulator restarts with this cycle's sum"),
            Port("mode", self.mode_bits, f"{modes}{past}"),
            Port("a", self.a_bits, meaning, self.lanes),
            Port("b", self.b_bits, meaning, self.lanes),
            *random_bits_port(self.rounding),
        )

    @property
    def outputs(self) -> tuple[Port, ...]:
        """The result, or the accumulator and its flags."""
        if self.output is not None:
            return (code_port("result", self.output),)
        meaning = f"running sum in units of 2^{self.lsb_exponent}, kept between results"
        flags = ("nan", "positive_infinity", "negative_infinity") if self.has_special else ()
        return (
            Port("accumulator", self.accumulator_width, meaning, signed=True),
            *(Port(flag, 1, "what the sum is instead") for flag in flags),
        )

    @property
    def facts(self) -> dict[str, int]:
        """Width of the accumulator, and the exponent of its unit."""
        return {"accumulator_width": self.accumulator_width, "lsb_exponent": self.lsb_exponent}

    @property
    def description(self) -> tuple[str, ...]:
        """The modes, and what is added to the accumulator in each."""
        modes = [
            f"  mode {index}: {pair.a} x {pair.b}, "
            + (f"{count} products a lane, lowest bits first" if count > 1 else "1 product a lane")
            for index, (pair, count) in enumerate(zip(self.pairs, self.products, strict=True))
        ]
        rounded = (
            ()
            if self.output is None
            else (
                f"  result <- accumulator, rounded once to {self.output}: rounding "
                f"{self.rounding}, overflow {self.overflow}",
            )
        )
        return (
            f"Dot product of {self.lanes} lanes whose formats are switched at run time:",
            *modes,
            "  accumulator <- (clear ? 0 : accumulator) + sum of a[i] * b[i] in the cycle's mode,",
            f"  exact, in units of 2^{self.lsb_exponent}, for {self.max_products} products of any "
            "modes together, then it wraps",
            "  the mode may change in any cycle, with clear or without",
            *rounded,
            f"  mapping {self.mapping}",
        )

    @property
    def name(self) -> str:
        """A legal Verilog module name that tells the spec."""
        parts = [self.unit, *(str(pair).replace(":", "x") for pair in self.pairs)]
        parts += [f"lanes{self.lanes}", f"products{self.max_products}", self.mapping]
        if self.output is not None:
            parts += [f"to_{self.output}", self.rounding, self.overflow]
        parts.append(self.stages_name)
        return "_".join(parts)
