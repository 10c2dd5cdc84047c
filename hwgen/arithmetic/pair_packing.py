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
from hwgen.arithmetic.dsp_multiplier import (
    PACKED_FOR,
    Multiplier,
    is_gate,
    joined,
    require_multiplier,
    signed_number,
)
from hwgen.errors import InputError
from hwgen.formats import Scalar
from hwgen.formats.widths import product_range, signed_width, value_range

MAGNITUDE, CODE, BIASED = "magnitude", "code", "biased"


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


@dataclass(frozen=True)
class PairPlan:
    """How two products of ``a`` and ``b`` share a multiplier.

    ``low_is_b``: which factor is low. ``place``: x is 2 to this. ``bits``: of the sum. ``lows``:
    what the low factors of the first and of the second product are. ``bias``: j of a biased one.
    ``operand_bits``: of both operands of the multiplier.
    """

    a: Scalar
    b: Scalar
    low_is_b: bool
    place: int
    bits: int
    lows: tuple[str, str]
    bias: int
    operand_bits: tuple[int, int]

    def __str__(self) -> str:
        size = " x ".join(map(str, self.operand_bits))
        return f"two lanes in a multiplier of {size} bits"

    @property
    def low(self) -> Scalar:
        """The format of the low factors."""
        return self.b if self.low_is_b else self.a

    @property
    def high(self) -> Scalar:
        """The format of the high factors."""
        return self.a if self.low_is_b else self.b

    @property
    def corrected_bits(self) -> int:
        """Bits of the longest addition of a correction."""
        return max((self.bits - self._place_of(low) for low in self.lows), default=0)

    def _place_of(self, low: str) -> int:
        """The lowest place of a low factor's correction; past the sum's last if none."""
        return {MAGNITUDE: self.bits, CODE: self.low.bits, BIASED: self.bias}[low]

    @property
    def product_bits(self) -> int:
        """Bits of a ``PairSum``."""
        corrections = (
            min(self.high.bits, self.bits - self._place_of(low)) + int(low == CODE)
            for low in self.lows
            if low == CODE or (low == BIASED and self.bias < self.bits)
        )
        return self.bits + sum(corrections)

    def multiply(
        self, m: Module, first: tuple[Operand, Operand], second: tuple[Operand, Operand], name: str
    ) -> PairSum:
        """The sum of the products of two pairs of decoded operands, whose shifts are not raised."""
        highs, digits, corrections = [], [], []
        for (x, y), low_kind in zip((first, second), self.lows, strict=True):
            low_factor, high_factor = (y, x) if self.low_is_b else (x, y)
            high, digit, correction = self._factors(high_factor, low_factor, low_kind)
            highs.append(high)
            digits.append(digit)
            corrections += correction
        packed = {
            "one": joined([digits[1], highs[0]], self.place),
            "other": joined([digits[0], highs[1]], self.place),
        }
        operands = []
        for label, value in packed.items():
            operand = Signal(value.shape(), name=f"{name}_{label}")
            m.d.comb += operand.eq(value)
            operands.append(operand)
        product = operands[0] * operands[1]
        field = Signal(signed(self.bits), name=f"{name}_field")
        m.d.comb += field.eq(product[self.place : self.place + self.bits])
        return PairSum(field, corrections)

    def _factors(
        self, high_factor: Operand, low_factor: Operand, low_kind: str
    ) -> tuple[Value, Value, list[Correction]]:
        """The high factor with the signs that it takes, the low digit, and its correction."""
        high, low = fixed(high_factor, self.high), fixed(low_factor, self.low)
        if low_kind == MAGNITUDE:
            sign = _xor(high_factor.sign, low_factor.sign)
            return signed_number(sign, high), low, []
        if low_kind == CODE:
            gate = low[-1]
            correction = Correction(high[: self.bits - len(low)], len(low), gate)
            return high, low.as_unsigned(), [correction]
        # Two's complement plus 2^j, j at least the bits: a sign bit, its inverse above.
        more = self.bias - len(low) + 1
        digit = Cat(low[:-1], low[-1].replicate(more), ~low[-1])
        if self.bias >= self.bits:
            return high, digit, []
        return high, digit, [Correction(high[: self.bits - self.bias], self.bias)]

    def corrected(self, m: Module, pair: PairSum, name: str) -> Signal:
        """The sum of two products, corrected, of ``bits`` bits."""
        value: Value = pair.value
        # A correction of the highest bits alone is a gate, which goes into the next adder.
        for i, c in enumerate(sorted(pair.corrections, key=lambda c: -c.place)):
            term = c.term if c.gate is None else c.term & c.gate.replicate(len(c.term))
            # A sign that is cut off does not count: the sum is right modulo its own bits.
            term = term.as_signed()
            upper = Signal(signed(self.bits - c.place), name=f"{name}_upper_{i}")
            m.d.comb += upper.eq(value[c.place :] - term)
            value = Cat(value[: c.place], upper)
        total = Signal(signed(self.bits), name=f"{name}_sum")
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


