"""A decoded number with its leading one on top: what a division and a scale begin with."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Const, Module, Signal, Value

from hwgen.arithmetic.decode import Operand
from hwgen.arithmetic.leading_one import leading_one_first
from hwgen.arithmetic.segmented import Boundary, Segmented, carry_along, last
from hwgen.formats import Scalar
from hwgen.sizes.leading_operand import has_leading_zeros


@dataclass(frozen=True)
class Leading:
    """significand · 2^exponent, the significand's top bit one (or all of it zero)."""

    significand: Value
    exponent: Value


def leading(
    m: Module, operand: Operand, number_format: Scalar, name: str, *, split: bool
) -> Segmented[Leading]:
    """The magnitude of a decoded code, in steps of its format, with its leading one on top."""
    shift: Value = operand.shift if operand.shift is not None else Const(0)
    values = [operand.significand, shift]
    significand, shift = yield Boundary("decoded", values)
    if not has_leading_zeros(number_format):
        return Leading(significand, shift)
    return (yield from leading_significand(m, significand, shift, name, split=split))


def leading_significand(
    m: Module, significand: Value, shift: Value, name: str, *, split: bool
) -> Segmented[Leading]:
    """Significand · 2^shift with its leading one on top."""
    search = leading_one_first(m, significand, name, split=split)
    (normalised, zeros), shift = yield from carry_along(search, shift)
    total = shift - zeros
    exponent = Signal(total.shape(), name=f"{name}_exponent")
    m.d.comb += exponent.eq(total)
    return (yield from last("exponent", Leading(normalised, exponent)))
