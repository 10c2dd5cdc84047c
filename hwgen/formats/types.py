"""The types that values can be had in, and which of them hold the values of what format."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.errors import InputError
from hwgen.fields import shown

#: Narrow ones first; ``object`` stands for Fractions, which hold every finite value.
TYPES: tuple[np.dtype[Any], ...] = tuple(
    np.dtype(t) for t in (np.float16, np.float32, np.float64, np.longdouble, object)
)


@dataclass(frozen=True)
class Extent:
    """Bounds of all finite values of a format.

    They have at most ``bits`` significant bits, are multiples of 2^``lsb_exponent``, and of no
    magnitude above ``largest``.
    """

    bits: int
    lsb_exponent: int
    largest: Fraction

    def times(self, other: Extent) -> Extent:
        """Bounds of all products with a value of ``other``. Powers of two add no bits."""
        bits = max(self.bits, other.bits)
        return Extent(
            self.bits + other.bits if min(self.bits, other.bits) > 1 else bits,
            self.lsb_exponent + other.lsb_exponent,
            self.largest * other.largest,
        )

    def fits(self, dtype: np.dtype[Any]) -> bool:
        """Every number in these bounds is one of the type."""
        if dtype.kind == "O":
            return True
        info = np.finfo(dtype)
        return (
            self.bits <= info.nmant + 1
            and self.lsb_exponent >= info.minexp - info.nmant
            and self.largest <= Fraction(*info.max.as_integer_ratio())
        )


def extent_of(values: npt.NDArray[np.float64]) -> Extent:
    """The bounds of these values, which are taken as exact."""
    finite = values[np.isfinite(values) & (values != 0)]
    fraction, exponent = np.frexp(finite)
    integers = np.ldexp(fraction, 53).astype(np.int64)
    zeros = np.frexp((integers & -integers).astype(np.float64))[1] - 1
    bits, lsb_exponent = int((53 - zeros).max()), int((exponent - 53 + zeros).min())
    return Extent(bits, lsb_exponent, Fraction(float(np.abs(finite).max())))


def checked_type(dtype: npt.DTypeLike, extent: Extent, name: object) -> np.dtype[Any]:
    """``dtype`` as a numpy type that holds all finite values of the format called ``name``.

    ``extent``: the bounds of those, so that the answer does not hang on the codes.

    Raises:
        InputError: it is none of ``TYPES``, or does not hold them.

    """
    try:
        numpy_type = np.dtype(dtype)
    except (TypeError, ValueError):
        numpy_type = np.dtype(np.void)
    if dtype is None or numpy_type not in TYPES:
        raise InputError(
            f"dtype={shown(dtype)}: use {', '.join(t.name for t in TYPES[:-1])}, or object for "
            "Fractions"
        )
    if not extent.fits(numpy_type):
        enough = [t.name for t in TYPES if extent.fits(t)]
        raise InputError(
            f"some values of {name} are no {numpy_type.name}: use {' or '.join(enough)}"
            + (" (of Fractions)" if enough == ["object"] else "")
        )
    return numpy_type


def as_type(values: npt.NDArray[np.float64], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """``values`` (any shape) in a type that holds them.

    As objects they are Fractions, and infinities and NaN floats.
    """
    if dtype.kind != "O":
        return values.astype(dtype)
    objects = np.empty(values.size, dtype=object)
    objects[:] = [Fraction(v) if np.isfinite(v) else v for v in values.ravel().tolist()]
    return objects.reshape(values.shape)
