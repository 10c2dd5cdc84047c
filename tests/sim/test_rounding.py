"""Rounding of exact numbers, once, against definitions in fractions and numpy's float32."""

import math
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from fractions_oracle import minifloat_value, numbers, same, whole
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen import InputError, parse
from hwgen.formats.rounding import MODES
from sim import exact
from sim.exact import ExactArray
from sim.rounding import round_to, round_to_multiples

RNG = np.random.default_rng(5)
MINIFLOATS = ["e2m1", "e4m3", "e4m3fn", "e5m2ieee", "e5m2", "e3m0", "fp16", "bf16", "fp32"]
DETERMINISTIC = [mode for mode in MODES if mode != "stochastic"]


def numbers_of(fractions, dtype=object):
    """Fractions whose denominators are powers of two as an ExactArray."""
    lsb = -max(f.denominator.bit_length() - 1 for f in fractions)
    integers = np.array([int(f * 2**-lsb) for f in fractions], dtype=object)
    return ExactArray(integers.astype(dtype), lsb, np.zeros(len(fractions)))


def critical(number_format, sticky):
    """Values of the format, middles between neighbours, both ends; and these a little off."""
    f = number_format
    top = int(f.encode(f.max))
    codes = {0, 1, 2, 3, top - 1, top, *(int(c) for c in RNG.integers(0, top, 12))}
    codes |= {1 << f.mantissa_bits, (1 << f.mantissa_bits) - 1, 2 << f.mantissa_bits}
    codes = np.array(sorted(c for c in codes if c < top))
    low = [Fraction(v) for v in f.decode(codes)]
    high = [Fraction(v) for v in f.decode(codes + 1)]
    largest = Fraction(f.max)
    points = low + [(u + v) / 2 for u, v in zip(low, high, strict=True)]
    step = largest - Fraction(float(f.decode(top - 1)))
    points += [largest, largest + step / 2, largest + step, largest * 2, largest * 2**70]
    return [sign * (p + off * sticky) for p in points for off in (-1, 0, 1) for sign in (1, -1)]


def check(codes, number_format, points, mode, overflow, drawn=None):
    """Codes against the slow definition, values and signs."""
    decoded = number_format.decode(codes)
    for index, (point, value) in enumerate(zip(points, decoded, strict=True)):
        bits = None if drawn is None else int(drawn[index])
        wanted, negative = minifloat_value(point, number_format, mode, overflow, bits)
        assert same(float(value), float(wanted)), (point, mode, overflow, value, wanted)
        assert math.isnan(value) or np.signbit(value) == negative, (point, mode)


@pytest.mark.parametrize("name", MINIFLOATS)
@pytest.mark.parametrize("mode", DETERMINISTIC)
@pytest.mark.parametrize("overflow", ["saturate", "special"])
def test_round_to(name, mode, overflow):
    f = parse(name)
    if overflow == "special" and f.specials == "finite":
        with pytest.raises(InputError, match="neither infinity nor NaN"):
            round_to(numbers_of([Fraction(1)]), f, mode, overflow)
        return
    # Far below float64's precision, and below its smallest number.
    for sticky in (Fraction(f.smallest) / 2**80, Fraction(1, 2**1200)):
        points = critical(f, sticky)
        check(round_to(numbers_of(points), f, mode, overflow), f, points, mode, overflow)


