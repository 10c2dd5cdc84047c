"""Every choice of the units in the simulator, against the golden model."""

import dataclasses

import pytest

import hwgen
from hwgen import Convert, DotProduct, InputError, MultiplyAccumulate
from hwgen.spec import (
    AccumulatorToFloat,
    BlockDot,
    LMul,
    MultiDot,
    Multiply,
    Quantizer,
    Requantize,
    from_dict,
)
from sim import stimulus as stimuli
from sim import verification
from sim.batch import verify_batch

#: Accumulators, outputs, stages, special codes, signs: each at least twice, in other company. Many
#: stages are registers that take long to build, and do the same again: a few units have them.
DOTS = [
    {"a": "e4m3fn", "b": "int8", "lanes": 4},
    {"a": "e5m2ieee", "b": "e4m3fnuz", "lanes": 3, "stages": 7},
    {"a": "int4", "b": "uint4", "lanes": 9, "stages": 1},
    {"a": "e2m1", "b": "e2m1", "lanes": 4, "output": "fp32", "stages": 4},
    {
        **{"a": "e4m3fn", "b": "e5m2ieee", "lanes": 2},
        **{"output": "bf16", "rounding": "stochastic", "stages": 5},
    },
    {"a": "e3m4", "b": "e3m4", "lanes": 7, "output": "int8", "rounding": "down", "stages": 9},
    {
        **{"a": "e4m3fn", "b": "ue4m3", "lanes": 2},
        **{"output": "e4m3fn", "overflow": "saturate", "stages": 3},
    },
    {"a": "int8", "b": "uint4", "lanes": 3, "accumulator": "fixed:14"},
    {"a": "e2m1", "b": "fixed8_6", "lanes": 3, "accumulator": "fixed:12:3:wrap:nearest_away"},
    {"a": "e3m2", "b": "e0m3", "lanes": 3, "accumulator": "fixed:10:-2:stochastic"},
    {"a": "e4m3ext", "b": "int4", "lanes": 2, "accumulator": "fixed:20:4", "output": "fp16"},
    {"a": "e4m3", "b": "e4m3", "lanes": 4, "accumulator": "fp32"},
    {"a": "int8", "b": "int8", "lanes": 2, "accumulator": "fp16:toward_zero", "stages": 6},
    {"a": "e2m3", "b": "e4m3ns", "lanes": 2, "accumulator": "e4m3fn:stochastic"},
    {"a": "e5m2", "b": "e3m0", "lanes": 2, "accumulator": "fp16:saturate"},
]
#: With an addend: finer and coarser than the products, special, without sign.
ADDENDS = [
    {"a": "int4", "b": "int4", "lanes": 3, "addend": "int16"},
    {"a": "e4m3fn", "b": "e2m1", "lanes": 2, "addend": "bf16", "accumulator": "fp32"},
    {"a": "e2m1", "b": "int4", "lanes": 5, "addend": "e5m2ieee", "output": "bf16"},
    {"a": "int8", "b": "uint4", "lanes": 2, "addend": "ufixed8_3", "accumulator": "fixed:16:2"},
    {"a": "int4", "b": "e4m3", "lanes": 1, "addend": "e4m3fn", "accumulator": "bf16:stochastic"},
]
MACS = [
    {"a": "e4m3fn", "b": "e4m3fn", "accumulator": "bf16"},
    {"a": "int8", "b": "int8"},
    {"a": "e2m1", "b": "e8m0", "accumulator": "fp32:down"},
]
CONVERSIONS = [
    {"a": "bf16", "b": "e4m3fn", "overflow": "special"},
    {"a": "fp16", "b": "e2m1", "rounding": "stochastic", "stages": 3},
    {"a": "int16", "b": "e5m2ieee", "rounding": "nearest_away", "stages": 1},
    {"a": "uint8", "b": "fp32", "rounding": "up"},
    {"a": "fp32", "b": "bf16", "rounding": "down", "overflow": "special"},
    {"a": "e5m2", "b": "fixed8_6", "rounding": "toward_zero"},
    {"a": "e4m3ext", "b": "ue4m3", "overflow": "special"},
]
BLOCK_DOTS = [
    {"a": "mxfp8_e4m3", "b": "mxfp4", "output": "fp32", "stages": 4},
    {"a": "nvfp4", "b": "nvint4", "output": "bf16", "stages": 3},
    {"a": "e4m3fn_b4_e8m0", "b": "fixed8_6_b4_e8m0", "output": "bf16", "stages": 5},
    {"a": "e5m2ieee_b2_ue4m3", "b": "e4m3fn_b2_e8m0", "output": "fp32", "rounding": "stochastic"},
    {
        **{"a": "e2m1_b4_ue4m3", "b": "int4_b4_ue4m3"},
        **{"output": "fp16", "rounding": "toward_zero", "stages": 3},
    },
    {"a": "e2m1_b4_ue4m3", "b": "e2m1_b4_ue4m3", "blocks": 3, "output": "fp16", "stages": 9},
    {"a": "e5m2ieee_b2_e8m0", "b": "e2m3_b2_e8m0", "blocks": 2, "output": "bf16", "stages": 6},
    {
        **{"a": "e0m3_b4_e8m0", "b": "int4_b4_ue5m3"},
        **{"output": "e5m2ieee", "overflow": "saturate", "stages": 2},
    },
]
PRODUCTS = [
    Multiply(a="e4m3fn", b="e5m2ieee", stages=1),
    Multiply(a="int16", b="e4m3ext", stages=4, mapping="dsp"),
    LMul(a="bf16", b="bf16", stages=3),
    LMul(a="e4m3fn", b="fp16", output="int8", stages=1),
    LMul(a="e5m2ieee", b="e4m3fn", stages=4, rounding="stochastic", overflow="special"),
]
SUMS = [
    AccumulatorToFloat(bits=28, b="fp32", lsb_exponent=-18),
    AccumulatorToFloat(bits=72, b="bf16", lsb_exponent=-32, rounding="stochastic", stages=1),
    AccumulatorToFloat(bits=20, b="int8", lsb_exponent=-6, rounding="up"),
    Requantize(bits=24, scale="fp32", b="int8", lsb_exponent=-4),
    Requantize(bits=20, scale="ufixed16_15", b="int8", rounding="nearest_away", stages=5),
    Requantize(bits=16, scale="fp16", b="e4m3fn", rounding="down"),
    Requantize(bits=12, scale="e8m0", b="fp16", stages=1),
]


