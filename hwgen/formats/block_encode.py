"""From numbers to the codes of a block format: scales, micro-exponents, elements."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.errors import InputError
from hwgen.fields import check_fields, require_choice, require_kind
from hwgen.formats.block_codes import BlockCodes, in_blocks
from hwgen.formats.block_layout import BlockLayout
from hwgen.formats.block_scale import (
    RULES,
    ScaleRule,
    largest_magnitude,
    nearest_power,
    search_offsets,
    smallest_tensor_scale,
    tensor_scale,
)
from hwgen.formats.rounding import MODES, NEAREST_EVEN
from hwgen.formats.scalar import PROPAGATE, SATURATE

Floats = npt.NDArray[np.float64]

#: What becomes of NaN and infinities: codes of the element format, or a NaN scale that makes
#: the whole block NaN.
IN_ELEMENT, IN_SCALE = "element", "scale"
NONFINITE = (IN_ELEMENT, IN_SCALE)

FP32_SMALLEST, FP32_SMALLEST_NORMAL, FP32_MAX = 2.0**-149, 2.0**-126, (2 - 2.0**-23) * 2.0**127

#: Numbers worked on at a time, so that temporaries stay in the cache and memory stays small.
CHUNK = 2**16


def _as_it_is(numbers: Floats) -> Floats:
    return numbers


def _to_float32(numbers: Floats) -> Floats:
    with np.errstate(over="ignore", under="ignore"):
        return numbers.astype(np.float32).astype(np.float64)


@dataclass(frozen=True)
class Arithmetic:
    """The steps of encoding.

    ``working`` is what each result is rounded by, on float64 of any shape. With ``reciprocal``
    values are multiplied by a reciprocal, and not divided.
    """

    working: Callable[[Floats], Floats]
    reciprocal: bool


#: With x the values, w the rule's wanted scale, g the tensor scale, s the block scale, S, E and
#: F rounding to the formats of block scale and element and to float32:
#:
#: - ``exact``: s = S(w/g), element = E(x/(s·g)), in float64: where scales are powers of two
#:   nothing but the element is rounded, elsewhere quotients are, to 53 bits.
#: - ``float32``: s = S(F(F(w)/g)), element = E(F(x/F(s·g))), where x is F of the values.
#: - ``float32_reciprocal``: s as before, element = E(F(x·F(F(1/g)/s))), or E(F(x·F(1/s))) without
#:   a tensor scale: what torchao's ``nvfp4_quantize`` computes.
#:
#: Quotients and products of float32 numbers that are rounded to float64 and then to float32
#: are those of float32.
ARITHMETIC: dict[str, Arithmetic] = {
    "exact": Arithmetic(_as_it_is, reciprocal=False),
    "float32": Arithmetic(_to_float32, reciprocal=False),
    "float32_reciprocal": Arithmetic(_to_float32, reciprocal=True),
}


Codes = tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[np.uint8] | None]


@dataclass(frozen=True)
class Recipe:
    """How a block format is encoded when the caller does not say.

    ``scale_rule`` is a name in ``block_scale.RULES``, ``rounding`` one of ``rounding.MODES``, and
    ``arithmetic`` a name in ``ARITHMETIC``. InputError for others.
    """

    scale_rule: str
    rounding: str
    arithmetic: str

    def __post_init__(self) -> None:
        require_choice("scale_rule", self.scale_rule, tuple(RULES))
        require_choice("rounding", self.rounding, MODES)
        require_choice("arithmetic", self.arithmetic, tuple(ARITHMETIC))

    def but(self, **given: str | None) -> Recipe:
        """The same recipe but for what is ``given``, by its field, and not None."""
        return replace(self, **{name: value for name, value in given.items() if value is not None})


@dataclass(frozen=True)
class Encoder:
    """All choices of one call of ``BlockFormat.encode``."""

    format: BlockLayout
    recipe: Recipe
    symmetric: bool
    nonfinite: str
    flush_subnormals: bool
    smallest_scale: float
    tensor_scale: float | None

    def __post_init__(self) -> None:
        check_fields(self)
        require_choice("nonfinite", self.nonfinite, NONFINITE)

    @cached_property
    def rule(self) -> ScaleRule:
        """How scales are chosen."""
        return RULES[self.recipe.scale_rule]

    @cached_property
    def arithmetic(self) -> Arithmetic:
        """What its steps are rounded by."""
        return ARITHMETIC[self.recipe.arithmetic]

    def array_codes(
        self, numbers: npt.NDArray[Any], axis: int, random_bits: npt.NDArray[np.integer] | None
    ) -> BlockCodes:
        """Numbers (any shape) to codes in blocks along ``axis``; random bits are of their shape.

        Raises:
            InputError: they have no such axis, or NaN or infinities that the format cannot hold.

        """
        f = self.format
        rows, drawn = in_blocks(numbers, axis, f.block_size), None
        if random_bits is not None:
            drawn = in_blocks(np.asarray(random_bits), axis, f.block_size)
        elements, scales, micro = self.encode(rows.reshape(-1, f.block_size), drawn)
        leading = rows.shape[:-1]
        return BlockCodes(
            format=f,
            shape=numbers.shape,
            axis=axis,
            elements=elements.reshape(rows.shape),
            scales=scales.reshape(leading),
            micro_exponents=None if micro is None else micro.reshape(*leading, f.micro_exponents),
            tensor_scale=self.tensor_scale,
        )

    def encode(self, blocks: npt.NDArray[Any], drawn: npt.NDArray[Any] | None) -> Codes:
        """Blocks (count, block size) to codes of elements, scales and micro-exponents.

        Some blocks at a time, so that temporaries stay in the cache.
        """
        f = self.format
        count = len(blocks)
        elements = np.empty(blocks.shape, f.element.code_dtype)
        scales = np.empty(count, f.scale.code_dtype)
        micro = np.empty((count, f.micro_exponents), np.uint8) if f.micro_bits else None
        if drawn is not None:
            drawn = drawn.reshape(blocks.shape)
        step = max(1, CHUNK // f.block_size)
        for first in range(0, count, step):
            piece = slice(first, first + step)
            part = None if drawn is None else drawn[piece]
            codes = self._encode(blocks[piece].astype(np.float64), part)
            elements[piece], scales[piece] = codes[0], codes[1]
            if micro is not None and codes[2] is not None:
                micro[piece] = codes[2]
        return elements, scales, micro

    def _encode(self, given: Floats, drawn: npt.NDArray[Any] | None) -> Codes:
        f = self.format
        numbers = self.arithmetic.working(given)
        finite = np.isfinite(numbers)
        everything_finite = bool(finite.all())
        blocks = numbers
        if not everything_finite:
            self._check_nonfinite(numbers, given)
            blocks = np.where(finite, numbers, 0.0)
        if not f.element.signed:
            # What no element can be must not set the scale.
            blocks = np.maximum(blocks, 0.0)
        if self.flush_subnormals:
            tiny = largest_magnitude(blocks) < FP32_SMALLEST_NORMAL
            blocks = np.where(tiny[:, None], 0.0, blocks)
        scales = self._scales(blocks)
        elements, micro = self._elements(
            blocks, scales, self.recipe.rounding, drawn, None if everything_finite else numbers
        )
        if not everything_finite and self.nonfinite == IN_SCALE:
            lost = np.logical_not(np.all(finite, axis=-1))
            scales = np.where(lost, f.scale.encode(np.nan), scales)
            elements = np.where(lost[:, np.newaxis], f.element.encode(0.0), elements)
            if micro is not None:
                micro = np.where(lost[:, None], np.uint8(0), micro)
        return elements, scales, micro

    def _check_nonfinite(self, numbers: Floats, given: Floats) -> None:
        f = self.format
        if self.nonfinite == IN_SCALE:
            if not f.scale.has_nan:
                raise InputError(
                    f"values hold NaN or infinities, and the scales of {f} ({f.scale}) have no "
                    "NaN: remove or replace them before encoding"
                )
            return
        missing = bool(np.isnan(numbers).any())
        infinite = bool(np.isinf(numbers).any())
        if not f.element.has_nan and (missing or not f.element.has_infinity):
            grown = infinite and not np.isinf(given).any()
            raise InputError(
                ("values beyond the range of float32" if grown else "values hold NaN or infinities")
                + f", and the elements of {f} ({f.element}) have no such code: replace them"
                + (", or make their blocks NaN by nonfinite='scale'" if f.scale.has_nan else "")
            )

    def _scales(self, blocks: Floats) -> npt.NDArray[Any]:
        """Codes of the block scales, (count,)."""
        f = self.format
        working = self.arithmetic.working
        wanted = working(self.rule.wanted(blocks, f.element))
        if self.tensor_scale is not None:
            wanted = working(wanted / self.tensor_scale)
        bounded = np.clip(wanted, self.smallest_scale, f.scale.max)
        codes = f.scale.encode(bounded, self.rule.rounding)
        return self._best(blocks, codes) if self.rule.search else codes

    def _best(self, blocks: Floats, start: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Of the scales around ``start`` those with the least squared error."""
        f = self.format
        lowest = int(f.scale.encode(self.smallest_scale))
        highest = int(f.scale.encode(f.scale.max))
        best, least = start, np.full(len(blocks), np.inf)
        for offset in search_offsets(f.scale):
            codes = np.clip(start.astype(np.int64) + offset, lowest, highest)
            codes = codes.astype(f.scale.code_dtype)
            elements, micro = self._elements(blocks, codes, NEAREST_EVEN, None, None)
            candidate = BlockCodes(
                format=f,
                shape=blocks.shape,
                axis=-1,
                elements=elements[:, None],
                scales=codes[:, None],
                micro_exponents=None if micro is None else micro[:, None],
                tensor_scale=self.tensor_scale,
            )
            errors = np.square(candidate._decode(np.dtype(np.float64)) - blocks).sum(axis=-1)
            best = np.where(errors < least, codes, best)
            least = np.minimum(errors, least)
        return np.asarray(best)

    def _elements(
        self,
        blocks: Floats,
        scales: npt.NDArray[Any],
        rounding: str,
        drawn: npt.NDArray[Any] | None,
        nonfinite_numbers: Floats | None,
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint8] | None]:
        """Codes of the elements and micro-exponents of blocks with these scales.

        ``nonfinite_numbers``: the numbers as they were given, if not all are finite.
        """
        f = self.format
        scale_values = np.asarray(f.scale.decode(scales), dtype=np.float64)[:, None]
        micro = None
        shifts = np.zeros((1, 1), np.int64)
        if f.micro_bits:
            micro = self._micro_exponents(blocks, scale_values)
            shifts = np.repeat(micro.astype(np.int64), f.micro_block, axis=1)
        scaled = self._scaled(blocks, scale_values, shifts)
        overflow = SATURATE
        if nonfinite_numbers is not None and self.nonfinite == IN_ELEMENT:
            scaled = np.where(np.isfinite(nonfinite_numbers), scaled, nonfinite_numbers)
            overflow = PROPAGATE
        return f.element.encode(scaled, rounding, overflow, random_bits=drawn), micro

    def _scaled(self, blocks: Floats, scales: Floats, shifts: npt.NDArray[np.int64]) -> Floats:
        """``blocks`` over their scales and 2^−``shifts``, clamped to what elements may be."""
        element, working = self.format.element, self.arithmetic.working
        tensor_scale = self.tensor_scale
        # What vanishes in float32, or grows beyond it, must not become NaN. That is so only
        # where numbers are below 1e-35.
        if self.arithmetic.reciprocal:
            tensor_inverse = 1.0 if tensor_scale is None else working(np.asarray(1 / tensor_scale))
            inverse = tensor_inverse / scales
            factor = np.minimum(working(inverse), FP32_MAX)
            scaled = working(blocks * np.ldexp(factor, shifts))
        else:
            divisor = scales if tensor_scale is None else working(scales * tensor_scale)
            divisor = np.where(divisor == 0, FP32_SMALLEST, divisor)
            with np.errstate(over="ignore"):
                scaled = working(blocks / np.ldexp(divisor, -shifts))
        low = element.symmetric_min if self.symmetric else element.min
        return np.clip(scaled, low, element.max, out=scaled)

    def _micro_exponents(self, blocks: Floats, scales: Floats) -> npt.NDArray[np.uint8]:
        """How far the elements of each part of a block shift, uint8 (count, parts).

        To the scale that the rule would give the part alone, as far below the block's as the bits
        can tell.
        """
        f = self.format
        furthest = (1 << f.micro_bits) - 1
        parts = blocks.reshape(len(blocks), f.micro_exponents, f.micro_block)
        block_scales = scales if self.tensor_scale is None else scales * self.tensor_scale
        if not self.rule.search:
            ratios = self.rule.wanted(parts, f.element) / block_scales
            # A part of zeros shifts as far as can be, as the smallest numbers do.
            bounded = np.clip(ratios, 2.0**-furthest, 1.0)
            return (-nearest_power(bounded, self.rule.rounding)).astype(np.uint8)
        best = np.zeros(parts.shape[:-1], np.uint8)
        least = np.full(parts.shape[:-1], np.inf)
        for shift in range(furthest + 1):
            scaled = self._scaled(blocks, scales, np.full((1, 1), shift))
            values = f.element.quantize(scaled) * np.ldexp(block_scales, -shift)
            errors = np.square(values.reshape(parts.shape) - parts).sum(axis=-1)
            best = np.where(errors < least, np.uint8(shift), best)
            least = np.minimum(errors, least)
        return best


