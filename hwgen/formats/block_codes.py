"""Arrays in a block format: codes, and their values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.errors import InputError
from hwgen.fields import check_fields, shown
from hwgen.formats.block_layout import BlockLayout
from hwgen.formats.types import as_type, checked_type

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class BlockCodes:
    """An array in a block format.

    ``shape``: of the values, blocked along ``axis``. With the other axes in their order as …:
    ``elements``: codes, unsigned integers, (…, blocks, block size), where the last block ends
    in zeros that are not values; ``scales``: codes, (…, blocks); ``micro_exponents``: uint8,
    (…, blocks, micro-exponents of a block), or None; ``tensor_scale``: its value, or None.
    """

    format: BlockLayout
    shape: tuple[int, ...]
    axis: int
    elements: npt.NDArray[Any]
    scales: npt.NDArray[Any]
    micro_exponents: npt.NDArray[np.uint8] | None = None
    tensor_scale: float | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        self._check_types()
        row = in_blocks(np.broadcast_to(np.uint8(0), self.shape), self.axis, 1).shape[:-1]
        blocks = (*row[:-1], -(-row[-1] // self.format.block_size))
        expected: dict[str, tuple[int, ...] | None] = {
            "elements": (*blocks, self.format.block_size),
            "scales": blocks,
            "micro_exponents": (
                (*blocks, self.format.micro_exponents) if self.format.micro_bits else None
            ),
        }
        for name, shape in expected.items():
            given = getattr(self, name)
            given_shape = None if given is None else given.shape
            if given_shape != shape:
                raise InputError(
                    f"{name} of shape {given_shape}: {self.format} of values of shape {self.shape} "
                    f"along axis {self.axis} has {shape}"
                )
        if (self.tensor_scale is None) != (self.format.tensor_scale is None):
            raise InputError(
                f"tensor_scale={self.tensor_scale!r}: give one for a format that has it, and "
                f"no other; this is {self.format}"
            )
        tensor_format = self.format.tensor_scale
        if tensor_format is not None and not (
            self.tensor_scale is not None
            and np.isfinite(self.tensor_scale)
            and tensor_format.quantize(self.tensor_scale) == self.tensor_scale
        ):
            raise InputError(
                f"tensor_scale={self.tensor_scale!r}: give a finite value of {tensor_format}"
            )

    def _check_types(self) -> None:
        """InputError for what is not even of the right kind."""
        if not isinstance(self.format, BlockLayout):
            raise InputError(f"format={shown(self.format)}: give a block format")
        lengths = self.shape
        if not isinstance(lengths, tuple) or not all(
            isinstance(length, int | np.integer) and 0 <= length < 2**40 for length in lengths
        ):
            raise InputError(f"shape={shown(lengths)}: give a tuple of lengths")
        for name in ("elements", "scales", "micro_exponents"):
            given = getattr(self, name)
            if not isinstance(given, np.ndarray) and not (
                given is None and name == "micro_exponents"
            ):
                raise InputError(f"{name}={shown(given)}: give an array of codes")

    def decode(self, dtype: npt.DTypeLike = np.float64) -> npt.NDArray[Any]:
        """The values, of ``shape``: element · 2^−micro-exponent · scale · tensor scale, exact.

        ``dtype``: float64, which holds them for all standard formats, or float16, float32 or
        longdouble if that holds all finite values of the format; ``object`` for Fractions.
        InputError for a type that does not, whatever the codes are. (Logarithms are rounded to
        float64 to start with, and so are their products.)
        """
        return self._decode(checked_type(dtype, self.format.extent, self.format))

    def _decode(self, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        """As ``decode``, as near as the type comes."""
        # A narrow type that holds the products need not hold the factors.
        working = dtype if dtype in (np.longdouble, object) else np.dtype(np.float64)
        scales = as_type(self._scale_values(), working)
        if self.tensor_scale is not None:
            scales = scales * as_type(np.asarray(self.tensor_scale, dtype=np.float64), working)
        # Zero times an infinite scale is NaN, as it should be, and no surprise.
        with np.errstate(invalid="ignore", over="ignore", under="ignore"):
            values = as_type(self.element_values(), working) * scales[..., None]
            values = values.astype(dtype, copy=False)
        rows = values.reshape(*values.shape[:-2], values.shape[-2] * values.shape[-1])
        if not self.shape:
            return np.asarray(rows[0], dtype=dtype)
        length = self.shape[self.axis]
        return np.ascontiguousarray(np.moveaxis(rows[..., :length], -1, self.axis))

    def _scale_values(self) -> Floats:
        return np.asarray(self.format.scale.decode(self.scales), dtype=np.float64)

    def block_scales(self) -> Floats:
        """Scale · tensor scale of each block, float64, exact, of ``scales``' shape."""
        scales = self._scale_values().copy()
        if self.tensor_scale is not None:
            scales *= self.tensor_scale
        return scales

    def element_values(self) -> Floats:
        """Element · 2^−micro-exponent, float64, exact, of ``elements``' shape."""
        values = np.array(self.format.element.decode(self.elements), dtype=np.float64)
        if self.micro_exponents is not None:
            parts = values.reshape(*self.micro_exponents.shape, self.format.micro_block)
            np.ldexp(parts, -self.micro_exponents.astype(np.int64)[..., None], out=parts)
        return values


def in_blocks(numbers: npt.NDArray[Any], axis: int, block_size: int) -> npt.NDArray[Any]:
    """Put ``axis`` of ``numbers`` last and cut it into blocks, the last filled up with zeros.

    Any shape becomes (…, blocks, ``block_size``), of the same dtype. A number without dimensions
    is an array of one.

    Raises:
        InputError: ``numbers`` have no such axis.

    """
    dimensions = max(numbers.ndim, 1)
    if not isinstance(axis, (int, np.integer)) or not -dimensions <= axis < dimensions:
        raise InputError(
            f"axis={shown(axis)}: values of shape {numbers.shape} have axes {-dimensions} to "
            f"{dimensions - 1}"
        )
    rows = np.moveaxis(np.atleast_1d(numbers), axis, -1)
    missing = -rows.shape[-1] % block_size
    if missing:
        rows = np.pad(rows, [(0, 0)] * (rows.ndim - 1) + [(0, missing)])
    return rows.reshape(*rows.shape[:-1], rows.shape[-1] // block_size, block_size)
