"""Values that are wider than float64: encoded exactly, and decoded exactly or not at all."""

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from hwgen import InputError, Integer, Minifloat, parse
from hwgen.formats.block_codes import BlockCodes
from hwgen.formats.rounding import MODES

RNG = np.random.default_rng(0)
#: float128 or float96, where it is more than float64.
WIDE = np.dtype(np.longdouble).name
DETERMINISTIC = [mode for mode in MODES if mode != "stochastic"]


# --- decoding -----------------------------------------------------------------------------------


def exact_value(f, code):
    """A minifloat's value by its definition, of whole numbers."""
    sign, magnitude = divmod(code, 1 << (f.exponent_bits + f.mantissa_bits))
    exponent, mantissa = divmod(magnitude, 1 << f.mantissa_bits)
    if exponent == 0 and f.subnormals:
        significand, exponent = mantissa, 1
    else:
        significand = mantissa + (1 << f.mantissa_bits)
    value = significand * Fraction(2) ** (exponent - f.bias - f.mantissa_bits)
    return -value if sign else value


@pytest.mark.parametrize(
    ("name", "code", "dtype"),
    [
        ("e8m23", 2**31 - 1, np.float32),  # 2^129: beyond float32.
        ("e8m23", 0, np.float32),  # The answer hangs on the format, not on the codes.
        ("e8m10b200", 1, np.float32),  # 2^-209: below float32.
        ("e8m20ieee", 1, np.float16),
        ("e4m12", 1, np.float16),  # Too many bits.
        ("bf16", 1, np.float16),
        ("uint16", 1, np.float16),
        ("fixed16_32", 1, np.float16),
        ("e8m0", 1, np.float16),
        ("lns4f3", 9, np.float32),
    ],
)
def test_a_type_that_does_not_hold_the_values_is_refused(name, code, dtype):
    for call in (parse(name).decode, parse(name).quantize):
        with pytest.raises(
            InputError, match=f"some values of .* are no {np.dtype(dtype).name}: use"
        ):
            call(np.array([code], np.uint32), dtype=dtype)
    wide = parse(name).decode(np.array([code], np.uint32))
    for other in (np.longdouble, object):
        assert parse(name).decode(np.array([code], np.uint32), other)[0] == wide[0]


@pytest.mark.parametrize(
    "f",
    [
        *(Minifloat(e, m, b) for e, m in ((8, 23), (5, 20), (0, 20), (8, 10)) for b in (-256, 512)),
        *(parse(n) for n in ("e8m23", "fp32", "e8m10b200", "e5m10", "fp16", "e3m4", "e8m0finite")),
    ],
    ids=str,
)
def test_decoded_values_are_exact_or_refused(f):
    codes = np.unique(
        [*range(9), *RNG.integers(0, f.largest_code + 1, 90), f.largest_code], axis=0
    ).astype(np.uint32)
    expected = [exact_value(f, int(code)) for code in codes]
    exact_types = 0
    for dtype in (np.float16, np.float32, np.float64, np.longdouble, object):
        try:
            values = f.decode(codes, dtype)
        except InputError:
            continue
        exact_types += 1
        assert values.dtype == dtype
        assert [Fraction(*v.as_integer_ratio()) for v in values] == expected
    assert exact_types >= 3  # float64 and wider have them all.


def test_fractions_keep_infinities_and_nan():
    values = parse("fp8_e5m2").decode([0x7C, 0xFC, 0x7E, 1], object)
    assert values[0] == math.inf and values[1] == -math.inf and math.isnan(values[2])
    assert values[3] == Fraction(1, 2**16)
    assert parse("e2m1").quantize([0.7], dtype=object)[0] == Fraction(1, 2)


@pytest.mark.parametrize("dtype", [int, "int8", "complex64", "nothing", None, "U3", [1], "O8,i4"])
def test_a_type_of_no_real_numbers_is_refused(dtype):
    with pytest.raises(InputError, match=r"dtype=.*use float16, float32, float64"):
        parse("e2m1").decode([1], dtype)


