"""Exact products and sums against Python's fractions."""

import math
from fractions import Fraction

import numpy as np
import pytest
from fractions_oracle import exact as as_fraction
from fractions_oracle import numbers, product, same, total
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen import InputError, parse
from sim import exact

RNG = np.random.default_rng(11)
PAIRS = [
    ("int8", "int8"),
    ("int2", "uint16"),
    ("int16", "int16"),
    ("fixed8_6", "fixed16_15"),
    ("e2m1", "int4"),
    ("e0m3", "e3m0"),
    ("e4m3", "e4m3"),
    ("e4m3fn", "e5m2"),
    ("e4m3fn", "e5m2ieee"),
    ("e5m2", "e5m2"),
    ("e5m2ieee", "e5m2ieee"),
    ("e4m3fnuz", "e4m3ext"),
    ("e8m0", "ue4m3"),
    ("lns4f0", "e4m3ns"),
    ("fp16", "fp16"),
    ("bf16", "bf16"),
    ("fp32", "fp32"),
    ("fp32", "e2m1"),
    ("e8m23b512", "e8m23bn255"),
]


def random_codes(number_format, shape, specials=True):
    codes = RNG.integers(0, 2**number_format.bits, shape)
    # Half of the codes at the edges: zeros, smallest, largest, specials.
    f = number_format
    low = 0 if f.min > 0 else f.min
    edges = [f.max, low, f.smallest, -f.smallest * (low < 0), 0.0]
    edge_codes = [int(c) for c in f.encode(edges)] + [0, 2**f.bits - 1, 2 ** (f.bits - 1)]
    codes = np.where(RNG.random(shape) < 0.5, codes, RNG.choice(edge_codes, shape))
    if not specials:
        codes = np.where(np.isfinite(f.decode(codes)), codes, f.encode(f.max))
    return codes.astype(f.code_dtype)


def values(number_format, codes):
    return [as_fraction(float(v)) for v in np.ravel(number_format.decode(codes))]


def expected_dot(fa, fb, a, b):
    return total(map(product, values(fa, a), values(fb, b)))


@pytest.mark.parametrize(("a", "b"), PAIRS)
@pytest.mark.parametrize("specials", [False, True])
def test_products_and_dots(a, b, specials):
    fa, fb = parse(a), parse(b)
    for length in (1, 2, 3, 32, 45):
        x = random_codes(fa, (12, length), specials)
        y = random_codes(fb, (12, length), specials)
        if length == 1:
            got = exact.product(fa, fb, x, y)
            assert got.shape == x.shape
            wanted = list(map(product, values(fa, x), values(fb, y)))
            assert all(map(same, numbers(got), wanted))
        got = exact.dot(fa, fb, x, y)
        wanted = [expected_dot(fa, fb, u, v) for u, v in zip(x, y, strict=True)]
        assert all(map(same, numbers(got), wanted))
        assert got.lsb_exponent == fa.lsb_exponent + fb.lsb_exponent
        for flags, value in (
            (got.nan, math.nan),
            (got.positive_infinity, math.inf),
            (got.negative_infinity, -math.inf),
        ):
            assert flags.tolist() == [
                not isinstance(w, Fraction) and same(w, value) for w in wanted
            ]
        assert (got.integers[got.special != 0] == 0).all()


