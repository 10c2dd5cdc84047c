"""What is packed into one multiplier, and what is refused."""

import pytest

from hwgen import Array, DotProduct, InputError
from hwgen.arithmetic.dsp_multiplier import PACKED_FOR
from hwgen.spec import BlockDot, Multiply, from_dict


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
            lambda: Array(a="mxfp4", b="mxfp4", rows=2, columns=2, mapping="dsp18x18"),
            "products of block formats have a multiplier each: use mapping='dsp'",
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
            lambda: BlockDot(a="mxfp4", b="mxfp4", output="bf16", mapping="dsp27x18"),
            "this unit does not pack several products",
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
