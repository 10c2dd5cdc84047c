"""Block formats: names, what they say, and those that are refused."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen import InputError, parse
from hwgen.formats.block import NAMED, BlockFormat, parse_block


@pytest.mark.parametrize("name", NAMED)
def test_standard_names_round_trip(name):
    f = parse_block(name)
    assert str(f) == name and f == NAMED[name] and parse_block(f) is f
    assert parse_block(f.systematic_name) == f


@pytest.mark.parametrize(
    ("name", "systematic", "bits_per_value"),
    [
        ("mxfp8_e4m3", "e4m3fn_b32_e8m0", 8.25),
        ("mxfp8_e5m2", "e5m2ieee_b32_e8m0", 8.25),
        ("mxfp6_e2m3", "e2m3_b32_e8m0", 6.25),
        ("mxfp6_e3m2", "e3m2_b32_e8m0", 6.25),
        ("mxfp4", "e2m1_b32_e8m0", 4.25),
        ("mxint8", "fixed8_6_b32_e8m0", 8.25),
        ("mxint4", "fixed4_2_b32_e8m0", 4.25),
        ("nvfp4", "e2m1_b16_ue4m3_e8m23ieee", 4 + 7 / 16),
        ("nvint4", "int4_b16_ue4m3_e8m23ieee", 4 + 7 / 16),
        ("msfp12", "e0m3_b16_e8m0", 4.5),
        ("msfp16", "e0m7_b16_e8m0", 8.5),
        ("mx9", "e0m7_b16_e8m0_m2x1", 9),
        ("mx6", "e0m4_b16_e8m0_m2x1", 6),
        ("mx4", "e0m2_b16_e8m0_m2x1", 4),
    ],
)
def test_standard_formats(name, systematic, bits_per_value):
    f = NAMED[name]
    assert f.systematic_name == systematic
    assert f.bits_per_value == bits_per_value


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("mxfp8", "mxfp8_e4m3"),
        ("mxfp6", "mxfp6_e2m3"),
        ("bfp8_b32", "mxint8"),
        ("bfp12_b64", "fixed12_10_b64_e8m0"),
        ("e2m1_b16_ue4m3fn_fp32", "nvfp4"),
        ("fp4_e2m1_b16_ue4m3_float32", "nvfp4"),
        ("fp8_e4m3_b32_float8_e8m0fnu", "mxfp8_e4m3"),
        ("int8_b128_fp16", "int8_b128_e5m10ieee"),
        ("fixed8_6_b8_ufixed8_4_fp8_e5m2", "fixed8_6_b8_ufixed8_4_e5m2ieee"),
        ("e0m4_b16_e8m0_m2x1_fp32", "e0m4_b16_e8m0_m2x1_e8m23ieee"),
    ],
)
def test_other_names(name, same):
    assert parse_block(name) == parse_block(same)
    assert parse_block(str(parse_block(name))) == parse_block(name)
    assert str(parse_block(name)) == same


ELEMENTS = ["e2m1", "e4m3fn", "e5m2ieee", "int4", "fixed6_4", "uint4", "e0m3", "e3m4b11", "e2m2bn2"]
SCALES = [
    "e8m0",
    "ue4m3",
    "ue5m3",
    "ue5m3ieee",
    "fp16",
    "fp32",
    "uint8",
    "ufixed8_4",
    "ue4m3finite",
]


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(ELEMENTS),
    st.integers(0, 10),
    st.sampled_from(SCALES),
    st.sampled_from([None, "fp32", "bf16", "ufixed8_4"]),
    st.sampled_from([(0, 0), (1, 1), (1, 3), (2, 1)]),
)
def test_every_format_has_a_name_that_reads_back(element, power, scale, second, micro):
    second = None if second is None else parse(second)
    micro = (0, 0) if power == 0 else micro
    f = BlockFormat(parse(element), 2**power, parse(scale), second, *micro)
    assert parse_block(str(f)) == f and parse_block(f.systematic_name) == f
    # It is to name a Verilog module.
    assert re.fullmatch("[a-z][a-z0-9_]*", str(f))


BAD_NAMES = [
    "", "mxfp", "mxfp7", "mx5", "nvfp8", "e2m1", "e2m1_b32", "e2m1_b0_e8m0", "e2m1_b1025_e8m0",
    "e2m1_b032_e8m0", "e2m1_b32_e8m0_", "e2m1_b32_e8m0_m3x1", "e2m1_b32_e8m0_m2x0", "_b32_e8m0",
    "e2m1_b32_e8m0_m2x4", "e2m1_b32_e8m0_fp32_fp32", "e2m1_b99999999_e8m0", "e9m9_b32_e8m0",
    "e2m1_b32_fp", "bfp1_b8", "bfp17_b8", "bfp8_b0", "bfp8", "MXFP4", "mxfp4\n", "mxfp4 ",
    "e2m1_b٣٢_e8m0", "e2m1_b32_mxfp4", None, 4, b"mxfp4", "e2m1_b" * 200,
]  # fmt: skip


@pytest.mark.parametrize("name", BAD_NAMES)
def test_bad_names_are_refused(name):
    with pytest.raises(InputError):
        parse_block(name)


@pytest.mark.parametrize("name", ["", "int8", "e2m1", "mxfp7", "e2m1_b32"])
def test_other_kinds_of_names_are_none(name):
    assert BlockFormat.parse(name) is None


def test_the_error_tells_what_is_allowed():
    with pytest.raises(InputError, match=r"mxfp5.*mxfp4.*e2m1_b32_e8m0"):
        parse_block("mxfp5")
    with pytest.raises(InputError, match="block_size=0: blocks have 1 to 1024"):
        parse_block("e2m1_b0_e8m0")


@settings(max_examples=800, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["e2m1", "fixed8_6", "e8m0", "ue4m3fn", "fp32", "b32", "b0", "m2x1", "m3x1", "bfp8",
             "b", "_", "9", "mx9", "e", "fp8_e4m3", "-", "é"]
        ),
        max_size=8,
    ).map("_".join)
    | st.text(alphabet="bmxefpint0123456789_", max_size=20)
    | st.text(max_size=10)
)  # fmt: skip
def test_any_text_is_a_format_or_an_input_error(name):
    try:
        block_format = parse_block(name)
    except InputError:
        return
    assert parse_block(str(block_format)) == block_format


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"block_size": 0}, "block_size=0: blocks have 1 to 1024"),
        ({"block_size": 1025}, "block_size=1025"),
        ({"micro_block": 3, "micro_bits": 1}, "divides the block size"),
        ({"micro_block": 2}, "micro_bits=0"),
        ({"micro_bits": 1}, "micro_block=0"),
        ({"micro_block": 2, "micro_bits": 4}, "1 to 3 bits"),
    ],
)
def test_bad_formats_are_refused(fields, message):
    with pytest.raises(InputError, match=message):
        BlockFormat(
            **{"element": parse("e2m1"), "block_size": 32, "scale": parse("e8m0"), **fields}
        )
