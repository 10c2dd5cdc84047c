"""The dot product whose formats are switched at run time.

Every code of every mode, switches in mid-sum, and what it costs.
"""

from fractions import Fraction

import numpy as np
import pytest

import hwgen
import yosys_scripts
from hwgen import DotProduct, InputError, MultiDot, emit, parse
from hwgen.sizes.packed_product import Packed
from hwgen.spec import from_dict
from sim import exhaustive, golden, stimulus, verification
from sim.batch import verify_batch
from sim.exhaustive import Case
from sim.models import multidot

INTEGERS = MultiDot(formats="int8,int4,int2", lanes=1)
MINIFLOATS = MultiDot(formats="e4m3fn,e3m2,e2m1", lanes=1)
#: Signs that differ between modes and operands, widths that do not divide each other, fractions.
OTHERS = [
    MultiDot(formats="uint8,int4,int3:uint2,uint8:int8", lanes=1),
    MultiDot(formats="fixed8_6,int5,ufixed4_3,int1", lanes=1),
    MultiDot(formats="int4:int8,uint2:int4,int3", lanes=1),
    MultiDot(formats="e5m2ieee,e4m3fnuz,e0m3:ue4m3,e3m0", lanes=1),
    MultiDot(formats="e4m3ext,e2m1", lanes=1, output="bf16"),
]

#: Lanes, stages, outputs; modes that change in any cycle, bubbles and stalls, both ends.
UNITS = [
    {"formats": "int8,int4,int2", "lanes": 3},
    {"formats": "int8,int4", "lanes": 2, "mapping": "dsp", "stages": 1},
    {"formats": "uint8,int8:int4,int3", "lanes": 5, "stages": 8},
    {"formats": "int12,int5,int1,uint3", "lanes": 2, "output": "int8", "rounding": "stochastic"},
    {"formats": "e4m3ext,e3m2ieee,e2m1", "lanes": 3},
    {"formats": "e4m3,ue4m3:e2m3,e0m3", "lanes": 2, "output": "fp16", "rounding": "down"},
]


def wrong_of(specs):
    """The first wrong results by unit and mode, of all inputs with all values of ``mode``."""
    cases = [
        Case(spec, {"clear": 1, "mode": mode})
        for spec in specs
        for mode in range(1 << spec.inputs[1].bits)
    ]
    wrong_results = exhaustive.check(cases)
    return {
        (str(case.spec.formats), case.fixed["mode"]): wrong[:3]
        for case, wrong in zip(cases, wrong_results, strict=True)
        if wrong
    }


def test_every_pair_of_codes_in_every_mode():
    # All patterns of a lane: the packed codes of narrow modes beside each other, too.
    assert not wrong_of([INTEGERS, MINIFLOATS, *OTHERS])


def test_units_that_switch_in_mid_stream():
    specs = [MultiDot(**{"max_products": 64, **fields}) for fields in UNITS]
    for spec in specs:
        assert from_dict(spec.to_dict()) == spec and spec.name.replace("_", "").isalnum()
    outcome = verify_batch(specs, vectors=300)
    assert outcome.passed, outcome.shown
    switched = stimulus.random(specs[0], 300, 1)
    modes, clear = switched.inputs["mode"][:, 0], switched.inputs["clear"][:, 0]
    # Of a sum that goes on.
    assert np.count_nonzero((modes[1:] != modes[:-1]) & (clear[1:] == 0)) > 100


def of_one_lane(spec, rows):
    """The accumulator after rows of (clear, mode, codes of a, codes of b), packed."""
    inputs = {"clear": [], "mode": [], "a": [], "b": []}
    for clear, mode, *codes in rows:
        inputs["clear"].append([clear])
        inputs["mode"].append([mode])
        for name, operand in zip("ab", codes, strict=True):
            bits = getattr(spec.pairs[min(mode, len(spec.pairs) - 1)], name).bits
            inputs[name].append([sum(code << i * bits for i, code in enumerate(operand))])
    outputs = golden.expected(spec, {k: np.array(v, np.uint64) for k, v in inputs.items()})
    return outputs["accumulator"][:, 0].tolist()


def test_one_sum_of_all_modes_of_integers():
    rows = [
        (1, 0, [0x80], [0x80]),
        (0, 1, [0x8, 0x8], [0x8, 0x8]),
        (0, 2, [2, 2, 2, 2], [2, 2, 2, 2]),
        (0, 3, [2, 1, 3, 0], [1, 1, 1, 1]),
        (0, 1, [1, 2], [3, 0xF]),
        (1, 1, [0x7, 0x9], [0x8, 0x1]),
    ]
    # Mode 3 counts as mode 2: −2 + 1 − 1 + 0.
    assert of_one_lane(INTEGERS, rows[:3]) == [16384, 16384 + 128, 16384 + 128 + 16]
    assert of_one_lane(INTEGERS, rows)[3:] == [16526, 16527, -63]


def test_one_sum_of_all_modes_of_minifloats():
    f = [pair.a for pair in MINIFLOATS.pairs]
    codes = [[int(x.encode(v))] for x, v in zip(f, (448, 28, -0.5), strict=True)]
    rows = [(0, mode, code, code) for mode, code in enumerate(codes)]
    step = 2**18
    assert MINIFLOATS.lsb_exponent == -18
    assert of_one_lane(MINIFLOATS, rows) == [
        448**2 * step,
        (448**2 + 28**2) * step,
        (448**2 + 28**2) * step + step // 4,
    ]


