"""Scalar formats round as libraries that others wrote do: all ties, random numbers."""

import gfloat
import gfloat.formats
import ml_dtypes
import numpy as np
import pytest
from scalar_cases import (
    DETERMINISTIC,
    GFLOAT,
    GFLOAT_MODES,
    LIBRARY,
    OTHERS,
    P3109,
    gfloat_of,
    points_of,
    random_float32,
    same,
)

from hwgen import InputError, Integer, Minifloat, parse
from hwgen.formats import NAMES
from hwgen.formats.scalar import OVERFLOWS, WORTH_A_TABLE, _key_bits


def assert_equals_ml_dtypes(name, x):
    f = parse(name)
    if not (f.has_nan or f.has_infinity):
        x = x[~np.isnan(x)]
    if name == "float8_e8m0fnu":
        # ml_dtypes takes subnormal float32 from 2^-127 on up to 2^-126, not to the nearest.
        x = x[~((x > 2.0**-127) & (x < 1.5 * 2.0**-127))]
    overflow = "special" if f.has_nan else "saturate"
    with np.errstate(over="ignore", invalid="ignore"):
        theirs = x.astype(LIBRARY[name]).view(f.code_dtype)
    ours = f.encode(x, overflow=overflow)
    # NaN has two codes in some formats, and its sign means nothing.
    number = ~np.isnan(f.decode(theirs))
    assert (ours[number] == theirs[number]).all()
    assert np.isnan(f.decode(ours[~number])).all()


@pytest.mark.parametrize("name", LIBRARY)
def test_encode_equals_ml_dtypes_at_ties_and_neighbours(name):
    assert_equals_ml_dtypes(name, points_of(parse(name), np.float32))


@pytest.mark.parametrize("name", LIBRARY)
def test_encode_equals_ml_dtypes_on_ten_million_numbers(name):
    assert_equals_ml_dtypes(name, random_float32(10_000_000, min(parse(name).max, 1e38)))


