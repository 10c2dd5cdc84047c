"""Block-scaled dot products against fractions."""

from fractions import Fraction

import numpy as np
import pytest
from fractions_oracle import exact as as_fraction
from fractions_oracle import minifloat_value, numbers, product, same, total

from hwgen import InputError, parse
from sim.blocks import Blocks, block_dot
from sim.rounding import round_to

RNG = np.random.default_rng(9)


def random_blocks(element, scale, shape, exponents=False, tensor=False, specials=True):
    elements = parse(element)
    scales = parse(scale)
    codes = RNG.integers(0, 2**elements.bits, shape).astype(elements.code_dtype)
    scale_codes = RNG.integers(0, 2**scales.bits, shape[:-1]).astype(scales.code_dtype)
    if not specials:
        codes = np.where(np.isfinite(elements.decode(codes)), codes, 1)
        scale_codes = np.where(np.isfinite(scales.decode(scale_codes)), scale_codes, 1)
    return Blocks(
        element_format=elements,
        elements=codes.astype(elements.code_dtype),
        scale_format=scales,
        scales=scale_codes.astype(scales.code_dtype),
        exponents=RNG.integers(-1, 1, shape) if exponents else None,
        tensor_scale=RNG.normal(size=shape[:-2]).astype(np.float32) if tensor else None,
    )


def expected(a, b, index):
    """One dot product, term by term."""
    sums = []
    for block in range(a.elements.shape[-2]):
        terms = []
        for i in range(a.elements.shape[-1]):
            pair = []
            for o in (a, b):
                value = as_fraction(float(o.element_format.decode(o.elements[index][block, i])))
                exponent = 0 if o.exponents is None else int(o.exponents[index][block, i])
                pair.append(product(value, Fraction(2) ** exponent))
            terms.append(product(*pair))
        scales = [as_fraction(float(o.scale_format.decode(o.scales[index][block]))) for o in (a, b)]
        sums.append(product(total(terms), product(*scales)))
    result = total(sums)
    for o in (a, b):
        if o.tensor_scale is not None:
            result = product(result, as_fraction(float(o.tensor_scale[index])))
    return result


@pytest.mark.parametrize(
    ("a", "b", "a_scale", "b_scale"),
    [
        ("e4m3fn", "e4m3fn", "e8m0", "e8m0"),
        ("e5m2ieee", "e4m3fn", "e8m0", "e8m0"),
        ("e2m3", "e3m2", "e8m0", "e8m0"),
        ("fixed8_6", "fixed8_6", "e8m0", "e8m0"),
        ("e2m1", "e2m1", "ue4m3", "ue4m3"),
        ("int4", "e2m1", "ue5m3ieee", "e8m0"),
        ("e5m2ieee", "e5m2ieee", "e4m3fn", "fp32"),
    ],
)
@pytest.mark.parametrize("extras", [False, True])
@pytest.mark.parametrize("specials", [False, True])
def test_block_dot(a, b, a_scale, b_scale, extras, specials):
    shape = (10, 3, 8)
    x = random_blocks(a, a_scale, shape, extras, extras, specials)
    y = random_blocks(b, b_scale, shape, False, extras, specials)
    got = block_dot(x, y)
    wanted = [expected(x, y, i) for i in range(10)]
    assert got.shape == (10,)
    assert all(map(same, numbers(got), wanted))
    for name in ("fp32", "bf16", "fp16"):
        f = parse(name)
        codes = round_to(got, f, overflow="special")
        for code, value in zip(codes, wanted, strict=True):
            if isinstance(value, Fraction):
                value = minifloat_value(value, f, overflow="special")[0]
            assert same(float(f.decode(code)), float(value))


def single(element, codes, scale, scale_code, **more):
    return Blocks(
        element_format=parse(element),
        elements=np.array([codes], np.uint8),
        scale_format=parse(scale),
        scales=np.array([scale_code], np.uint8),
        **more,
    )


