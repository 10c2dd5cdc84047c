"""Formats against libraries that others wrote, all codes and all ties."""

import gfloat
import gfloat.formats
import ml_dtypes
import numpy as np
import pytest

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
    [
        "",
        "int",
        "int1",
        "int9",
        "int08",
        "INT8",
        "e4m3fn",
        "e9m9",
        "e0m3",
        "e5m3",
        "e4m",
        "m3",
        "e2m1 ",
        "int8\n",
        "fp8",
        "e04m3",
        "int-4",
        "١",
        "int٤",
        None,
        8,
        4.0,
        b"int8",
        "e" * 1000,
    ],
)
def test_bad_names_say_what_is_allowed(name):
    with pytest.raises(InputError) as caught:
        parse(name)
    assert "int" in str(caught.value) or "e2m1" in str(caught.value)
