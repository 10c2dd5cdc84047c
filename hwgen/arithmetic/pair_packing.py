"""Two products and their sum in one multiplier.

(a₁·x + a₂)·(b₂·x + b₁) = a₁b₂·x² + (a₁b₁ + a₂b₂)·x + a₂b₁, with x a power of two: the bits from
x to x² are the sum, as long as what stands below is not negative and less than x, and the sum is
taken modulo x. (Products with a common factor are packed likewise: Fu et al., Deep Learning with
INT8 Optimization on Xilinx Devices, WP486, 2017. Here both operands of the multiplier are packed.)

In each product one factor is *high*, in the upper digit of its operand, and the other *low*, in
the lower digit of the other operand. A high factor has its sign for nothing. What is done so that
a low one is not negative:

- *magnitude*: a factor with a sign of its own, or with none, is its magnitude. The sign goes to
  the high factor.
- *code*: a factor of n bits in two's complement is its code, which is 2^n more if it is
  negative. The sum is then 2^n · high more, which is subtracted again, where that sign is set.
- *biased*: 2^j more than the factor. The sum is 2^j · high more, which does not matter if it has
  j bits. With a few bits more than j, few bits of it are to be corrected. That is smaller than
  *code*, and its product with the other low digit wider, so that only one of both can be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Signal, Value, signed

from hwgen.arithmetic.decode import Operand
from hwgen.arithmetic.dsp_multiplier import joined, signed_number
from hwgen.formats import Scalar
from hwgen.formats.widths import product_range, signed_width, value_range
from hwgen.sizes.pair_packing import CODE, MAGNITUDE, PairPlan


@dataclass(frozen=True)
class Correction:
    """``term`` · 2^``place``, to be subtracted from a sum; ``gate``: only where it is one."""

    term: Value
    place: int
    gate: Value | None = None


@dataclass(frozen=True)
class PairSum:
    """A sum of two products, but for its corrections."""

    value: Value
    corrections: Sequence[Correction]


def multiply_pair(
    m: Module,
    plan: PairPlan,
    first: tuple[Operand, Operand],
    second: tuple[Operand, Operand],
    name: str,
) -> PairSum:
    """The sum of the products of two pairs of decoded operands, whose shifts are not raised."""
    highs, digits, corrections = [], [], []
    for (x, y), low_kind in zip((first, second), plan.lows, strict=True):
        low_factor, high_factor = (y, x) if plan.low_is_b else (x, y)
        high, digit, correction = _factors(plan, high_factor, low_factor, low_kind)
        highs.append(high)
        digits.append(digit)
        corrections += correction
    packed = {
        "one": joined([digits[1], highs[0]], plan.place),
        "other": joined([digits[0], highs[1]], plan.place),
    }
    operands = []
    for label, value in packed.items():
        operand = Signal(value.shape(), name=f"{name}_{label}")
        m.d.comb += operand.eq(value)
        operands.append(operand)
    product = operands[0] * operands[1]
    field = Signal(signed(plan.bits), name=f"{name}_field")
    m.d.comb += field.eq(product[plan.place : plan.place + plan.bits])
    return PairSum(field, corrections)


def _factors(
    plan: PairPlan, high_factor: Operand, low_factor: Operand, low_kind: str
) -> tuple[Value, Value, list[Correction]]:
    """The high factor with the signs that it takes, the low digit, and its correction."""
    high, low = fixed(high_factor, plan.high), fixed(low_factor, plan.low)
    if low_kind == MAGNITUDE:
        sign = _xor(high_factor.sign, low_factor.sign)
        return signed_number(sign, high), low, []
    if low_kind == CODE:
        gate = low[-1]
        correction = Correction(high[: plan.bits - len(low)], len(low), gate)
        return high, low.as_unsigned(), [correction]
    # Two's complement plus 2^j, j at least the bits: a sign bit, its inverse above.
    more = plan.bias - len(low) + 1
    digit = Cat(low[:-1], low[-1].replicate(more), ~low[-1])
    if plan.bias >= plan.bits:
        return high, digit, []
    return high, digit, [Correction(high[: plan.bits - plan.bias], plan.bias)]


def corrected(m: Module, plan: PairPlan, pair: PairSum, name: str) -> Signal:
    """The sum of two products, corrected, of ``bits`` bits."""
    value: Value = pair.value
    # A correction of the highest bits alone is a gate, which goes into the next adder.
    for i, c in enumerate(sorted(pair.corrections, key=lambda c: -c.place)):
        term = c.term if c.gate is None else c.term & c.gate.replicate(len(c.term))
        # A sign that is cut off does not count: the sum is right modulo its own bits.
        term = term.as_signed()
        upper = Signal(signed(plan.bits - c.place), name=f"{name}_upper_{i}")
        m.d.comb += upper.eq(value[c.place :] - term)
        value = Cat(value[: c.place], upper)
    total = Signal(signed(plan.bits), name=f"{name}_sum")
    m.d.comb += total.eq(value)
    return total


def fixed(operand: Operand, number_format: Scalar) -> Value:
    """The operand without its sign, in steps of its format."""
    if operand.shift is None:
        return operand.significand
    bits = value_range(number_format)[1].bit_length()
    return (operand.significand << operand.shift)[:bits]


def fixed_product(m: Module, x: Operand, y: Operand, a: Scalar, b: Scalar, name: str) -> Signal:
    """A product alone, in steps of its formats."""
    product = Signal(signed(signed_width(*product_range(a, b))), name=f"{name}_product")
    m.d.comb += product.eq(signed_number(x.sign, fixed(x, a)) * signed_number(y.sign, fixed(y, b)))
    return product


def _xor(x: Value | None, y: Value | None) -> Value | None:
    if x is None or y is None:
        return y if x is None else x
    return x ^ y
