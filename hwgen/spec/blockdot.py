"""The spec of the block-scaled dot product."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from math import gcd
from typing import TYPE_CHECKING, ClassVar

from hwgen.accumulator import Aligned, Exact, parse_alignment
from hwgen.errors import InputError
from hwgen.fields import set_fields
from hwgen.formats import BlockFormat, Format, Scalar, parse_scalar
from hwgen.formats.rounding import NEAREST_EVEN, RANDOM_BITS, STOCHASTIC
from hwgen.formats.widths import product_range, signed_width
from hwgen.plan import product
from hwgen.plan.step import Steps
from hwgen.sizes.adder_tree import tree_levels
from hwgen.sizes.decode import require_decodable
from hwgen.sizes.dsp_multiplier import PACKED_FOR, SIZED
from hwgen.sizes.pair_packing import PairPlan, no_pair, pair_plan
from hwgen.sizes.term_alignment import shortest_gap
from hwgen.sizes.zero_sign import blocks_have_sign
from hwgen.spec.base import (
    Port,
    Spec,
    code_port,
    require_block,
    require_int,
    require_mapping,
    require_rounded,
)
from hwgen.spec.random_bits import random_bits_port
from hwgen.spec.steps import blockdot
from hwgen.spec.steps.blockdot import ALIGNED, ALONE, FIXED_POINT, SHORTENED

#: What OCP MX 1.0 has sums of blocks in.
FP32 = parse_scalar("fp32")
MAX_BLOCKS = 16
MAX_LANES = 256


@dataclass(frozen=True, kw_only=True)
class BlockDot(Spec):
    """Σ over ``blocks`` blocks of scale_a·scale_b·Σ aᵢ·bᵢ, rounded once to ``output``.

    ``a`` and ``b`` are block formats; elements and scales may differ, and block sizes if one is a
    multiple of the other. ``blocks`` then counts the smaller ones, several of which share a scale
    of the other operand; by default there is one of the larger. All is exact up to the one
    rounding, so that the order of lanes and blocks does not matter (OCP MX 1.0, DotGeneral, leaves
    that open). A NaN scale makes the result NaN; infinities and NaN of elements follow IEEE 754,
    and so does the sign of a zero, for which a (smaller) block's sum times its scales is one number
    (docs/units.md, Zero sums). ``output``: FP32 unless said otherwise, as OCP MX 1.0 has it;
    ``overflow``: by default infinity if the output has one. A tensor scale (NVFP4) is not in the
    unit: the result counts products of the tensors' scales. Shared micro-exponents (``mx9``) come
    in beside the scales.

    ``mapping``: with ``dsp18x18`` and so on two lanes of a block share a multiplier where their
    products and the sum of these fit it exactly, as of ``DotProduct`` (see ``packing``).

    ``accumulator``: ``exact``, or ``aligned:W``, which sums several blocks in W bits and loses
    what does not fit below (see ``hwgen.accumulator.Aligned``); ``output`` is that sum, rounded.
    """

    unit: ClassVar[str] = "blockdot"

    a: BlockFormat
    b: BlockFormat
    blocks: int = 0
    accumulator: Exact | Aligned = field(default=Exact())
    output: Scalar = FP32
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
            blocks: int = 0,
            accumulator: str | Exact | Aligned = "exact",
            output: str | Scalar = FP32,
            rounding: str = NEAREST_EVEN,
            overflow: str = "",
            stages: int = 0,
            mapping: str = "lut",
            pipeline_target: str = "",
        ) -> None: ...

    def _settle(self) -> None:
        set_fields(self, a=_require_block("a", self.a), b=_require_block("b", self.b))
        self._require_blocks()
        output, overflow = require_rounded("output", self.output, self.rounding, self.overflow)
        set_fields(self, output=output, overflow=overflow)
        require_mapping(self.mapping, packs=True)
        self._require_packing()
        set_fields(self, accumulator=parse_alignment(self.accumulator))
        self._require_window()

    def _require_blocks(self) -> None:
        """One block size is a multiple of the other, and ``blocks`` fill the larger."""
        sizes = [f.block_size for f in self.operands]
        if max(sizes) % min(sizes):
            raise InputError(
                f"a={self.a} has blocks of {sizes[0]}, b={self.b} of {sizes[1]}: use block sizes "
                "of which one is a multiple of the other, such as "
                f"{self.b.element}_b{sizes[0]}_{self.b.scale} for b"
            )
        together = max(sizes) // min(sizes)
        if together > MAX_BLOCKS:
            raise InputError(
                f"a={self.a} has blocks of {sizes[0]}, b={self.b} of {sizes[1]}: use block sizes "
                f"that differ by a factor of up to {MAX_BLOCKS}, which is what a cycle sums"
            )
        if self.blocks == 0:
            set_fields(self, blocks=together)
        require_int("blocks", self.blocks, 1, MAX_BLOCKS)
        if self.blocks % together:
            raise InputError(
                f"blocks={self.blocks}: {together} blocks of {min(sizes)} share the scale of one "
                f"of {max(sizes)}: use a multiple of {together}, up to {MAX_BLOCKS}"
            )
        if self.lanes > MAX_LANES:
            raise InputError(
                f"blocks={self.blocks} of {self.block_size} are {self.lanes} lanes: use up to "
                f"{MAX_LANES}"
            )

    def _require_packing(self) -> None:
        if self.mapping not in SIZED or self.packing is not None:
            return
        if self._shared_lanes == 1:
            raise InputError(
                f"mapping={self.mapping!r}: products of {self.a} and {self.b} are scaled one by "
                "one, and have no other to share a multiplier with: use mapping='dsp'"
            )
        raise no_pair(self.mapping, *self.elements)

    @cached_property
    def packing(self) -> PairPlan | None:
        """How two lanes of a block share a multiplier; None where each has its own."""
        if self.mapping not in SIZED or self._shared_lanes == 1:
            return None
        return pair_plan(*self.elements, PACKED_FOR[self.mapping])

    @property
    def _shared_lanes(self) -> int:
        """Lanes whose products are summed before anything is done with them."""
        return self.micro_group or self.block_size

    def _require_window(self) -> None:
        """Two bits are left of each block's largest sum; no wider than what loses nothing."""
        if not isinstance(self.accumulator, Aligned):
            return
        low, high = self.block_range
        farthest = self.largest_shift if self.blocks > 1 else 0
        widest = signed_width(self.blocks * (low << farthest), self.blocks * (high << farthest))
        narrowest = _window_width(self.blocks, self.block_range, signed_width(low, high) - 3)
        if not narrowest <= self.accumulator.bits <= widest:
            raise InputError(
                f"accumulator={self.accumulator}: for {self.blocks} blocks of {self.a} x {self.b} "
                f"use {narrowest} to {widest} bits, or exact"
            )

    @property
    def zero_rounding(self) -> str | None:
        """The rounding by which a zero sum has a sign; None where it has none.

        That is where the output has no −0, no block can be −0, or blocks are rounded to a window,
        whose zero has no sign.
        """
        if isinstance(self.accumulator, Aligned) or not self.output.has_minus_zero:
            return None
        elements, scales = (self.a.element, self.b.element), (self.a.scale, self.b.scale)
        return self.rounding if blocks_have_sign(elements, scales, self.rounding) else None

    @property
    def lanes(self) -> int:
        """Products in a cycle."""
        return self.blocks * self.block_size

    @property
    def block_size(self) -> int:
        """Products that are summed before their scales count: the smaller of the block sizes."""
        return min(f.block_size for f in self.operands)

    @property
    def usual_stages(self) -> int:
        """Six, and two more for several blocks.

        Operands, products, their sum, scaling, normalising, rounding.
        """
        return 6 if self.alignment == ALONE else 8

    @property
    def _steps(self) -> Steps:
        return blockdot.steps(self)

    @property
    def operands(self) -> tuple[BlockFormat, BlockFormat]:
        """The formats of ``a`` and ``b``."""
        return self.a, self.b

    @property
    def elements(self) -> tuple[Scalar, Scalar]:
        """Formats of the elements of ``a`` and ``b``."""
        return self.a.element, self.b.element

    @property
    def scales(self) -> tuple[Scalar, Scalar]:
        """Formats of the scales of ``a`` and ``b``."""
        return self.a.scale, self.b.scale

    @property
    def shift_bits(self) -> int:
        """Bits of what a block's scales shift it by."""
        return max(product.shift_bits(*self.scales), 1)

    @property
    def scales_are_powers(self) -> bool:
        """All scales are powers of two, and none is zero."""
        return all(f.mantissa_bits == 0 and not (f.subnormals or f.zero) for f in self.scales)

    @property
    def aligned_bits(self) -> int:
        """Bits of a block's sum at its place among the others."""
        if self.alignment == ALIGNED:
            return self.window_term_width
        return signed_width(*self.block_range) + self._farthest

    @property
    def _farthest(self) -> int:
        """How far left a block's sum goes."""
        if self.alignment == SHORTENED:
            return (self.blocks - 1) * self.gap
        return self.largest_shift

    @property
    def largest_micro_shift(self) -> int:
        """The largest sum of a micro-exponent of a and one of b."""
        return sum((1 << f.micro_bits) - 1 for f in self.operands)

    @property
    def micro_group(self) -> int:
        """Lanes whose products are summed before micro-exponents shift them; 0 without those.

        Neighbours of a block share theirs.
        """
        shared = gcd(*(f.micro_block for f in self.operands))
        if shared:  # A micro-exponent can be that of several of the smaller blocks.
            shared = gcd(shared, self.block_size)
        return shared & -shared

    @property
    def lsb_exponent(self) -> int:
        """Elements' sums count units of 2**lsb_exponent, times the scales."""
        steps = self.a.element.lsb_exponent + self.b.element.lsb_exponent
        return steps - self.largest_micro_shift

    @property
    def scale_lsb_exponent(self) -> int:
        """Products of scales count units of 2**scale_lsb_exponent."""
        return self.a.scale.lsb_exponent + self.b.scale.lsb_exponent

    @cached_property
    def product_range(self) -> tuple[int, int]:
        """Smallest and largest product of elements without micro-exponents, in their steps."""
        return product_range(self.a.element, self.b.element)

    def width_of_sum(self, products: int) -> int:
        """Bits of a signed sum of ``products`` products of elements without micro-exponents."""
        low, high = self.product_range
        return signed_width(low * products, high * products)

    @property
    def block_range(self) -> tuple[int, int]:
        """Smallest and largest sum of a block in units of 2**lsb_exponent.

        The significands of its scales are in it, and not their shifts.
        """
        factor = (self.block_size << self.largest_micro_shift) * largest_significand(self.a.scale)
        low, high = (bound * factor for bound in self.product_range)
        significand = largest_significand(self.b.scale)
        return low * significand, high * significand

    @property
    def grown(self) -> int:
        """Bits that a block's sum has more than a product, as adders and shifts make it."""
        return tree_levels(self.block_size) + self.largest_micro_shift

    @property
    def largest_shift(self) -> int:
        """The farthest that scales shift a block's sum."""
        return sum(_largest_shift(f.scale) for f in self.operands)

    @property
    def alignment(self) -> str:
        """How blocks' sums are aligned: what is exact is as narrow as it can be."""
        if isinstance(self.accumulator, Aligned):
            return ALIGNED
        if self.blocks == 1:
            return ALONE
        spread = (self.blocks - 1) * self.gap
        return SHORTENED if self.rounds_to_float and spread < self.largest_shift else FIXED_POINT

    @property
    def rounds_to_float(self) -> bool:
        """The output has an exponent."""
        return self.output.exponent_bits > 0

    @property
    def kept_bits(self) -> int:
        """Leading bits of a sum that its rounding looks at one by one."""
        return self.output.precision + (RANDOM_BITS if self.rounding == STOCHASTIC else 1)

    @property
    def gap(self) -> int:
        """What is left of long gaps between the shifts of two blocks."""
        largest = max(map(abs, self.block_range))
        return shortest_gap(self.blocks, largest, self.kept_bits - 1)

    @cached_property
    def window_drop(self) -> int:
        """An aligned accumulator counts units of 2**window_drop of those of ``block_range``."""
        assert isinstance(self.accumulator, Aligned)
        bits, drop = self.accumulator.bits, -self.accumulator.bits
        # From below, as rounding can ask for one bit more than the width of the sum.
        while _window_width(self.blocks, self.block_range, drop) > bits:
            drop += 1
        return drop

    @property
    def window_term_width(self) -> int:
        """Bits of each block's sum in an aligned accumulator."""
        return _window_width(1, self.block_range, self.window_drop)

    @property
    def inputs(self) -> tuple[Port, ...]:
        """Elements and scales of ``a`` and ``b``, their micro-exponents, random bits."""
        return (
            *_operand_ports("a", self.a, self.lanes),
            *_operand_ports("b", self.b, self.lanes),
            *random_bits_port(self.rounding),
        )

    @property
    def outputs(self) -> tuple[Port, ...]:
        """The sum, a code of ``output``."""
        return (code_port("result", self.output),)

    @property
    def latency(self) -> int:
        """Enabled cycles from a valid input to its result: ``stages``."""
        return self.stages

    @property
    def name(self) -> str:
        """A legal Verilog module name that tells the spec."""
        parts = [self.unit, f"{self.a}", f"{self.b}", f"blocks{self.blocks}"]
        if isinstance(self.accumulator, Aligned):
            parts.append(str(self.accumulator).replace(":", "_"))
        parts.append(f"to_{self.output}")
        parts += [self.rounding, self.overflow, self.stages_name, self.mapping]
        return "_".join(parts)

    @property
    def description(self) -> tuple[str, ...]:
        """The sum over blocks, what is exact in it, and how it is rounded."""
        return (
            f"Block-scaled dot product, {self.a} x {self.b}, {self.blocks} x {self.block_size} "
            "elements:",
            "  result <- sum over blocks of a_scale * b_scale * sum of a[i] * b[i]"
            + (" / 2^micro-exponents" if self.micro_group else "")
            + ",",
            *self._sum_description,
            f"            then rounded once to {self.output}: rounding {self.rounding}, "
            f"overflow {self.overflow}",
            *self._sizes_description,
            "  NaN scales make NaN; infinities and NaN of elements follow IEEE 754",
            f"  mapping {self.mapping}" + ("" if self.packing is None else f": {self.packing}"),
        )

    @property
    def _sizes_description(self) -> tuple[str, ...]:
        """Whose scales count for several blocks."""
        return tuple(
            f"  {name}_scale: one for {f.block_size // self.block_size} blocks each"
            for name, f in (("a", self.a), ("b", self.b))
            if f.block_size > self.block_size
        )

    @property
    def _sum_description(self) -> tuple[str, ...]:
        if not isinstance(self.accumulator, Aligned):
            return ("            exact,",)
        unit = self.lsb_exponent + self.scale_lsb_exponent + self.window_drop
        return (
            f"            each block rounded ({self.accumulator.rounding}) to a multiple of "
            f"2^({unit} + the largest shift of a block",
            f"            by its scales' exponents), summed in {self.accumulator.bits} bits,",
        )


