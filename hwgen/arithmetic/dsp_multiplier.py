"""Multipliers that products are packed for, and the digits of what they multiply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Value

from hwgen.errors import InputError
from hwgen.formats import Scalar


@dataclass(frozen=True)
class Multiplier:
    """Bits of the two operands of a DSP block's multiplier, two's complement."""

    wide: int
    narrow: int

    def __str__(self) -> str:
        return f"{self.wide} x {self.narrow}"

    def takes(self, x_bits: int, y_bits: int) -> bool:
        """Whether it multiplies numbers of ``x_bits`` and of ``y_bits`` bits."""
        return max(x_bits, y_bits) <= self.wide and min(x_bits, y_bits) <= self.narrow


#: The multiplier that a mapping packs products for. Every target has that of ``dsp``, which takes
#: a product alone where no two fit it; of the others each is on some targets, and a choice of one
#: with which nothing can be packed is an error.
PACKED_FOR = {
    "dsp": Multiplier(16, 16),
    "dsp18x18": Multiplier(18, 18),
    "dsp25x18": Multiplier(25, 18),
    "dsp27x18": Multiplier(27, 18),
}
#: The mappings of a certain multiplier.
SIZED = tuple(name for name in PACKED_FOR if name != "dsp")


def is_gate(number_format: Scalar) -> bool:
    """Whether decoded significands have one bit: a product with them needs no multiplier."""
    return number_format.factor_bits == 1


def require_multiplier(mapping: str, a: Scalar, b: Scalar) -> None:
    """InputError if products of the formats need none."""
    for f in (a, b):
        if is_gate(f):
            raise InputError(
                f"mapping={mapping!r}: a significand of {f} has one bit, and its products are "
                "gates: use mapping='lut'"
            )


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
