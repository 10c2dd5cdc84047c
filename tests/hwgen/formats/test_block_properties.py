"""Block formats: properties that hold for every format."""

import numpy as np
import pytest
from block_cases import POWER_OF_TWO, WITHOUT_MICROEXPONENTS
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hwgen.formats.block import NAMED, parse_block
from hwgen.formats.block_scale import RULES

# Numbers far from the limits of E8M0, with many like ones and many powers of two.
NUMBERS = st.one_of(
    st.floats(-8, 8, width=32).map(lambda x: x if abs(x) >= 2.0**-40 else 0.0),
    st.integers(-64, 64).map(float),
    st.floats(2.0**-40, 2.0**40, width=32),
    st.integers(-40, 40).map(lambda e: 2.0**e),
    st.just(0.0),
)
ARRAYS = hnp.arrays(np.float64, hnp.array_shapes(max_dims=2, max_side=36), elements=NUMBERS)
RULE_NAMES = st.sampled_from(list(RULES))


@settings(max_examples=80, deadline=None)
@given(ARRAYS, st.sampled_from(list(NAMED)), RULE_NAMES, st.integers(-30, 30))
def test_powers_of_two_scale_through(x, name, rule, exponent):
    f = NAMED[name]
    got = f.quantize(np.ldexp(x, exponent), scale_rule=rule)
    assert (got == np.ldexp(f.quantize(x, scale_rule=rule), exponent)).all()


@settings(max_examples=80, deadline=None)
@given(ARRAYS, st.sampled_from(POWER_OF_TWO))
def test_quantized_again_nothing_changes(x, name):
    f = NAMED[name]
    once = f.quantize(x)
    assert (f.quantize(once) == once).all()


@settings(max_examples=80, deadline=None)
@given(ARRAYS, st.sampled_from(["nvfp4", "nvint4"]))
def test_quantized_again_with_the_same_tensor_scale_nothing_changes(x, name):
    f = NAMED[name]
    codes = f.encode(x)
    again = f.encode(codes.decode(), tensor_scale=codes.tensor_scale)
    # The largest of a block is the largest element, unless E4M3's subnormals are too coarse.
    full = np.abs(codes.element_values()).max(axis=-1) == f.element.max
    assert (again.scales[full] == codes.scales[full]).all()
    assert (again.elements[full] == codes.elements[full]).all()
    normal = f.scale.decode(codes.scales) >= f.scale.smallest_normal
    assert (full >= normal).all()


@settings(max_examples=80, deadline=None)
@given(ARRAYS, st.sampled_from(WITHOUT_MICROEXPONENTS), RULE_NAMES)
def test_order_is_kept_within_a_block(x, name, rule):
    f = NAMED[name]
    row = np.sort(x.reshape(-1)[: f.block_size])
    assert (np.diff(f.quantize(row, scale_rule=rule)) >= 0).all()


@settings(max_examples=80, deadline=None)
@given(ARRAYS, st.sampled_from(list(NAMED)), RULE_NAMES)
def test_elements_are_the_nearest_there_are(x, name, rule):
    f = NAMED[name]
    row = x.reshape(-1)[: f.block_size]
    codes = f.encode(row, scale_rule=rule, rounding="nearest_even", arithmetic="exact")
    scale = codes.block_scales()[0]
    grid = f.element.finite_values() * scale
    if f.element.min < -f.element.max:
        grid = grid[1:]
    if f.micro_bits:
        grids = [np.ldexp(grid, -int(m)) for m in np.repeat(codes.micro_exponents[0], 2)]
    else:
        grids = [grid] * len(row)
    for value, got, levels in zip(row, codes.decode(), grids, strict=False):
        assert abs(got - value) == np.abs(levels - value).min()


@settings(max_examples=80, deadline=None)
@given(ARRAYS, st.sampled_from(list(NAMED)), st.sampled_from(["ceil", "ceil_power"]))
def test_nothing_clips_when_rounding_the_scale_up(x, name, rule):
    f = NAMED[name]
    codes = f.encode(x, scale_rule=rule, arithmetic="exact")
    # UE4M3 may be too small for the largest number by the rounding of the tensor scale.
    slack = 1 + 2.0**-23 if f.tensor_scale else 1
    rows = np.abs(x.reshape(-1, x.shape[-1]))
    scales = codes.block_scales().reshape(len(rows), -1)
    scales = np.repeat(scales, f.block_size, axis=1)
    if f.micro_bits:
        shifts = codes.micro_exponents.reshape(len(rows), -1).astype(int)
        scales = np.ldexp(scales, -np.repeat(shifts, f.micro_block, axis=1))
    limit = scales[:, : x.shape[-1]] * f.element.max
    assert (rows <= limit * slack).all()


@pytest.mark.parametrize(("name", "mantissa_bits"), [("mx9", 7), ("mx6", 4), ("mx4", 2)])
def test_microexponents_keep_their_bound(name, mantissa_bits):
    # arXiv 2302.08007, theorem 1: QSNR ≥ 6.02 m + 10 log10(2^(2β)/(min(N, k1) + (2^(2β) − 1) k2)).
    bound = 6.02 * mantissa_bits + 10 * np.log10(4 / (16 + 3 * 2))
    rng = np.random.default_rng(10)
    for x in (
        rng.normal(size=(2000, 16)),
        rng.standard_cauchy(size=(2000, 16)),
        np.exp(4 * rng.normal(size=(2000, 16))),
    ):
        q = NAMED[name].quantize(x)
        qsnr = 10 * np.log10((x**2).sum(axis=1) / ((x - q) ** 2).sum(axis=1))
        assert np.mean(qsnr) >= bound
    without_microexponents = parse_block(f"e0m{mantissa_bits}_b16_e8m0")
    x = rng.normal(size=(2000, 16))
    assert (
        np.square(NAMED[name].quantize(x) - x).sum()
        < np.square(without_microexponents.quantize(x) - x).sum()
    )
