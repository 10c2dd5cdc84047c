"""Formats against libraries that others wrote, all codes and all ties."""

import gfloat
import gfloat.formats
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen import InputError, Integer, Minifloat, parse
from hwgen.formats import NAMES

FORMATS = [parse(name) for name in NAMES]
MINIFLOATS = [f for f in FORMATS if isinstance(f, Minifloat)]
ALL_MINIFLOATS = [Minifloat(e, m) for e in range(1, 6) for m in range(0, 7) if 1 + e + m <= 8]

#: Our finite format and the library's that has the same values below its own specials.
ML_DTYPES = {
    "e2m1": ml_dtypes.float4_e2m1fn,
    "e2m3": ml_dtypes.float6_e2m3fn,
    "e3m2": ml_dtypes.float6_e3m2fn,
    "e3m4": ml_dtypes.float8_e3m4,
    "e4m3": ml_dtypes.float8_e4m3fn,
    "e5m2": ml_dtypes.float8_e5m2,
}


def all_codes(number_format):
    return np.arange(2**number_format.bits, dtype=np.uint8)


def gfloat_format(f: Minifloat) -> gfloat.FormatInfo:
    return gfloat.FormatInfo(
        name=str(f),
        k=f.bits,
        precision=f.mantissa_bits + 1,
        bias=f.bias,
        has_nz=True,
        domain=gfloat.Domain.Finite,
        num_high_nans=0,
        has_subnormals=True,
        is_signed=True,
        is_twos_complement=False,
    )


@pytest.mark.parametrize("name", NAMES)
def test_name_round_trip(name):
    assert str(parse(name)) == name
    assert parse(parse(name)) == parse(name)


@pytest.mark.parametrize("f", [*FORMATS, *ALL_MINIFLOATS], ids=str)
def test_decode_encode_identity_on_all_codes(f):
    codes = all_codes(f)
    values = f.decode(codes)
    assert (f.encode(values) == codes).all()
    assert values.min() == f.min and values.max() == f.max
    steps = values / 2.0**f.lsb_exponent
    assert (steps == np.rint(steps)).all() and np.abs(steps[steps != 0]).min() == 1


@pytest.mark.parametrize("f", ALL_MINIFLOATS, ids=str)
def test_minifloat_values_equal_gfloat(f):
    # gfloat has no finite format whose precision is 1 with subnormals of zero mantissa bits.
    info = gfloat_format(f)
    ours = f.decode(all_codes(f))
    theirs = np.array([gfloat.decode_float(info, int(c)).fval for c in all_codes(f)])
    assert (ours == theirs).all() and (np.signbit(ours) == np.signbit(theirs)).all()


@pytest.mark.parametrize("f", MINIFLOATS, ids=str)
def test_rounding_equals_gfloat_at_every_tie_and_neighbour(f):
    info = gfloat_format(f)
    values = np.unique(f.decode(all_codes(f)))
    ties = (values[1:] + values[:-1]) / 2
    points = np.concatenate([values, ties, np.nextafter(ties, np.inf), np.nextafter(ties, -np.inf)])
    beyond = np.array([f.max * 1.01, f.max * 2, f.max * 1e30, np.inf])
    points = np.concatenate([points, beyond, -beyond])
    expected = [
        gfloat.round_float(info, float(x), gfloat.RoundMode.TiesToEven, sat=True) for x in points
    ]
    assert (f.quantize(points) == np.array(expected)).all()


@pytest.mark.parametrize("name", ML_DTYPES)
def test_decode_and_encode_equal_ml_dtypes_on_its_finite_codes(name):
    f, library = parse(name), ML_DTYPES[name]
    theirs = all_codes(f).view(library).astype(np.float64)
    finite = np.isfinite(theirs)
    assert (f.decode(all_codes(f))[finite] == theirs[finite]).all()
    rng = np.random.default_rng(0)
    largest = theirs[finite].max()
    x = np.concatenate([rng.normal(0, scale, 100_000) for scale in (0.01, 1, 100)])
    x = x.astype(np.float32)
    x = x[np.abs(x) <= largest]
    assert (f.encode(x) == x.astype(library).view(np.uint8)).all()


@pytest.mark.parametrize("bits", range(2, 9))
def test_integers(bits):
    f = Integer(bits)
    x = np.arange(-300, 300) / 2
    expected = [max(-(2 ** (bits - 1)), min(2 ** (bits - 1) - 1, round(v))) for v in x]
    assert f.quantize(x).tolist() == expected  # Python's round is to nearest even
    assert f.decode(f.encode(x)).tolist() == expected


