"""The quantizer in the simulator, and what its spec refuses."""

from dataclasses import replace
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from hwgen import InputError, parse
from hwgen.arithmetic import divide
from hwgen.cli import main
from hwgen.formats.block import NAMED
from hwgen.sizes.power_scale import HARDWARE_RULES, power_scale
from hwgen.spec import Quantizer, from_dict
from sim import golden, verify_inputs
from sim import stimulus as stimuli
from sim.batch import verify_batch
from sim.quantizer_matrix import SOURCES, full_matrix, short_matrix

ROOT = Path(__file__).parents[2]
VECTORS = ROOT / "tests" / "hwgen" / "formats" / "vectors" / "mx.npz"

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
    {"a": "bf16", "b": "ue4m3fn_b3_ue5m0"},
]
#: Scales with mantissas; tensor scales; elements divided in fixed point and as numbers with an
#: exponent; sources whose leading one has to be found.
FINE = [
    {"a": "bf16", "b": "e2m1_b4_ue4m3"},
    {"a": "fp32", "b": "e2m1_b4_ue4m3_fp32"},
    {"a": "fp16", "b": "int4_b4_ue4m3_fp32", "stages": 9},
    {"a": "fp16", "b": "int4_b3_ue4m3_fp32", "tensor_scale": "one"},
    {"a": "bf16", "b": "e4m3fn_b2_ue4m3", "stages": 24},
    {"a": "fp16", "b": "e5m2ieee_b2_ue5m3", "rounding": "stochastic"},
    {"a": "int8", "b": "e2m1_b3_ue4m3", "scale_rule": "ceil", "rounding": "up"},
    {"a": "bf16", "b": "e2m1_b4_ue4m3", "scale_rule": "even", "rounding": "nearest_away"},
    {"a": "bf16", "b": "int4_b4_ue5m3ieee", "scale_rule": "ceil_power", "symmetric": False},
    {"a": "fp16", "b": "e2m1_b4_e8m0_fp32", "scale_rule": "ceil", "nonfinite": "scale"},
    {"a": "bf16", "b": "fixed8_6_b2_fp16", "rounding": "down", "nonfinite": "scale"},
    {"a": "e4m3fn", "b": "e4m3fn_b2_ue4m3_bf16", "rounding": "toward_zero"},
    {"a": "e3m2ns", "b": "uint4_b2_ue4m3ns"},
    {"a": "fixed8_4", "b": "e2m3_b3_ue4m3nz_e8m0"},
    # Sources without zero: code 0 is a number, a block of NaN has none.
    {"a": "e8m0", "b": "e5m2ieee_b4_e8m0_bf16"},
    {"a": "ue3m2ieeenz", "b": "e2m1_b2_ue4m3"},
    # Quotients far below float32's range.
    {"a": "bf16", "b": "int4_b4_e8m0_bf16", "tensor_scale": "one", "rounding": "down"},
]
#: Micro-exponents, and random bits made inside.
MORE = [
    {"a": "bf16", "b": "mx9"},
    {"a": "fp16", "b": "e0m3_b6_e8m0_m3x2", "rounding": "stochastic", "random": "lfsr"},
    {"a": "int8", "b": "e2m1_b4_ue4m0_m2x3", "rounding": "nearest_away", "stages": 9},
    {"a": "bf16", "b": "int4_b4_ue5m0_m1x1", "symmetric": False, "scale_rule": "ceil"},
    {"a": "bf16", "b": "e4m3fn_b4_e8m0_m4x1", "scale_rule": "even", "nonfinite": "scale"},
    {"a": "bf16", "b": "e2m1_b2_ue4m3", "rounding": "stochastic", "random": "lfsr"},
    {"a": "fp16", "b": "e2m1ns_b2_e8m0", "rounding": "up", "scale_rule": "nearest"},
]


@pytest.mark.parametrize("fields", [MATRIX, FINE, MORE], ids=["powers", "fine", "more"])
def test_units_equal_golden_model(fields):
    specs = [Quantizer(**{"stages": 3, **f}) for f in fields]  # More take long to build.
    assert all(from_dict(spec.to_dict()) == spec for spec in specs)
    outcome = verify_batch(specs, vectors=200)
    assert outcome.passed, outcome.shown
    assert min(outcome.vectors.values()) > 400


def test_every_named_format():
    """In blocks of four, which are as good; the whole is ``full_matrix``."""
    specs = short_matrix(4)
    assert {spec.a for spec in specs} == {parse(name) for name in SOURCES}
    assert {spec.scale_rule for spec in specs} == set(HARDWARE_RULES)
    outcome = verify_batch(specs, vectors=100)
    assert outcome.passed, outcome.shown