def check_in_one_batch(specs, vectors=400):
    """In one simulation: building it takes most of the time of a short one."""
    for spec in specs:
        assert from_dict(spec.to_dict()) == spec and spec.name.replace("_", "").isalnum()
    outcome = verify_batch(specs, vectors=vectors)
    assert outcome.passed, outcome.shown


@pytest.mark.parametrize("first", [0, 1])
def test_dot(first):
    check_in_one_batch([DotProduct(**fields) for fields in DOTS[first::2]])


def test_addends():
    specs = [DotProduct(**fields) for fields in ADDENDS]
    mac = MultiplyAccumulate(a="e4m3fn", b="e4m3fn", addend="fp16", accumulator="fp16", stages=7)
    specs += [mac, dataclasses.replace(specs[0], max_products=6, stages=1)]
    # 6 products of −56 to 64 and 2 addends of −2^15 to 2^15 − 1 need 17 bits and a bit.
    assert specs[-1].accumulator_width == 18 and specs[-1].sum_width == 17
    outcome = verify_batch(specs, vectors=300)
    assert outcome.passed, outcome.shown


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"addend": "mxfp4"}, "addend=mxfp4: a format of single numbers"),
        ({"addend": "lns4f3"}, "addend=lns4f3: no hardware decodes its codes"),
        ({"a": "fp32", "b": "fp32", "addend": "e4m3b512"}, "bits, and up to 640 are taken"),
        ({"addend": "fp16", "accumulator": "e4m3"}, "int4 times int4 plus e5m10ieee may be"),
    ],
)
def test_addends_that_no_unit_takes(change, message):
    with pytest.raises(InputError, match=message):
        DotProduct(**{"a": "int4", "b": "int4", "lanes": 2, **change})


def test_mac_and_convert():
    macs = [MultiplyAccumulate(**fields) for fields in MACS]
    check_in_one_batch([*macs, *(Convert(**fields) for fields in CONVERSIONS)])


@pytest.mark.parametrize("first", [0, 1])
def test_blockdot(first):
    check_in_one_batch([BlockDot(**fields) for fields in BLOCK_DOTS[first::2]])


def test_products():
    check_in_one_batch(PRODUCTS, 300)


