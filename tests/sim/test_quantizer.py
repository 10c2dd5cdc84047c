"""The quantizer in the simulator, and what its spec refuses."""

from pathlib import Path

import numpy as np
import pytest

from hwgen import InputError, parse
from hwgen.arithmetic.power_scale import RULES, power_scale
from hwgen.cli import main
from hwgen.spec import Quantizer, from_dict
from sim import golden, verify, verify_inputs
from sim import stimulus as stimuli

VECTORS = Path(__file__).parents[1] / "hwgen" / "formats" / "vectors" / "mx.npz"

#: Every kind of source, element, rule and rounding, each on a block of a few numbers.
MATRIX = [
    {"a": "bf16", "b": "e2m1_b4_e8m0", "scale_rule": "ceil"},
    {"a": "bf16", "b": "e0m3_b4_e8m0", "rounding": "toward_zero", "stages": 1},
    {"a": "fp32", "b": "e4m3fn_b3_e8m0", "scale_rule": "even", "stages": 9},
    {"a": "fp32", "b": "e3m2_b2_e8m0", "rounding": "stochastic", "nonfinite": "scale"},
    {"a": "bf16", "b": "fixed8_6_b5_e8m0", "scale_rule": "ceil", "rounding": "nearest_away"},
    {"a": "fp16", "b": "fixed4_2_b4_e8m0", "symmetric": False, "nonfinite": "scale"},
    {"a": "e5m2ieee", "b": "e5m2ieee_b3_e8m0", "scale_rule": "ceil_power", "rounding": "up"},
    {"a": "int8", "b": "e2m3_b3_e8m0", "rounding": "stochastic"},
    {"a": "fixed8_4", "b": "int4_b2_e8m0", "scale_rule": "nearest", "rounding": "down"},
    # Scales of four and five bits: some blocks want larger or smaller ones.
    {"a": "fp16", "b": "e2m1_b3_ue4m0", "scale_rule": "ceil", "rounding": "nearest_away"},
    {"a": "bf16", "b": "ue4m3fn_b3_ue5m0", "symmetric": False},
]


@pytest.mark.parametrize("fields", MATRIX, ids=lambda fields: "-".join(map(str, fields.values())))
def test_unit_equals_golden_model(fields):
    outcome = verify(Quantizer(**fields), vectors=600)
    assert outcome.passed, outcome.shown
    assert outcome.vectors > 750


def test_numbers_that_libraries_were_compared_on():
    """The blocks of the vectors that the golden model is held against, NaN among them."""
    inputs = np.load(VECTORS)["inputs"].reshape(-1, 32)
    spec = Quantizer(a="fp32", b="mxfp4")
    outcome = verify_inputs(spec, {"a": inputs.view(np.uint32)})
    assert outcome.passed, outcome.shown


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("element", ["e2m1", "e4m3fn", "fixed8_6", "int4", "e3m0"])
@pytest.mark.parametrize("source", ["fp16", "int8", "e4m3fnuz", "e3m2ns"])
def test_constants_of_a_rule_give_the_scale_of_every_number(source, element, rule):
    f, scale = parse(source), parse("e8m0")
    found = power_scale(f, parse(element), scale, rule)
    values = np.abs(f.decode(np.arange(2**f.bits)))
    values = values[np.isfinite(values) & (values > 0)]
    fraction, exponent = np.frexp(values)
    significands = np.ldexp(fraction, found.significand_bits)
    wanted = exponent - 1 + found.offset + (significands >= found.threshold) + found.bias
    codes = parse(f"{element}_b1_e8m0").encode(values[:, None], scale_rule=rule).scales[:, 0]
    assert np.array_equal(np.clip(wanted, 0, 254), codes)


def test_directed_blocks_have_the_corners():
    spec = Quantizer(a="fp32", b="mxfp4")
    inputs = stimuli.directed(spec).inputs
    values = np.abs(spec.a.decode(inputs["a"]))
    largest = set(np.where(np.isfinite(values), values, 0).max(axis=1).tolist())
    step = 2.0**-23
    assert {0.0, 2.0**-149, 2.0**-126, 1 - step / 2, 1.0, 1 + step} <= largest
    assert {1.5 - step, 1.5, 1.5 + step, 1.75 - step, 1.75, spec.a.max} <= largest
    scales = set(golden.expected(spec, inputs)["scale"][:, 0].tolist())
    assert {0, 1, 2, 252} <= scales


