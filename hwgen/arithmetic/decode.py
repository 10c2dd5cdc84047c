"""A code's bit fields to sign, significand, shift and special flags, in hardware."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Signal, Value

from hwgen.formats import Scalar
from hwgen.sizes.decode import require_decodable


@dataclass(frozen=True)
class Operand:
    """A decoded operand: (−1)^sign · significand · 2^shift steps of its format.

    ``significand`` is two's complement or unsigned with ``sign`` None for integers and formats
    without sign, and an unsigned magnitude with a one-bit ``sign`` for others. ``shift`` is
    None where it is always zero. ``nan`` and ``infinity`` are None where no code is one; of
    such a code the significand is zero, or any if that was asked for.
    """

    significand: Value
    sign: Value | None = None
    shift: Value | None = None
    nan: Value | None = None
    infinity: Value | None = None


def decode(
    m: Module,
    code: Value,
    number_format: Scalar,
    name: str,
    *,
    raised: bool = False,
    special_is_zero: bool = True,
) -> Operand:
    """The fields of ``code`` (``number_format.bits`` wide), as signals named ``name``_….

    ``raised``: ``shift`` is more by ``shift_raised``, which saves the logic of a decrement.
    Without ``special_is_zero`` the significand of an infinity or NaN is what its fields say, for
    those who look at the flags: it saves an AND for each of its bits.

    Subnormals need no special case: the significand carries its leading bit, which is one
    when the exponent field is not zero, and the exponent fields 0 and 1 shift alike.
    """
    f = number_format
    require_decodable(name, f)
    if f.is_integer:
        return Operand(code.as_signed() if f.signed else code)
    mantissa_bits, exponent_bits = f.mantissa_bits, f.exponent_bits
    mantissa = code[:mantissa_bits]
    exponent = code[mantissa_bits : mantissa_bits + exponent_bits]
    sign = code[f.magnitude_bits] if f.signed else None
    nan, infinity = special_flags(m, code, f, name)
    masks = (nan, infinity) if special_is_zero else ()
    if exponent_bits == 0 and f.subnormals:
        return Operand(_unless_special(mantissa, *masks), sign, None, nan, infinity)
    if f.subnormals:
        normal = Signal(name=f"{name}_normal")
        m.d.comb += normal.eq(exponent.any())
        hidden: Value = normal
    elif f.zero:
        hidden = code[: f.magnitude_bits].any()
    else:
        hidden = Const(1)
    significand = Signal(mantissa_bits + 1, name=f"{name}_significand")
    m.d.comb += significand.eq(_unless_special(Cat(mantissa, hidden), *masks))
    if not f.subnormals:
        return Operand(significand, sign, exponent if exponent_bits else None, nan, infinity)
    if exponent_bits == 1:
        return Operand(significand, sign, None, nan, infinity)
    if raised:
        shift = Signal(exponent_bits, name=f"{name}_shift")
        m.d.comb += shift.eq(Cat(exponent[0] | ~normal, exponent[1:]))
        return Operand(significand, sign, shift, nan, infinity)
    # shift = max(exponent, 1) − 1. A decrement flips each bit that has only zeros below;
    # spelled out, it stays in LUTs, where a subtraction would open a carry chain.
    shift = Signal(exponent_bits, name=f"{name}_shift")
    for i in range(exponent_bits):
        borrow = ~exponent[:i].any() if i else 1
        m.d.comb += shift[i].eq(normal & (exponent[i] ^ borrow))
    return Operand(significand, sign, shift, nan, infinity)


def special_flags(
    m: Module, code: Value, f: Scalar, name: str
) -> tuple[Signal | None, Signal | None]:
    """Whether the code is NaN, and whether it is infinite; None where none is."""
    magnitude = code[: f.magnitude_bits]
    nan = infinity = None
    if f.has_nan:
        nan = Signal(name=f"{name}_nan")
        if f.nan_at_minus_zero:
            m.d.comb += nan.eq(code[-1] & ~magnitude.any())
        elif f.special_binade:
            mantissa = code[: f.mantissa_bits]
            exponent = code[f.mantissa_bits : f.magnitude_bits]
            m.d.comb += nan.eq(exponent.all() & mantissa.any())
        else:
            m.d.comb += nan.eq(magnitude.all())
    if f.has_infinity:
        infinity = Signal(name=f"{name}_infinity")
        m.d.comb += infinity.eq(magnitude == f.largest_code + 1)
    return nan, infinity


def _unless_special(significand: Value, *flags: Value | None) -> Value:
    present = [flag for flag in flags if flag is not None]
    if not present:
        return significand
    special = Cat(present).any()
    return significand & ~special.replicate(len(significand))
