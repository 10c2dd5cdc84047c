"""Block formats: numbers that share a scale.

``block_size`` consecutive numbers along one axis are elements of one scalar format times one
scale of another; a whole tensor may have one more scale, and the parts of a block may share a
micro-exponent. Standard formats, by ``NAMED``:

- OCP Microscaling Formats (MX) 1.0: ``mxfp8_e4m3``, ``mxfp8_e5m2``, ``mxfp6_e2m3``,
  ``mxfp6_e3m2``, ``mxfp4``, ``mxint8``; and in *INT v.s. FP* (arXiv 2510.25602) ``mxint6``,
  ``mxint4``. Blocks of 32 with E8M0 scales.
- ``nvfp4`` and, in the same paper, ``nvint4``: blocks of 16 with UE4M3 scales and an FP32 scale
  for the tensor.
- Microsoft floating point ``msfp11`` … ``msfp16`` (Rouhani et al., *Pushing the Limits of Narrow
  Precision Inferencing at Cloud Scale with Microsoft Floating Point*, NeurIPS 2020): boxes of 16
  with a shared 8-bit exponent and sign-magnitude mantissas.
- ``mx9``, ``mx6``, ``mx4`` (*With Shared Microexponents, A Little Shifting Goes a Long Way*,
  arXiv 2302.08007): blocks of 16 with a shared 8-bit exponent, and a bit for each pair that
  halves its scale.

Any other has a systematic name, ``{element}_b{block size}_{scale}``, then
``_m{numbers that share a micro-exponent}x{its bits}`` and ``_{tensor scale}`` where there are
such: ``e2m1_b16_ue4m3fn_fp32``. ``bfp{m}_b{size}`` is block floating point with mantissas of
``m`` bits in two's complement and a shared 8-bit exponent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.errors import InputError, near
from hwgen.fields import shown
from hwgen.formats.block_codes import BlockCodes
from hwgen.formats.block_encode import (
    IN_ELEMENT,
    Encoder,
    Recipe,
    checked_smallest_scale,
    chosen_tensor_scale,
)
from hwgen.formats.block_layout import BlockLayout
from hwgen.formats.integer import Integer
from hwgen.formats.minifloat import Minifloat
from hwgen.formats.names import parse_scalar
from hwgen.formats.reals import real_numbers
from hwgen.formats.rounding import NEAREST_EVEN, RANDOM_BITS, TOWARD_ZERO, check_mode
from hwgen.formats.scalar import Scalar
from hwgen.formats.types import checked_type

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class BlockFormat(BlockLayout):
    """A block layout that is called by a name, takes numbers and gives their codes."""

    @classmethod
    def parse(cls, name: str) -> BlockFormat | None:
        """The format called ``name``, or None if that is not a block format's name.

        InputError for the name of one that cannot be, such as a block of 0.
        """
        name = ALIASES.get(name, name)
        if name in NAMED:
            return NAMED[name]
        match = re.fullmatch(r"bfp([1-9][0-9]?)_b([0-9]{1,5})", name, re.ASCII)
        if match is not None:
            bits = int(match[1])
            if not 2 <= bits <= 16:
                raise InputError(f"{name}: mantissas of block floating point have 2 to 16 bits")
            return cls(_fixed(bits), int(match[2]), _E8M0)
        match = re.fullmatch(r"([a-z0-9_-]+?)_b(0|[1-9][0-9]{0,4})_([a-z0-9_-]+)", name, re.ASCII)
        if match is None:
            return None
        scales, micro = match[3], (0, 0)
        with_micro = re.fullmatch(
            r"(.+?)_m([1-9][0-9]{0,4})x([1-9][0-9]{0,4})(?:_(.+))?", scales, re.ASCII
        )
        if with_micro is not None:
            micro = (int(with_micro[2]), int(with_micro[3]))
            scale, tensor_name = parse_scalar(with_micro[1]), with_micro[4]
            tensor = None if tensor_name is None else parse_scalar(tensor_name)
        else:
            scale, tensor = _one_or_two(scales)
        return cls(parse_scalar(match[1]), int(match[2]), scale, tensor, *micro)

    def __repr__(self) -> str:
        """The format again, if Python evaluates it."""
        return f"parse({str(self)!r})"

    def __str__(self) -> str:
        return _NAMES.get(self, self.systematic_name)

    @property
    def _keeps_random_bits(self) -> bool:
        """A number rounded to odd has all the bits that stochastic rounding asks of an element."""
        return self.element.halves_by_value and self.element.precision + RANDOM_BITS < 53

    @property
    def recipe(self) -> Recipe:
        """What ``encode`` does unless told otherwise.

        The scale: OCP's ``floor`` for powers of two, ``nearest`` for finer ones. Rounding: to
        nearest even; MSFP truncates. With a tensor scale every step is in float32 with
        reciprocals, as in torchao's NVFP4.
        """
        return Recipe(
            scale_rule="floor" if self.scale.precision == 1 else "nearest",
            rounding=TOWARD_ZERO if self in _TRUNCATED else NEAREST_EVEN,
            arithmetic="exact" if self.tensor_scale is None else "float32_reciprocal",
        )

    def encode(
        self,
        values: npt.ArrayLike,
        *,
        axis: int = -1,
        scale_rule: str | None = None,
        rounding: str | None = None,
        symmetric: bool = True,
        nonfinite: str = IN_ELEMENT,
        flush_subnormals: bool = False,
        smallest_scale: float | None = None,
        tensor_scale: float | None = None,
        arithmetic: str | None = None,
        random_bits: npt.NDArray[np.integer] | None = None,
    ) -> BlockCodes:
        """Values (real numbers, any shape) to codes, in blocks along ``axis``.

        What is None is as ``recipe`` says. The last block of a row is filled up with zeros. What
        is no float64, such as a whole number past 2^53, is rounded to odd to 53 bits.

        - ``scale_rule``: a name in ``block_scale.RULES``. The scale that it wants is clamped to
          the scale format's range, then rounded to the format: never to zero, so a block of zeros,
          or far smaller than the rest of its tensor, gets the smallest scale.
          ``smallest_scale`` clamps at a larger one (torchao's NVFP4: 2^−6, E4M3's smallest
          normal number).
        - ``rounding``: of elements, one of ``rounding.MODES``; ``random_bits`` (whole numbers
          below 2^32, of the values' shape) for the stochastic one. Beyond the largest element
          they saturate.
        - ``symmetric``: integers use −max … max only (microxcaling, *INT v.s. FP*), not the
          full range.
        - ``nonfinite``: NaN and infinities become codes of their own elements (``element``; an
          infinity becomes NaN in a format without) and do not count for the scale; or they make
          the scale NaN, and so the whole block (``scale``).
        - ``flush_subnormals``: blocks whose largest magnitude is subnormal in FP32 become zeros
          (microxcaling's ``mx_flush_fp32_subnorms``).
        - ``tensor_scale``: the tensor's scale, for instance from calibration, in place of
          largest/(Q·S), Q and S the largest values of elements and block scales; rounded to its
          format. Without it no tensor gets a scale below 2^−127, whose reciprocal is no
          float32 number.
        - ``arithmetic``: a name in ``ARITHMETIC``: which steps are rounded to float32.

        Raises:
            InputError: an unknown choice, values that are not real numbers, or NaN or infinities
                that the format cannot hold in the chosen way.

        """
        recipe = self.recipe.but(scale_rule=scale_rule, rounding=rounding, arithmetic=arithmetic)
        numbers = self._numbers(values, recipe.rounding, random_bits)
        encoder = Encoder(
            format=self,
            recipe=recipe,
            symmetric=symmetric,
            nonfinite=nonfinite,
            flush_subnormals=flush_subnormals,
            smallest_scale=checked_smallest_scale(self, smallest_scale),
            tensor_scale=chosen_tensor_scale(self, tensor_scale, numbers, recipe),
        )
        return encoder.array_codes(numbers, axis, random_bits)

    def _numbers(
        self, values: npt.ArrayLike, rounding: str, random_bits: npt.NDArray[np.integer] | None
    ) -> npt.NDArray[Any]:
        """``values`` as floats, of their shape, that are rounded as they are.

        Raises:
            InputError: values that are not real numbers, or that are no float64 where stochastic
                rounding would see it; random bits as for ``check_mode``.

        """
        reals = real_numbers(values)
        check_mode(rounding, random_bits, reals.floats.shape)
        if reals.inexact is not None and random_bits is not None and not self._keeps_random_bits:
            raise InputError(
                f"some values are no float64, and stochastic rounding to {self.element} compares "
                "more bits than the division by a scale leaves of them: give float64 values"
            )
        return reals.floats

    def quantize(
        self, values: npt.ArrayLike, *, dtype: npt.DTypeLike = np.float64, **options: Any
    ) -> npt.NDArray[Any]:
        """The format's value for each of ``values`` (any shape), float64 or ``dtype``.

        Arguments and errors as for ``encode`` and, ``dtype``, for ``BlockCodes.decode``.
        """
        checked_type(dtype, self.extent, self)
        return self.encode(values, **options).decode(dtype)


def parse_block(name: object) -> BlockFormat:
    """The block format called ``name``; one is returned as it is. InputError if unknown."""
    if isinstance(name, BlockFormat):
        return name
    number_format = BlockFormat.parse(name) if isinstance(name, str) else None
    if number_format is None:
        raise InputError(
            f"unknown block format {shown(name)}{near(name, NAMED)}: use one of "
            f"{', '.join(NAMED)}, bfp{{mantissa bits}}_b{{block size}}, or "
            "{element}_b{block size}_{scale} such as e2m1_b32_e8m0"
        )
    return number_format


def _one_or_two(names: str) -> tuple[Scalar, Scalar | None]:
    """``{scale}`` or ``{scale}_{tensor scale}``: names of formats may hold underscores."""
    parts = names.split("_")
    for count in range(len(parts) - 1, 0, -1):
        try:
            return parse_scalar("_".join(parts[:count])), parse_scalar("_".join(parts[count:]))
        except InputError:
            continue
    return parse_scalar(names), None


def _minifloat(name: str) -> Minifloat:
    minifloat = Minifloat.parse(name)
    assert minifloat is not None
    return minifloat


_E8M0, _UE4M3, _FP32 = _minifloat("e8m0"), _minifloat("ue4m3"), _minifloat("e8m23ieee")


def _fixed(bits: int) -> Integer:
    """Two's complement with one bit before the point and the sign: the largest is below 2."""
    return Integer(bits, fraction_bits=bits - 2)


#: Standard formats by the names that they print.
NAMED: dict[str, BlockFormat] = {
    "mxfp8_e4m3": BlockFormat(_minifloat("e4m3fn"), 32, _E8M0),
    "mxfp8_e5m2": BlockFormat(_minifloat("e5m2ieee"), 32, _E8M0),
    "mxfp6_e2m3": BlockFormat(_minifloat("e2m3"), 32, _E8M0),
    "mxfp6_e3m2": BlockFormat(_minifloat("e3m2"), 32, _E8M0),
    "mxfp4": BlockFormat(_minifloat("e2m1"), 32, _E8M0),
    **{f"mxint{bits}": BlockFormat(_fixed(bits), 32, _E8M0) for bits in (8, 6, 4)},
    "nvfp4": BlockFormat(_minifloat("e2m1"), 16, _UE4M3, _FP32),
    "nvint4": BlockFormat(Integer(4), 16, _UE4M3, _FP32),
    **{f"msfp{bits}": BlockFormat(Minifloat(0, bits - 9), 16, _E8M0) for bits in range(11, 17)},
    **{
        f"mx{bits}": BlockFormat(Minifloat(0, bits - 2), 16, _E8M0, micro_block=2, micro_bits=1)
        for bits in (9, 6, 4)
    },
}

#: Other names for them.
ALIASES: dict[str, str] = {
    "mxfp8": "mxfp8_e4m3",
    "mxfp6": "mxfp6_e2m3",
    "mxfp4_e2m1": "mxfp4",
}

_NAMES: dict[BlockFormat, str] = {number_format: name for name, number_format in NAMED.items()}

#: MSFP drops the bits that shifting to the shared exponent pushes out.
_TRUNCATED = frozenset(NAMED[f"msfp{bits}"] for bits in range(11, 17))
