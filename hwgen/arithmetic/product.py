"""The exact product of two codes, as a fixed-point number."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, Value, signed

from hwgen.arithmetic.decode import Operand, decode
from hwgen.spec import DotProduct


def exact_product(m: Module, a: Value, b: Value, spec: DotProduct, name: str) -> Signal:
    """The product of codes ``a`` and ``b`` in units of 2**spec.lsb_exponent.

    Significands multiply, the two shifts add and move the product to its place. The sign
    of a minifloat product is applied to one significand before the multiplication: that
    is the narrowest place to negate at.
    """
    x = decode(m, a, spec.a, f"{name}_a")
    y = decode(m, b, spec.b, f"{name}_b")
    if x.sign is not None and y.sign is not None:
        sign, narrow, wide = x.sign ^ y.sign, x.significand, y.significand
        if len(narrow) > len(wide):
            narrow, wide = wide, narrow
        factor_product = wide * _negate_if(sign, narrow)
    else:
        factor_product = _signed(x) * _signed(y)
    # The multiplication stays a plain ``*``: whether it becomes rows on carry chains or a
    # DSP block is the mapping of the target's flow.
    significand = Signal(factor_product.shape(), name=f"{name}_significand")
    product = Signal(signed(spec.product_width), name=f"{name}_product")
    m.d.comb += [significand.eq(factor_product), product.eq(_shifted(significand, x, y))]
    return product


def _negate_if(sign: Value, magnitude: Value) -> Value:
    return Mux(sign, -magnitude, magnitude)


def _signed(operand: Operand) -> Value:
    if operand.sign is None:
        return operand.significand
    return _negate_if(operand.sign, operand.significand)


def _shifted(significand: Value, x: Operand, y: Operand) -> Value:
    shifts = [operand.shift for operand in (x, y) if operand.shift is not None]
    if not shifts:
        return significand
    return significand << (shifts[0] if len(shifts) == 1 else shifts[0] + shifts[1])
