"""Accumulators against loops over fractions."""

import math
from fractions import Fraction

import numpy as np
import pytest
from fractions_oracle import exact as as_fraction
from fractions_oracle import minifloat_value, numbers, same, total, whole, zero_is_negative

from hwgen import InputError, parse
from hwgen import accumulator as accumulators
from hwgen.formats.rounding import MODES
from sim import exact
from sim.accumulate import accumulate
from sim.exact import ExactArray

RNG = np.random.default_rng(3)
STEPS = 300


def step_sums(name, steps=STEPS, lanes=4):
    f = parse(name)
    a, b = (RNG.integers(0, 2**f.bits, (steps, lanes)).astype(f.code_dtype) for _ in range(2))
    # Specials are rare, as a sum that met one stays so.
    common = RNG.random((steps, lanes)) < 0.99
    a = np.where(common & ~np.isfinite(f.decode(a)), 0, a)
    b = np.where(common & ~np.isfinite(f.decode(b)), 0, b)
    return exact.dot(f, f, a, b)


def signs(sums):
    """Whether each sum, if it is zero, is of negative terms, of positive ones (False) or both."""
    return [{-1: True, 1: False, 0: None}[int(s)] for s in sums.sign]


def random_clear(steps=STEPS, often=0.1):
    return RNG.random(steps) < often


def test_exact():
    sums, clear = step_sums("e5m2"), random_clear()
    got = accumulate(accumulators.Exact(), sums, clear)
    value = Fraction(0)
    for term, restart, word in zip(numbers(sums), clear, got.words, strict=True):
        value = term + (0 if restart else value)
        assert word * Fraction(2) ** got.lsb_exponent == value
    assert not got.special.any()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("overflow", ["saturate", "wrap"])
@pytest.mark.parametrize(
    ("name", "bits", "fraction_bits"),
    [("int8", 15, 0), ("int8", 12, -4), ("e4m3fn", 14, 3), ("e5m2", 24, 5), ("e2m1", 9, 4)],
)
def test_fixed(name, bits, fraction_bits, overflow, mode):
    sums, clear = step_sums(name, 150), random_clear(150)
    sums = ExactArray(sums.integers, sums.lsb_exponent, np.zeros(150))
    accumulator = accumulators.Fixed(bits, fraction_bits, overflow, mode)
    drawn = RNG.integers(0, 2**32, 150, dtype=np.uint32)
    got = accumulate(accumulator, sums, clear, drawn if mode == "stochastic" else None)
    assert got.lsb_exponent == -fraction_bits
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    value, bounded = 0, False
    for term, restart, bit, word in zip(
        numbers(sums), clear, drawn.tolist(), got.words, strict=True
    ):
        value = whole(term * Fraction(2) ** fraction_bits, mode, bit) + (0 if restart else value)
        bounded |= not low <= value <= high
        if overflow == "saturate":
            value = min(max(value, low), high)
        while not low <= value <= high:
            value += 2**bits if value < low else -(2**bits)
        assert type(word) is int and word == value
    assert bounded  # or the test shows nothing


def test_specials_of_an_integer_register_stay_until_a_restart():
    sums = exact.from_values([1, np.inf, 2, -np.inf, 3, -np.inf, np.nan, np.inf, 4, -np.inf, -5])
    clear = np.array([0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0], bool)
    wanted = [0, np.inf, np.inf, np.nan, 0, -np.inf, np.nan, np.nan, 0, -np.inf, -np.inf]
    for name in ("exact", "fixed:8"):
        got = accumulate(accumulators.parse(name), sums, clear)
        assert np.array_equal(got.special, wanted, equal_nan=True)
        finite = [int(w) * Fraction(2) ** got.lsb_exponent for w in got.words]
        assert finite == [1, 1, 3, 3, 3, 3, 3, 3, 4, 0, -5]


@pytest.mark.parametrize("overflow", ["saturate", "special"])
@pytest.mark.parametrize(
    ("name", "format_name", "mode"),
    [
        (name, format_name, mode)
        for name, format_name in (
            ("int8", "fp32"),
            ("e4m3fn", "fp32"),
            ("e5m2ieee", "fp16"),
            ("e5m2ieee", "bf16"),
            ("fp32", "fp32"),
            ("e2m1", "e4m3fn"),
        )
        for mode in MODES
        # Stated to be exact up to 19 significant bits.
        if (format_name, mode) != ("fp32", "stochastic")
    ],
)
def test_float(name, format_name, overflow, mode):
    f = parse(format_name)
    sums, clear = step_sums(name, 150, lanes=2), random_clear(150)
    drawn = RNG.integers(0, 2**32, 150, dtype=np.uint32)
    accumulator = accumulators.Float(f, mode, overflow)
    got = accumulate(accumulator, sums, clear, drawn if mode == "stochastic" else None)
    assert got.words.dtype == f.code_dtype
    value, negative = Fraction(0), False
    term_signs = [{True: [True], False: [False], None: [True, False]}[s] for s in signs(sums)]
    for index, (term, word) in enumerate(zip(numbers(sums), got.words, strict=True)):
        addends = term_signs[index] + ([] if clear[index] else [negative])
        value = total([term] if clear[index] else [as_fraction(float(value)), term])
        held_value = float(f.decode(word))
        if isinstance(value, Fraction):
            is_zero = value == 0
            value, negative = minifloat_value(value, f, mode, overflow, int(drawn[index]))
            negative = zero_is_negative(addends, mode) if is_zero else negative
            assert math.isnan(held_value) or np.signbit(held_value) == negative
        elif overflow == "saturate" and math.isinf(value):
            value = math.copysign(f.max, value)
        elif math.isinf(value) and not f.has_infinity:
            value = math.nan
        value = float(value)
        assert same(held_value, value)
        assert same(float(got.special[index]), 0.0 if math.isfinite(value) else value)


def test_float_rounds_once_a_step_like_numpy():
    """bf16 products are exact in float32, so numpy's float32 additions are the whole rounding."""
    bf16, fp32 = parse("bf16"), parse("fp32")
    a, b = (bf16.encode(RNG.normal(size=500)) for _ in range(2))
    got = accumulate(
        accumulators.parse("fp32"), exact.product(bf16, bf16, a, b), np.zeros(500, bool)
    )
    products = (bf16.decode(a) * bf16.decode(b)).astype(np.float32)
    assert np.array_equal(fp32.decode(got.words), np.cumsum(products, dtype=np.float32))


def test_no_steps():
    sums = exact.from_values(np.zeros(0))
    for name in ("exact", "fixed:8", "fp32"):
        assert accumulate(accumulators.parse(name), sums, np.zeros(0, bool)).words.shape == (0,)


@pytest.mark.parametrize("name", ["exact", "fixed:8", "fp32"])
def test_bad_shapes_are_refused(name):
    sums = exact.from_values([1.0, 2.0])
    with pytest.raises(InputError, match="steps"):
        accumulate(accumulators.parse(name), sums, np.zeros(3, bool))


@pytest.mark.parametrize("name", ["fixed:8:stochastic", "fp16:stochastic"])
def test_stochastic_needs_random_bits(name):
    sums = exact.from_values([1.0, 2.0])
    for drawn in (None, np.zeros(3, np.uint32)):
        with pytest.raises(InputError, match="random_bits"):
            accumulate(accumulators.parse(name), sums, np.zeros(2, bool), drawn)
