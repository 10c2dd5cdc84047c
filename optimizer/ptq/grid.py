"""Numbers to the nearest value of a format."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from hwgen.errors import InputError
from hwgen.formats import Scalar

Real = TypeVar("Real", np.float32, np.float64)


def on_grid(number_format: Scalar, values: npt.NDArray[Real]) -> npt.NDArray[Real]:
    """``values``, float32 or float64, to the nearest of the format, saturated, in their type.

    As ``quantize`` does, and faster for integers. InputError for NaN.
    """
    f = number_format
    if not f.is_integer or f.lsb_exponent != 0 or f.has_nan:
        quantized: npt.NDArray[Real] = f.quantize(values, dtype=values.dtype)
        return quantized
    result = np.rint(values)
    np.clip(result, f.min, f.max, out=result)
    if np.isnan(result.sum()):
        raise InputError(f"some values are NaN and {f} has no NaN: remove or replace them")
    return result