@pytest.mark.parametrize("spec", [INTEGERS, OTHERS[1], MINIFLOATS], ids=lambda s: str(s.formats))
def test_the_golden_model_against_fractions(spec):
    inputs = stimulus.beats(spec, 200, 3)
    got = golden.expected(spec, inputs)["accumulator"][:, 0].tolist()
    total = Fraction(0)
    for cycle, word in enumerate(got):
        mode = min(int(inputs["mode"][cycle, 0]), len(spec.pairs) - 1)
        pair = spec.pairs[mode]
        values = []
        for f, name in ((pair.a, "a"), (pair.b, "b")):
            digits = format(int(inputs[name][cycle, 0]), "064b")[::-1]
            codes = [int(digits[i * f.bits :][: f.bits][::-1], 2) for i in range(8)]
            values.append([float(v) for v in f.decode(codes)])
        counted = list(zip(*values, strict=True))[: spec.products[mode]]
        if inputs["clear"][cycle, 0]:
            total = Fraction(0)
        if any(np.isnan(v) for pair_of in counted for v in pair_of):
            continue  # NaN has a flag, and adds nothing.
        total += sum(Fraction(x) * Fraction(y) for x, y in counted)
        assert word * Fraction(2) ** spec.lsb_exponent == total


def test_bits_above_the_codes_do_not_count():
    spec = MultiDot(formats="int8,int3", lanes=2)
    inputs = multidot.directed(spec)
    assert (inputs["a"][inputs["mode"][:, 0] == 1] >> 6).any()
    full = {**inputs, "a": inputs["a"].copy()}
    full["a"][inputs["mode"][:, 0] == 1] |= np.uint64(0xC0)
    sums, same = (golden.expected(spec, x)["accumulator"].tolist() for x in (inputs, full))
    assert sums == same


def test_a_wrong_weight_is_found_in_the_modes_that_have_it(monkeypatch):
    monkeypatch.setattr(Packed, "weight", property(lambda self: 0))
    wrong = wrong_of([MultiDot(formats="int4,int2", lanes=1)])
    assert set(wrong) == {("int4,int2", 1)}


def test_a_mode_that_does_not_travel_is_found():
    spec = MultiDot(formats="int4,int2", lanes=2, max_products=16, stages=3)
    verilog = hwgen.verilog(spec)
    faulty = verilog.replace("~placed_mode ?", "~signed_mode ?")
    assert faulty != verilog
    outcome = verification.run(spec, verification.whole_stimulus(spec, 100, 1), verilog=faulty)
    assert not outcome.passed


@pytest.mark.parametrize("formats", ["int8,int4,int2", "e4m3fn,e3m2,e2m1"])
def test_it_is_clearly_smaller_than_separate_units(formats):
    spec = MultiDot(formats=formats, lanes=16, stages=5)
    separate = [
        DotProduct(a=pair.a, b=pair.b, lanes=16 * count, stages=4)
        for pair, count in zip(spec.pairs, spec.products, strict=True)
    ]
    together, *alone = (
        yosys_scripts.synthesise(emit.rtlil(s), s.name, target="ecp5", place=False).lut
        for s in (spec, *separate)
    )
    assert max(alone) < together < 0.8 * sum(alone)


def test_widths():
    assert INTEGERS.accumulator_width == 28 and INTEGERS.lsb_exponent == 0
    assert INTEGERS.products == (1, 2, 4) and MINIFLOATS.products == (1, 1, 1)
    # The finest unit and the largest product are of different modes.
    spec = MultiDot(formats="fixed8_6,uint8", lanes=1, max_products=16)
    assert spec.lsb_exponent == -12
    assert spec.accumulator_width == 1 + (255**2 * 16 << 12).bit_length()
    mixed = MultiDot(formats=[("int8", "int4"), parse("int4")], lanes=1)
    assert str(mixed.formats) == "int8:int4,int4" and (mixed.a_bits, mixed.b_bits) == (8, 4)
    assert mixed.products == (1, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"formats": ""}, "formats='': give the formats of each mode"),
        ({"formats": []}, "formats=[]: give the formats of each mode"),
        ({"formats": 8}, "formats=8: give the formats of each mode"),
        ({"formats": "int8"}, "formats=int8: one mode has nothing to switch: use a dot"),
        ({"formats": "int8,,int4"}, "unknown format ''"),
        ({"formats": "int8,int4:int4:int4"}, "'int4:int4:int4' is neither a format nor a pair"),
        ({"formats": "int8,int4,int4:int4"}, "int4 is there twice: give each mode once"),
        ({"formats": "int8,e4m3"}, "integers and minifloats have no multiplier in common"),
        ({"formats": "int8:e4m3,int8"}, "integers and minifloats have no multiplier in common"),
        ({"formats": "int8,lns4f3"}, "formats=lns4f3: no hardware decodes its codes"),
        ({"formats": "int8,mxint8"}, "formats=mxint8: a format of single numbers is needed"),
        ({"formats": ",".join(f"int{n}" for n in range(1, 10))}, "9 modes: use 2 to 8"),
        ({"lanes": 0}, "lanes=0: use a whole number from 1 to 256"),
        ({"max_products": 15}, "max_products=15: use a whole number from 16 to 1048576 (at least"),
        ({"mapping": "luts"}, "mapping='luts'"),
        ({"stages": 99}, "stages=99: use a whole number from 1 to 10"),
        ({"output": "int8", "stages": 1}, "stages=1: use a whole number from 2 to 12"),
        ({"rounding": "up"}, "rounding and overflow are those of the output"),
        ({"output": "lns4f3"}, "lns4f3 cannot be rounded to in hardware"),
    ],
)
def test_bad_fields_say_what_is_allowed(change, message):
    with pytest.raises(InputError) as error:
        MultiDot(**{"formats": "int8,int4,int2", "lanes": 4, **change})
    assert message in str(error.value)
