"""Scales that are not powers of two, in hardware: NVFP4's UE4M3 and the like.

With M the largest magnitude of a block, the scale is S(M/(Q·g)): Q the element's largest value
or largest power of two, g the scale of the tensor, S rounding to the scale's format. Elements are
E(x/(s·g)), E rounding to theirs. Both quotients are exact here, cut to a few bits and one that
tells of a remainder, and rounded once: the arithmetic ``exact`` of ``hwgen.formats.block_encode``.
Significands are small where there is no g (four bits of UE4M3), and so are the dividers.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from hwgen.arithmetic import divide
from hwgen.arithmetic.coding import to_code
from hwgen.arithmetic.decode import decode
from hwgen.arithmetic.divide import Division
from hwgen.arithmetic.leading_operand import Leading, leading, leading_significand
from hwgen.arithmetic.power_scale import decode_key
from hwgen.arithmetic.product_rows import multiplied
from hwgen.arithmetic.rounder import Normalised, Shifted, normalise
from hwgen.arithmetic.segmented import Boundary, Segmented, carry_along, last
from hwgen.formats.scalar import SATURATE
from hwgen.sizes.decode import significand_bits
from hwgen.sizes.float_scale import FloatScale, Quotients, largest_shift


def begun(
    m: Module, plan: FloatScale, key: Value, tensor: Leading | None, *, split: bool
) -> Segmented[tuple[Division, Value, Value]]:
    """The division of M, its divisor, and the exponent that goes with the quotient."""
    f = plan.source
    if f.is_integer:
        search = leading_significand(m, key, Const(0), "largest", split=split)
    else:
        search = leading(m, decode_key(m, key, f, "largest"), f, "largest", split=split)
    largest, tensor = yield from carry_along(search, tensor)
    bits = significand_bits(f)
    significand: Value = largest.significand
    if 0 < plan.rounded_bits < bits:
        rounded = Signal(plan.rounded_bits + 1, name="largest_rounded")
        m.d.comb += rounded.eq(
            significand[bits - plan.rounded_bits :] + significand[bits - plan.rounded_bits - 1]
        )
        significand = rounded
    total = largest.exponent + (bits - 1)
    divisor: Value = Const(plan.odd, plan.divisor_bits[0])
    if tensor is not None:
        assert plan.tensor_scale is not None
        divisor = Signal(plan.divisor_bits[0], name="largest_divisor")
        m.d.comb += divisor.eq(tensor.significand * plan.odd)
        total = total - tensor.exponent + largest_shift(plan.tensor_scale)
    # Never below zero, by the constants that were added.
    exponent: Value = Signal(len(total), name="quotient_exponent")
    m.d.comb += exponent.eq(total)
    values = [significand, divisor, exponent]
    significand, divisor, exponent = yield Boundary("divisor", values)
    dividend = Cat(Const(0, plan.padding), significand)
    if not plan.divides:
        return Division(dividend, Const(0, 0), Const(0, 0)), divisor, exponent
    return divide.begin(dividend, *plan.divisor_bits), divisor, exponent


def placed_quotient(
    m: Module, plan: FloatScale, done: Division, exponent: Value, *, split: bool
) -> Segmented[Normalised]:
    """The quotient at its place in the scale's format."""
    quotient, exponent = yield Boundary("quotient", [done.with_sticky_bit, exponent])
    number = Shifted(quotient, exponent, plan.quotient_lsb_exponent)
    return (yield from normalise(m, number, plan.scale, plan.rounding, "scale", split=split))


def scale_code(
    m: Module, plan: FloatScale, placed: Normalised, *, split: bool
) -> Segmented[Signal]:
    """The scale's code, which is never zero's."""
    args = (plan.scale, plan.rounding, SATURATE, "scale")
    rounded = yield from to_code(m, placed, *args, split=split)
    code = Signal(plan.scale.bits, name="scale_code_not_zero")
    m.d.comb += code.eq(Mux(rounded.any(), rounded, int(plan.scale.zero)))
    return (yield from last("not_zero", code))


def element_divisor(
    m: Module, plan: FloatScale, code: Value, tensor_scale: Leading | None, *, split: bool
) -> Segmented[Leading]:
    """Block scale times tensor scale, with its leading one on top."""
    operand = decode(m, code, plan.scale, "scale_value")
    search = leading(m, operand, plan.scale, "scale_value", split=split)
    block_scale, tensor_scale = yield from carry_along(search, tensor_scale)
    if tensor_scale is None:
        return block_scale
    bits = plan.element_divisor_bits
    product: Value = Signal(bits, name="scales_product")
    x, y = block_scale.significand, tensor_scale.significand
    exponents: list[Any] = [block_scale.exponent, tensor_scale.exponent]
    multiplying = multiplied(m, x, y, "scales", split=split)
    exact, (block_exponent, tensor_exponent) = yield from carry_along(multiplying, exponents)
    m.d.comb += product.eq(exact)
    total = block_exponent + tensor_exponent + product[-1]
    divisor = Signal(bits, name="scales")
    exponent = Signal(total.shape(), name="scales_exponent")
    m.d.comb += [
        divisor.eq(Mux(product[-1], product, product << 1)),
        exponent.eq(total),
    ]
    return (yield from last("scales_exponent", Leading(divisor, exponent)))


def begun_element(plan: Quotients, significand: Value) -> Division:
    """The division of a significand that stands at its place."""
    dividend = Cat(Const(0, plan.padding), significand)
    return divide.begin(dividend, plan.divisor_bits, plan.divisor_bits)