def test_e8m0_at_its_ends():
    """Scales of 2^−127 and 2^127: sums far outside float64, rounded right all the same."""
    fp32 = parse("fp32")
    for low, high in ((0, 254), (0, 0), (254, 254)):
        a = single("e4m3fn", [0x38, 0x01], "e8m0", low)  # 1, 2^−9
        b = single("e4m3fn", [0x38, 0x01], "e8m0", high)
        got = block_dot(a, b)
        assert numbers(got) == [(1 + Fraction(1, 2**18)) * Fraction(2) ** (low + high - 254)]
    assert block_dot(a, b).shape == ()
    assert round_to(got, fp32, overflow="special") == 0x7F800000
    assert round_to(got, fp32) == 0x7F7FFFFF
    tiny = block_dot(single("e4m3fn", [1, 0], "e8m0", 0), single("e4m3fn", [0x81, 0], "e8m0", 0))
    assert numbers(tiny) == [-(Fraction(2) ** (-254 - 18))]
    assert round_to(tiny, fp32) == 0x80000000 and round_to(tiny, fp32, "down") == 0x80000001


def test_a_nan_scale_makes_nan():
    for elements in ([0, 0], [0x38, 0xB8]):
        a = single("e4m3fn", elements, "e8m0", 0xFF)
        b = single("e4m3fn", [0, 0], "e8m0", 127)
        assert block_dot(a, b).nan and block_dot(b, a).nan
        assert round_to(block_dot(a, b), parse("fp32")) == 0x7FC00000


def test_infinite_elements_and_zero_scales():
    infinity = single("e5m2ieee", [0x7C, 0], "ue4m3", 0x38)
    one = single("e5m2ieee", [0x3C, 0], "ue4m3", 0x38)
    zero = single("e5m2ieee", [0x3C, 0], "ue4m3", 0)
    negative = single("e5m2ieee", [0xBC, 0], "ue4m3", 0x38)
    assert block_dot(infinity, one).positive_infinity
    assert block_dot(infinity, negative).negative_infinity
    assert block_dot(infinity, zero).nan
    assert numbers(block_dot(one, zero)) == [0]
    assert block_dot(infinity, single("e5m2ieee", [0, 0x3C], "ue4m3", 0x38)).nan


def test_tensor_scales_are_exact_and_may_be_special():
    one = single("e2m1", [2, 0], "ue4m3", 0x38)
    scaled = single("e2m1", [2, 0], "ue4m3", 0x38, tensor_scale=np.float32(0.1))
    assert numbers(block_dot(one, scaled)) == [Fraction(float(np.float32(0.1)))]
    bad = single("e2m1", [2, 0], "ue4m3", 0x38, tensor_scale=np.nan)
    assert block_dot(one, bad).nan


def test_leading_axes_broadcast():
    a = random_blocks("e2m1", "e8m0", (4, 1, 2, 16), specials=False)
    b = random_blocks("e2m1", "e8m0", (3, 2, 16), specials=False)
    got = block_dot(a, b)
    assert got.shape == (4, 3)
    for i in range(4):
        for j in range(3):
            one = Blocks(
                element_format=a.element_format,
                elements=a.elements[i],
                scale_format=a.scale_format,
                scales=a.scales[i],
            )
            other = Blocks(
                element_format=b.element_format,
                elements=b.elements[j : j + 1],
                scale_format=b.scale_format,
                scales=b.scales[j : j + 1],
            )
            assert numbers(got[i : i + 1, j]) == [expected(one, other, 0)]


def test_shapes_that_do_not_go_together_are_refused():
    with pytest.raises(InputError, match="blocks, block size"):
        single("e2m1", [1, 2], "e8m0", [1, 2])
    with pytest.raises(InputError, match="exponents"):
        single("e2m1", [1, 2], "e8m0", 1, exponents=np.zeros(2, int))
    # No multiple of the other's size; a multiple, of which there are too many.
    for elements in ([1, 2, 3], [1, 2, 3, 4]):
        with pytest.raises(InputError, match=f"1 blocks of 2 and 1 of {len(elements)}: use block"):
            block_dot(single("e2m1", [1, 2], "e8m0", 1), single("e2m1", elements, "e8m0", 1))
