"""Specs of exact and approximate products: what is derived, and what is refused."""

import pytest

from hwgen import InputError, emit
from hwgen.spec import LMul, Multiply, from_dict


@pytest.mark.parametrize(
    ("a", "b", "width", "lsb_exponent"),
    [
        ("int4", "uint4", 8, 0),
        ("int8", "int8", 16, 0),
        ("uint8", "uint8", 17, 0),
        ("fixed8_6", "e2m1", 12, -7),
        ("e4m3fn", "e4m3fn", 37, -18),
        ("e8m0", "e8m0", 510, -254),
        ("fp32", "fp32", 555, -298),
    ],
)
def test_products_have_the_width_of_the_largest(a, b, width, lsb_exponent):
    spec = Multiply(a=a, b=b)
    assert spec.facts == {"product_width": width, "lsb_exponent": lsb_exponent}
    assert spec.outputs[0].width == width and spec.outputs[0].signed


def test_flags_are_there_where_a_format_has_special_codes():
    names = ["product", "nan", "positive_infinity", "negative_infinity"]
    assert [port.name for port in Multiply(a="int4", b="e8m0").outputs] == names
    assert [port.name for port in Multiply(a="int4", b="e4m3").outputs] == names[:1]


def test_what_follows_from_the_operands():
    spec = LMul(a="e4m3fn", b="bf16")
    assert str(spec.output) == "e4m3fn" and spec.offset == 4
    assert LMul(a="e4m3fn", b="e5m2ieee", output="int8", offset=0).offset == 0
    assert "random_bits" not in [port.name for port in spec.inputs]
    stochastic = LMul(a="e4m3fn", b="bf16", rounding="stochastic")
    assert stochastic.inputs[-1].width == 32


@pytest.mark.parametrize(
    "spec",
    [
        Multiply(a="int4", b="e4m3fnuz", stages=4, mapping="auto"),
        LMul(a="e2m1", b="e5m2ieee", output="fp16", offset=1, overflow="special", stages=1),
        LMul(a="e4m3", b="e4m3"),
    ],
    ids=lambda spec: spec.name,
)
def test_dictionary_round_trip(spec):
    assert from_dict(spec.to_dict()) == spec
    assert "None" not in emit.generate_command(spec)
    assert emit.rtlil(spec) == emit.rtlil(from_dict(spec.to_dict()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"a": "mxfp4"}, "a=mxfp4.*: a format of single numbers is needed here"),
        ({"b": "lns4f3"}, "b=lns4f3: no hardware decodes its codes yet"),
        ({"b": "e9m3"}, "e9m3: minifloats have up to 8 exponent bits"),
        ({"stages": -1}, "stages=-1: use a whole number from 1 to 4"),
        ({"stages": 5}, "stages=5"),
        ({"stages": True}, "stages=True"),
        ({"mapping": "ram"}, "mapping='ram': use one of lut, dsp, auto"),
    ],
)
def test_bad_fields_of_a_product(change, message):
    with pytest.raises(InputError, match=message):
        Multiply(**{"a": "int4", "b": "int4", **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"a": "int8"}, "int8: L-Mul adds exponents and mantissas"),
        ({"b": "e0m3"}, "e0m3: L-Mul adds"),
        ({"b": "nvfp4"}, "b=nvfp4.*: a format of single numbers"),
        ({"output": "mxfp4"}, "output=mxfp4"),
        ({"output": "lns4f3"}, "lns4f3 cannot be rounded to in hardware"),
        ({"output": "e3m9", "overflow": "special"}, "e3m9 has neither infinity nor NaN"),
        ({"offset": -1}, "offset=-1: use a whole number from 0 to 32"),
        ({"offset": 33}, "offset=33"),
        ({"offset": "2"}, "offset='2'"),
        ({"rounding": "nearest"}, "rounding='nearest': use one of nearest_even"),
        ({"overflow": "wrap"}, "overflow='wrap': use one of saturate"),
        ({"stages": 5}, "stages=5: use a whole number from 1 to 4"),
    ],
)
def test_bad_fields_of_lmul(change, message):
    with pytest.raises(InputError, match=message):
        LMul(**{"a": "e4m3", "b": "e4m3", **change})
