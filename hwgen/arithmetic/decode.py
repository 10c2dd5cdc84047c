"""A code's bit fields to sign, significand and shift, in hardware."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Signal, Value

from hwgen.formats import Integer, Minifloat, Scalar


@dataclass(frozen=True)
class Operand:
    """A decoded operand: (−1)^sign · significand · 2^shift steps of its format.

    ``significand`` is two's complement with ``sign`` None for integers, and an unsigned
    magnitude with a one-bit ``sign`` for minifloats. ``shift`` is None where it is always
    zero.
    """

    significand: Value
    sign: Value | None = None
    shift: Value | None = None


def decode(m: Module, code: Value, number_format: Scalar, name: str) -> Operand:
    """The fields of ``code`` (``number_format.bits`` wide), as signals named ``name``_….

    Subnormals need no special case: the significand carries its leading bit, which is one
    when the exponent field is not zero, and the exponent fields 0 and 1 shift alike.
    """
    if isinstance(number_format, Integer):
        return Operand(code.as_signed())
    if not isinstance(number_format, Minifloat):
        raise TypeError(f"no hardware decodes {number_format}")
    mantissa_bits, exponent_bits = number_format.mantissa_bits, number_format.exponent_bits
    mantissa = code[:mantissa_bits]
    exponent = code[mantissa_bits : mantissa_bits + exponent_bits]
    sign = code[mantissa_bits + exponent_bits]
    normal = Signal(name=f"{name}_normal")
    significand = Signal(mantissa_bits + 1, name=f"{name}_significand")
    m.d.comb += [normal.eq(exponent.any()), significand.eq(Cat(mantissa, normal))]
    if exponent_bits == 1:
        return Operand(significand, sign)
    # shift = max(exponent, 1) − 1. A decrement flips each bit that has only zeros below;
    # spelled out, it stays in LUTs, where a subtraction would open a carry chain.
    shift = Signal(exponent_bits, name=f"{name}_shift")
    for i in range(exponent_bits):
        borrow = ~exponent[:i].any() if i else 1
        m.d.comb += shift[i].eq(normal & (exponent[i] ^ borrow))
    return Operand(significand, sign, shift)
