"""How a block of numbers that share a scale is laid out: formats, sizes and ranges of its parts."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from hwgen.errors import InputError
from hwgen.fields import check_fields, shown
from hwgen.formats.scalar import Scalar, extent
from hwgen.formats.types import Extent

MAX_BLOCK_SIZE = 1024
MAX_MICRO_BITS = 3


@dataclass(frozen=True)
class BlockLayout:
    """``block_size`` elements (1 to 1024) of the format ``element`` share one ``scale``.

    ``tensor_scale``: the format of one more scale for the whole tensor, or None. Each
    ``micro_block`` consecutive elements share a micro-exponent of ``micro_bits`` bits (1 to 3)
    that shifts them right; both are 0 where there are none. The value of an element is
    element · 2^−micro-exponent · scale · tensor scale.
    """

    element: Scalar
    block_size: int
    scale: Scalar
    tensor_scale: Scalar | None = None
    micro_block: int = 0
    micro_bits: int = 0

    def __post_init__(self) -> None:
        check_fields(self)
        for name in ("element", "scale", "tensor_scale"):
            given = getattr(self, name)
            if not isinstance(given, Scalar) and not (given is None and name == "tensor_scale"):
                raise InputError(
                    f"{name}={shown(given)}: give a format of single numbers, such as "
                    "hwgen.parse('e2m1'); BlockFormat.parse takes names"
                )
        if not 1 <= self.block_size <= MAX_BLOCK_SIZE:
            raise InputError(
                f"block_size={self.block_size}: blocks have 1 to {MAX_BLOCK_SIZE} elements"
            )
        if (self.micro_block or self.micro_bits) and not (
            self.micro_block >= 1
            and self.block_size % self.micro_block == 0
            and 1 <= self.micro_bits <= MAX_MICRO_BITS
        ):
            raise InputError(
                f"micro_block={self.micro_block}, micro_bits={self.micro_bits} in a block of "
                f"{self.block_size}: a micro-exponent has 1 to {MAX_MICRO_BITS} bits and is "
                "shared by a number of elements that divides the block size; or both are 0"
            )

    def __str__(self) -> str:
        return self.systematic_name

    @property
    def systematic_name(self) -> str:
        """The name that tells all parts, such as ``e2m1_b32_e8m0``."""
        parts = [str(self.element), f"b{self.block_size}", str(self.scale)]
        if self.micro_bits:
            parts.append(f"m{self.micro_block}x{self.micro_bits}")
        if self.tensor_scale is not None:
            parts.append(str(self.tensor_scale))
        return "_".join(parts)

    @property
    def micro_exponents(self) -> int:
        """Micro-exponents in a block."""
        return self.block_size // self.micro_block if self.micro_bits else 0

    @property
    def block_bits(self) -> int:
        """Bits of a block: elements, scale and micro-exponents.

        UE4M3 counts 7 bits, though in memory it often takes 8.
        """
        elements = self.block_size * self.element.bits
        return elements + self.scale.bits + self.micro_exponents * self.micro_bits

    @property
    def bits_per_value(self) -> float:
        """``block_bits`` per element; the tensor scale is shared by too many to count."""
        return self.block_bits / self.block_size

    @property
    def has_nan(self) -> bool:
        """Some value is NaN: by the element's code or by the scale's."""
        return self.element.has_nan or self.scale.has_nan

    @cached_property
    def extent(self) -> Extent:
        """The bounds of all finite values: products of extremes of the parts.

        The parts are elements, scales and micro-exponents. Of logarithms, whose values are rounded
        to start with, only the range counts, not the bits.
        """
        shifted = Extent(1, 1 - (1 << self.micro_bits), Fraction(1))
        extent = _extent(self.element).times(shifted)
        for scale in (self.scale, self.tensor_scale):
            extent = extent if scale is None else extent.times(_extent(scale))
        return extent


def _extent(number_format: Scalar) -> Extent:
    bounds = extent(number_format)
    return bounds if number_format.halves_by_value else Extent(1, 0, bounds.largest)