def pair_plan(a: Scalar, b: Scalar, multiplier: Multiplier) -> PairPlan | None:
    """The plan with the fewest bits to correct.

    None if two products do not fit ``multiplier``, and of factors that need no multiplier.
    """
    if is_gate(a) or is_gate(b):
        return None
    plans = [plan for plan in _plans(a, b) if multiplier.takes(*plan.operand_bits)]
    return min(plans, key=lambda plan: (_luts(plan), plan.operand_bits), default=None)


def no_pair(mapping: str, a: Scalar, b: Scalar) -> InputError:
    """Why the multiplier of ``mapping`` takes no two products.

    Raises InputError where products need no multiplier.
    """
    require_multiplier(mapping, a, b)
    narrow, wide = sorted(min(plan.operand_bits for plan in _plans(a, b)))
    return InputError(
        f"mapping={mapping!r}: two products of {a} and {b}, and their sum, are exact in a "
        f"multiplier of {wide} x {narrow} bits, and this has {PACKED_FOR[mapping]}: use "
        "mapping='dsp', one product in each, or narrower formats"
    )


def _luts(plan: PairPlan) -> int:
    """About the LUTs of a plan's corrections, of more than one bit each, and inverters."""
    luts = 0
    for low_kind in plan.lows:
        bits = plan.bits - plan._place_of(low_kind)
        luts += (bits if bits > 1 else 0) + int(low_kind == BIASED)
    return luts


def _plans(a: Scalar, b: Scalar) -> list[PairPlan]:
    """All plans, the plainest first, of operands of any width."""
    bits = signed_width(*(2 * product for product in product_range(a, b)))
    plans = []
    for low_is_b in (True, False):
        low = b if low_is_b else a
        if not low.signed or low.sign_apart:
            plans.append(_plan(a, b, low_is_b, bits, (MAGNITUDE, MAGNITUDE), 0))
    if plans:
        return plans
    for low_is_b in (True, False):  # Both in two's complement.
        low = b if low_is_b else a
        plans.append(_plan(a, b, low_is_b, bits, (CODE, CODE), 0))
        for bias in range(low.bits, bits + 1):
            plans.append(_plan(a, b, low_is_b, bits, (CODE, BIASED), bias))
    return plans


def _plan(
    a: Scalar, b: Scalar, low_is_b: bool, bits: int, lows: tuple[str, str], bias: int
) -> PairPlan:
    low, high = (b, a) if low_is_b else (a, b)
    digits = [_largest_digit(low, kind, bias) for kind in lows]
    place = max(bits, (digits[0] * digits[1]).bit_length())
    least, most = value_range(high)
    if low.sign_apart:
        # A high factor takes the low one's sign.
        least, most = min(least, -most), max(most, -least)
    operand_bits = [
        signed_width(least << place, (most << place) + digit) for digit in reversed(digits)
    ]
    return PairPlan(a, b, low_is_b, place, bits, lows, bias, (operand_bits[0], operand_bits[1]))


def _largest_digit(low: Scalar, kind: str, bias: int) -> int:
    least, most = value_range(low)
    if kind == CODE:
        return (1 << low.bits) - 1
    return max(most, -least) if kind == MAGNITUDE else most + (1 << bias)


def _xor(x: Value | None, y: Value | None) -> Value | None:
    if x is None or y is None:
        return y if x is None else x
    return x ^ y
