"""Block formats against what microxcaling and torchao make of the same numbers.

``vectors/README.md`` tells what the files hold, and what is odd in those libraries. What is left
out here is just that, and has tests of its own.
"""

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from hwgen.formats.block import NAMED, parse_block

VECTORS = Path(__file__).parent / "vectors"
#: Their formats.
OURS = {
    "fp8_e4m3": "mxfp8_e4m3",
    "fp8_e5m2": "mxfp8_e5m2",
    "fp6_e3m2": "mxfp6_e3m2",
    "fp6_e2m3": "mxfp6_e2m3",
    "fp4_e2m1": "mxfp4",
    "int8": "mxint8",
    "int4": "mxint4",
    "int2": "int2_b32_e8m0",
}
ROUNDINGS = {"nearest": "nearest_away", "even": "nearest_even", "floor": "toward_zero"}
RULES = {"FLOOR": "floor", "CEIL": "ceil_power", "EVEN": "even", "RCEIL": "ceil"}
#: log2 in float32 is wrong by a whole number at most this many steps from a power of two.
LOG2_STEPS = 64


@pytest.fixture(scope="module")
def mx():
    with np.load(VECTORS / "mx.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def nvfp4():
    with np.load(VECTORS / "nvfp4.npz") as file:
        return dict(file)


def just_below_a_power(x):
    """Where float32 numbers are within a few steps below a power of two."""
    fraction = np.frexp(np.abs(x).astype(np.float64))[0]
    return fraction >= 1 - LOG2_STEPS * 2.0**-24


def just_above_a_power(x):
    fraction = np.frexp(np.abs(x).astype(np.float64))[0]
    return (fraction > 0.5) & (fraction <= 0.5 + LOG2_STEPS * 2.0**-24)


def finite_rows(mx):
    return np.isfinite(mx["inputs"]).all(axis=1)


@pytest.mark.parametrize("flush", [0, 1])
@pytest.mark.parametrize("rounding", range(3))
@pytest.mark.parametrize("theirs", OURS)
def test_microxcaling(mx, theirs, rounding, flush):
    f = parse_block(OURS[theirs])
    rows = finite_rows(mx)
    x = mx["inputs"][rows]
    mode = str(mx["roundings"][rounding])
    options = {"rounding": ROUNDINGS[mode], "flush_subnormals": bool(flush)}
    codes = f.encode(x, **options)
    ours = codes.decode()
    expected = mx[f"microxcaling_{theirs}"][rows, rounding, flush].astype(np.float64)

    blocks = x.reshape(len(x), 2, 32)
    largest = np.abs(blocks).max(axis=2)
    scaled = blocks / f.scale.decode(codes.scales)[..., None]
    odd = np.repeat(just_below_a_power(largest)[..., None], 32, axis=2)
    # Half of the smallest step, less one float32.
    below_half = np.nextafter(np.float32(2.0 ** (f.element.lsb_exponent - 1)), np.float32(0))
    odd |= np.abs(scaled) == below_half
    if mode == "floor" and not theirs.startswith("int"):
        # There the element's own log2 is used without need.
        odd |= just_below_a_power(scaled)
    odd = odd.reshape(x.shape)
    assert (ours[~odd] == expected[~odd]).all()
    assert (~odd).mean() > 0.8


@pytest.mark.parametrize("rounding", ["nearest", "even"])
@pytest.mark.parametrize("theirs", OURS)
def test_microxcaling_just_below_a_power_of_two(mx, theirs, rounding):
    """The scale is the right one or, where log2 rounds up, twice that."""
    f = parse_block(OURS[theirs])
    blocks = mx["inputs"].reshape(-1, 32)
    mode = list(mx["roundings"]).index(rounding)
    expected = mx[f"microxcaling_{theirs}"][:, mode, 0].reshape(-1, 32).astype(np.float64)
    largest = np.abs(blocks).max(axis=1)
    rows = np.isfinite(blocks).all(axis=1) & just_below_a_power(largest)
    # Scales end at 2^-127; at the largest float32 the results are infinite or NaN.
    rows &= (largest > 1e-30) & (largest < 2.0**127)
    blocks, expected = blocks[rows].astype(np.float64), expected[rows]
    scales = f.scale.decode(f.encode(blocks).scales)
    right = f.quantize(blocks, rounding=ROUNDINGS[rounding])
    twice = 2 * scales
    steps = blocks / twice
    doubled = f.element.quantize(np.clip(steps, -f.element.max, f.element.max), ROUNDINGS[rounding])
    doubled = doubled * twice
    as_right = (expected == right).all(axis=1)
    as_doubled = (expected == doubled).all(axis=1)
    assert (as_right | as_doubled).all()
    assert as_right.sum() >= 5 and (as_doubled & ~as_right).sum() >= 5


@pytest.mark.parametrize("rounding", range(3))
@pytest.mark.parametrize("theirs", OURS)
def test_microxcaling_ragged(mx, theirs, rounding):
    f = parse_block(OURS[theirs])
    mode = ROUNDINGS[str(mx["roundings"][rounding])]
    expected = mx[f"microxcaling_{theirs}_ragged"][:, rounding, 0]
    assert (f.quantize(mx["ragged_inputs"], rounding=mode) == expected).all()


@pytest.mark.parametrize("theirs", OURS)
def test_microxcaling_blocks_with_infinities_are_nan(mx, theirs):
    f = parse_block(OURS[theirs])
    x = mx["inputs"][~finite_rows(mx)]
    expected = mx[f"microxcaling_{theirs}"][~finite_rows(mx), 1, 0]
    assert np.isnan(expected).any() and np.isnan(x).any() and np.isinf(x).any()
    assert np.array_equal(np.isnan(f.quantize(x, nonfinite="scale")), np.isnan(expected))


@pytest.mark.parametrize("mode", range(4))
@pytest.mark.parametrize("theirs", list(OURS)[:5])
def test_torchao(mx, theirs, mode):
    f = parse_block(OURS[theirs])
    rows = finite_rows(mx)
    x = mx["inputs"][rows]
    name = str(mx["modes"][mode])
    codes = f.encode(x, scale_rule=RULES[name])
    scales = mx[f"torchao_{theirs}_scales"][rows, mode]
    elements = mx[f"torchao_{theirs}_codes"][rows, mode].reshape(codes.elements.shape)
    values = mx[f"torchao_{theirs}_values"][rows, mode]
    odd = np.zeros(scales.shape, bool)
    if name == "RCEIL":
        largest = np.abs(x.reshape(len(x), 2, 32)).max(axis=2)
        odd = just_above_a_power((largest / np.float32(f.element.max)).astype(np.float32))
        # One too small, or right.
        difference = codes.scales[odd].astype(int) - scales[odd]
        assert set(difference.tolist()) == {0, 1}
        assert odd.sum() < 60
    assert (codes.scales[~odd] == scales[~odd]).all()
    # Under byte 0 torchao divides by twice what it multiplies by.
    right = ~odd & (scales != 0)
    assert (codes.elements[right] == elements[right]).all()
    assert right.mean() > 0.7
    with np.errstate(over="ignore"):
        ours = codes.decode().astype(np.float32).reshape(elements.shape)
    assert (ours[right] == values.reshape(elements.shape)[right]).all()


@pytest.mark.parametrize("mode", range(4))
@pytest.mark.parametrize("theirs", list(OURS)[:5])
def test_torchao_blocks_with_nan_are_nan(mx, theirs, mode):
    f = parse_block(OURS[theirs])
    x = mx["inputs"]
    blocks = np.isnan(x).reshape(len(x), 2, 32).any(axis=2)
    expected = mx[f"torchao_{theirs}_scales"][:, mode][blocks]
    assert len(expected) and (expected == 255).all()
    assert (f.encode(x, nonfinite="scale").scales[blocks] == 255).all()


def nvfp4_codes(nvfp4, row, scaling, **options):
    """Ours of one row, with torchao's floor under the block scales."""
    x = nvfp4["inputs"][row]
    options = {"smallest_scale": 2.0**-6, "arithmetic": "float32_reciprocal", **options}
    if scaling == "none":
        return parse_block("e2m1_b16_ue4m3").encode(x, **options)
    if scaling == "fixed":
        options["tensor_scale"] = float(np.float32(0.0123))
    return NAMED["nvfp4"].encode(x, **options)


def nvfp4_rows(nvfp4, column):
    """Rows of finite numbers whose tensor scale has a reciprocal."""
    finite = np.isfinite(nvfp4["inputs"]).all(axis=1)
    scales = nvfp4["per_tensor_scale"][:, column]
    with np.errstate(invalid="ignore"):
        return np.flatnonzero(finite & (np.isnan(scales) | (scales >= 2.0**-127)))


@pytest.mark.parametrize("column", range(3))
def test_torchao_nvfp4(nvfp4, column):
    scaling = str(nvfp4["scalings"][column])
    rows = nvfp4_rows(nvfp4, column)
    assert len(rows) == {"none": 69, "amax": 59, "fixed": 69}[scaling]
    for row in rows:
        codes = nvfp4_codes(nvfp4, row, scaling)
        assert (codes.scales == nvfp4["block_scales"][row, column]).all()
        assert (codes.elements.reshape(-1) == nvfp4["codes"][row, column]).all()
        second = nvfp4["per_tensor_scale"][row, column]
        assert codes.tensor_scale == second or (codes.tensor_scale is None and np.isnan(second))
        # They multiply the two scales first, and round that to float32.
        whole = codes.block_scales().astype(np.float32)[:, None]
        values = codes.element_values().astype(np.float32) * whole
        assert (values.reshape(-1) == nvfp4["values"][row, column]).all()


def test_nvfp4_by_its_defaults_differs_only_in_small_scales(nvfp4):
    f = NAMED["nvfp4"]
    column = list(nvfp4["scalings"]).index("amax")
    smaller = 0
    for row in nvfp4_rows(nvfp4, column):
        codes = f.encode(nvfp4["inputs"][row])
        theirs = nvfp4["block_scales"][row, column]
        same = codes.scales == theirs
        elements = nvfp4["codes"][row, column].reshape(4, 16)
        assert (codes.elements[same] == elements[same]).all()
        # 8 is the code of 2^-6.
        assert (codes.scales[~same] < 8).all() and (theirs[~same] == 8).all()
        smaller += np.count_nonzero(~same)
    assert smaller > 5


@pytest.mark.parametrize(("column", "others"), [(0, 14), (1, 78)])
def test_a_reciprocal_is_not_a_division(nvfp4, column, others):
    """As many codes differ as the vectors' own description counts.

    That is with one level; with two it is so many without the rows of tiny numbers.
    """
    scaling = str(nvfp4["scalings"][column])
    different = 0
    for row in nvfp4_rows(nvfp4, column):
        codes = nvfp4_codes(nvfp4, row, scaling, arithmetic="float32")
        # Divided here in float32, by their scales, and rounded to nearest, ties to even codes.
        scales = nvfp4["block_scales"][row, column].view(ml_dtypes.float8_e4m3fn)
        second = nvfp4["per_tensor_scale"][row, column]
        steps = scales.astype(np.float32) * (np.float32(1) if np.isnan(second) else second)
        x = nvfp4["inputs"][row].reshape(4, 16)
        quotients, divided = np.abs(x / steps[:, None]), np.signbit(x) * 8
        assert quotients.dtype == np.float32
        for code, middle in enumerate((0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0)):
            divided += (quotients > middle) | ((quotients == middle) & (code % 2 == 1))
        assert (codes.elements == divided).all()
        different += np.count_nonzero(divided.reshape(-1) != nvfp4["codes"][row, column])
    assert different == others


def test_where_torchao_has_no_answer_ours_is_a_number(nvfp4):
    column = list(nvfp4["scalings"]).index("amax")
    finite = np.flatnonzero(np.isfinite(nvfp4["inputs"]).all(axis=1))
    unanswered = sorted(set(finite) - set(nvfp4_rows(nvfp4, column)))
    assert len(unanswered) == 10
    for row in unanswered:
        x = nvfp4["inputs"][row].astype(np.float64)
        largest = np.abs(x).max()
        # What is subnormal in float32 may become zero, but never larger than it is.
        assert np.abs(NAMED["nvfp4"].quantize(x)).max() <= 1.25 * largest
        exact = NAMED["nvfp4"].quantize(x, arithmetic="exact")
        if largest > 1e-39:
            assert np.abs(exact - x).max() <= largest / 4
