"""Block formats: shapes, edges of the range, what is not finite, rounding, bad options."""

import numpy as np
import pytest
from block_cases import ONE, block_of

from hwgen import InputError
from hwgen.formats.block import NAMED, parse_block
from hwgen.formats.block_codes import BlockCodes
from hwgen.formats.block_encode import CHUNK
from hwgen.formats.block_scale import RULES

# --- shapes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mxfp4", "nvfp4", "mx6"])
def test_tails_of_every_length(name):
    f = NAMED[name]
    k = f.block_size
    x = np.random.default_rng(4).normal(size=2 * k)
    options = {"tensor_scale": 0.001} if f.tensor_scale else {}
    whole = f.quantize(x, **options)
    for length in range(1, k + 1):
        short = f.encode(x[: k + length], **options)
        assert short.elements.shape == (2, k) and short.scales.shape == (2,)
        alone = f.quantize(x[k : k + length], **options)
        padded = f.quantize(block_of(x[k : k + length], k), **options)
        got = short.decode()
        assert got.shape == (k + length,)
        assert (got[:k] == whole[:k]).all()
        assert (got[k:] == alone).all() and (alone == padded[:length]).all()
        assert (short.elements[1, length:] == 0).all()


@pytest.mark.parametrize("name", ["mxfp4", "nvfp4", "mx9"])
def test_axes(name):
    f = NAMED[name]
    x = np.random.default_rng(5).normal(size=(3, 40, 5))
    for axis in (0, 1, 2, -1, -2, -3):
        expected = np.moveaxis(f.quantize(np.moveaxis(x, axis, -1)), -1, axis)
        codes = f.encode(x, axis=axis)
        assert (codes.decode() == expected).all() and codes.shape == x.shape
        others = [n for i, n in enumerate(x.shape) if i != axis % 3]
        assert codes.scales.shape == (*others, -(-x.shape[axis] // f.block_size))
    first, last = f.quantize(x, axis=1), f.quantize(x)
    assert (first != last).any()


@pytest.mark.parametrize("axis", [3, -4, 1.0, None])
def test_bad_axes(axis):
    with pytest.raises(InputError, match=r"axis=.*have axes -3 to 2"):
        NAMED["mxfp4"].encode(np.ones((2, 3, 4)), axis=axis)


@pytest.mark.parametrize("name", ["mxfp4", "nvfp4", "mx9"])
def test_numbers_without_dimensions_and_empty_arrays(name):
    f = NAMED[name]
    scalar = f.quantize(0.75)
    assert scalar.shape == () and scalar == pytest.approx(0.75, rel=0.1)
    assert f.encode(0.75).scales.shape == (1,)
    for shape, axis in [((0,), -1), ((3, 0), 1), ((0, 3), 1), ((0, 3), 0), ((2, 0, 3), 1)]:
        codes = f.encode(np.empty(shape), axis=axis)
        assert codes.decode().shape == shape and codes.elements.size == 0
        if codes.micro_exponents is not None:
            assert codes.micro_exponents.shape == (*codes.scales.shape, 8)
    assert f.quantize([]).shape == (0,)


def test_pieces_do_not_show():
    x = np.random.default_rng(6).normal(size=(3, CHUNK + 100))
    for name in ("mxfp4", "mx6", "e2m1_b48_ue4m3"):
        f = parse_block(name)
        whole = f.encode(x)
        rows = [f.encode(row) for row in x]
        assert (whole.elements == np.stack([row.elements for row in rows])).all()
        assert (whole.scales == np.stack([row.scales for row in rows])).all()


def test_input_types():
    f = NAMED["mxfp4"]
    expected = f.quantize([1.0, 2.0, 3.0])
    for x in (
        np.array([1, 2, 3]),
        np.array([1, 2, 3], np.uint8),
        np.float16([1, 2, 3]),
        np.float32([1, 2, 3]),
        (1, 2, 3),
    ):
        assert (f.quantize(x) == expected).all()
    for x in (["a"], [1j], [[1], [1, 2]], "x", object(), [None]):
        with pytest.raises(InputError, match="real numbers"):
            f.encode(x)


# --- edges of the range -----------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("rule", RULES)
def test_zeros_have_the_smallest_scale(name, rule):
    f = NAMED[name]
    codes = f.encode(np.zeros((2, 70)), scale_rule=rule)
    assert (f.scale.decode(codes.scales) == f.scale.smallest).all()
    assert (codes.decode() == 0).all()
    assert f.tensor_scale is None or codes.tensor_scale == 1.0


def test_the_sign_of_zero_is_kept():
    values = NAMED["mxfp4"].quantize([-0.0, 0.0, -1e-9, 1.0])
    assert np.signbit(values).tolist() == [True, False, True, False]


@pytest.mark.parametrize("name", NAMED)
def test_constants_come_back_when_they_can(name):
    f = NAMED[name]
    for exponent in (-100, -3, 0, 1, 100):
        x = np.full(f.block_size + 3, 2.0**exponent)
        options = {"scale_rule": "mse"} if f.tensor_scale else {}
        got = f.quantize(x, **options)
        # The tensor scale 2^k/2688 is a rounded number, and so are its multiples.
        assert got == pytest.approx(x, rel=1e-6 if f.tensor_scale else 0)


def test_e8m0_limits():
    f = NAMED["mxfp4"]
    codes = f.encode([[1e-300] * 32, [2.0**-130] * 32, [3e300] * 32, [2.0**127 * 6] * 32])
    assert codes.scales[:, 0].tolist() == [0, 0, 254, 254]
    assert codes.decode()[:, 0].tolist() == [0.0, 0.0, 6 * 2.0**127, 6 * 2.0**127]
    # 2^-128 is half of 2^-127, the smallest scale: an element of 0.5.
    assert f.quantize([2.0**-128]).tolist() == [2.0**-128]
    assert f.quantize([np.float32(1e-45)]).tolist() == [0.0]
    assert NAMED["mxint8"].quantize([2.0**-133]).tolist() == [2.0**-133]


def test_an_outlier_takes_the_precision_of_its_own_block():
    x = np.full(64, 0.01)
    x[3] = 100.0
    got = NAMED["mxint8"].quantize(x)
    assert got[3] == 100.0 and got[0] == 0.0
    assert got[32:] == pytest.approx(x[32:], rel=0.01)


def test_tiny_block_beside_a_huge_one_in_nvfp4():
    f = NAMED["nvfp4"]
    x = np.concatenate([np.full(16, 2688.0), np.full(16, 0.004), np.full(16, 0.0004)])
    codes = f.encode(x)
    # 0.004/6 is below 2^-9, the smallest scale, which is taken: 0.004 is 2.05 of it.
    assert f.scale.decode(codes.scales).tolist() == [448, 2.0**-9, 2.0**-9]
    assert codes.decode()[[0, 16, 32]].tolist() == [2688.0, 2.0**-8, 0.0]
    coarse = f.encode(x, smallest_scale=2.0**-6)
    assert f.scale.decode(coarse.scales).tolist() == [448, 2.0**-6, 2.0**-6]
    assert coarse.decode()[[16, 32]].tolist() == [2.0**-7, 0.0]
    for bad in (2.0**-10, 449.0, 0.0, -1.0, np.nan):
        with pytest.raises(InputError, match=r"smallest_scale=.*from 0.00195312"):
            f.encode(x, smallest_scale=bad)


@pytest.mark.parametrize("arithmetic", ["exact", "float32", "float32_reciprocal"])
def test_nvfp4_far_from_one(arithmetic):
    f = NAMED["nvfp4"]
    x = np.random.default_rng(7).normal(size=160)
    near = f.encode(x, arithmetic=arithmetic)
    for exponent in (-80, 100):
        far = f.encode(np.ldexp(x, exponent), arithmetic=arithmetic)
        assert (far.elements == near.elements).all() and (far.scales == near.scales).all()
        assert far.tensor_scale == np.ldexp(near.tensor_scale, exponent)
    for exponent in (-125, -140, -149, -200):
        # Below float32's normal numbers nothing is exact, and nothing is NaN or too large.
        got = f.quantize(np.ldexp(x, exponent), arithmetic=arithmetic)
        largest = np.ldexp(np.abs(x).max(), exponent)
        assert np.abs(got).max() <= 1.2 * largest + 2.0**-149 and np.isfinite(got).all()


@pytest.mark.parametrize("arithmetic", ["exact", "float32", "float32_reciprocal"])
def test_two_smallest_scales_are_no_zero(arithmetic):
    # Their product is no float32 number.
    f = parse_block("e2m1_b2_e8m0_fp32")
    codes = f.encode([1e-30, 1e-30, 0.0, 0.0], arithmetic=arithmetic)
    assert codes.scales[1] == 0 and codes.tensor_scale == 2.0**-127
    assert codes.decode() == pytest.approx([1e-30, 1e-30, 0.0, 0.0], rel=0.3, abs=0)


def test_tensor_scale_may_be_given():
    f = NAMED["nvfp4"]
    x = np.random.default_rng(8).normal(size=64)
    codes = f.encode(x, tensor_scale=0.1)
    assert codes.tensor_scale == float(np.float32(0.1))
    # A tensor scale too small for the largest number makes it clip, at 6·448 of it.
    assert np.abs(f.quantize(x, tensor_scale=1e-4)).max() == 2688 * float(np.float32(1e-4))
    for bad in (0.0, -1.0, np.inf, np.nan, 2.0**-128):
        with pytest.raises(InputError, match=r"tensor_scale=.*from 5.877"):
            f.encode(x, tensor_scale=bad)
    with pytest.raises(InputError, match=r"mxfp4 has none"):
        NAMED["mxfp4"].encode(x, tensor_scale=1.0)


def test_arithmetic_says_where_float32_rounds():
    f = parse_block("e2m1_b16_ue4m3")
    # Just below a tie of an element, by less than float32 can tell.
    x = block_of([6.0, 2.5 * (1 + 1e-9), 1.25 * (1 + 1e-9)], 16)
    assert f.quantize(x, arithmetic="exact")[1:3].tolist() == [3.0, 1.5]
    assert f.quantize(x, arithmetic="float32")[1:3].tolist() == [2.0, 1.0]


def test_float32_rounds_the_wanted_scale_before_its_format_does():
    f = parse_block("int2_b1_ue4m3_fp32")
    # 1.0625 is a tie of two scales, of which 1 is even. These quotients are just above it, and
    # in float32 are it; an int2 element's largest value is one.
    tensor_scales = np.random.default_rng(11).uniform(1, 2, 4000).astype(np.float32)
    largest = (np.float64(1.0625) * tensor_scales).astype(np.float32)
    quotients = largest.astype(np.float64) / tensor_scales
    just_above = (quotients > 1.0625) & (quotients.astype(np.float32) == 1.0625)
    assert just_above.sum() > 100
    for x, g in zip(largest[just_above][:20], tensor_scales[just_above], strict=False):
        scales = [
            float(f.scale.decode(f.encode([x], tensor_scale=float(g), arithmetic=a).scales)[0])
            for a in ("exact", "float32", "float32_reciprocal")
        ]
        assert scales == [1.125, 1.0, 1.0]


# --- what is not finite, flushing, symmetry ----------------------------------------------------


def test_nan_and_infinity_in_elements():
    x = np.array([[1.0] * 32, [np.nan, np.inf, -np.inf, 1.5] + [0.0] * 28])
    e5m2 = NAMED["mxfp8_e5m2"].quantize(x)
    assert (e5m2[0] == 1).all() and np.isnan(e5m2[1, 0])
    assert e5m2[1, 1:5].tolist() == [np.inf, -np.inf, 1.5, 0.0]
    # E4M3 has no infinity.
    e4m3 = NAMED["mxfp8_e4m3"].quantize(x)
    assert np.isnan(e4m3[1, :3]).all() and e4m3[1, 3:5].tolist() == [1.5, 0.0]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_elements_without_nan_refuse_it(bad):
    x = np.ones((2, 64))
    x[1, 40] = bad
    for name in ("mxfp4", "mxint8", "msfp12", "mx9", "nvfp4"):
        f = NAMED[name]
        with pytest.raises(InputError, match=f"NaN or infinities.*{f}.*nonfinite='scale'"):
            f.encode(x)


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_scale_makes_the_block_nan(name, bad):
    f = NAMED[name]
    x = np.ones((2, 64))
    x[1, 42:44] = 0.25
    clean = f.quantize(x)
    x[1, 40] = bad
    codes = f.encode(x, nonfinite="scale")
    got = codes.decode()
    lost = np.zeros((2, 64), bool)
    first = 40 // f.block_size * f.block_size
    lost[1, first : first + f.block_size] = True
    assert (np.isnan(got) == lost).all() and (got[~lost] == clean[~lost]).all()
    nan_code = codes.scales[1, 40 // f.block_size]
    assert nan_code == (0x7F if f.tensor_scale else 0xFF)
    assert (codes.elements[1, 40 // f.block_size] == 0).all()
    if f.micro_bits:
        assert (codes.micro_exponents[1, 40 // f.block_size] == 0).all()


def test_scales_without_nan_refuse_it():
    f = parse_block("int4_b8_uint8")
    with pytest.raises(InputError, match=r"scales of .* \(uint8\) have no NaN"):
        f.encode([np.nan], nonfinite="scale")
    with pytest.raises(InputError, match=r"replace them$"):
        f.encode([np.nan])


def test_float64_beyond_float32_is_named():
    with pytest.raises(InputError, match="beyond the range of float32"):
        NAMED["nvfp4"].encode([1e300])
    assert NAMED["nvfp4"].quantize([1e30, 1e300], arithmetic="exact")[1] > 1e38


def test_flush_subnormals():
    f = NAMED["mxint8"]
    x = [[2.0**-127] * 32, [2.0**-126] + [2.0**-130] * 31]
    assert (f.quantize(x)[0] == 2.0**-127).all()
    flushed = f.quantize(x, flush_subnormals=True)
    assert (flushed[0] == 0).all() and (flushed[1] == x[1]).all()


def test_unsigned_elements_ignore_negative_numbers():
    f = parse_block("uint4_b4_e8m0")
    codes = f.encode([-100.0, 8.0, 1.0, 0.0])
    assert codes.decode().tolist() == [0.0, 8.0, 1.0, 0.0] and codes.scales.tolist() == [ONE]
    two = parse_block("uint4_b4_ue4m3_fp32")
    assert two.encode([-10_000.0, 15.0 * 448]).tensor_scale == 1.0


def test_the_most_negative_integer_is_a_choice():
    x = np.full(16, 0.1)
    x[[0, 1]] = -5, 5
    # This scale clips what is far from the rest.
    for name, lowest in (("nvint4", 0x8), ("mxint4", 0x8), ("int8_b16_fp32", 0x80)):
        f = parse_block(name)
        rule = "quest" if f.element.bits == 4 else "nearest"
        symmetric = f.encode(x, scale_rule=rule).elements[0, :2].tolist()
        assert symmetric == [lowest + 1, lowest - 1]
        full = f.encode(x, scale_rule=rule, symmetric=False).elements[0, :2].tolist()
        assert full == [lowest + (f.element.bits == 8), lowest - 1]


# --- rounding ---------------------------------------------------------------------------------


def test_stochastic_rounding_follows_the_values():
    f = NAMED["mxint4"]
    rng = np.random.default_rng(9)
    x = rng.normal(size=(4, 50, 3))
    drawn = rng.integers(0, 2**32, x.shape, dtype=np.uint32)
    got = f.quantize(x, axis=1, rounding="stochastic", random_bits=drawn)
    moved = f.quantize(
        np.moveaxis(x, 1, -1), rounding="stochastic", random_bits=np.moveaxis(drawn, 1, -1)
    )
    assert (got == np.moveaxis(moved, -1, 1)).all()
    down = f.quantize(x, axis=1, rounding="down")
    up = f.quantize(x, axis=1, rounding="up")
    assert ((got == down) | (got == up)).all() and (got != down).any() and (got != up).any()
    many = np.tile(np.array([[1.0, 0.3125]]), (20_000, 1))
    bits = rng.integers(0, 2**32, many.shape, dtype=np.uint32)
    mean = f.quantize(many, rounding="stochastic", random_bits=bits)[:, 1].mean()
    assert mean == pytest.approx(0.3125, abs=0.005)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale_rule": "max"}, "scale_rule='max': use one of floor, ceil"),
        ({"scale_rule": 3}, "scale_rule=3"),
        ({"scale_rule": []}, "scale_rule="),
        ({"rounding": "even"}, "rounding='even': use one of nearest_even"),
        ({"rounding": "stochastic"}, "random_bits belong to"),
        ({"random_bits": np.zeros(2, int)}, "random_bits belong to"),
        ({"rounding": "stochastic", "random_bits": np.zeros(3, int)}, "shape"),
        ({"arithmetic": "float16"}, "arithmetic='float16': use one of exact, float32"),
        ({"nonfinite": "ignore"}, "nonfinite='ignore': use one of element, scale"),
    ],
)
def test_bad_options_say_what_is_allowed(options, message):
    with pytest.raises(InputError, match=message):
        NAMED["mxfp4"].encode([1.0, 2.0], **options)


def test_codes_are_checked():
    f = NAMED["mx9"]
    good = f.encode(np.ones(20))
    fields = {
        "format": f, "shape": (20,), "axis": -1, "elements": good.elements,
        "scales": good.scales, "micro_exponents": good.micro_exponents,
    }  # fmt: skip
    assert (BlockCodes(**fields).decode() == 1).all()
    for wrong, message in (
        ({"elements": good.elements[:1]}, r"elements of shape \(1, 16\).*has \(2, 16\)"),
        ({"scales": good.scales[:1]}, r"scales of shape \(1,\).*has \(2,\)"),
        ({"micro_exponents": None}, r"micro_exponents of shape None.*has \(2, 8\)"),
        ({"micro_exponents": good.micro_exponents[:, :4]}, r"shape \(2, 4\).*has \(2, 8\)"),
        ({"shape": (40,)}, r"elements of shape \(2, 16\): .*has \(3, 16\)"),
        ({"axis": 1}, "axis=1: values of shape .* have axes -1 to 0"),
        ({"tensor_scale": 1.0}, "tensor_scale=1.0: give one for a format that has it"),
    ):
        with pytest.raises(InputError, match=message):
            BlockCodes(**{**fields, **wrong})
