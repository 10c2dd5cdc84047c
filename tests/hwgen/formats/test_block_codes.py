"""Block formats: codes and scales by hand, and against gfloat."""

import gfloat
import gfloat.formats
import numpy as np
import pytest
from block_cases import ONE, block_of

from hwgen import InputError, parse
from hwgen.formats.block import NAMED, parse_block
from hwgen.formats.block_scale import gaussian_scale, nearest_power, search_offsets
from hwgen.formats.theory import best_gaussian_scale

# --- codes by hand ----------------------------------------------------------------------------


def test_mxfp4_by_hand():
    x = block_of([5.0, -3.4, 0.3, 0.25, -0.2, 1.25, 7.9, -0.75])
    codes = NAMED["mxfp4"].encode(x)
    # 7.9 lies in the binade of 4, the largest power of e2m1: the scale is one, and it clips.
    assert codes.scales.tolist() == [ONE]
    # 5 is halfway between 4 and 6, and 4 is even; so are 0.25 to 0, 1.25 to 1, −0.75 to −1.
    assert codes.decode()[:8].tolist() == [4, -3, 0.5, 0, 0, 1, 6, -1]
    assert codes.elements[0, :8].tolist() == [6, 8 + 5, 1, 0, 8, 2, 7, 8 + 2]
    assert codes.elements.dtype == np.uint8 and codes.scales.dtype == np.uint8


def test_mxfp8_by_hand():
    f = NAMED["mxfp8_e4m3"]
    # floor(log2 1) − 8: what is 1 becomes 256, and 2^-9, e4m3's smallest, stands for 2^-17.
    codes = f.encode(block_of([1.0, 2.0**-17, 2.0**-18, -1.9]))
    assert codes.scales.tolist() == [ONE - 8]
    assert codes.elements[0, :4].tolist() == [0b1111000, 1, 0, 0b11111110]
    # −1.9 → −486.4, beyond 448.
    assert codes.decode()[:4].tolist() == [1.0, 2.0**-17, 0.0, -1.75]
    e5m2 = NAMED["mxfp8_e5m2"].encode(block_of([1.0, -1.9]))
    assert e5m2.scales.tolist() == [ONE - 15] and e5m2.decode()[:2].tolist() == [1.0, -1.75]


def test_mxint8_by_hand():
    f = NAMED["mxint8"]
    x = block_of([1.0, -1.0, 1 / 64, 1 / 128, 3 / 128, -1.999])
    codes = f.encode(x)
    assert codes.scales.tolist() == [ONE]
    assert codes.elements[0, :6].tolist() == [64, 256 - 64, 1, 0, 2, 256 - 127]
    full = f.encode(x, symmetric=False)
    assert full.elements[0, :6].tolist() == [64, 256 - 64, 1, 0, 2, 256 - 128]
    assert full.decode()[5] == -2.0 and codes.decode()[5] == -127 / 64


def test_msfp_truncates():
    f = NAMED["msfp12"]
    x = block_of([1.99, -1.24, 0.49, 0.24, -0.26], 16)
    codes = f.encode(x)
    assert codes.scales.tolist() == [ONE]
    assert codes.decode()[:5].tolist() == [1.75, -1.0, 0.25, 0.0, -0.25]
    assert f.quantize(x, rounding="nearest_even")[:5].tolist() == [1.75, -1.25, 0.5, 0.25, -0.25]


def test_mx9_pairs_shift_by_hand():
    f = NAMED["mx9"]
    pairs = [(1.5, 0.001), (0.75, 0.5), (0.1, -0.99), (0.25, 0.3), (0, 0), (1.0, 0), (0, 0), (0, 0)]
    codes = f.encode(np.ravel(pairs))
    assert codes.scales.tolist() == [ONE]
    # Pairs whose larger number is below the binade of the largest, 1 to 2, shift by one.
    assert codes.micro_exponents.tolist() == [[0, 1, 1, 1, 1, 0, 1, 1]]
    # Unshifted steps are 1/64, shifted ones 1/128.
    assert codes.elements[0, :8].tolist() == [96, 0, 96, 64, 13, 128 + 127, 32, 38]
    values = codes.decode()
    assert values[:8].tolist() == [1.5, 0, 0.75, 0.5, 13 / 128, -127 / 128, 0.25, 38 / 128]
    # Without the shift 0.1 would be 6/64.
    assert abs(values[4] - 0.1) < 1 / 256