@pytest.mark.parametrize(
    ("name", "dtype", "enough"),
    [
        ("mxfp4", np.float32, "float64"),  # 6·2^127
        ("e2m1_b4_ue4m3_fp32", np.float32, "float64"),
        ("int16_b4_fp32_fp32", np.float64, f"{WIDE} or object"),  # 15 + 24 + 24 bits
        ("fp32_b4_fp32_fp32", np.longdouble, "object"),
        ("e8m23b512_b2_e8m23b512_e8m23b512", np.float64, "object"),
        ("e8m3b512_b2_e8m3b512_e8m3b512", np.float64, f"{WIDE} or object"),
        ("e8m3bn256_b2_e8m3bn256_e8m3bn256", np.float64, f"{WIDE} or object"),  # 2^1535
        ("e8m23bn256_b2_ue8m23bn256_ue8m23bn256", np.float64, "object"),
    ],
)
def test_block_formats_are_exact_or_refused(name, dtype, enough):
    f = parse(name)
    with pytest.raises(InputError, match=f"are no {np.dtype(dtype).name}: use {enough}"):
        f.quantize([1.0, 2.0], dtype=dtype)
    tensor = None if f.tensor_scale is None else f.tensor_scale.smallest
    elements = np.full((1, f.block_size), f.element.encode(f.element.max))
    scales = np.full(1, f.scale.encode(f.scale.smallest))
    codes = BlockCodes(f, (f.block_size,), 0, elements, scales, tensor_scale=tensor)
    with pytest.raises(InputError, match="are no"):
        codes.decode(dtype)
    got = codes.decode(object)[0]
    factors = [f.element.decode(codes.elements)[0, 0], f.scale.decode(codes.scales)[0], tensor or 1]
    assert got == math.prod(Fraction(v) for v in factors)


def test_block_formats_in_a_narrow_type():
    f = parse("e2m1_b4_ue4m3_m2x2")
    x = RNG.normal(size=(3, 8))
    assert f.quantize(x, dtype=np.float32).dtype == np.float32
    assert (f.quantize(x, dtype=np.float32) == f.quantize(x)).all()
    assert (f.quantize(x, dtype=object) == f.quantize(x)).all()
    # 6·448 and half a step of 2^-11 times 2^-3: what float16 holds, to the last bit.
    assert (f.quantize(x * 100, dtype=np.float16) == f.quantize(x * 100)).all()


def test_a_tensor_scale_that_is_none_of_the_format_is_refused():
    codes = parse("nvfp4").encode(np.ones(16))
    for bad in (0.1, math.inf, math.nan, 2.0**-150, "1", 1j):
        with pytest.raises(InputError, match="tensor_scale="):
            BlockCodes(codes.format, (16,), 0, codes.elements, codes.scales, tensor_scale=bad)


# --- encoding -----------------------------------------------------------------------------------


def value_of(f, x, mode, drawn=0):
    """What ``x``, a Fraction in the range of a minifloat or integer format, rounds to."""
    if isinstance(f, Integer):
        step = Fraction(2) ** f.lsb_exponent
    else:
        top = abs(x).numerator.bit_length() - x.denominator.bit_length()
        top -= abs(x) < Fraction(2) ** top
        step = Fraction(2) ** max(top - f.mantissa_bits, f.lsb_exponent)
    floor = math.floor(x / step)
    remainder = x / step - floor
    up = {
        "nearest_even": remainder > Fraction(1, 2)
        or (remainder == Fraction(1, 2) and floor % 2 == 1),
        "nearest_away": remainder > Fraction(1, 2) or (remainder == Fraction(1, 2) and x > 0),
        "toward_zero": remainder > 0 and x < 0,
        "up": remainder > 0,
        "down": False,
        "stochastic": math.floor(remainder * 2**32) + drawn >= 2**32,
    }[mode]
    if mode == "stochastic" and x < 0:
        part = abs(x) / step - math.floor(abs(x) / step)
        away = math.floor(part * 2**32) + drawn >= 2**32
        return -(math.floor(abs(x) / step) + away) * step
    return (floor + up) * step


def far_integers(low, high):
    """Whole numbers about powers of two and at random, from 2^53 on."""
    integers = set()
    for k in (53, 54, 60, 62, 63, 64):
        for near in (-2049, -1025, -1024, -513, -1, 0, 1, 2, 3, 511, 1023, 1025, 3 << (k - 26)):
            integers |= {2**k + near, -(2**k) - near, 2**k + 2 ** (k - 24) + near}
    drawn = RNG.integers(0, 2**63, 300)
    integers |= {int(v) >> s for s, v in enumerate(drawn) if s < 11}
    return sorted(v for v in integers if low <= v <= high and abs(v) >= 2**53)