def assert_equals_gfloat(name, mode, overflow, x):
    f, info = parse(name), gfloat_of(name)
    sat = overflow == "saturate"
    # A saturated infinity is a choice in gfloat that differs; ours is the largest value.
    x = x[~np.isinf(x)] if sat else x
    x = x if f.has_nan else x[~np.isnan(x)]
    # gfloat takes the magnitude of negative numbers for formats without sign, and has no rule
    # for the numbers below the smallest of a format without zero.
    x = x if f.signed else x[(x > 0) | np.isnan(x)]
    x = x if f.min <= 0 else x[(x >= f.min) | np.isnan(x)]
    if name == "e8m0" and mode == "nearest_even":  # See the next test.
        x = x[np.isnan(x) | (np.frexp(x)[0] != 0.75)]
    ours, theirs, options = [], [], {}
    for part in np.array_split(x, max(1, len(x) // 1_000_000)):
        gfloat_options = {}
        if mode == "stochastic":
            drawn = np.random.default_rng(len(ours)).integers(0, 2**32, part.shape)
            options = {"random_bits": drawn}
            gfloat_options = {"srbits": drawn, "srnumbits": 32}
        ours.append(f.quantize(part, mode, overflow, **options))
        exact = part.astype(np.float64)
        theirs.append(gfloat.round_ndarray(info, exact, GFLOAT_MODES[mode], sat, **gfloat_options))
    ours, theirs = np.concatenate(ours), np.concatenate(theirs)
    if isinstance(f, Minifloat) and f.saturates:
        # gfloat's overflow to NaN is not what P3109 4.0 says (see test_p3109.py).
        beyond = np.isnan(theirs) & ~np.isnan(x)
        theirs = np.where(beyond, np.copysign(f.max, x), theirs)
    if isinstance(f, Integer):
        theirs += 0.0  # Two's complement has one zero.
    assert same(ours, theirs)


def test_ties_of_e8m0_go_up_as_in_the_casts_of_others():
    """ml_dtypes (and PyTorch) take the even significand, gfloat the even code."""
    ties = 1.5 * 2.0 ** np.arange(-127, 127)
    codes = parse("e8m0").encode(ties)
    assert (codes == np.arange(1, 255)).all()
    assert (codes == ties.astype(np.float32).astype(ml_dtypes.float8_e8m0fnu).view(np.uint8)).all()
    theirs = gfloat.round_ndarray(GFLOAT["e8m0"], ties, gfloat.RoundMode.TiesToEven)
    assert (np.log2(theirs) % 2 == 1).all()
    assert parse("e8m0").encode(np.nextafter(2.0**-127, 1)) == 0  # Not so in ml_dtypes.
    # With a zero the even code is the rule, which P3109 states for one bit of precision.
    assert parse("e3m0").encode([1.5, 3.0, 6.0]).tolist() == [4, 4, 6]


@pytest.mark.parametrize("name", [*GFLOAT, *P3109])
@pytest.mark.parametrize("mode", DETERMINISTIC)
@pytest.mark.parametrize("overflow", ["saturate", "special"])
def test_every_mode_equals_gfloat_at_ties_and_neighbours(name, mode, overflow):
    f = parse(name)
    if overflow == "special" and not (f.has_nan or f.has_infinity):
        with pytest.raises(InputError, match="neither infinity nor NaN"):
            f.encode([1.0], overflow=overflow)
        return
    assert_equals_gfloat(name, mode, overflow, points_of(f))


@pytest.mark.parametrize("name", ["e4m3fn", "e5m2ieee", "e2m3", "e3m2", "e2m1", "Binary8p4se"])
@pytest.mark.parametrize("mode", GFLOAT_MODES)
def test_every_mode_equals_gfloat_on_many_numbers(name, mode):
    """On ten million of the usual mode, and a million of the others, which differ in the last step.

    Ties and neighbours have a test of their own.
    """
    count = 10_000_000 if mode == "nearest_even" else 1_000_000
    x = random_float32(count, parse(name).max)
    assert_equals_gfloat(name, mode, "saturate", x[np.isfinite(x)])


def brute_force(f, mode, x):
    """Rounding by its definition, on the rising list of values, for numbers in the range."""
    values = f.finite_values()
    above = np.clip(np.searchsorted(values, x, side="left"), 1, len(values) - 1)
    low, high = values[above - 1], values[above]
    high = np.where(x == low, low, high)
    exact = x == high
    if mode in ("up", "down"):
        return np.where(exact | (mode == "up"), high, low)
    if mode == "toward_zero":
        return np.where(exact | (x < 0), high, low)
    # Halves are compared exactly: the middle of two values is a float64.
    middle = (low + high) / 2
    if mode == "nearest_away":
        return np.where((x > middle) | ((x == middle) & (x > 0)), high, low)
    even = f.encode(low) % 2 == 0
    return np.where((x > middle) | ((x == middle) & ~even), high, low)


@pytest.mark.parametrize("name", [n for n in OTHERS if "lns" not in n] + ["e4m3", "int8"])
@pytest.mark.parametrize("mode", DETERMINISTIC)
def test_rounding_is_its_definition(name, mode):
    f = parse(name)
    x = points_of(f)
    x = x[(x >= f.min) & (x <= f.max)]
    assert (f.quantize(x, mode) == brute_force(f, mode, x)).all()


#: Formats that have tables: their codes are decided by a few bits of a float32.
TABLES = [
    name
    for name in (*NAMES, *GFLOAT, *OTHERS, "Binary8p4se", "Binary8p3ue", "e4m3fnuz")
    if _key_bits(parse(name)) is not None
]


def test_formats_of_all_kinds_have_tables():
    assert len(TABLES) >= 40
    assert {"e4m3fn", "e8m0", "int8", "ue5m3ieee", "fixed8_6", "Binary8p4se"} <= set(TABLES)


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("mode", DETERMINISTIC)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tables_give_what_the_formats_rules_give(name, mode, dtype):
    f = parse(name)
    x = np.concatenate(
        [points_of(f, dtype), random_float32(20_000, min(f.max, 1e38)).astype(dtype)]
    )
    x = x if f.has_nan else x[~np.isnan(x)]
    assert len(x) >= WORTH_A_TABLE
    for overflow in OVERFLOWS if f.has_nan else OVERFLOWS[:1]:
        with np.errstate(invalid="ignore"):
            expected = f._codes(x.astype(np.float64), mode, overflow, None)
        assert (f.encode(x, mode, overflow) == expected).all()
        assert same(f.quantize(x, mode, overflow), f.decode(expected))


def test_overflow_rules():
    e5m2, e4m3, ext = parse("fp8_e5m2"), parse("fp8_e4m3"), parse("Binary8p4se")
    x = [1e9, -1e9, np.inf, -np.inf, np.nan]
    assert e5m2.quantize(x)[:4].tolist() == [57344, -57344, 57344, -57344]
    assert e5m2.quantize(x, overflow="special")[:4].tolist() == [np.inf, -np.inf, np.inf, -np.inf]
    assert e5m2.quantize(x, overflow="propagate")[:4].tolist() == [57344, -57344, np.inf, -np.inf]
    assert e4m3.quantize(x)[:4].tolist() == [448, -448, 448, -448]
    assert np.isnan(e4m3.quantize(x, overflow="special")).all()
    assert ext.quantize(x, overflow="propagate")[:4].tolist() == [224, -224, np.inf, -np.inf]
    # Round, then clamp: 464 is half-way from 448 to 480, and goes to 448, the even one.
    assert e4m3.quantize([464, 464.1], overflow="special")[0] == 448
    assert np.isnan(e4m3.quantize([464.1], overflow="special")).all()
    assert e4m3.quantize([1e9], "toward_zero", "special").tolist() == [448]
    # Numbers that a format without sign or zero cannot have.
    ue4m3, e8m0 = parse("ue4m3"), parse("e8m0")
    assert ue4m3.quantize([-1.0, -1e-9]).tolist() == [0, 0]
    assert np.isnan(ue4m3.quantize([-1.0], overflow="special")).all()
    assert e8m0.encode([0.0, -1.0, 1e-45]).tolist() == [0, 0, 0]
    assert e8m0.encode([0.0, -1.0, 1e-45], overflow="special").tolist() == [255, 255, 0]


@pytest.mark.parametrize("bits", range(1, 17))
def test_integers(bits):
    for f in (Integer(bits), Integer(bits, signed=False), Integer(bits, True, 3)):
        low, high = int(f.min * 2**f.fraction_bits), int(f.max * 2**f.fraction_bits)
        x = np.concatenate([np.arange(-300, 300) / 2, np.arange(low, low + 9) / 2, [high + 0.5]])
        expected = [max(low, min(high, round(v))) for v in x]  # Python's round is to nearest even.
        assert (f.quantize(x / 2**f.fraction_bits) * 2**f.fraction_bits).tolist() == expected


def test_sign_of_zero_is_kept():
    assert parse("e2m1").encode([-0.0, 0.0, -0.1]).tolist() == [8, 0, 8]
    assert parse("e4m3fnuz").encode([-0.0, -1e-9]).tolist() == [0, 0]


def test_nearest_away_just_below_a_half():
    half = np.array([0.5, np.nextafter(0.5, 0), -0.5, 1.5, -2.5])
    assert parse("int4").quantize(half, "nearest_away").tolist() == [1.0, 0.0, -1.0, 2.0, -3.0]


def test_stochastic_rounding_is_the_stated_carry():
    f = parse("e2m1")
    x = np.array([0.125, 0.125, 3.5, -0.125, -0.125, -1e-300])
    three_quarters = 2**32 * 3 // 4
    drawn = np.array(
        [three_quarters, three_quarters - 1, 2**31, three_quarters, three_quarters - 1, 2**32 - 1]
    )
    got = f.quantize(x, "stochastic", random_bits=drawn)
    assert got.tolist() == [0.5, 0.0, 4.0, -0.5, 0.0, 0.0]
    rng = np.random.default_rng(0)
    many = np.full(200_000, -2.25)
    drawn = rng.integers(0, 2**32, many.shape, dtype=np.uint32)
    mean = f.quantize(many, "stochastic", random_bits=drawn).mean()
    assert mean == pytest.approx(-2.25, abs=0.01)
