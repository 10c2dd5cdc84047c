"""L-Mul against the adder on code fields, which the golden model does not use."""

import math
from fractions import Fraction

import numpy as np
import pytest
from fractions_oracle import numbers, same

from hwgen import InputError, parse
from hwgen.spec.lmul import offset_exponent
from sim.lmul import lmul
from sim.rounding import round_to

RNG = np.random.default_rng(21)


def test_offsets_of_the_paper():
    assert [offset_exponent(m) for m in (1, 2, 3, 4, 5, 7, 10, 23)] == [1, 2, 3, 3, 4, 4, 4, 4]


def all_or_some(number_format):
    if number_format.bits <= 8:
        codes = np.arange(256, dtype=np.uint8)
        return (v.ravel() for v in np.meshgrid(codes, codes))
    return (
        RNG.integers(0, 2**number_format.bits, 20_000).astype(number_format.code_dtype)
        for _ in range(2)
    )


@pytest.mark.parametrize("name", ["e4m3", "e4m3fn", "e5m2", "e5m2ieee", "fp16", "bf16", "fp32"])
@pytest.mark.parametrize("offset", [None, 1])
def test_normal_results_are_sums_of_codes(name, offset):
    """R = X + Y − (bias << m) + 2^(m − l) on exponent and mantissa together."""
    f = parse(name)
    x, y = all_or_some(f)
    m, sign = f.mantissa_bits, f.bits - 1
    l_of_m = offset_exponent(m) if offset is None else offset
    fields = [c.astype(np.int64) & ((1 << sign) - 1) for c in (x, y)]
    result = fields[0] + fields[1] - (f.bias << m) + (1 << (m - l_of_m))
    normal = np.isfinite(f.decode(x)) & np.isfinite(f.decode(y))
    for field in (*fields, result):
        normal &= field >= 1 << m
    normal &= result <= int(f.encode(f.max))
    assert normal.sum() > 1000
    wanted = result | ((x ^ y).astype(np.int64) >> sign << sign)
    got = round_to(lmul(f, f, x, y, offset), f)
    assert np.array_equal(got[normal], wanted[normal])


def slow(fa, fb, a, b, offset):
    """The adder form in fractions, from values."""
    operands = []
    for f, code in ((fa, a), (fb, b)):
        value = float(f.decode(code))
        operands.append(0.0 if abs(value) < f.smallest_normal else value)
    if not all(map(math.isfinite, operands)):
        return operands[0] * operands[1]
    if 0.0 in operands:
        return Fraction(0)
    logarithm = Fraction(1, 2**offset)
    for value in operands:
        fraction, exponent = math.frexp(abs(value))
        logarithm += exponent - 1 + Fraction(2 * fraction - 1)
    floor = math.floor(logarithm)
    sign = 1 if (operands[0] > 0) == (operands[1] > 0) else -1
    return sign * (1 + logarithm - floor) * Fraction(2) ** floor


@pytest.mark.parametrize(
    ("a", "b", "offset"),
    [
        ("e4m3fn", "e5m2ieee", 3),  # the wider mantissa has 3 bits
        ("bf16", "e2m1", 4),
        ("e5m2ieee", "fp32", 4),
        ("e3m0", "e3m0", 0),
        ("e4m3ns", "e4m3fnuz", 3),
        ("e2m1", "e2m1", 7),  # finer than the mantissa
    ],
)
def test_any_two_formats(a, b, offset):
    fa, fb = parse(a), parse(b)
    x = RNG.integers(0, 2**fa.bits, 600).astype(fa.code_dtype)
    y = RNG.integers(0, 2**fb.bits, 600).astype(fb.code_dtype)
    got = lmul(fa, fb, x, y, None if offset != 7 else 7)
    wanted = [slow(fa, fb, u, v, offset) for u, v in zip(x, y, strict=True)]
    assert all(map(same, numbers(got), wanted))


def test_zeros_subnormals_and_specials():
    f = parse("e5m2ieee")
    one, zero, subnormal, infinity, nan = 0x3C, 0x80, 0x03, 0x7C, 0x7E
    cases = {
        (one, zero): 0.0,
        (subnormal, one): 0.0,
        (infinity, one): math.inf,
        (infinity, 0xBC): -math.inf,
        (0xFC, infinity): -math.inf,
        (infinity, zero): math.nan,
        (infinity, subnormal): math.nan,
        (nan, one): math.nan,
        (zero, nan): math.nan,
    }
    for (a, b), wanted in cases.items():
        assert same(numbers(lmul(f, f, np.uint8(a), np.uint8(b)))[0], wanted)
        assert same(numbers(lmul(f, f, np.uint8(b), np.uint8(a)))[0], wanted)


def test_results_outside_the_normal_range_are_rounded():
    f = parse("e4m3")
    largest, smallest_normal = 0x7F, 0x08
    assert round_to(lmul(f, f, largest, largest), f) == 0x7F
    assert round_to(lmul(f, f, largest, 0xFF), f) == 0xFF
    # 2^−6·2^−6·1.125 is under half of the smallest subnormal, 2^−9; times 2 four times, over.
    assert round_to(lmul(f, f, smallest_normal, smallest_normal), f) == 0
    assert round_to(lmul(f, f, smallest_normal, 0x80 | smallest_normal), f) == 0x80
    assert round_to(lmul(f, f, smallest_normal, 0x18), f) == 1


def test_shapes_broadcast():
    f = parse("e4m3")
    assert lmul(f, f, np.zeros((3, 1), np.uint8), np.zeros(4, np.uint8)).shape == (3, 4)


def test_bad_operands_are_refused():
    f = parse("e4m3")
    for other in ("int8", "lns4f0", "e0m3"):
        with pytest.raises(InputError, match="minifloat"):
            lmul(f, parse(other), 0, 0)
    for offset in (-1, 33, True):
        with pytest.raises(InputError, match="offset"):
            lmul(f, f, 0, 0, offset)