def test_the_full_matrix_has_all_of_it():
    specs = full_matrix()
    assert len(specs) == len(NAMED) * len(SOURCES) * len(HARDWARE_RULES) == len(set(specs))
    assert {spec.b for spec in specs} == set(NAMED.values())


def test_nvfp4_in_full():
    outcome = verify_batch([Quantizer(a="bf16", b="nvfp4", stages=12)], vectors=100)
    assert outcome.passed, outcome.shown


@pytest.mark.parametrize("fields", [f for f in FINE if f.get("rounding") != "stochastic"])
def test_exact_quotients_are_what_encode_finds(fields):
    """One block at a time has its own tensor scale, as ``encode`` has one for all."""
    spec = Quantizer(**fields)
    inputs = stimuli.concatenate(stimuli.directed(spec), stimuli.random(spec, 150, 1)).inputs
    outputs = golden.expected(spec, inputs)
    values = spec.a.decode(inputs["a"])
    if spec.nonfinite == "element":
        values = np.where(np.isfinite(values), values, 0.0)
    for row, value in enumerate(values):
        second = None
        if spec.b.tensor_scale is not None:
            code = inputs["tensor_scale"][row, 0] if spec.has_tensor_scale_port else None
            second = 1.0 if code is None else float(spec.b.tensor_scale.decode(code))
        codes = spec.b.encode(
            value,
            scale_rule=spec.scale_rule,
            rounding=spec.rounding,
            symmetric=spec.symmetric,
            nonfinite=spec.nonfinite,
            arithmetic="exact",
            tensor_scale=second,
        )
        assert codes.scales[0] == outputs["scale"][row, 0]
        finite = np.isfinite(spec.a.decode(inputs["a"][row]))
        counts = finite | (spec.nonfinite == "scale")
        assert (codes.elements[0] == outputs["elements"][row])[counts].all()


def test_exact_and_float32_arithmetic_of_nvfp4_seldom_differ():
    """Torchao multiplies by a rounded reciprocal, which moves ties; the unit divides.

    Both are made here without ``encode``, and the page on units has the numbers.
    """
    values = np.random.default_rng(1).standard_normal((32768, 16))
    values = parse("bf16").quantize(values)
    largest = np.abs(values).max(axis=1, keepdims=True)
    tensor_scale = np.float32(largest.max() / (6 * 448))
    scales = (largest.astype(np.float32) / np.float32(6)) / tensor_scale
    scales = scales.astype(ml_dtypes.float8_e4m3fn).astype(np.float32)

    def elements(numbers, step):
        """Codes of E2M1. Middles times steps are exact: 3 + 4 + 24 bits."""
        codes = np.signbit(numbers) * 8
        for code, middle in enumerate((0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0)):
            tie = np.abs(numbers) == middle * step
            codes += (np.abs(numbers) > middle * step) | (tie & (code % 2 == 1))
        return codes

    reciprocal = np.float32(1) / tensor_scale / scales
    wanted = {
        "exact": elements(values, scales.astype(float) * float(tensor_scale)),
        "float32_reciprocal": elements(values.astype(np.float32) * reciprocal, 1.0),
    }
    for arithmetic, codes in wanted.items():
        blocks = parse("nvfp4").encode(values, arithmetic=arithmetic)
        assert np.array_equal(blocks.elements.reshape(values.shape), codes)
        assert np.array_equal(parse("ue4m3").decode(blocks.scales), scales)
    differ = (wanted["exact"] != wanted["float32_reciprocal"]).sum()
    assert 0 < differ < 0.001 * values.size
    page = " ".join((ROOT / "docs" / "units.md").read_text().split())
    assert f"Of {values.size:,} normally distributed BF16 numbers in NVFP4 {differ} " in page


def test_ties_and_both_sides_are_among_the_directed_blocks():
    spec = Quantizer(a="bf16", b="e2m1_b4_ue4m3")
    inputs = stimuli.directed(spec).inputs
    outputs = golden.expected(spec, inputs)
    ratios = spec.a.decode(inputs["a"]) / spec.b.scale.decode(outputs["scale"])
    for middle in (0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0):
        near = np.abs(ratios[np.abs(np.abs(ratios) - middle) < middle * 2.0**-6])
        assert (near < middle).any() and (near == middle).any() and (near > middle).any()
    assert set(range(1, 9)) & set(outputs["scale"][:, 0].tolist())
    assert 126 in outputs["scale"]


