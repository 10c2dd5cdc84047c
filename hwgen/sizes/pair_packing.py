"""How two products and their sum share one multiplier: the plan.

The hardware is in ``hwgen.arithmetic.pair_packing``, which has the source.
"""

from __future__ import annotations

from dataclasses import dataclass

from hwgen.errors import InputError
from hwgen.formats import Scalar
from hwgen.formats.widths import product_range, signed_width, value_range
from hwgen.sizes.dsp_multiplier import PACKED_FOR, Multiplier, is_gate, require_multiplier

MAGNITUDE, CODE, BIASED = "magnitude", "code", "biased"


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


def fixed_sizes(a: Scalar, b: Scalar) -> tuple[int, int]:
    """Bits of the wider and of the narrower factor of a product that is in no pair."""
    ranges = [value_range(f) for f in (a, b)]
    bits = [signed_width(*r) if r[0] < 0 else r[1].bit_length() for r in ranges]
    return max(bits), min(bits)


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
