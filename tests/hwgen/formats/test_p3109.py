"""P3109's projection, by its definition, in Fractions.

Round to precision, saturate: interim report 4.0, sections 4.7.4 and 4.7.5.
"""

import math
from fractions import Fraction

import numpy as np
import pytest

from hwgen import InputError, Minifloat, parse
from hwgen.formats.rounding import MODES
from hwgen.formats.scalar import OVERFLOWS

FORMATS = [
    f"Binary{bits}p{precision}{sign}{domain}"
    for bits in (3, 4, 8)
    for sign in "su"
    for precision in ((1, 4, 7) if bits == 8 else range(1, bits + (sign == "u")))
    for domain in "ef"
]


def steps_of(x, precision, bias):
    """Steps of ``precision`` bits in ``x``, finite, without an upper end.

    The step, with x's sign; how many there are, and the part of one that is left; and whether they
    are odd.
    """
    exponent = max(math.frexp(float(abs(x)))[1] - 1, 1 - bias) - precision + 1 if x else 0
    step = Fraction(2) ** exponent
    whole, part = divmod(abs(x) / step, 1)
    # Of one bit of precision the code decides, which is the exponent's field.
    odd = whole % 2 if precision > 1 else whole != 0 and (exponent + bias) % 2
    return -step if x < 0 else step, whole, part, odd


HALF = Fraction(1, 2)
AWAY = {
    "nearest_even": lambda step, part, odd, drawn: part > HALF or (part == HALF and odd),
    "nearest_away": lambda step, part, odd, drawn: part >= HALF,
    "toward_zero": lambda step, part, odd, drawn: False,
    "up": lambda step, part, odd, drawn: part > 0 and step > 0,
    "down": lambda step, part, odd, drawn: part > 0 and step < 0,
    "stochastic": lambda step, part, odd, drawn: math.floor(part * 2**32) + drawn >= 2**32,
}


def round_to_precision(step, whole, part, odd, mode, drawn):
    """A float, which has all numbers of a few bits."""
    return float((whole + bool(AWAY[mode](step, part, odd, drawn))) * step)


def saturate(x, low, high, overflow, mode, signed, extended):
    """The standard's table; SatFinite, SatPropagate and OvfInf."""
    if not math.isinf(x) and low <= x <= high:
        return x
    nearest = high if x > 0 else low
    if overflow == "saturate" or not extended:
        return nearest
    if overflow == "propagate":
        infinite = math.isinf(x) and (x > 0 or signed)
        return x if infinite else nearest
    toward = ("toward_zero", "down" if x > 0 else "up")
    if mode in toward and not (math.isinf(x) and (x > 0 or signed)):
        return nearest
    return math.inf if x > 0 else -math.inf if signed else math.nan


@pytest.mark.parametrize("name", FORMATS)
def test_projection_is_the_standards(name):
    f = parse(name)
    bits, precision = (int(c) for c in name[6:].rstrip("suef").split("p"))
    extended, signed = name.endswith("e"), "s" in name[6:]
    values = f.finite_values()
    ties = (values[1:] + values[:-1]) / 2
    step = values[-1] - values[-2]
    beyond = values[-1] + step * np.array([0.25, 0.5, 0.75, 1, 2, 40])
    x = np.concatenate([values, ties, np.nextafter(ties, 99), np.nextafter(ties, -99), beyond])
    x = np.unique(np.concatenate([x, -x, [np.inf, -np.inf, f.smallest / 2, -f.smallest / 4]]))
    drawn = np.random.default_rng(0).choice([0, 2**31, 2**31 - 1, 2**32 - 1], len(x))
    bias = 2 ** (bits - precision - (not signed and -1) - 1)
    assert f.bias == bias and f.precision == precision and f.bits == bits
    steps = [math.isfinite(v) and steps_of(Fraction(v), precision, bias) for v in x.tolist()]
    for mode in MODES:
        options = {"random_bits": drawn} if mode == "stochastic" else {}
        rounded = [
            round_to_precision(*of_given, mode, random) if of_given else given
            for given, of_given, random in zip(x.tolist(), steps, drawn.tolist(), strict=True)
        ]
        for overflow in OVERFLOWS:
            got = f.quantize(x, mode, overflow, **options).tolist()
            for given, quantized, whole in zip(x.tolist(), got, rounded, strict=True):
                expected = saturate(whole, f.min, f.max, overflow, mode, signed, extended)
                same = quantized == expected or (math.isnan(quantized) and math.isnan(expected))
                assert same, (given, mode, overflow)
    assert np.isnan(f.quantize([np.nan], overflow="saturate")).all()


def test_the_lines_of_the_report():
    finite, unsigned = parse("Binary8p4sf"), parse("Binary8p4ue")
    for overflow in OVERFLOWS:
        assert finite.encode([1000.0, np.inf], "nearest_even", overflow).tolist() == [127, 127]
    assert finite.decode([127]) == 240
    for mode in ("toward_zero", "up"):
        assert unsigned.encode([-1.0], mode, "special").tolist() == [0]
    # Where P3109 does not rule, an overflow of OCP's and ml_dtypes' formats stays NaN.
    assert np.isnan(parse("e4m3fnuz").quantize([1000.0], "nearest_even", "special")).all()
    assert np.isnan(parse("e4m3fn").quantize([np.inf], "nearest_even", "propagate")).all()
    assert parse("e8m0").encode([-1.0], "up", "special").tolist() == [0]


def test_the_finite_formats_have_the_codes_of_others():
    for name, other in (("Binary8p4sf", "e4m3fnuz"), ("Binary8p4uf", "ue5m3fnb16")):
        f, codes = parse(name), np.arange(256)
        assert f != parse(other)
        assert np.array_equal(f.decode(codes), parse(other).decode(codes), equal_nan=True)
        assert parse(str(f)) == f and Minifloat(f.exponent_bits, 3, signed=f.signed,
                                                specials="sat") == f  # fmt: skip


NONE = ["Binary2p1uf", "Binary2p2uf", "Binary2p1se", "Binary1p1uf", "Binary2p1sf", "Binary8p9ue"]


@pytest.mark.parametrize("name", NONE)
def test_no_names_of_the_standard(name):
    with pytest.raises(InputError, match="unknown format"):
        parse(name)