def test_sign_of_zero_is_kept():
    f = parse("e2m1")
    assert f.encode([-0.0, 0.0, -0.1]).tolist() == [8, 0, 8]


def test_scalars_and_shapes():
    f = parse("e3m2")
    assert f.encode(1.0).shape == () and f.encode(np.ones((2, 3, 4))).shape == (2, 3, 4)
    assert f.encode(np.empty((0, 4))).shape == (0, 4)


@pytest.mark.parametrize("f", FORMATS, ids=str)
def test_nan_is_refused(f):
    with pytest.raises(InputError, match="1 of 2 values are NaN"):
        f.encode([1.0, np.nan])


@pytest.mark.parametrize(
    "name",
    ["", "int", "int0", "int17", "int08", "INT8", "e9m9", "e0m0ieee", "e8m24", "e4m", "m3", "ue8m3x",
     "e2m1 ", "int8\n", "fp9", "e04m3", "int-4", "١", "int٤", "e4m3nan", "ue4m3fnuz",
     "e1m0ieee", "e4m3b9999", "uint", None, 8, 4.0, b"int8", "e" * 1000],
)  # fmt: skip
def test_bad_names_say_what_is_allowed(name):
    with pytest.raises(InputError) as caught:
        parse(name)
    assert "int" in str(caught.value) or "e2m1" in str(caught.value)


@settings(max_examples=2000, deadline=None)
@given(st.text(alphabet="uintem0123456789fnzb-p_ ", max_size=14) | st.text(max_size=8))
def test_any_text_is_a_format_or_an_input_error(name):
    try:
        found = parse(name)
    except InputError:
        return
    assert parse(str(found)) == found


# --- formats with special codes ---------------------------------------------------------------

#: Every float of ml_dtypes that this package has, by its name there.
LIBRARY = {
    name: getattr(ml_dtypes, name)
    for name in (
        "bfloat16", "float8_e3m4", "float8_e4m3", "float8_e4m3b11fnuz", "float8_e4m3fn",
        "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz",
    )
}  # fmt: skip
LIBRARY["float16"] = np.float16
SPECIAL_NAMES = ["e4m3fn", "e4m3fnuz", "e5m2ieee", "e5m2fnuz", "e3m4ieee", "e4m3fnuzb11",
                 "e2m3ieee", "e3m2fn"]  # fmt: skip
GFLOAT_MODES = {
    "nearest_even": gfloat.RoundMode.TiesToEven,
    "nearest_away": gfloat.RoundMode.TiesToAway,
    "toward_zero": gfloat.RoundMode.TowardZero,
    "up": gfloat.RoundMode.TowardPositive,
    "down": gfloat.RoundMode.TowardNegative,
}


def same(x, y):
    """Equal in value and sign of zero, NaN equal to NaN."""
    number = ~np.isnan(x)
    return (
        (np.isnan(x) == np.isnan(y)).all()
        and (x[number] == y[number]).all()
        and (np.signbit(x[number]) == np.signbit(y[number])).all()
    )


def points_of(f):
    """All values, ties, their float neighbours, and numbers beyond the range."""
    values = f.decode(np.arange(min(2**f.bits, 2**16)))
    values = np.unique(values[np.isfinite(values)])
    ties = (values[1:] + values[:-1]) / 2
    step = f.max - np.unique(np.abs(values))[-2]
    beyond = np.array([f.max + step / 2, f.max + step, f.max * 2, f.max * 1e6, np.inf])
    near = [np.nextafter(np.concatenate([ties, beyond]), way) for way in (np.inf, -np.inf)]
    both = np.concatenate([values, ties, beyond, *near])
    return np.concatenate([both, -both, [np.nan]])


@pytest.mark.parametrize("name", LIBRARY)
def test_all_codes_equal_ml_dtypes(name):
    f, library = parse(name), LIBRARY[name]
    codes = np.arange(2**f.bits, dtype=np.uint8 if f.bits == 8 else np.uint16)
    with np.errstate(invalid="ignore"):  # signalling NaNs
        theirs = codes.view(library).astype(np.float64)
    assert same(f.decode(codes), theirs)


@pytest.mark.parametrize("name", LIBRARY)
def test_encode_equals_ml_dtypes_on_ties_neighbours_and_random_numbers(name):
    f, library = parse(name), LIBRARY[name]
    rng = np.random.default_rng(1)
    random = rng.integers(0, 2**32, 300_000, dtype=np.uint32).view(np.float32)
    scaled = rng.normal(size=300_000) * f.max / 3
    with np.errstate(over="ignore", invalid="ignore"):
        x = np.concatenate([points_of(f), random, scaled]).astype(np.float32)
        theirs = x.astype(library).astype(np.float64)
    ours = f.decode(f.encode(x, overflow="special"))
    assert same(ours, theirs)


