"""Scalar formats: names, codes against other libraries, properties, bad input."""

from fractions import Fraction

import gfloat
import gfloat.formats
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scalar_cases import (
    DETERMINISTIC,
    GFLOAT,
    LIBRARY,
    MINIFLOATS,
    OPERANDS,
    OTHERS,
    P3109,
    all_codes,
    gfloat_of,
    same,
)

from hwgen import InputError, Integer, Logarithmic, Minifloat, parse
from hwgen.formats import ALIASES, NAMES, p3109
from hwgen.formats.scalar import WORTH_A_TABLE

# --- names and codes ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*NAMES, *ALIASES, *P3109, *OTHERS])
def test_names_read_back(name):
    f = parse(name)
    assert parse(str(f)) == f and parse(f) is f
    if name in NAMES:
        assert str(f) == name


@pytest.mark.parametrize("name", [*NAMES, *map(str, MINIFLOATS), *GFLOAT, *P3109, *OTHERS])
@pytest.mark.parametrize("mode", DETERMINISTIC)
def test_codes_of_values_are_the_codes(name, mode):
    f = parse(name)
    codes = all_codes(f)
    values = f.decode(codes)
    number = ~np.isnan(values)
    finite = values[np.isfinite(values)]
    assert finite.max() == f.max and finite.min() == f.min
    assert np.isnan(values).any() == f.has_nan and np.isinf(values).any() == f.has_infinity
    assert np.abs(finite[finite != 0]).min() == f.smallest
    overflow = "propagate" if f.has_infinity else "saturate"
    assert (f.encode(values[number], mode, overflow) == codes[number]).all()
    if f.has_nan:
        assert np.isnan(f.decode(f.encode([np.nan])))
    if not isinstance(f, Logarithmic):
        steps = finite / 2.0**f.lsb_exponent
        assert (steps == np.rint(steps)).all()
        significands, exponents = f.significands(codes[np.isfinite(values)])
        assert (np.abs(significands) < 2**f.precision).all() or isinstance(f, Integer)
        assert (np.ldexp(significands.astype(float), exponents) == finite).all()


@pytest.mark.parametrize("name", LIBRARY)
def test_all_codes_equal_ml_dtypes(name):
    f = parse(name)
    codes = np.arange(2**f.bits, dtype=f.code_dtype)
    with np.errstate(invalid="ignore"):  # signalling NaNs
        theirs = codes.view(LIBRARY[name]).astype(np.float64)
    assert same(f.decode(codes), theirs)


@pytest.mark.parametrize("name", [*GFLOAT, *P3109])
def test_all_codes_equal_gfloat(name):
    f, info = parse(name), gfloat_of(name)
    theirs = gfloat.decode_ndarray(info, all_codes(f).astype(np.int64))
    assert same(f.decode(all_codes(f)), theirs)


def test_stated_extremes():
    """From the standards' and papers' own tables."""
    stated = {
        "e4m3": 480, "fp8_e4m3": 448, "e5m2": 114688, "fp8_e5m2": 57344, "e3m2": 28, "e2m3": 7.5,
        "e2m1": 6, "Binary8p4se": 224, "Binary8p4sf": 240, "Binary4p2sf": 3, "Binary4p2se": 2,
        "Binary6p3sf": 14, "ue5m3": 114688, "ue5m3ieee": 61440, "ue4m3": 448, "e8m0": 2.0**127,
    }  # fmt: skip
    assert {name: parse(name).max for name in stated} == stated
    e8m0 = parse("e8m0")
    assert e8m0.decode(0) == 2.0**-127 and np.isnan(e8m0.decode(255)) and not e8m0.signed
    assert e8m0.decode([0, 127, 254]).tolist() == [2.0**-127, 1.0, 2.0**127]


def test_p3109_names():
    for name in P3109:
        assert p3109.name_of(parse(name)) == name
    assert p3109.name_of(parse("e4m3fn")) is None and p3109.name_of(parse("e0m3fnuz")) is None


def test_logarithms_are_powers_of_two():
    f = parse("lns3f2")
    exact = [0.0, *(2.0 ** (c / 4 - 3) for c in range(1, 32))]
    np.testing.assert_allclose(f.decode(np.arange(32)), exact, rtol=2e-16)
    assert (f.decode(np.arange(32, 64)) == -f.decode(np.arange(32))).all()
    # Half a step of the logarithm on either side of 1; 2^(1/8)^8 is 2.
    middle = 2.0**0.125
    below, above = np.nextafter(middle, 0), np.nextafter(middle, 2)
    code_of_1 = f.encode(1.0)
    assert Fraction(below) ** 8 < 2 < Fraction(above) ** 8
    assert f.encode([below, above]).tolist() == [code_of_1, code_of_1 + 1]
    assert f.encode([f.max * 9, np.inf, -np.inf, 1e-300]).tolist() == [31, 31, 63, 0]
    assert parse("lns4f0").lsb_exponent == -6
    with pytest.raises(InputError, match="irrational"):
        _ = f.lsb_exponent