def test_a_wrong_division_is_found(monkeypatch):
    genuine = divide.step

    def faulty(m, state, divisor, name):
        # A remainder that is just the divisor stays: quotients that end there are wrong.
        done = genuine(m, state, divisor + 0, name)
        if not name.startswith("bit_5"):
            return done
        return replace(done, quotient=done.quotient & ~(done.remainder == 0))

    monkeypatch.setattr(divide, "step", faulty)
    outcome = verify_batch([Quantizer(a="bf16", b="e2m1_b2_ue4m3")], vectors=50)
    assert not outcome.passed


def test_numbers_that_libraries_were_compared_on():
    """The blocks of the vectors that the golden model is held against, NaN among them."""
    inputs = np.load(VECTORS)["inputs"].reshape(-1, 32)
    spec = Quantizer(a="fp32", b="mxfp4")
    outcome = verify_inputs(spec, {"a": inputs.view(np.uint32)})
    assert outcome.passed, outcome.shown


@pytest.mark.parametrize("rule", HARDWARE_RULES)
@pytest.mark.parametrize("element", ["e2m1", "e4m3fn", "fixed8_6", "int4", "e3m0"])
@pytest.mark.parametrize("source", ["fp16", "int8", "e4m3fnuz", "e3m2ns"])
def test_constants_of_a_rule_give_the_scale_of_every_number(source, element, rule):
    f, scale = parse(source), parse("e8m0")
    constants = power_scale(f, parse(element), scale, rule)
    values = np.abs(f.decode(np.arange(2**f.bits)))
    values = values[np.isfinite(values) & (values > 0)]
    fraction, exponent = np.frexp(values)
    significands = np.ldexp(fraction, constants.significand_bits)
    wanted = (
        exponent - 1 + constants.offset + (significands >= constants.threshold) + constants.bias
    )
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
        outputs = golden.expected(Quantizer(a="bf16", b=b, **fields), {"a": codes})
        return outputs["elements"][0].tolist(), int(outputs["scale"][0, 0])

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
        ({"a": "lns4f3"}, "a=lns4f3: no hardware decodes its codes yet"),
        ({"b": "e2m1"}, "b=e2m1: a block format is needed here"),
        ({"b": "nvfp4", "tensor_scale": "two"}, "tensor_scale='two': use one of port, one"),
        ({"tensor_scale": "one"}, "tensor_scale='one': mxfp4 has none"),
        ({"b": "e2m1_b16_ufixed8_4"}, "a scale of the block in ufixed8_4: use a floating-point"),
        ({"b": "e2m1_b16_ue4m3", "scale_rule": "mse"}, "more than a block's largest magnitude"),
        ({"b": "e2m1_b16_ue4m3_m2x1"}, "micro-exponents beside scales that are powers of two"),
        ({"random": "lfsr"}, "random='lfsr': random bits are for rounding='stochastic'"),
        ({"random_seed": 3}, "random_seed=3: random bits are for rounding='stochastic'"),
        ({"rounding": "stochastic", "random": "dice"}, "use one of port, lfsr"),
        ({"rounding": "stochastic", "random_seed": 3}, "at a port have no seed"),
        (
            {"rounding": "stochastic", "random": "lfsr", "random_seed": 0},
            "random_seed=0: use a whole number from 1 to 4294967295",
        ),
        ({"b": "e2m1_b256_e8m0"}, "at most 128 numbers"),
        ({"b": "lns4f3_b4_e8m0"}, "lns4f3 cannot be rounded to in hardware"),
        ({"lanes": 16}, "lanes=16: a block of mxfp4 has 32 numbers"),
        ({"lanes": 0}, "lanes=0: a block of mxfp4 has 32 numbers"),
        ({"scale_rule": "mse"}, "scale_rule='mse' needs more than a block's largest magnitude"),
        ({"scale_rule": "most"}, "scale_rule='most': use one of floor"),
        ({"b": "e2m1_b4_ue5m0", "scale_rule": "nearest"}, "ties would go to the even code"),
        ({"rounding": "odd"}, "rounding='odd': use one of nearest_even"),
        ({"symmetric": "yes"}, "symmetric='yes': use True or False"),
        ({"symmetric": False}, r"mxfp4 \(e2m1\) have no code beside a symmetric range"),
        ({"b": "uint4_b2_ue4m3ns", "symmetric": False}, r"\(uint4\) have no code beside"),
        ({"nonfinite": "drop"}, "nonfinite='drop': use one of element, scale"),
        ({"b": "e2m1_b4_ue5m0", "nonfinite": "scale"}, r"\(ue5m0\) have no NaN"),
        ({"stages": -1}, "stages=-1: use a whole number from 1 to 12 for a block of 32"),
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