def test_micro_exponents_of_more_bits_reach_further():
    f = parse_block("e0m3_b8_e8m0_m2x2")
    codes = f.encode([1.0, 0, 0.5, 0, 0.125, 0.01, 2.0**-6, 0])
    assert codes.micro_exponents.tolist() == [[0, 1, 3, 3]]
    # Three bits to the right the step is 1/32; 1/64 is half of it, and the even one is zero.
    assert codes.decode().tolist() == [1.0, 0, 0.5, 0, 0.125, 0, 0, 0]


def test_micro_exponents_follow_the_rule():
    f = NAMED["mx4"]
    # Elements are 0, 0.5, 1 and 1.5: 0.9 does not fit below half of that.
    x = block_of([1.0, 0.0, 0.9, 0.1, 0.7, 0.0], 16)
    floor, ceil = f.encode(x), f.encode(x, scale_rule="ceil")
    assert floor.scales.tolist() == ceil.scales.tolist() == [ONE]
    assert floor.micro_exponents[0, :3].tolist() == [0, 1, 1]
    assert ceil.micro_exponents[0, :3].tolist() == [0, 0, 1]
    assert floor.decode()[2:5].tolist() == [0.75, 0.0, 0.75]
    assert ceil.decode()[2:5].tolist() == [1.0, 0.0, 0.75]
    # Of equal errors, as in the pairs of zeros, the one without a shift.
    best = f.encode(x, scale_rule="mse")
    assert best.scales.tolist() == [ONE]
    assert best.micro_exponents.tolist() == [[0, 0, 1, 0, 0, 0, 0, 0]]


def test_powers_nearest_to_ratios():
    ratios = np.array([0.5, 0.6, 0.74, 0.75, 0.8, 1.0])
    assert nearest_power(ratios, "down").tolist() == [-1, -1, -1, -1, -1, 0]
    assert nearest_power(ratios, "up").tolist() == [-1, 0, 0, 0, 0, 0]
    assert nearest_power(ratios, "nearest_even").tolist() == [-1, -1, -1, 0, 0, 0]
    assert (2.0 ** nearest_power(ratios, "nearest_even") == parse("e8m0").quantize(ratios)).all()


def test_nvfp4_by_hand():
    f = NAMED["nvfp4"]
    # The largest, 2688 = 6·448, makes the tensor scale one, so block scales are plain.
    x = np.concatenate([block_of([2688.0, -1344], 16), block_of([1.2, 0.4, -0.31], 16)])
    codes = f.encode(x)
    assert codes.tensor_scale == 1.0
    # 1.2/6 = 0.2 is nearest to 0.203125 = 1.625·2^-3 among 1/64 steps.
    assert f.scale.decode(codes.scales).tolist() == [448.0, 0.203125]
    got = codes.decode()
    assert got[:2].tolist() == [2688.0, -1344.0]
    assert got[16:19].tolist() == [6 * 0.203125, 2 * 0.203125, -1.5 * 0.203125]


@pytest.mark.parametrize(
    ("largest", "scales"),
    [
        # floor, ceil, ceil_power, nearest, even
        (4.0, (1, 1, 1, 0.5, 1)),
        (4.5, (1, 1, 2, 1, 1)),  # 0.75 is a tie, which E8M0 rounds up.
        (5.0, (1, 1, 2, 1, 1)),
        (6.0, (1, 1, 2, 1, 1)),
        (6.5, (1, 2, 2, 1, 1)),
        (7.0, (1, 2, 2, 1, 2)),
        (7.9, (1, 2, 2, 1, 2)),
        (9.0, (2, 2, 4, 2, 2)),
        (10.0, (2, 2, 4, 2, 2)),
    ],
)
def test_scale_rules_of_mxfp4_by_hand(largest, scales):
    f = NAMED["mxfp4"]
    for rule, expected in zip(
        ("floor", "ceil", "ceil_power", "nearest", "even"), scales, strict=True
    ):
        for sign in (1, -1):
            code = f.encode(block_of([0.1, sign * largest]), scale_rule=rule).scales
            assert f.scale.decode(code).tolist() == [expected], rule


def test_even_rounds_to_the_bits_that_the_largest_element_has():
    # Elements of fixed4_2, like those of e0m3, have three bits: 1.875 rounds up to 2.
    for name in ("fixed4_2_b32_e8m0", "e0m3_b32_e8m0", "int4_b32_e8m0"):
        f = parse_block(name)
        below, above = (
            float(f.scale.decode(f.encode(block_of([x]), scale_rule="even").scales)[0])
            for x in (np.nextafter(1.875, 0), 1.875)
        )
        assert above == 2 * below, name


def test_rules_serve_finer_scales():
    f = parse_block("e2m1_b16_ue4m3")
    x = block_of([5.0, 1.0], 16)
    # 5/4 = 1.25 is a scale; 5/6 = 0.8333 lies between 0.8125 and 0.875.
    expected = {"floor": 1.25, "ceil": 0.875, "nearest": 0.8125}
    for rule, scale in expected.items():
        assert f.scale.decode(f.encode(x, scale_rule=rule).scales).tolist() == [scale]