@pytest.mark.parametrize(("a", "b"), PAIRS)
@pytest.mark.parametrize("length", [1, 7, 32, 1000, 40_000])
def test_the_extremes_do_not_overflow(a, b, length):
    fa, fb = parse(a), parse(b)
    x, y = (np.full((4, length), f.encode(f.min), f.code_dtype) for f in (fa, fb))
    x[1], y[2] = fa.encode(fa.max), fb.encode(fb.max)
    # All largest but one, which is the smallest: every bit of the sum's width counts.
    x[3], y[3] = fa.encode(fa.max), fb.encode(fb.max)
    x[3, length // 2], y[3, length // 2] = fa.encode(fa.smallest), fb.encode(fb.smallest)
    got = numbers(exact.dot(fa, fb, x, y))
    corners = [(fa.min, fb.min), (fa.max, fb.min), (fa.min, fb.max)]
    wanted = [Fraction(u) * Fraction(v) * length for u, v in corners]
    largest, smallest = (
        Fraction(u) * Fraction(v) for u, v in ((fa.max, fb.max), (fa.smallest, fb.smallest))
    )
    assert got == [*wanted, largest * (length - 1) + smallest]


@pytest.mark.parametrize("name", ["fp16", "bf16", "fp32", "e8m15"])
@pytest.mark.parametrize("length", [3, 33, 999, 30_001])
def test_long_significands_of_one_size(name, length):
    """Nothing cancels, and all bits of all products are in use."""
    f = parse(name)
    top = int(f.encode(f.max))
    a, b = (
        top - 2 * RNG.integers(0, 1 << (f.mantissa_bits - 1), length).astype(f.code_dtype)
        for _ in range(2)
    )
    got = exact.dot(f, f, a, b)
    steps = (np.ldexp(f.decode(codes), -f.lsb_exponent).tolist() for codes in (a, b))
    assert got.integers.item() == sum(int(u) * int(v) for u, v in zip(*steps, strict=True))


def test_int64_exactly_where_the_sums_fit():
    """The last length whose sums all fit, and the next."""
    int16, e5m2 = parse("int16"), parse("e5m2")
    row = np.zeros((1, 4), np.uint8)
    assert exact.dot(int16, int16, row, row).integers.dtype == np.int64
    assert exact.dot(e5m2, e5m2, row, row).integers.dtype == object
    # int16·e5m1: 2^15·(3·2^30) steps; the sum of n fits up to n = (2^63 − 1) // (3·2^45).
    fb = parse("e5m1")
    limit = (2**63 - 1) // (2**15 * exact.largest_steps(fb))
    for length, dtype in ((limit, np.int64), (limit + 1, object)):
        x = np.full(length, 1 << 15, np.uint16)
        y = np.full(length, fb.encode(fb.max), np.uint8)
        got = exact.dot(int16, fb, x, y)
        assert got.integers.dtype == dtype
        assert numbers(got) == [Fraction(int16.min) * Fraction(fb.max) * length]


@pytest.mark.parametrize(
    ("a", "b"), [("int8", "e4m3"), ("e5m2ieee", "e5m2ieee"), ("bf16", "bf16"), ("fp32", "fp32")]
)
def test_long_sums(a, b):
    """100,000 elements: several pieces; large terms that cancel, and one smallest that stays."""
    fa, fb = parse(a), parse(b)
    length = 100_000
    x = random_codes(fa, (2, length), specials=False)
    y = random_codes(fb, (2, length), specials=False)
    got = numbers(exact.dot(fa, fb, x, y))
    # Sums by significand and exponent: fractions of this many terms would be slow.
    for row in range(2):
        scaled = [
            [int(v) for v in np.ldexp(f.decode(c[row]), -f.lsb_exponent).astype(object)]
            for f, c in ((fa, x), (fb, y))
        ]
        steps = sum(u * v for u, v in zip(*scaled, strict=True))
        assert got[row] == steps * Fraction(2) ** (fa.lsb_exponent + fb.lsb_exponent)
    x = np.full((1, length), fa.encode(fa.max), fa.code_dtype)
    y = np.full((1, length), fb.encode(fb.max), fb.code_dtype)
    x[0, : length // 2] = fa.encode(-fa.max)
    x[0, 12_345], y[0, 12_345] = fa.encode(fa.smallest), fb.encode(fb.smallest)
    x[0, -1] = 0
    smallest = Fraction(fa.smallest) * Fraction(fb.smallest)
    assert numbers(exact.dot(fa, fb, x, y)) == [smallest]


def test_specials_stay_across_the_pieces_of_a_long_sum():
    f = parse("e5m2ieee")
    one, infinity, nan = f.encode([1.0, np.inf, np.nan], overflow="special")
    length = 80_000
    x = np.full((6, length), one, np.uint8)
    y = x.copy()
    minus = infinity | 0x80
    x[1, 5] = infinity
    x[2, -5], y[2, 5] = infinity, minus
    x[3, 5] = nan
    x[4, 5], y[4, 5] = infinity, 0
    x[5, 3:6] = minus
    got = exact.dot(f, f, x, y)
    assert np.array_equal(got.special, [0, np.inf, np.nan, np.nan, np.nan, -np.inf], equal_nan=True)
    assert got.integers.tolist() == [length << -got.lsb_exponent, 0, 0, 0, 0, 0]


def test_axes_broadcasting_and_empty_sums():
    fa, fb = parse("e4m3fn"), parse("e5m2ieee")
    a, b = random_codes(fa, (3, 1, 5), False), random_codes(fb, (4, 5), False)
    got = exact.dot(fa, fb, a, b)
    assert got.shape == (3, 4)
    for i in range(3):
        for j in range(4):
            assert numbers(got[i : i + 1, j]) == [expected_dot(fa, fb, a[i, 0], b[j])]
    first = exact.dot(fa, fb, np.moveaxis(a, -1, 0), np.moveaxis(b, -1, 0)[:, None], axis=0)
    assert np.array_equal(first.integers, got.integers) and first.shape == (3, 4)
    single = exact.dot(fa, fb, a[0, 0], b[0])
    assert single.shape == () and numbers(single) == [expected_dot(fa, fb, a[0, 0], b[0])]
    assert exact.dot(fa, fb, a[..., :0], b[..., :0]).integers.tolist() == [[0] * 4] * 3
    assert exact.dot(fa, fb, a[:0], b).shape == (0, 4)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([p for p in PAIRS if "fp32" not in p]),
    st.data(),
)
def test_any_order_gives_the_same_sum(pair, data):
    fa, fb = map(parse, pair)
    length = data.draw(st.integers(1, 40))
    x, y = (
        np.array(
            data.draw(st.lists(st.integers(0, 2**f.bits - 1), min_size=length, max_size=length)),
            f.code_dtype,
        )
        for f in (fa, fb)
    )
    order = data.draw(st.permutations(range(length)))
    got = numbers(exact.dot(fa, fb, x, y))[0]
    assert same(got, expected_dot(fa, fb, x, y))
    assert same(got, numbers(exact.dot(fb, fa, y[order], x[order]))[0])


def test_add_multiply_scale_total():
    fa, fb = parse("e5m2ieee"), parse("e4m3fn")
    x, y = random_codes(fa, (6, 50)), random_codes(fb, (6, 50))
    u, v = exact.decode(fa, x), exact.decode(fb, y)
    assert all(map(same, numbers(u), values(fa, x)))
    pairs = list(zip(numbers(u), numbers(v), strict=True))
    assert all(map(same, numbers(exact.add(u, v)), [total(p) for p in pairs]))
    assert all(map(same, numbers(exact.multiply(u, v)), [product(*p) for p in pairs]))
    rows = [total(numbers(u[i])) for i in range(6)]
    assert all(map(same, numbers(exact.total(u)), rows))
    exponents = RNG.integers(-700, 700, (6, 50))
    wanted = [
        product(n, Fraction(2) ** int(e)) for n, e in zip(numbers(u), exponents.flat, strict=True)
    ]
    assert all(map(same, numbers(exact.scale(u, exponents)), wanted))
    with pytest.raises(InputError, match="whole numbers"):
        exact.scale(u, exponents.astype(float))


def test_from_values():
    given_values = [0.0, -0.0, 1.5, -3e-300, 1.7e308, 5e-324, np.inf, -np.inf, np.nan]
    got = numbers(exact.from_values(given_values))
    assert all(map(same, got, map(as_fraction, given_values)))


def test_fixed_point():
    f = parse("e2m1")
    assert exact.fixed_point(f, [-6.0, 0.5, 0.0]).tolist() == [-12, 1, 0]
    for bad in (0.25, 7.0, np.nan):
        with pytest.raises(InputError, match="quantize"):
            exact.fixed_point(f, [bad])
    wide = exact.fixed_point(parse("fp32"), [[2.0**127, -(2.0**-149)]])
    assert wide.dtype == object and wide.tolist() == [[2**276, -1]]


@pytest.mark.parametrize(
    ("codes", "message"),
    [([256], "2\\^8"), ([-1], "2\\^8"), ([1.0], "float64"), ([[1, 2, 3]], "shapes")],
)
def test_bad_codes_are_refused(codes, message):
    f = parse("e4m3")
    with pytest.raises(InputError, match=message):
        exact.dot(f, f, np.asarray(codes), np.zeros((1, 2), np.uint8))


def test_irrational_values_are_refused():
    with pytest.raises(InputError, match="irrational"):
        exact.dot(parse("lns4f3"), parse("int8"), [1], [1])


@pytest.mark.parametrize("given", [[2**53 + 1], np.array([2**63 + 1], np.uint64), [2**70 + 1, 0.5]])
def test_values_that_are_no_float64_are_refused(given):
    for call in (exact.from_values, lambda x: exact.fixed_point(parse("e8m23"), x)):
        with pytest.raises(InputError, match="no float64"):
            call(given)
