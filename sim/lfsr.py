"""The random words that units make inside, from the sequence's polynomial.

Places far along the sequence are found by powers of x modulo that polynomial, others by its
recurrence, a bit at a time: see ``hwgen.arithmetic.lfsr`` for what the words are.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

#: x^32 + x^7 + x^6 + x^2 + 1.
POLYNOMIAL = 0x1000000C5
BITS = 32


def times(a: int, b: int) -> int:
    """The product of two polynomials modulo ``POLYNOMIAL``."""
    product = 0
    while b:
        if b & 1:
            product ^= a
        a <<= 1
        if a >> BITS:
            a ^= POLYNOMIAL
        b >>= 1
    return product


def power_of_x(exponent: int) -> int:
    """x^exponent modulo ``POLYNOMIAL``."""
    result, square = 1, 2
    while exponent:
        if exponent & 1:
            result = times(result, square)
        square = times(square, square)
        exponent >>= 1
    return result


def state_after(state: int, bits: int) -> int:
    """The 32 bits of the sequence that begin ``bits`` after those of ``state``."""
    place, later = power_of_x(bits), 0
    for i in range(BITS):
        # b[n] is the sum of the first 32 bits that x^n's coefficients choose.
        later |= ((place & state).bit_count() & 1) << i
        place = times(place, 2)
    return later


def words(seed: int, count: int, lanes: int) -> npt.NDArray[np.uint64]:
    """The first ``count`` words of each lane from ``seed``, uint64, (count, lanes).

    Lanes are 2^27 / ``lanes`` words of the sequence apart.
    """
    distance = BITS * (2**27 // lanes)
    starts = np.array([state_after(seed, lane * distance) for lane in range(lanes)], np.uint64)
    rows = np.zeros((BITS * (count + 1), lanes), np.uint64)
    rows[:BITS] = (starts >> np.arange(BITS, dtype=np.uint64)[:, None]) & np.uint64(1)
    step = BITS - 7
    for n in range(0, BITS * count, step):
        new = rows[n : n + step] ^ rows[n + 2 : n + 2 + step]
        new = new ^ rows[n + 6 : n + 6 + step] ^ rows[n + 7 : n + 7 + step]
        room = len(rows) - (n + BITS)
        rows[n + BITS : n + BITS + step] = new[:room]
    places = np.arange(BITS, dtype=np.uint64)[:, None]
    bits = rows[: BITS * count].reshape(count, BITS, lanes)
    drawn: npt.NDArray[np.uint64] = (bits << places).sum(axis=1, dtype=np.uint64)
    return drawn
