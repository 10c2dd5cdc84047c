"""Random bits made inside a unit: one 32-bit linear-feedback shift register for each word.

The bits are the sequence b[n+32] = b[n] ^ b[n+2] ^ b[n+6] ^ b[n+7], of the primitive polynomial
x^32 + x^7 + x^6 + x^2 + 1 (taps 32, 30, 26, 25 of Ward and Molteno, *Table of Linear Feedback
Shift Registers*, 2007). A register moves by 32 of them at once, in one or two levels of LUTs: a
word is 32 new bits, b[n] in its lowest. 32 has no factor with 2^32 − 1, so that the words too
have that period. And 32 is a power of two: each bit of the words is, from word to word, the same
sequence again, and bit i + 1 is 2^27 words ahead of bit i. Of L registers each starts 2^27/L words
after the one before. So all 32·L bits are places of one sequence that far apart, and what one
bit was another is only after 2^27/L words. (Parts of the whole period would not do: a quarter of
it is where bit i + 8 is.)
"""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal, Value

from hwgen.formats.rounding import RANDOM_BITS

#: Words between one bit of a register and the next, in the sequence that both go through.
BITS_APART = 2**27
_TAPS = (0, 2, 6, 7)


def start_words(seed: int, count: int) -> list[int]:
    """What each of ``count`` registers holds after reset; the first ``seed``."""
    jump = _power(_columns(), BITS_APART // count)
    words = [seed]
    while len(words) < count:
        words.append(_apply(jump, words[-1]))
    return words


def random_words(m: Module, seed: int, count: int, advance: Value) -> Signal:
    """``count`` words side by side, that become the next where ``advance`` is set."""
    starts = start_words(seed, count)
    init = sum(word << (RANDOM_BITS * i) for i, word in enumerate(starts))
    words = Signal(RANDOM_BITS * count, init=init, name="random_words")
    following = Signal(RANDOM_BITS * count, name="next_random_words")
    m.d.comb += following.eq(
        Cat(_next(words.word_select(i, RANDOM_BITS)) for i in range(count)),
    )
    with m.If(advance):
        m.d.sync += words.eq(following)
    return words


def _next(word: Value) -> Value:
    bits: list[Value] = [word[i] for i in range(RANDOM_BITS)]
    for i in range(RANDOM_BITS):
        new = bits[i + _TAPS[0]]
        for tap in _TAPS[1:]:
            new = new ^ bits[i + tap]
        bits.append(new)
    return Cat(bits[RANDOM_BITS:])


def _columns() -> list[int]:
    """The columns of the matrix that makes the next word: what each single bit becomes."""
    columns = []
    for bit in range(RANDOM_BITS):
        bits = [int(i == bit) for i in range(RANDOM_BITS)]
        for i in range(RANDOM_BITS):
            bits.append(sum(bits[i + tap] for tap in _TAPS) % 2)
        columns.append(sum(b << i for i, b in enumerate(bits[RANDOM_BITS:])))
    return columns


def _apply(columns: list[int], word: int) -> int:
    result = 0
    for bit, column in enumerate(columns):
        if word >> bit & 1:
            result ^= column
    return result


def _power(columns: list[int], exponent: int) -> list[int]:
    result = [1 << bit for bit in range(RANDOM_BITS)]
    while exponent:
        if exponent & 1:
            result = [_apply(columns, column) for column in result]
        columns = [_apply(columns, column) for column in columns]
        exponent >>= 1
    return result
