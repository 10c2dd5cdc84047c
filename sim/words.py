"""Patterns of ports as rows of 32-bit words, the form in which compiled simulations take them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.spec import Port

WORD_BITS = 32

#: Words of each cycle, (cycles, words), the lowest first.
Words = npt.NDArray[np.uint32]


def words_of(port: Port) -> int:
    """How many words of 32 bits hold the whole port."""
    return -(-port.width // WORD_BITS)


def to_words(numbers: npt.NDArray[Any], port: Port) -> Words:
    """Words of a port's patterns, (cycles, words), of the numbers of its elements, (cycles, count).

    Element 0 is in the lowest bits, negative numbers are in two's complement.
    """
    count = words_of(port)
    if port.bits > 64 or (numbers.dtype == object and port.count > 1):
        return _from_integers(numbers, port)
    mask = (1 << port.bits) - 1
    if numbers.dtype == object:
        # Modulo 2^bits first: the numbers may be of any size and sign.
        elements = np.array([int(v) & mask for v in numbers[:, 0].tolist()], np.uint64)[:, None]
    else:
        # Conversion to unsigned is modulo 2^64 and keeps the low bits of negative numbers.
        elements = numbers.astype(np.uint64, copy=False) & np.uint64(mask)
    if port.width <= 64:
        places = np.arange(port.count, dtype=np.uint64) * np.uint64(port.bits)
        packed_words = (elements << places).sum(axis=1, dtype=np.uint64)
        return np.ascontiguousarray(packed_words[:, None]).view("<u4")[:, :count]
    octets = elements.astype("<u8").view(np.uint8).reshape(*elements.shape, 8)
    if port.bits % 8 == 0:
        packed = octets[:, :, : port.bits // 8].reshape(len(elements), -1)
    else:
        used = octets[:, :, : -(-port.bits // 8)]
        planes = np.unpackbits(used, axis=2, bitorder="little")[:, :, : port.bits]
        packed = np.packbits(planes.reshape(len(elements), -1), axis=1, bitorder="little")
    padded = np.zeros((len(elements), 4 * count), np.uint8)
    padded[:, : packed.shape[1]] = packed
    return padded.view("<u4")


def _from_integers(numbers: npt.NDArray[Any], port: Port) -> Words:
    count, mask = words_of(port), (1 << port.bits) - 1
    packed = b"".join(
        sum((int(v) & mask) << (i * port.bits) for i, v in enumerate(row)).to_bytes(
            4 * count, "little"
        )
        for row in numbers.tolist()
    )
    return np.frombuffer(packed, "<u4").reshape(-1, count)


def to_integer(words: Words) -> int:
    """The number that one row of words, (words,), is, the lowest word first."""
    return int.from_bytes(np.ascontiguousarray(words).astype("<u4").tobytes(), "little")
