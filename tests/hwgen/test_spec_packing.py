"""What is packed into one multiplier, and what is refused."""

import pytest

from hwgen import Array, DotProduct, InputError
from hwgen.sizes.dsp_multiplier import PACKED_FOR
from hwgen.spec import BlockDot, Multiply, from_dict

WEIGHTS = {"dataflow": "weight_stationary"}


@pytest.mark.parametrize(("a", "b"), [("int4", "int4"), ("e2m1", "e2m1"), ("e2m1", "int4")])
def test_small_formats_share_the_multiplier_of_every_target(a, b):
    spec = DotProduct(a=a, b=b, lanes=5, mapping="dsp")
    assert PACKED_FOR["dsp"].takes(*spec.packing.operand_bits)
    assert spec.summed_terms == 3
    assert DotProduct(a=a, b=b, lanes=5).packing is None
    assert DotProduct(a=a, b=b, lanes=1, mapping="dsp").packing is None


def test_dsp_alone_takes_what_does_not_fit_one_by_one():
    assert DotProduct(a="int8", b="int8", lanes=4, mapping="dsp").packing is None
    assert Array(a="int8", b="int8", rows=2, columns=2, mapping="dsp").packing is None
    # A product with one bit is a gate.
    assert DotProduct(a="int4", b="uint1", lanes=4, mapping="dsp").packing is None


@pytest.mark.parametrize(
    ("a", "b", "fields", "products"),
    [
        ("mxint8", "mxint8", {"mapping": "dsp25x18"}, 2),
        ("mxfp4", "nvfp4", {"mapping": "dsp18x18"}, 4),
        ("nvfp4", "mxfp4", {"mapping": "dsp27x18"}, 8),
        ("mxfp8_e5m2", "mxfp6_e2m3", {"mapping": "dsp27x18"}, 4),
        ("mxint4", "mxfp4", {"mapping": "dsp18x18", **WEIGHTS}, 2),
        ("msfp12", "msfp12", {"mapping": "dsp27x18", **WEIGHTS}, 2),
    ],
)
def test_blocks_are_packed_as_their_elements(a, b, fields, products):
    spec = Array(a=a, b=b, rows=4, columns=4, **fields)
    element = Array(a=spec.a.element, b=spec.b.element, rows=4, columns=4, **fields)
    assert spec.packing == element.packing and spec.packing.products == products
    # What there was before has the hardware that it had.
    assert Array(a=a, b=b, rows=4, columns=4, mapping="dsp").packing is None
    assert any(f"{products} elements in a multiplier of" in line for line in spec.description)


def test_two_lanes_of_a_block_share_a_multiplier():
    spec = BlockDot(a="mxfp4", b="nvfp4", mapping="dsp18x18")
    assert spec.packing == DotProduct(a="e2m1", b="e2m1", lanes=2, mapping="dsp18x18").packing
    assert BlockDot(a="mxfp4", b="nvfp4", mapping="dsp").packing is None
    # Neighbours share a micro-exponent.
    assert BlockDot(a="mx6", b="mx6", mapping="dsp27x18").micro_group == 2
    assert any("two lanes in a multiplier of" in line for line in spec.description)


def test_the_fewest_multipliers_of_an_array():
    def shape(a, b, rows, columns, mapping, **fields):
        packing = Array(a=a, b=b, rows=rows, columns=columns, mapping=mapping, **fields).packing
        return packing.rows, packing.columns

    assert shape("int4", "int4", 4, 4, "dsp27x18") == (2, 2)
    assert sorted(shape("int8", "int8", 4, 4, "dsp27x18")) == [1, 2]
    assert shape("int8", "int8", 4, 1, "dsp27x18") == (2, 1)
    assert shape("int4", "int4", 4, 4, "dsp27x18", dataflow="weight_stationary") == (1, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: DotProduct(a="int8", b="int4", lanes=4, mapping="dsp18x18"),
            r"int8 and int4, and their sum, are exact in a multiplier of 20 x 20 bits, and this "
            "has 18 x 18: use mapping='dsp'",
        ),
        (
            lambda: DotProduct(a="int4", b="int4", lanes=1, mapping="dsp18x18"),
            "one lane has no other to share a multiplier with",
        ),
        (
            lambda: DotProduct(a="int4", b="uint1", lanes=2, mapping="dsp18x18"),
            "a significand of uint1 has one bit, and its products are gates: use mapping='lut'",
        ),
        (
            lambda: Array(a="int8", b="int8", rows=2, columns=1, mapping="dsp18x18"),
            "with a factor in common are exact in a multiplier of 25 x 8 bits, and this has 18 x",
        ),
        (
            lambda: Array(a="int4", b="int4", rows=1, columns=1, mapping="dsp18x18"),
            "no two products of one element have a factor in common",
        ),
        (
            lambda: Array(a="mxint8", b="mxint8", rows=2, columns=2, mapping="dsp18x18"),
            "two products of fixed8_6 and fixed8_6 with a factor in common are exact in a "
            "multiplier of 25 x 8 bits, and this has 18 x 18: use mapping='lut', or narrower",
        ),
        (
            lambda: Array(a="mxfp4", b="mxfp4", rows=2, columns=1, mapping="dsp18x18", **WEIGHTS),
            "no two products of one column have a factor in common: use mapping='lut'",
        ),
        (
            lambda: Array(a="e3m0_b4_e8m0", b="mxfp4", rows=2, columns=2, mapping="dsp18x18"),
            "a significand of e3m0 has one bit, and its products are gates: use mapping='lut'",
        ),
        (
            lambda: Array(a="e3m0", b="int4", rows=2, columns=2, mapping="dsp18x18"),
            "e3m0 has one bit, and its products are gates",
        ),
        (
            lambda: Multiply(a="int4", b="int4", mapping="dsp18x18"),
            "this unit does not pack several products",
        ),
        (
            lambda: BlockDot(a="mxfp8_e4m3", b="mxfp4", output="bf16", mapping="dsp27x18"),
            "two products of e4m3fn and e2m1, and their sum, are exact in a multiplier of "
            "41 x 41 bits, and this has 27 x 18: use mapping='dsp'",
        ),
        (
            lambda: BlockDot(a="e2m1_b1_e8m0", b="e2m1_b1_e8m0", mapping="dsp18x18"),
            "are scaled one by one, and have no other to share a multiplier with: use mapping=",
        ),
        (
            lambda: BlockDot(a="e0m3_b2_e8m0_m1x1", b="e2m1_b2_e8m0", mapping="dsp18x18"),
            "are scaled one by one, and have no other to share a multiplier with: use mapping=",
        ),
        (
            lambda: DotProduct(a="int4", b="int4", lanes=2, mapping="dsp16x16"),
            "use one of lut, dsp, auto, dsp18x18, dsp25x18, dsp27x18",
        ),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_dictionary_round_trip():
    spec = Array(a="int8", b="int8", rows=2, columns=2, mapping="dsp27x18")
    assert from_dict(spec.to_dict()) == spec and "dsp27x18" in spec.name
    assert any("2 elements in a multiplier of" in line for line in spec.description)