def test_the_lines_of_the_report():
    fp32 = parse("fp32")
    assert fp32.encode(np.array([2**53 + 1]), rounding="up").tolist() == [0x5A000001]
    assert fp32.encode(np.array([-(2**53) - 1]), rounding="down").tolist() == [0xDA000001]
    assert fp32.encode(np.array([2**53 + 1], np.uint64), rounding="up").tolist() == [0x5A000001]
    assert fp32.encode([2**53 + 1, 0.5], rounding="up").tolist() == [0x5A000001, 0x3F000000]
    assert fp32.encode(2**53 + 1, rounding="up") == 0x5A000001


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["fp32", "e8m22", "e8m20", "bf16", "tf32", "e8m0finite", "e8m21"])
@pytest.mark.parametrize("kind", ["int64", "uint64", ">i8", "object", "mixed", "longdouble"])
def test_whole_numbers_past_2_53_are_rounded_once(mode, name, kind):
    f = parse(name)
    low, high = {"uint64": (0, 2**64 - 1), "int64": (-(2**63), 2**63 - 1),
                 ">i8": (-(2**63), 2**63 - 1)}.get(kind, (-(2**80), 2**80))  # fmt: skip
    x = far_integers(low, high)
    if kind == "object":
        x += [3 * 10**20 + 1, -(2**79) - 1, 2**80 - 1]
    given = x
    if kind == "mixed":
        given = [*x, 0.5]
    elif kind != "object":
        given = np.array(x, dtype=np.longdouble if kind == "longdouble" else kind)
        if kind == "longdouble":
            given += np.longdouble(0.25)
            x = [Fraction(*v.as_integer_ratio()) for v in given]
    drawn, options = [0] * len(given), {}
    if mode == "stochastic":
        # Random bits that just carry and just do not.
        edge = []
        for v in x:
            step = abs(value_of(f, Fraction(v), "toward_zero"))
            step = Fraction(2) ** (step.numerator.bit_length() - f.precision)
            part = (abs(Fraction(v)) / step) % 1
            missing = 2**32 - math.floor(part * 2**32) - int(RNG.integers(2))
            edge.append(min(2**32 - 1, max(0, missing)))
        drawn = edge + [0] * (len(given) - len(x))
        options["random_bits"] = np.array(drawn, np.uint32)
    got = f.quantize(given, mode, dtype=object, **options)
    expected = [value_of(f, Fraction(v), mode, d) for v, d in zip(x, drawn, strict=False)]
    if f.mantissa_bits == 0 and mode == "nearest_even":  # Even by the code: another test's.
        return
    assert got[: len(x)].tolist() == expected


@pytest.mark.parametrize("mode", MODES)
def test_fractions_and_decimals_are_rounded_once(mode):
    f = parse("e8m23")
    tie = Fraction(2**24 + 1, 2)  # Between two values.
    x = [tie + Fraction(1, 3**50), tie - Fraction(1, 3**50), Fraction(-1, 3), tie,
         Fraction(2, 10**60), -tie - Fraction(1, 10**40)]  # fmt: skip
    drawn = RNG.integers(0, 2**32, len(x))
    options = {"random_bits": drawn} if mode == "stochastic" else {}
    got = f.quantize(x, mode, dtype=object, **options)
    bits = drawn.tolist() if options else [0] * len(x)
    assert got.tolist() == [value_of(f, v, mode, d) for v, d in zip(x, bits, strict=True)]
    assert parse("e2m1").encode([Decimal("0.1"), Decimal("Infinity"), Decimal("1e999999999")],
                                "up").tolist() == [1, 7, 7]  # fmt: skip
    assert parse("e2m1").encode([Decimal("1e-999999999"), Decimal("-0")], "up").tolist() == [1, 8]