def test_what_becomes_of_specials():
    bf16 = parse("bf16")
    codes = bf16.encode([[np.nan, np.inf, -np.inf, 2.0]], overflow="special")

    def encoded(b, **fields):
        found = golden.expected(Quantizer(a="bf16", b=b, **fields), {"a": codes})
        return found["elements"][0].tolist(), int(found["scale"][0, 0])

    assert encoded("e2m1_b4_e8m0") == ([0, 7, 15, 6], 126)
    assert encoded("e5m2ieee_b4_e8m0") == ([0x7E, 0x7C, 0xFC, 0x78], 113)
    assert encoded("fixed4_2_b4_e8m0", symmetric=False) == ([0, 7, 8, 4], 128)
    assert encoded("e2m1_b4_e8m0", nonfinite="scale") == ([0, 0, 0, 0], 255)


def test_fields_that_are_not_given_are_the_formats_own():
    spec = Quantizer(a="bf16", b="msfp12")
    assert (spec.lanes, spec.scale_rule, spec.rounding) == (16, "floor", "toward_zero")
    assert from_dict(spec.to_dict()) == spec
    assert Quantizer(a="bf16", b="mxfp4", lanes=32) == Quantizer(a="bf16", b="mxfp4")
    assert Quantizer(a="bf16", b="mxfp4").name.isidentifier()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"a": "mxfp4"}, "a=mxfp4: a format of single numbers is needed here"),
        ({"a": "lns4f3"}, "a=lns4f3: no hardware decodes logarithms yet"),
        ({"b": "e2m1"}, "b=e2m1: a block format is needed here"),
        ({"b": "nvfp4"}, "b=nvfp4: no hardware quantizes to formats with a tensor scale yet"),
        ({"b": "e2m1_b16_ue4m3"}, "no hardware makes scales in ue4m3 yet"),
        ({"b": "mx9"}, "b=mx9: no hardware quantizes to shared micro-exponents yet"),
        ({"b": "e2m1_b256_e8m0"}, "at most 128 numbers"),
        ({"b": "lns4f3_b4_e8m0"}, "lns4f3 cannot be rounded to in hardware"),
        ({"lanes": 16}, "lanes=16: a block of mxfp4 has 32 numbers"),
        ({"lanes": 0}, "lanes=0: a block of mxfp4 has 32 numbers"),
        ({"scale_rule": "mse"}, "scale_rule='mse' needs more than a block's largest magnitude"),
        ({"scale_rule": "most"}, "scale_rule='most': use one of floor"),
        ({"b": "e2m1_b4_ue5m0", "scale_rule": "nearest"}, "ties would go to the even code"),
        ({"rounding": "odd"}, "rounding='odd': use one of nearest_even"),
        ({"symmetric": "yes"}, "symmetric='yes': use True or False"),
        ({"nonfinite": "drop"}, "nonfinite='drop': use one of element, scale"),
        ({"b": "e2m1_b4_ue5m0", "nonfinite": "scale"}, r"\(ue5m0\) have no NaN"),
        ({"stages": 0}, "stages=0: use a whole number from 1 to 12 for a block of 32"),
        ({"stages": 13}, "stages=13: use a whole number from 1 to 12 for a block of 32"),
    ],
)
def test_bad_fields_say_what_is_allowed(change, message):
    with pytest.raises(InputError, match=message):
        Quantizer(**{"a": "bf16", "b": "mxfp4", **change})


def test_command_line(capsys):
    unit = ["quantizer", "--a", "bf16", "--b", "fixed4_2_b2_e8m0", "--scale-rule", "ceil"]
    more = ["--rounding", "up", "--stages", "3", "--symmetric", "false", "--vectors", "20"]
    assert main(["verify", *unit, *more]) == 0
    out = capsys.readouterr().out
    assert "ceil_up_full_element_stages3" in out and "0 mismatches" in out
    assert main(["verify", *unit, "--symmetric", "maybe"]) == 2
    assert "'maybe' is neither True nor False" in capsys.readouterr().err
