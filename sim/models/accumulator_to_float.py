"""A fixed-point sum rounded to a format: requantisation without a scale."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from hwgen.formats.rounding import DOWN, NEAREST_AWAY, NEAREST_EVEN, UP
from hwgen.formats.scalar import SATURATE
from hwgen.spec import AccumulatorToFloat
from sim.formal.aig import FALSE, TRUE, Aig
from sim.formal.circuit import Circuit
from sim.formal.references import DEFINED_MODES, by_truth_table, minifloat_magnitude
from sim.formal.run import Start, compared, result
from sim.formal.solve import Claim
from sim.formal.words import Word, select
from sim.models import requantize


def _reference(start: Start, spec: AccumulatorToFloat, unit: Circuit) -> Iterable[Claim]:
    """The result is the one that the sum rounds to; by a truth table with random bits."""
    if spec.rounding not in DEFINED_MODES:
        yield from by_truth_table(start, spec, unit)
        return
    got = result(start, spec, unit, "unit")
    holds = is_rounded(start.aig, spec, got.first["sum"], got.outputs["result"])
    ports = {"result is the one that the sum rounds to": ([holds], [TRUE])}
    claim = compared("rounding", start, got.cycles, ports)
    yield dataclasses.replace(claim, cases=leading_one_cases(got.first["sum"]))


def is_rounded(aig: Aig, spec: AccumulatorToFloat, sum_: Sequence[int], code: Sequence[int]) -> int:
    """Whether ``code`` is what the sum rounds to.

    Of all codes' values it is the one that the mode names, by comparison with its neighbours'.
    Magnitudes k count the format's values from zero, as if it went on past its largest. A number's
    magnitude is at least k where it reaches the border below k: the middle between k − 1 and k
    (itself only if the mode says so), or one of the two. The right k is the one that is reached
    while k + 1 is not; the largest, or infinity, also stand for all above.
    """
    f, mode = spec.b, spec.rounding
    number = Word.signed(aig, sum_)
    negative = number.sign
    if f.is_integer:
        result = Word.signed(aig, code) if f.signed else Word.unsigned(aig, code)
        k, sign_right = abs(result), aig.or_(aig.xor(result.sign, negative) ^ 1, result.equals(0))
        mantissa_bits, infinite = 0, FALSE
        largest: Word = Word.constant(aig, (1 << (f.bits - int(f.signed))) - 1)
        if f.signed:
            largest = select(negative, largest + 1, largest)
    else:
        k = Word.unsigned(aig, code[: f.bits - 1])
        sign_right = aig.xor(code[-1], negative) ^ 1
        mantissa_bits = f.mantissa_bits
        largest = Word.constant(aig, f.largest_code)
        infinite = k.equals(f.largest_code + 1) if f.has_infinity else FALSE

    # Everything in units of half the smaller of the two steps.
    unit = min(spec.lsb_exponent, f.lsb_exponent) - 1
    magnitude = abs(number) << (spec.lsb_exponent - unit)

    def of(code: Word) -> Word:
        steps = code if f.is_integer else minifloat_magnitude(code, mantissa_bits)
        return steps << (f.lsb_exponent - unit)

    def reaches(k: Word) -> int:
        """Whether the number rounds to k or beyond, for k of 1 or more."""
        return _reaches(mode, negative, magnitude, of(k - 1), of(k), k.bits[0])

    is_zero = k.equals(0)
    is_largest = k.equals(largest)
    low = aig.or_(is_zero, reaches(k))
    high = reaches(k + 1) ^ 1
    if spec.overflow == SATURATE:
        high = aig.or_(high, is_largest)
        in_range = (largest < k) ^ 1
    else:
        # Infinity is one code beyond the largest, and stands for all that is beyond.
        high = aig.or_(high, infinite)
        in_range = aig.or_((largest < k) ^ 1, infinite)
    return aig.all([sign_right, in_range, low, high])


def _reaches(
    mode: str, negative: int, magnitude: Word, below: Word, above: Word, is_odd: int
) -> int:
    """Whether a magnitude between two values, or one of them, rounds to the upper.

    ``is_odd``: the upper value is of an odd code.
    """
    aig = magnitude.aig
    away = {UP: negative ^ 1, DOWN: negative}.get(mode)
    middle = below + above
    beyond_middle = middle < magnitude + magnitude
    at_middle = middle.equals(magnitude + magnitude)
    if mode == NEAREST_EVEN:
        return aig.or_(beyond_middle, aig.and_(at_middle, is_odd ^ 1))
    if mode == NEAREST_AWAY:
        return aig.or_(beyond_middle, at_middle)
    reached = (magnitude < above) ^ 1
    if away is None:  # toward zero
        return reached
    return aig.mux(away, below < magnitude, reached)


def leading_one_cases(sum_: Sequence[int]) -> list[dict[int, int]]:
    """All values of a signed word of inputs, by sign and by the first bit that is not the sign.

    Bits are counted from the top. One case applies to each value.
    """
    *others, top = (literal >> 1 for literal in sum_)
    cases = []
    for sign in (0, 1):
        same = {top: sign}
        for node in reversed(others):
            cases.append({**same, node: 1 - sign})
            same = {**same, node: sign}
        cases.append(same)
    return cases


MODEL = dataclasses.replace(
    requantize.MODEL,
    settings=(
        {"bits": 20},
        {"bits": 48, "lsb_exponent": -18, "rounding": "up"},
        {"bits": 72, "lsb_exponent": -32, "rounding": "stochastic", "stages": 1},
    ),
    typical=(
        {"bits": 16, "b": "int4", "lsb_exponent": -6},
        {"bits": 20, "b": "e2m1"},
        {"bits": 28, "b": "e4m3fn", "lsb_exponent": -12},
    ),
    example={"bits": 20, "b": "bf16"},
    proofs={
        # To FP32: within its range, down to its subnormals, and past its largest.
        "rounders": [
            ({"bits": 32, "lsb_exponent": lsb, "b": "fp32"}, ("reference",))
            for lsb in (0, -160, 110)
        ]
    },
    reference=_reference,
)
