"""What every format's ``encode`` asks of its input."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hwgen.errors import InputError


def require_numbers(values: npt.ArrayLike, format_name: object) -> npt.NDArray[np.float64]:
    """``values`` as float64; infinities stay (they saturate), a NaN is an InputError.

    The formats of this package are finite: a NaN has no code, and any number chosen for
    it would be a wrong answer.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if np.isnan(numbers).any():
        raise InputError(
            f"{np.count_nonzero(np.isnan(numbers))} of {numbers.size} values are NaN and "
            f"{format_name} has no NaN: remove or replace them before encoding"
        )
    return numbers
