"""Rounding to whole numbers, in each of the modes that a format can be asked for."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hwgen.errors import InputError
from hwgen.fields import require_choice

NEAREST_EVEN = "nearest_even"
NEAREST_AWAY = "nearest_away"
TOWARD_ZERO = "toward_zero"
UP = "up"
DOWN = "down"
STOCHASTIC = "stochastic"
MODES = (NEAREST_EVEN, NEAREST_AWAY, TOWARD_ZERO, UP, DOWN, STOCHASTIC)

#: Random bits that decide one stochastic rounding.
RANDOM_BITS = 32


def drawn_bits(mode: str) -> int:
    """Random bits that a rounding takes."""
    return RANDOM_BITS if mode == STOCHASTIC else 0


def check_mode(
    mode: str, random_bits: npt.NDArray[np.integer] | None, shape: tuple[int, ...]
) -> None:
    """Check the rounding ``mode`` and its random bits.

    Raises:
        InputError: an unknown mode, or random bits that are missing, not of ``shape``, not whole
            numbers below 2^32, or given without use.

    """
    require_choice("rounding", mode, MODES)
    if (mode == STOCHASTIC) != (random_bits is not None):
        raise InputError(
            f"rounding={mode!r}: random_bits belong to {STOCHASTIC!r} rounding, and to no other"
        )
    if random_bits is None:
        return
    try:
        drawn = np.asarray(random_bits)
    except ValueError:  # Lists of different lengths.
        drawn = np.asarray(None)
    if drawn.shape != shape or not np.issubdtype(drawn.dtype, np.integer):
        raise InputError(
            f"random_bits of shape {drawn.shape} and type {drawn.dtype}: give whole numbers "
            f"below 2^{RANDOM_BITS} of the values' shape {shape}"
        )
    if drawn.size and (drawn.min() < 0 or int(drawn.max()) >> RANDOM_BITS):
        raise InputError(
            f"random_bits from {drawn.min()} to {drawn.max()}: give whole numbers from 0 to "
            f"2^{RANDOM_BITS} - 1"
        )


def round_to_integer(
    values: npt.NDArray[np.float64],
    mode: str = NEAREST_EVEN,
    random_bits: npt.NDArray[np.integer] | None = None,
) -> npt.NDArray[np.float64]:
    """``values`` (any shape, float64) rounded to whole numbers; see ``check_mode``.

    ``stochastic`` rounds away from zero with the probability of the fraction: the fraction of
    the magnitude, cut to 32 bits, and ``random_bits`` are added, and the carry decides
    (StochasticFastest of gfloat, with 32 bits).
    """
    if mode == NEAREST_EVEN:
        return np.rint(values)
    if mode == NEAREST_AWAY:
        whole = np.trunc(values)
        return np.asarray(whole + np.copysign(np.abs(values - whole) >= 0.5, values))
    if mode == TOWARD_ZERO:
        return np.trunc(values)
    if mode == UP:
        return np.ceil(values)
    if mode == DOWN:
        return np.floor(values)
    check_mode(mode, random_bits, values.shape)
    whole = np.trunc(values)
    fraction = np.floor(np.ldexp(np.abs(values - whole), RANDOM_BITS))
    carry = fraction + np.asarray(random_bits) >= 2.0**RANDOM_BITS
    return np.asarray(whole + np.copysign(carry, values))


def truncates(mode: str, values: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Where ``mode`` rounds toward zero, so that no finite number overflows."""
    if mode == UP:
        return values < 0
    if mode == DOWN:
        return values > 0
    return np.full(np.shape(values), mode == TOWARD_ZERO)
