"""Multipliers that products are packed for, and the digits of what they multiply."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Value


def signed_number(sign: Value | None, number: Value) -> Value:
    """``number``, its negative where ``sign`` is one.

    Each bit above the lowest one flips: spelled out, that stays in LUTs with what makes the
    number, where a negation would open a carry chain.
    """
    if sign is None:
        return number
    bits = number if number.shape().signed else Cat(number, Const(0, 1))
    # The negative of the least number has a bit more.
    bits = Cat(bits, bits[-1]) if number.shape().signed else bits
    flipped = [bits[i] ^ (sign & bits[:i].any()) if i else bits[0] for i in range(len(bits))]
    return Cat(flipped).as_signed()


def joined(digits: Sequence[Value], step: int) -> Value:
    """Σ digits[i] · 2^(i·step), of digits that fit ``step`` bits each, but for the last.

    A negative digit fills the bits up to the next with its sign, and takes one from that. Spelled
    out, that is a decrement of few bits in LUTs, where a sum would open a carry chain.
    """
    fields: list[Value] = []
    borrow: Value | None = None
    for place, digit in enumerate(digits):
        number = digit if borrow is None else digit - borrow
        if place < len(digits) - 1:
            borrow = number[-1] if number.shape().signed else None
            number = _extended(number, step)
        fields.append(number)
    packed = Cat(fields)
    return packed.as_signed() if fields[-1].shape().signed else packed


def _extended(number: Value, bits: int) -> Value:
    """The lowest ``bits`` bits of ``number``, with its sign above where it has fewer."""
    fill = number[-1] if number.shape().signed else Const(0, 1)
    more = bits - len(number)
    return Cat(number, fill.replicate(more)) if more >= 0 else number[:bits]
