"""Patterns at the edges: of a format's codes, and of words that are no codes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.formats import Scalar


def extreme_codes(number_format: Scalar) -> npt.NDArray[Any]:
    """Codes at the format's edges, each once, rising, in the format's dtype.

    Most negative, largest, the smallest step of either sign (a minifloat's smallest subnormal),
    zero of either sign, one step inside each bound; and its infinities and NaN.
    """
    f = number_format
    values = [f.min, f.max, -f.smallest, f.smallest, 0.0, -0.0]
    codes = [int(code) for code in f.encode(values)]
    # Largest subnormal beside smallest normal, all bits equal, one bit set, one bit clear.
    mantissa_bits = f.bits - 1 if f.is_integer else f.mantissa_bits
    ones = 2**f.bits - 1
    codes += [2**mantissa_bits - 1, 2**mantissa_bits, ones, ones >> 1, (ones >> 1) - 1]
    codes += [1 << bit for bit in range(f.bits)]
    codes += [ones ^ (1 << bit) for bit in range(f.bits)]
    if f.has_nan:
        # The largest exponent with each bit of the mantissa: NaN has many codes, or one.
        top = (2**f.exponent_bits - 1) << mantissa_bits
        codes += [top | 1 << bit for bit in range(mantissa_bits)]
    if f.has_infinity:
        codes += [int(c) for c in f.encode([np.inf, -np.inf], overflow="special")]
    if f.has_nan:
        codes += [int(f.encode(np.nan))]
    return np.unique(np.array([code & ones for code in codes], dtype=f.code_dtype))


def word_extremes(bits: int) -> list[int]:
    """Of words that are no codes: all zeros, all ones, and both alternating ones."""
    ones = (1 << bits) - 1
    alternating = ones // 3 if bits % 2 == 0 else (2 * ones + 1) // 3
    return [0, ones, alternating, ones ^ alternating]