@pytest.mark.parametrize("name", MINIFLOATS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("lsb", [-1200, -260, -160, -70, -20, 0, 60, 130, 1000])
def test_round_to_int64(name, mode, lsb):
    """All 63 bits in use, far below to far above the format's range, and float64's."""
    f = parse(name)
    magnitudes = RNG.integers(0, 2**63, 30, dtype=np.uint64) >> RNG.integers(
        0, 63, 30, dtype=np.uint64
    )
    # Ties of 24 to 54 bits, and one step beside them.
    ties = [
        (m << s) + off for s in (8, 9, 38) for m in (2**24 + 1, 2**24 + 3) for off in (-1, 0, 1)
    ]
    integers = np.concatenate([magnitudes.astype(np.int64), np.array(ties), [2**63 - 1, 2**53 + 1]])
    integers = np.concatenate([integers, -integers, [-(2**63)]])
    points = [Fraction(int(i)) * Fraction(2) ** lsb for i in integers]
    drawn = RNG.integers(0, 2**32, len(integers), dtype=np.uint32)
    drawn = drawn if mode == "stochastic" else None
    for overflow in ("saturate", "special") if f.has_nan else ("saturate",):
        array = ExactArray(integers, lsb, np.zeros(len(integers)))
        codes = round_to(array, f, mode, overflow, random_bits=drawn)
        check(codes, f, points, mode, overflow, drawn)
    as_python = ExactArray(integers.astype(object), lsb, np.zeros(len(integers)))
    assert np.array_equal(codes, round_to(as_python, f, mode, overflow, random_bits=drawn))


@pytest.mark.parametrize("name", [*MINIFLOATS, "e8m22"])
def test_round_to_stochastic(name):
    """The stated definition, at fractions whose sum with the random bits is 1 or just not."""
    f = parse(name)
    points, drawn = [], []
    for low in map(abs, critical(f, Fraction(0))[::6]):
        size = max(low, Fraction(f.smallest))
        exponent = max(math.frexp(float(size))[1] - 1 - f.mantissa_bits, f.lsb_exponent)
        step = Fraction(2) ** exponent
        for bits in (0, 1, 2**31, 2**32 - 1, int(RNG.integers(2**32))):
            missing = 1 - Fraction(bits, 2**32)
            for off in (0, Fraction(1, 2**100), -Fraction(1, 2**100)):
                for sign in (1, -1):
                    points.append(sign * (low + step * (missing + off)))
                    drawn.append(bits)
    random_bits = np.array(drawn, dtype=np.uint32)
    codes = round_to(numbers_of(points), f, "stochastic", random_bits=random_bits)
    check(codes, f, points, "stochastic", "saturate", drawn)


@pytest.mark.parametrize("name", ["e4m3", "e5m2", "bf16", "fp16"])
def test_round_to_stochastic_int64(name):
    """One unit of 2^−62 decides."""
    f = parse(name)
    drawn = np.repeat(RNG.integers(1, 2**32, 30, dtype=np.uint32), 6)
    places = 62 - f.mantissa_bits - 32
    integers = (1 << 62) + ((2**32 - drawn.astype(np.int64)) << places)
    integers += np.tile([-1, 0, 1], 60)
    integers *= np.tile([1, 1, 1, -1, -1, -1], 30)
    codes = round_to(ExactArray(integers, -62, np.zeros(180)), f, "stochastic", random_bits=drawn)
    points = [Fraction(int(i), 2**62) for i in integers]
    check(codes, f, points, "stochastic", "saturate", drawn)


def test_round_to_stochastic_fp32():
    """All 32 bits of the fraction count, and none below."""
    f, tiny = parse("fp32"), Fraction(1, 2**90)
    points = [1 + Fraction(k, 2**55) - tiny for k in (2**32 - 9, 2**32 - 8)] + [1 + tiny]
    drawn = np.array([9, 9, 2**32 - 1])
    codes = round_to(numbers_of(points), f, "stochastic", random_bits=drawn)
    assert f.decode(codes).tolist() == [1.0, 1 + 2.0**-23, 1.0]


@pytest.mark.parametrize("name", ["e4m3ns", "e7m23ns", "e8m20ieeens"])
def test_round_to_stochastic_below_the_smallest(name):
    """Nothing lies between zero and the smallest number."""
    f = parse(name)
    smallest = Fraction(f.smallest)
    for drawn in (0, 1, 12345, 2**31, 2**32 - 1):
        least = smallest * (1 - Fraction(drawn, 2**32))
        points = [least - smallest / 2**70, least, least + smallest / 2**70]
        points += [-point for point in points]
        codes = round_to(
            numbers_of(points), f, "stochastic", random_bits=np.full(len(points), drawn)
        )
        wanted = [0.0, f.smallest, f.smallest]
        assert f.decode(codes).tolist() == wanted + [-value for value in wanted]


def test_round_to_stochastic_without_zero():
    f = parse("ue5m22nz")
    points = [Fraction(f.smallest) * k / 2**60 for k in (1, 2**59, 2**60 + 1, 2**60 + 2**37 + 1)]
    codes = round_to(
        numbers_of(points), f, "stochastic", random_bits=np.array([2**32 - 1] * 2 + [0] * 2)
    )
    assert codes.tolist() == [0, 0, 0, 0]
    codes = round_to(numbers_of(points), f, "stochastic", random_bits=np.full(4, 2**32 - 1))
    assert codes.tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("name", ["int4", "uint8", "int16", "fixed8_6", "ue4m3", "e8m0", "e4m3ns"])
@pytest.mark.parametrize("mode", DETERMINISTIC)
def test_other_formats_as_from_float64(name, mode):
    """A point and a bit more, as Python ints, like the next float64 (rounding once, both)."""
    f = parse(name)
    grid = [f.max, f.max / 3, f.smallest, f.smallest / 2, f.smallest * 1.5, f.min, 0.75, 1.25, 2.5]
    points = np.array([v * s for v in grid for s in (1.0, -1.0)])
    points = points[points != 0]
    tiny = Fraction(1, 2**900)
    for off, near in (
        (0, points),
        (tiny, np.nextafter(points, np.inf)),
        (-tiny, np.nextafter(points, -np.inf)),
    ):
        codes = round_to(numbers_of([Fraction(v) + off for v in points]), f, mode)
        assert np.array_equal(codes, f.encode(near, mode)), off


def test_zero_is_positive_and_underflow_keeps_its_sign():
    f = parse("e4m3")
    cancelled = numbers_of([Fraction(0), Fraction(-1, 2**40), Fraction(1, 2**40)])
    for mode in ("nearest_even", "toward_zero"):
        assert round_to(cancelled, f, mode).tolist() == [0x00, 0x80, 0x00]
    assert round_to(cancelled, f, "down").tolist() == [0x00, 0x81, 0x00]
    assert round_to(cancelled, f, "up").tolist() == [0x00, 0x80, 0x01]


def test_specials():
    array = exact.from_values([np.inf, -np.inf, np.nan, 1.0])
    fp16, e4m3fn, e4m3 = map(parse, ("fp16", "e4m3fn", "e4m3"))
    assert round_to(array, fp16, overflow="special").tolist() == [0x7C00, 0xFC00, 0x7E00, 0x3C00]
    assert round_to(array, fp16).tolist() == [0x7BFF, 0xFBFF, 0x7E00, 0x3C00]
    assert np.isnan(e4m3fn.decode(round_to(array, e4m3fn, overflow="special"))[:3]).all()
    with pytest.raises(InputError, match="has no NaN"):
        round_to(array, e4m3)
    assert round_to(array, e4m3, nan=0.0).tolist() == [0x7F, 0xFF, 0x00, 0x38]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rounding": "nearest"}, "nearest_even"),
        ({"overflow": "wrap"}, "saturate"),
        ({"rounding": "stochastic"}, "random_bits"),
        ({"random_bits": np.zeros(1, np.uint32)}, "random_bits"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        round_to(numbers_of([Fraction(1)]), parse("fp16"), **options)


def test_logarithms_are_refused():
    with pytest.raises(InputError, match="irrational"):
        round_to(numbers_of([Fraction(1)]), parse("lns4f0"))


def test_products_and_sums_are_those_of_ieee_hardware():
    """Numpy's float32 products and sums are rounded once; so are ml_dtypes' bfloat16 products."""
    fp32, bf16 = parse("fp32"), parse("bf16")
    x, y = (RNG.integers(0, 2**32, 5000, dtype=np.uint32) for _ in range(2))
    with np.errstate(all="ignore"):
        u, v = x.view(np.float32), y.view(np.float32)
        close = y & 0x007FFFFF | x & 0xFF800000 ^ 0x80000000
        wanted = [u * v, u + v, u + close.view(np.float32)]
        ones = np.full_like(x, 0x3F800000)
    got = [exact.product(fp32, fp32, x, y)]
    for other in (y, close):
        operands = np.stack([x, other], axis=-1), np.stack([ones, ones], axis=-1)
        got.append(exact.dot(fp32, fp32, *operands))
    for numbers_found, result in zip(got, wanted, strict=True):
        codes = round_to(numbers_found, fp32, overflow="special")
        assert np.array_equal(fp32.decode(codes).astype(np.float32), result, equal_nan=True)
    x, y = (RNG.integers(0, 2**16, 5000, dtype=np.uint16) for _ in range(2))
    with np.errstate(all="ignore"):
        result = x.view(ml_dtypes.bfloat16) * y.view(ml_dtypes.bfloat16)
    codes = round_to(exact.product(bf16, bf16, x, y), bf16, overflow="special")
    finite = ~np.isnan(result.astype(np.float32)) & (result != 0)
    assert np.array_equal(codes[finite], result.view(np.uint16)[finite])
    assert np.isnan(bf16.decode(codes[np.isnan(result.astype(np.float32))])).all()


@settings(max_examples=300, deadline=None)
@given(
    st.integers(-(2**80), 2**80),
    st.integers(-90, 90),
    st.integers(-90, 90),
    st.sampled_from(MODES),
    st.integers(0, 2**32 - 1),
)
def test_round_to_multiples(integer, lsb, exponent, mode, drawn):
    array = ExactArray(np.array([integer], object), lsb, np.zeros(1))
    bits = np.array([drawn], np.uint32) if mode == "stochastic" else None
    got = round_to_multiples(array, exponent, mode, bits)
    assert got.tolist() == [whole(numbers(array)[0] / Fraction(2) ** exponent, mode, drawn)]


@pytest.mark.parametrize("mode", MODES)
def test_round_to_multiples_at_ties(mode):
    integers = np.arange(-24, 25)
    array = ExactArray(integers, -3, np.zeros(len(integers)))
    for off in (0, 1):  # Just enough random bits to go up, and just not.
        drawn = np.maximum(2**32 - 2**29 * (np.abs(integers) % 8) - off, 0) % 2**32
        got = round_to_multiples(array, 0, mode, drawn if mode == "stochastic" else None)
        pairs = zip(integers.tolist(), drawn.tolist(), strict=True)
        assert got.tolist() == [whole(Fraction(i, 8), mode, bits) for i, bits in pairs]