@pytest.mark.parametrize("name", SPECIAL_NAMES)
@pytest.mark.parametrize("mode", GFLOAT_MODES)
@pytest.mark.parametrize("overflow", ["saturate", "special"])
def test_every_mode_equals_gfloat(name, mode, overflow):
    f = parse(name)
    info = gfloat.FormatInfo(
        name=name,
        k=f.bits,
        precision=f.mantissa_bits + 1,
        bias=f.bias,
        has_nz=f.specials != "fnuz",
        domain=gfloat.Domain.Extended if f.has_infinity else gfloat.Domain.Finite,
        num_high_nans={"ieee": 2**f.mantissa_bits - 1, "fn": 1, "fnuz": 0}[f.specials],
        has_subnormals=True,
        is_signed=True,
        is_twos_complement=False,
    )
    x = points_of(f)
    # A saturated infinity is a choice in gfloat that differs; ours is the largest value.
    x = x[~np.isinf(x)] if overflow == "saturate" else x
    if mode == "nearest_away":
        # gfloat adds 0.5 in float64, which takes the number just below half a step for half.
        x = x[np.abs(x) != np.nextafter(2.0 ** (f.lsb_exponent - 1), 0)]
    sat = overflow == "saturate"
    theirs = np.array([gfloat.round_float(info, float(v), GFLOAT_MODES[mode], sat) for v in x])
    ours = f.quantize(x, mode, overflow)
    assert same(ours, theirs)
    finite = np.isfinite(ours)
    assert same(f.decode(f.encode(x, mode, overflow))[finite], ours[finite])


@pytest.mark.parametrize("name", [*SPECIAL_NAMES, "ue4m3", "ue5m3", "uint5", "int12", "e4m3b3"])
def test_codes_survive_a_round_trip(name):
    f = parse(name)
    assert str(f) == name
    codes = np.arange(2**f.bits)
    values = f.decode(codes)
    finite = np.isfinite(values)
    assert (f.encode(values[finite]) == codes[finite]).all()
    assert values[finite].max() == f.max and values[finite].min() == f.min
    assert np.isnan(values).any() == f.has_nan and np.isinf(values).any() == f.has_infinity


def test_nearest_away_just_below_a_half():
    f = parse("int4")
    half = np.array([0.5, np.nextafter(0.5, 0), -0.5, 1.5, -2.5])
    assert f.quantize(half, "nearest_away").tolist() == [1.0, 0.0, -1.0, 2.0, -3.0]


def test_stochastic_rounding_is_the_stated_carry():
    f = parse("e2m1")
    x = np.array([0.125, 0.125, 3.5, -0.125, -0.125])
    drawn = np.array([2**32 * 3 // 4, 2**32 * 3 // 4 - 1, 2**31, 2**32 // 4, 2**32 // 4 - 1])
    got = f.quantize(x, "stochastic", random_bits=drawn)
    assert got.tolist() == [0.5, 0.0, 4.0, 0.0, -0.5]
    rng = np.random.default_rng(0)
    many = np.full(200_000, 2.25)
    drawn = rng.integers(0, 2**32, many.shape, dtype=np.uint32)
    assert f.quantize(many, "stochastic", random_bits=drawn).mean() == pytest.approx(2.25, abs=0.01)


def test_nan_by_choice():
    assert parse("int4").encode([np.nan], nan=0.0).tolist() == [0]
    assert parse("e2m1").quantize([np.nan, 1.0], nan=-6.0).tolist() == [-6.0, 1.0]
    assert np.isnan(parse("fp8_e4m3").quantize([np.nan])).all()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("e2m1", {"rounding": "even"}, "rounding='even': use one of nearest_even"),
        ("int4", {"rounding": "stochastic"}, "random_bits belong to"),
        ("int4", {"random_bits": np.zeros(2, int)}, "random_bits belong to"),
        ("int4", {"rounding": "stochastic", "random_bits": np.zeros(3, int)}, "shape"),
        ("e2m1", {"overflow": "wrap"}, "overflow='wrap': use one of saturate, special"),
        ("e2m1", {"overflow": "special"}, "neither infinity nor NaN"),
    ],
)
def test_bad_options_say_what_is_allowed(name, options, message):
    with pytest.raises(InputError, match=message):
        parse(name).encode([1.0, 2.0], **options)