def test_quest_is_the_gaussian_scale_of_the_root_mean_square():
    assert gaussian_scale(parse("e2m1")) == pytest.approx(2.92247856 / 6, abs=1e-6)
    assert gaussian_scale(parse("int4")) == best_gaussian_scale(np.arange(-7, 8))[0]
    f = NAMED["mxfp4"]
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 32)) * np.exp(rng.normal(size=(50, 1)) * 5)
    deviation = np.sqrt((x**2).mean(axis=1))
    expected = 2.0 ** np.floor(np.log2(0.487080 * deviation))
    codes = f.encode(x, scale_rule="quest")
    assert (f.scale.decode(codes.scales)[:, 0] == expected).all()
    # A constant block has a scale too.
    assert f.quantize(np.full(32, 3.0), scale_rule="quest").tolist() == [3.0] * 32
    # Numbers whose squares a float64 does not hold do no harm.
    huge = f.encode(np.full(32, 1e-200), scale_rule="quest")
    assert huge.scales.tolist() == [0]
    with pytest.raises(InputError, match=r"quest.*at most 12 bits"):
        parse_block("int16_b32_e8m0").encode([1.0], scale_rule="quest")


@pytest.mark.parametrize("name", ["mxfp4", "mxint4", "mx6", "nvfp4", "e2m1_b16_ue4m3"])
def test_mse_is_best_of_all_rules(name):
    f = NAMED.get(name) or parse_block(name)
    rng = np.random.default_rng(1)
    x = rng.standard_t(3, size=(300, f.block_size))

    def errors(rule):
        return np.square(f.quantize(x, scale_rule=rule, arithmetic="exact") - x).sum(axis=1)

    least = errors("mse")
    for rule in ("floor", "ceil", "nearest", "even"):
        assert (least <= errors(rule) * (1 + 1e-12)).all(), rule
    assert least.sum() < 0.95 * errors("ceil").sum()


def test_mse_is_the_best_of_all_scales_within_an_octave():
    f = parse_block("e2m1_b16_ue4m3")
    rng = np.random.default_rng(2)
    x = rng.normal(size=(40, 16))
    chosen = f.encode(x, scale_rule="mse").scales[:, 0].astype(int)
    ceil = f.encode(x, scale_rule="ceil").scales[:, 0].astype(int)
    every = np.arange(1, 127)
    scales = f.scale.decode(every)
    values = f.element.quantize(x[:, None, :] / scales[:, None]) * scales[:, None]
    errors = np.square(values - x[:, None, :]).sum(axis=2)
    for row in range(len(x)):
        near = np.abs(every - ceil[row]) <= 8
        assert errors[row, chosen[row] - 1] == errors[row][near].min()
    assert (chosen != ceil).sum() > 20


def test_mse_keeps_the_ceil_choice_of_equals():
    f = NAMED["mxfp4"]
    assert f.encode(np.zeros(32), scale_rule="mse").scales.tolist() == [0]
    assert f.encode(block_of([3.0]), scale_rule="mse").scales.tolist() == [ONE - 1]
    assert search_offsets(parse("e8m0")) == [0, 1, -1]
    assert search_offsets(parse("ue4m3")) == [0, *range(8, 0, -1), *range(-1, -9, -1)]
    assert max(search_offsets(parse("fp32"))) == 2**23


# --- against gfloat ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("mxfp8_e4m3", gfloat.formats.format_info_ocp_e4m3),
        ("mxfp8_e5m2", gfloat.formats.format_info_ocp_e5m2),
        ("mxfp6_e2m3", gfloat.formats.format_info_ocp_e2m3),
        ("mxfp6_e3m2", gfloat.formats.format_info_ocp_e3m2),
        ("mxfp4", gfloat.formats.format_info_ocp_e2m1),
        ("mxint8", gfloat.formats.format_info_ocp_int8),
    ],
)
def test_mx_equals_gfloat(name, theirs):
    info = gfloat.BlockFormatInfo(name, theirs, 32, gfloat.formats.format_info_ocp_e8m0)
    rng = np.random.default_rng(3)
    x = rng.normal(size=(12, 32)) * np.exp(rng.normal(size=(12, 32)) * 2)
    expected = [gfloat.quantize_block(info, row, gfloat.compute_scale_amax) for row in x]
    # gfloat uses the −2 of INT8.
    assert (NAMED[name].quantize(x, symmetric=False) == np.array(expected)).all()