def test_stochastic_logarithms_are_unbiased():
    f, x = parse("lns3f2"), np.full(200_000, 1.05)
    drawn = np.random.default_rng(0).integers(0, 2**32, x.shape)
    assert f.quantize(x, "stochastic", random_bits=drawn).mean() == pytest.approx(1.05, abs=1e-3)


# --- properties ---------------------------------------------------------------------------------

formats = st.one_of(
    st.builds(Integer, st.integers(1, 16), st.booleans(), st.integers(0, 32)),
    st.sampled_from([parse(name) for name in [*P3109, *OTHERS, *GFLOAT, "fp32"]]),
    st.builds(Minifloat, st.integers(1, 8), st.integers(1, 7), st.integers(-20, 140)),
    st.builds(Logarithmic, st.integers(1, 6), st.integers(0, 6)),
)
numbers = st.floats(allow_nan=False, width=64)


@settings(max_examples=300, deadline=None)
@given(formats, st.lists(numbers, min_size=2), st.sampled_from(DETERMINISTIC))
def test_rounding_is_monotone(f, values, mode):
    rounded = f.quantize(np.sort(values), mode)
    assert (np.diff(rounded) >= 0).all()


@settings(max_examples=300, deadline=None)
@given(formats, st.lists(numbers, min_size=1), st.sampled_from(["nearest_even", "nearest_away"]))
def test_the_error_is_at_most_half_a_step(f, values, mode):
    if f.bits > 16 or isinstance(f, Logarithmic):
        return  # No list of steps; half a step of the logarithm.
    x = np.clip(values, f.min, f.max)
    steps = f.finite_values()
    above = np.clip(np.searchsorted(steps, x, side="left"), 1, len(steps) - 1)
    for number, got, low, high in zip(
        x, f.quantize(x, mode), steps[above - 1], steps[above], strict=True
    ):
        assert 2 * abs(Fraction(number) - Fraction(got)) <= Fraction(high) - Fraction(low)


@settings(max_examples=300, deadline=None)
@given(formats, st.lists(numbers))
def test_values_stay_as_they_are(f, values):
    once = f.quantize(values)
    for mode in DETERMINISTIC:
        assert (f.quantize(once, mode) == once).all()


# --- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["", "int", "int0", "int17", "int08", "INT8", "e9m9", "e0m0ieee", "e8m24", "e4m", "m3",
     "ue8m3x", "e2m1 ", "int8\n", "fp9", "e04m3", "int-4", "١", "int٤", "e4m3nan", "ue4m3fnuz",
     "e1m0ieee", "e4m3b9999", "uint", None, 8, 4.0, b"int8", "e" * 1000, "fixed8_33", "fixed17_2",
     "lns9f1", "lns0f3", "lns8f9", "Binary8p9s", "Binary8p8se", "Binary99p1se", "Binary8p0se",
     "e4m3fnuznz", "e4m3bn", "e4m3b-300", "binary8p4", "e0m0nz", "ue0m0", "e2m1nz"],
)  # fmt: skip
def test_bad_names_say_what_is_allowed(name):
    with pytest.raises(InputError) as caught:
        parse(name)
    assert "such as" in str(caught.value) or "use one of" in str(caught.value)


@settings(max_examples=500, deadline=None)
@given(
    st.text(alphabet="uintemfxdlsBarypb0123456789fnzb-p_ ", max_size=16)
    | st.text(max_size=8)
    | st.from_regex(r"\A[u]?(e|int|fixed|lns|Binary|mx|nv|bfp)[0-9a-z_]{0,9}", fullmatch=False)
)
def test_any_text_is_a_format_or_an_input_error(name):
    try:
        number_format = parse(name)
    except InputError:
        return
    assert parse(str(number_format)) == number_format


def test_ten_thousand_broken_names():
    """Known names with characters dropped, replaced, doubled and swapped."""
    rng = np.random.default_rng(5)
    known = [*NAMES, *ALIASES, *P3109, *OTHERS]
    alphabet = "uintemfxdlsBarypbz0123456789-_. \né"
    accepted = 0
    for _ in range(10_000):
        letters = list(known[rng.integers(len(known))])
        for _ in range(rng.integers(1, 4)):
            at = int(rng.integers(len(letters) + 1))
            letters[at : at + int(rng.integers(3))] = rng.choice(list(alphabet), rng.integers(3))
        name = "".join(letters)
        try:
            number_format = parse(name)
        except InputError as error:
            assert "use one of" in str(error) or "such as" in str(error), name
            continue
        assert parse(str(number_format)) == number_format
        accepted += 1
    assert 100 < accepted < 5000