def test_results_of_formats_without_subnormals_or_zero():
    """Every unit that rounds, to formats whose lowest numbers lie otherwise, and from them."""
    specs = [
        DotProduct(a="e2m1", b="int4", lanes=3, output="e3m2ns", rounding="nearest_away"),
        DotProduct(a="int4", b="int4", lanes=2, accumulator="e4m3fnns:stochastic"),
        MultiDot(formats="int8,int4", lanes=2, output="e5m2ieeens"),
        BlockDot(a="nvfp4", b="nvfp4", blocks=2, output="e5m2ieeens", rounding="stochastic"),
        BlockDot(a="e2m1_b2_e8m0", b="e2m1_b2_e8m0", blocks=3, output="e8m0"),
        Requantize(bits=18, lsb_exponent=-9, scale="ue4m3", b="ue4m3nz", rounding="up"),
        AccumulatorToFloat(bits=22, lsb_exponent=-12, b="e4m3fnns"),
        Convert(a="bf16", b="e8m20ns", rounding="stochastic"),
        Convert(a="ue3m2ieeenz", b="fp16"),
        LMul(a="e4m3fnns", b="e5m2", output="ue3m2ieeenz"),
        Quantizer(a="e8m0", b="e5m2ieeens_b2_ue4m3"),
    ]
    specs = [dataclasses.replace(spec, stages=3) for spec in specs]
    outcome = verify_batch(specs, vectors=300)
    assert outcome.passed, outcome.shown


def test_a_product_of_hundreds_of_bits():
    spec = Multiply(a="fp32", b="fp32", stages=2)
    assert spec.product_width == 555
    cycles = stimuli.concatenate(stimuli.random(spec, 300, 1), stimuli.flush(spec))
    cycles.inputs["b"][:2] = 0x7F800000  # infinity
    outcome = verification.run(spec, cycles)
    assert outcome.passed, outcome.shown


def test_stochastic_rounding_of_a_running_sum_sees_every_bit():
    """Of sums narrower than the random bits, added to a value far above or below them."""
    specs = [
        DotProduct(a="fixed7_4", b="ufixed1_1", lanes=1, accumulator="bf16:stochastic"),
        DotProduct(a="int2", b="int2", lanes=2, accumulator="e4m3:stochastic"),
        DotProduct(a="e2m1", b="int4", lanes=3, accumulator="fp16:stochastic", addend="bf16"),
        MultiplyAccumulate(a="int3", b="int3", accumulator="e5m2:stochastic"),
    ]
    outcome = verify_batch(specs, vectors=4000)
    assert outcome.passed, outcome.shown


def test_a_pipeline_that_does_not_stall_is_found():
    spec = LMul(a="e2m1", b="e2m1", stages=3)
    verilog = hwgen.verilog(spec)
    faulty = verilog.replace("if (enable)", "if (1'b1)")
    assert faulty != verilog
    stimulus = stimuli.concatenate(stimuli.random(spec, 200, 1), stimuli.flush(spec))
    outcome = verification.run(spec, stimulus, verilog=faulty)
    assert not outcome.passed and set(outcome.shown[0].inputs) == {"a", "b"}


def test_sums_to_formats():
    check_in_one_batch(SUMS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"a": "e2m1"}, "a=e2m1: a block format is needed here"),
        ({"b": "e2m1_b24_e8m0"}, "a=mxfp4 has blocks of 32, b=.* of 24"),
        ({"blocks": 9}, "blocks=9 of 32 are 288 lanes: use up to 256"),
        ({"blocks": -1}, "blocks=-1: use a whole number from 1 to 16"),
        ({"output": "mxfp4"}, "output=mxfp4: a format of single numbers"),
        ({"output": "e4m3", "overflow": "special"}, "neither infinity nor NaN"),
        ({"a": "e2m1_b32_fp16"}, "scales have no sign and no infinity"),
        ({"a": "lns3f0_b32_e8m0"}, "no hardware decodes its codes"),
    ],
)
def test_blocks_that_no_unit_takes(change, message):
    with pytest.raises(InputError, match=message):
        BlockDot(**{"a": "mxfp4", "b": "mxfp4", "output": "fp32", **change})


def test_sums_that_no_unit_takes():
    with pytest.raises(InputError, match="scale: give the format of the scale"):
        Requantize(bits=8, scale=None, b="int8")
    with pytest.raises(InputError, match="accumulator_to_float has none; use requantize"):
        AccumulatorToFloat(bits=8, scale="fp32", b="int8")
    with pytest.raises(InputError, match="bits=1: use a whole number from 2 to 1024"):
        AccumulatorToFloat(bits=1, b="int8")