def checked_smallest_scale(f: BlockLayout, given: float | None) -> float:
    """``given`` or else the smallest scale of the format.

    Raises:
        InputError: it is no number in the range of scales.

    """
    given = require_kind("smallest_scale", given, ("float", "None"))
    if given is None:
        return f.scale.smallest
    if not f.scale.smallest <= given <= f.scale.max:
        raise InputError(
            f"smallest_scale={given!r}: give a number from {f.scale.smallest:g}, the smallest "
            f"of {f.scale}, to {f.scale.max:g}"
        )
    return given


def chosen_tensor_scale(
    f: BlockLayout, given: float | None, numbers: npt.NDArray[Any], recipe: Recipe
) -> float | None:
    """The tensor's scale, as a value of its format; None for a format without.

    It is ``given``, or else what suits ``numbers`` (any shape) in the recipe's arithmetic.

    Raises:
        InputError: one is given and the format has none, or it is out of range.

    """
    given = require_kind("tensor_scale", given, ("float", "None"))
    tensor_format = f.tensor_scale
    if tensor_format is None:
        if given is not None:
            raise InputError(f"tensor_scale={given!r}: {f} has none, as nvfp4 has")
        return None
    if given is None:
        flat, working = numbers.reshape(-1), ARITHMETIC[recipe.arithmetic].working
        largest = 0.0
        for first in range(0, flat.size, CHUNK):
            piece = working(flat[first : first + CHUNK].astype(np.float64))
            piece = piece[np.isfinite(piece)]
            piece = np.abs(piece) if f.element.signed else piece
            largest = max(largest, float(piece.max(initial=0.0)))
        return tensor_scale(largest, f.element, f.scale, tensor_format)
    lowest = smallest_tensor_scale(tensor_format)
    if not lowest <= given <= tensor_format.max:
        raise InputError(
            f"tensor_scale={given!r}: give a number from {lowest:g} to {tensor_format.max:g}"
        )
    return float(tensor_format.quantize(given))