@pytest.mark.parametrize("f", [Integer(16), Integer(8, False), Integer(16, True, 32)], ids=str)
@pytest.mark.parametrize("mode", MODES)
def test_integer_and_fixed_point_formats_too(f, mode):
    steps = Fraction(2) ** f.lsb_exponent
    x = [(k + Fraction(1, 2)) * steps + d for k in (0, 1, 2, 5) for d in
         (Fraction(1, 10**30), -Fraction(1, 10**30))]  # fmt: skip
    drawn = [2**31, 2**31 - 1] * 4
    options = {"random_bits": np.array(drawn)} if mode == "stochastic" else {}
    got = f.quantize(x, mode, dtype=object, **options)
    assert got.tolist() == [value_of(f, v, mode, d) for v, d in zip(x, drawn, strict=True)]
    ends = f.quantize(np.array([2**64 - 1, 2**53 + 1], np.uint64), dtype=object)
    assert ends.tolist() == [Fraction(f.max)] * 2


def test_stochastic_rounding_below_the_smallest_without_subnormals():
    f = parse("e4m3ns")
    smallest = Fraction(f.smallest)
    for k in (1, 2**20 + 1, 2**32 - 1):
        edge = smallest * k / 2**32
        for x, away in ((edge, True), (edge - Fraction(1, 10**40), False)):
            bits = np.array([2**32 - k])
            got = f.quantize([x], "stochastic", random_bits=bits)
            assert got[0] == (f.smallest if away else 0)
        # A float64 just below the edge: its quotient by the smallest rounds up to the edge.
        below = float(edge) if Fraction(float(edge)) < edge else math.nextafter(float(edge), 0)
        assert f.quantize([below], "stochastic", random_bits=[2**32 - k])[0] == 0


@pytest.mark.parametrize("name", ["lns8f1", "lns7f4bn20", "ulns8f3"])
def test_logarithms_of_whole_numbers_past_2_53(name):
    f = parse(name)
    values = f.decode(np.arange(1, 2 ** (f.exponent_bits + f.fraction_bits)))
    chosen = [i for i in range(len(values) - 1) if 2.0**60 < values[i] < 2.0**110][:40]
    assert chosen
    for i in chosen:
        # The middle of the logarithm: its power of two is whole, so compare whole numbers.
        count = 2 << f.fraction_bits
        power = 2 * (i + 1) + 1 - f.bias * count
        low, high = int(values[i]), int(values[i + 1])
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if middle**count < 2**power else (low, middle)
        assert f.encode([low, high]).tolist() == [i + 1, i + 2]
        at = int(values[i])
        assert f.encode([at - 1, at, at + 1], "down").tolist() == [i, i + 1, i + 1]
        assert f.encode([at - 1, at, at + 1], "up").tolist() == [i + 1, i + 1, i + 2]
        bits = np.array([2**32 - 1, 0, 2**31])
        x = [at + 1, at + 1, (at + int(values[i + 1])) // 2 + 1]
        assert f.encode(x, "stochastic", random_bits=bits).tolist() == [i + 1, i + 1, i + 2]


@pytest.mark.parametrize("mode", DETERMINISTIC)
def test_block_formats_of_whole_numbers_past_2_53(mode):
    f = parse("e8m23_b1_e8m0")
    x = np.array(far_integers(0, 2**64 - 1), np.uint64)
    got = f.quantize(x[:, None], rounding=mode, scale_rule="ceil", dtype=object)[:, 0]
    # Scales are powers of two, and nothing clips.
    assert got.tolist() == [value_of(f.element, Fraction(int(v)), mode) for v in x]
    drawn = np.zeros(2, np.uint32)
    with pytest.raises(InputError, match="give float64 values"):
        f.encode([2**53 + 1, 1], rounding="stochastic", random_bits=drawn)
    small = parse("mxfp4").quantize([2**53 + 1, 1], rounding="stochastic", random_bits=drawn)
    assert small[0] == 2.0**53


@pytest.mark.parametrize("nan", [1j, "0", [0.0], math.nan, 2**53 + 1, None.__class__])
def test_what_stands_for_nan_is_a_number(nan):
    with pytest.raises(InputError, match=r"nan=.*give a number"):
        parse("int4").encode([1.0], nan=nan)


def test_a_signalling_nan_is_a_nan():
    f = parse("e5m2ieee")
    for text in ("sNaN", "-sNaN", "NaN", "sNaN123"):
        (code,) = f.encode([Decimal(text)], overflow="special")
        assert np.isnan(f.decode(code))