def _require_block(name: str, given: str | Format) -> BlockFormat:
    """InputError unless hardware takes such blocks."""
    f = require_block(name, given, "mxfp8_e4m3, nvfp4 or mxint8")
    require_decodable(name, f.element)
    require_decodable(name, f.scale)
    if f.scale.signed or f.scale.has_infinity:
        raise InputError(f"{name}={f}: scales have no sign and no infinity, such as e8m0 or ue4m3")
    return f


def largest_significand(scale: Scalar) -> int:
    """Of a decoded scale, before its shift."""
    steps = int(scale.max * 2.0**-scale.lsb_exponent)
    return min(steps, (1 << scale.precision) - 1)


def _largest_shift(scale: Scalar) -> int:
    """Of a decoded scale that is a number."""
    steps = int(scale.max * 2.0**-scale.lsb_exponent)
    return max(steps.bit_length() - scale.precision, 0)


def _window_width(blocks: int, block_range: tuple[int, int], drop: int) -> int:
    """Bits for any sum of that many blocks, each rounded either way to a multiple of 2**drop."""
    low, high = block_range
    if drop <= 0:
        return signed_width(blocks * (low << -drop), blocks * (high << -drop))
    return signed_width(blocks * (low >> drop), -blocks * (-high >> drop))


def _operand_ports(name: str, f: BlockFormat, lanes: int) -> tuple[Port, ...]:
    blocks = lanes // f.block_size
    micro: tuple[Port, ...] = ()
    if f.micro_bits:
        meaning = f"micro-exponents: of {f.micro_block} elements each, shifted right by so much"
        micro = (Port(f"{name}_micro", f.micro_bits, meaning, blocks * f.micro_exponents),)
    return (
        code_port(name, f.element, lanes),
        code_port(f"{name}_scale", f.scale, blocks),
        *micro,
    )