@pytest.mark.parametrize("f", OPERANDS, ids=str)
def test_nan_is_refused(f):
    for count in (2, WORTH_A_TABLE):
        with pytest.raises(InputError, match=f"1 of {count} values are NaN"):
            f.encode(np.append(np.ones(count - 1), np.nan))


def test_nan_by_choice():
    assert parse("int4").encode([np.nan], nan=0.0).tolist() == [0]
    assert parse("e2m1").quantize([np.nan, 1.0], nan=-6.0).tolist() == [-6.0, 1.0]
    assert np.isnan(parse("fp8_e4m3").quantize([np.nan])).all()


def test_shapes_and_types():
    f = parse("e3m2")
    assert f.encode(1.0).shape == () and f.encode(np.ones((2, 3, 4))).shape == (2, 3, 4)
    assert f.encode(np.empty((0, 4))).shape == (0, 4) and f.decode([]).shape == (0,)
    assert f.encode(np.ones((300, 20))[::2, ::3]).shape == (150, 7)
    assert f.decode(np.array([1, 2], np.int64)).dtype == np.float64
    assert f.decode([1, 2], np.float32).dtype == np.float32
    whole = parse("int16").encode(np.array([2**62, -(2**62), 5], np.int64))
    assert whole.tolist() == [32767, 32768, 5]
    assert (parse("int8").encode(ml_dtypes.bfloat16(3)) == 3).all()
    big = np.array([2.0**130, -1e300, 1e-300, -0.0] * WORTH_A_TABLE)
    assert parse("e4m3").encode(big)[:4].tolist() == [127, 255, 0, 128]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("e2m1", {"rounding": "even"}, "rounding='even': use one of nearest_even"),
        ("int4", {"rounding": "stochastic"}, "random_bits belong to"),
        ("int4", {"random_bits": np.zeros(2, int)}, "random_bits belong to"),
        ("int4", {"rounding": "stochastic", "random_bits": np.zeros(3, int)}, "shape"),
        ("int4", {"rounding": "stochastic", "random_bits": np.array([0, -1])}, "from -1 to 0"),
        ("int4", {"rounding": "stochastic", "random_bits": np.array([0, 2**32])}, "to 4294967296"),
        ("e2m1", {"overflow": "wrap"}, "overflow='wrap': use one of saturate, special"),
        ("e2m1", {"overflow": "special"}, "neither infinity nor NaN"),
        ("int4", {"overflow": "propagate"}, "neither infinity nor NaN"),
        ("int4", {"nan": np.nan}, "give a number"),
    ],
)
def test_bad_options_say_what_is_allowed(name, options, message):
    with pytest.raises(InputError, match=message):
        parse(name).encode([1.0, 2.0], **options)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["1"], "give real numbers"),
        ([1j], "give real numbers"),
        (np.array(["2020-01-01"], "M8[D]"), "give real numbers"),
        ([None], "None is none"),
        ([1, 2**70, "1"], "real numbers"),
        (np.array([1, "1"], object), "'1' is none"),
        ([[1], [1, 2]], "must be real numbers"),
    ],
)
def test_what_is_not_a_real_number_is_refused(values, message):
    with pytest.raises(InputError, match=message):
        parse("e4m3").encode(values)


@pytest.mark.parametrize("codes", [[16], [-1], [1.0], [2**70], ["1"], [True]])
def test_codes_that_are_none_are_refused(codes):
    with pytest.raises(InputError, match="whole numbers from 0 to 15"):
        parse("e2m1").decode(codes)


def test_values_that_are_no_float32_are_refused():
    with pytest.raises(InputError, match="use float64"):
        parse("lns4f3").decode([1], np.float32)
    with pytest.raises(InputError, match="use float16, float32, float64"):
        parse("e2m1").decode([1], np.int8)
    with pytest.raises(InputError, match="infinite or NaN"):
        parse("e4m3fn").significands([127])
    with pytest.raises(InputError, match="too many to list"):
        parse("fp32").finite_values()


@pytest.mark.parametrize("number", [1e308, -1e308, np.inf])
def test_numbers_of_steps_beyond_float64_warn_of_nothing(number):
    """With numpy's warnings as errors: what is meant is not reported."""
    with np.errstate(all="raise"):
        for name in ("fixed8_6", "ufixed16_15", "e4m3fn", "int8"):
            f = parse(name)
            assert f.decode(f.encode(number)) in (f.max, f.min)
