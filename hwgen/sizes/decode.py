"""Widths of decoded operands, and which formats can be decoded.

The hardware is in ``hwgen.arithmetic.decode``.
"""

from __future__ import annotations

from hwgen.errors import InputError
from hwgen.formats import Scalar
from hwgen.plan.shape import Shape


def require_decodable(name: str, number_format: Scalar) -> None:
    """InputError unless ``decode`` knows the format."""
    if not number_format.has_hardware:
        raise InputError(
            f"{name}={number_format}: no hardware decodes its codes yet: use an integer, a "
            "fixed-point format or a minifloat, such as int8, fixed8_6 or e4m3fn"
        )


def shift_raised(number_format: Scalar) -> int:
    """How much more ``Operand.shift`` is when it is ``raised``: 1 or 0."""
    f = number_format
    return int(f.subnormals and f.exponent_bits > 1)


def significand_bits(number_format: Scalar) -> int:
    """Bits of the significand that ``decode`` makes."""
    f = number_format
    if f.is_integer:
        return f.bits
    return f.mantissa_bits if f.exponent_bits == 0 and f.subnormals else f.mantissa_bits + 1


def shift_shape(number_format: Scalar) -> Shape | None:
    """The shape of the shift that ``decode`` makes; None where it is always zero."""
    f = number_format
    return Shape(f.exponent_bits) if f.exponent_bits > int(f.subnormals) else None


def operand_bits(number_format: Scalar) -> int:
    """Bits of an ``Operand`` of the format."""
    f, shift = number_format, shift_shape(number_format)
    flags = int(f.sign_apart) + int(f.has_nan) + int(f.has_infinity)
    return significand_bits(f) + (0 if shift is None else shift.width) + flags
