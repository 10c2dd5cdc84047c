"""The exact product of two codes, as a fixed-point number."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Const, Module, Mux, Signal, Value, signed

from hwgen.arithmetic.decode import Operand
from hwgen.formats import Scalar
from hwgen.formats.widths import product_range, signed_width


@dataclass(frozen=True)
class Special:
    """Flags of a product or sum that is no finite number, one bit each."""

    nan: Value
    positive_infinity: Value
    negative_infinity: Value


@dataclass(frozen=True)
class Product:
    """``significand`` · 2^``shift``, two's complement, in units of the formats' steps multiplied.

    It is zero where ``special`` says that it is infinite or NaN. Where ``sign`` is one the product
    is the negative of that. ``shift`` is None where it is always zero, ``special`` where it cannot
    be, ``sign`` where the significand has it. ``shift`` counts steps of ``step`` bits.
    """

    significand: Value
    shift: Value | None = None
    special: Special | None = None
    step: int = 1
    sign: Value | None = None


def product_width(a: Scalar, b: Scalar) -> int:
    """Bits of the signed product of any two values."""
    return signed_width(*product_range(a, b))


def multiply(
    m: Module,
    x: Operand,
    y: Operand,
    a_format: Scalar,
    b_format: Scalar,
    name: str,
    *,
    sign_apart: bool = False,
) -> Product:
    """The product of decoded codes: significands multiply, shifts add.

    The sign of a minifloat product is applied to one significand before the multiplication:
    that is the narrowest place to negate at. With ``sign_apart`` it stays ``Product.sign``.
    """
    sign: Value | None = None
    if sign_apart:
        x_factor, y_factor = x.significand, y.significand
        signs = [operand.sign for operand in (x, y) if operand.sign is not None]
        if signs:
            sign = signs[0] if len(signs) == 1 else signs[0] ^ signs[1]
    else:
        x_factor, y_factor = signed_factors(x, y)
    factor_product = x_factor * y_factor
    # The multiplication stays a plain ``*``: whether it becomes rows on carry chains or a
    # DSP block is the mapping of the target's flow.
    significand = Signal(factor_product.shape(), name=f"{name}_significand")
    m.d.comb += significand.eq(factor_product)
    special = special_of(m, (x, a_format), (y, b_format), name)
    return Product(significand, sum_of_shifts(x, y), special, sign=sign)


def signed_factors(x: Operand, y: Operand) -> tuple[Value, Value]:
    """Both significands; one of them with the sign of the product where both have one."""
    if x.sign is not None and y.sign is not None:
        narrow, wide = x.significand, y.significand
        if len(narrow) > len(wide):
            narrow, wide = wide, narrow
        return wide, _negate_if(x.sign ^ y.sign, narrow)
    return _signed(x), _signed(y)


def sum_of_shifts(x: Operand, y: Operand) -> Value | None:
    """The shift of the product; None where it is always zero."""
    shifts = [operand.shift for operand in (x, y) if operand.shift is not None]
    if not shifts:
        return None
    return shifts[0] if len(shifts) == 1 else shifts[0] + shifts[1]


def align(m: Module, product: Product, width: int, name: str) -> Signal:
    """The product moved to its place in ``width`` bits of fixed point."""
    aligned = Signal(signed(width), name=f"{name}_product")
    significand = product.significand
    m.d.comb += aligned.eq(significand if product.shift is None else significand << product.shift)
    return aligned


def special_of(
    m: Module, a: tuple[Operand, Scalar], b: tuple[Operand, Scalar], name: str
) -> Special | None:
    """What a product is instead of a number; None where it always is one.

    IEEE 754: a NaN operand and infinity times zero give NaN, other infinities infinity.
    """
    if all(x.nan is None and x.infinity is None for x, _ in (a, b)):
        return None
    nan: Value = Const(0)
    infinity: Value = Const(0)
    for (x, _), (y, _) in ((a, b), (b, a)):
        if x.nan is not None:
            nan = nan | x.nan
        if x.infinity is not None:
            # The significand of an infinity is zero too, and is not meant.
            y_infinity = y.infinity if y.infinity is not None else Const(0)
            nan = nan | (x.infinity & ~y.significand.any() & ~y_infinity)
            infinity = infinity | x.infinity
    negative = sign_of(*a) ^ sign_of(*b)
    special = Special(*(Signal(name=f"{name}_{k}") for k in ("nan", "plus", "minus")))
    m.d.comb += [
        special.nan.eq(nan),
        special.positive_infinity.eq(infinity & ~nan & ~negative),
        special.negative_infinity.eq(infinity & ~nan & negative),
    ]
    return special


def sign_of(operand: Operand, number_format: Scalar) -> Value:
    """One where the operand is negative, or −0."""
    if operand.sign is not None:
        return operand.sign
    if number_format.is_integer and number_format.signed:
        return operand.significand[-1]
    return Const(0)


def _negate_if(sign: Value, magnitude: Value) -> Value:
    return Mux(sign, -magnitude, magnitude)


def _signed(operand: Operand) -> Value:
    if operand.sign is None:
        return operand.significand
    return _negate_if(operand.sign, operand.significand)
