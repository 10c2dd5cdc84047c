"""Golden model of accumulators: the register after every step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.accumulator import WRAP, Accumulator, Exact, Fixed, Float
from hwgen.errors import InputError
from hwgen.formats.rounding import STOCHASTIC
from sim.exact import ExactArray, Floats, Signs, add, decode
from sim.rounding import round_to, round_to_multiples


@dataclass(frozen=True, eq=False)
class Accumulated:
    """The accumulator after every step, arrays of shape (steps,).

    ``words``: signed integers in units of 2^``lsb_exponent`` (Python ints; ``Exact`` and
    ``Fixed``), or codes of the format (unsigned; ``Float``, whose ``lsb_exponent`` is the
    format's). ``special``: float64, the infinity or NaN that the accumulator is, else 0. Beside
    integers that is a flag which only a restart clears, and the word holds the finite sums.
    ``zero_sign``: as of ``sim.exact.ExactArray``, of all sums since the restart; it says the sign
    of a zero word where that is the exact sum.
    """

    words: npt.NDArray[Any]
    lsb_exponent: int
    special: Floats
    zero_sign: Signs


def accumulate(
    accumulator: Accumulator,
    sums: ExactArray,
    clear: npt.NDArray[np.bool_],
    random_bits: npt.NDArray[np.integer] | None = None,
) -> Accumulated:
    """What ``accumulator`` holds after each step.

    ``sums``: the exact sum of each step, shape (steps,); ``clear``: bool of that shape, True
    where the accumulator restarts with this step's sum alone (it is +0 before the first step);
    ``random_bits``: whole numbers below 2^32 of that shape, for stochastic rounding only. Of
    partial sums that take turns the words are what each holds after its step.
    InputError for other shapes, and for a NaN that reaches a ``Float`` whose format has none.
    """
    restart = np.asarray(clear, dtype=np.bool_)
    if len(sums.shape) != 1 or restart.shape != sums.shape:
        raise InputError(f"sums of shape {sums.shape}, clear of {restart.shape}: use (steps,)")
    if isinstance(accumulator, Float):
        return _accumulate_float(accumulator, sums, restart, random_bits)
    if isinstance(accumulator, Exact):
        lsb_exponent, terms = sums.lsb_exponent, sums.integers
    else:
        lsb_exponent = -accumulator.fraction_bits
        terms = round_to_multiples(sums, lsb_exponent, accumulator.rounding, random_bits)
    words = np.empty(len(restart), dtype=object)
    words[:] = _running(terms.tolist(), restart.tolist(), _bounded(accumulator))
    special = np.zeros(len(restart))
    if sums.special.any():
        # IEEE addition of the specials: inf − inf is NaN, and NaN stays.
        special[:] = _running(sums.special.tolist(), restart.tolist(), lambda value: value)
    signs = np.array(_running_signs(sums.sign.tolist(), restart.tolist()), np.int8)
    return Accumulated(words, lsb_exponent, special, signs)


def accumulate_once(
    accumulator: Fixed | Float,
    start: ExactArray,
    sums: ExactArray,
    clear: npt.NDArray[np.bool_],
    random_bits: npt.NDArray[np.integer] | None = None,
) -> Accumulated:
    """What ``accumulator`` holds after a single step from each of ``start``.

    ``start``: numbers that it can hold, shape (steps,); beside an integer one may be special: that
    is its flag. ``sums``, ``clear``, ``random_bits``: as for ``accumulate``; with ``clear`` the
    step starts from nothing.
    """
    start = ExactArray(
        np.where(clear, 0, start.integers),
        start.lsb_exponent,
        np.where(clear, 0, start.special),
        np.where(clear, sums.sign, start.sign),
    )
    total = add(start, sums)
    if isinstance(accumulator, Float):
        f = accumulator.format
        codes = round_to(
            total,
            f,
            accumulator.rounding,
            accumulator.overflow,
            random_bits=random_bits,
        )
        return _float_codes(accumulator, codes)
    lsb_exponent = -accumulator.fraction_bits
    terms = round_to_multiples(sums, lsb_exponent, accumulator.rounding, random_bits)
    words = round_to_multiples(start, lsb_exponent) + terms
    words[:] = [_bounded(accumulator)(word) for word in words.tolist()]
    with np.errstate(invalid="ignore"):
        special = start.special + sums.special
    return Accumulated(words, lsb_exponent, special, total.sign)


def _running(
    terms: Iterable[Any], restarts: Iterable[bool], bounded: Callable[[Any], Any]
) -> list[Any]:
    """The running sum after each term, restarted and bounded."""
    history = []
    value: Any = 0
    for term, restart in zip(terms, restarts, strict=True):
        value = bounded(term if restart else value + term)
        history.append(value)
    return history


def _running_signs(signs: Iterable[int], restarts: Iterable[bool]) -> list[int]:
    """The sign that all addends since a restart have, 0 if they have both."""
    history, running = [], 1
    for sign, restart in zip(signs, restarts, strict=True):
        running = sign if restart or sign == running else 0
        history.append(running)
    return history


def _float_codes(accumulator: Float, codes: npt.NDArray[Any]) -> Accumulated:
    numbers = decode(accumulator.format, codes)
    return Accumulated(codes, numbers.lsb_exponent, numbers.special, numbers.sign)


def _bounded(accumulator: Exact | Fixed) -> Callable[[int], int]:
    """What the accumulator makes of an integer that may be out of its range."""
    if isinstance(accumulator, Exact):
        return lambda value: value
    half = 1 << (accumulator.bits - 1)
    if accumulator.overflow == WRAP:
        return lambda value: (value + half) % (2 * half) - half
    return lambda value: max(-half, min(half - 1, value))


def _accumulate_float(
    accumulator: Float,
    sums: ExactArray,
    restart: npt.NDArray[np.bool_],
    random_bits: npt.NDArray[np.integer] | None,
) -> Accumulated:
    number_format = accumulator.format
    if accumulator.rounding == STOCHASTIC and (
        random_bits is None or random_bits.shape != sums.shape
    ):
        raise InputError(f"stochastic rounding: random_bits of shape {sums.shape} are missing")

    def rounded(numbers: ExactArray, steps: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
        drawn = None if random_bits is None else random_bits[steps]
        return round_to(
            numbers, number_format, accumulator.rounding, accumulator.overflow, random_bits=drawn
        )

    # Runs from one restart of a sum to its next know nothing of each other: their n-th steps are
    # made together, the longest runs first in the arrays so that those still going are a prefix.
    # Steps of a sum are as far from each other as there are sums that take turns.
    apart = accumulator.interleave
    starts, lengths = _runs(restart, apart)
    order = np.argsort(-lengths, kind="stable")
    starts, lengths = starts[order], lengths[order]
    first = np.flatnonzero(~restart[:apart])
    if len(first):
        # A first sum is added to the +0 of a reset, which only a zero shows.
        zero = decode(number_format, np.zeros(1, number_format.code_dtype))
        signs = sums.sign.copy()
        signs[first] = add(zero, sums[first]).sign
        sums = replace(sums, zero_sign=signs)
    codes = np.zeros(len(restart), dtype=number_format.code_dtype)
    for step in range(int(lengths.max(initial=0))):
        current = starts[: np.count_nonzero(lengths > step)] + step * apart
        numbers = sums[current]
        if step > 0:
            numbers = add(decode(number_format, codes[current - apart]), numbers)
        codes[current] = rounded(numbers, current)
    return _float_codes(accumulator, codes)


def _runs(
    restart: npt.NDArray[np.bool_], apart: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Where runs of each of ``apart`` sums that take turns start, rising, and their steps."""
    starts = np.flatnonzero(restart | (np.arange(len(restart)) < apart))
    lengths = np.zeros_like(starts)
    for turn in range(apart):
        of_sum = np.flatnonzero(starts % apart == turn)
        steps_of_sum = len(range(turn, len(restart), apart))
        lengths[of_sum] = np.diff(np.append(starts[of_sum] // apart, steps_of_sum))
    return starts, lengths
