"""Block-scaled dot products in the simulator: how blocks come together, and the extremes."""

import dataclasses
import math
from fractions import Fraction

import numpy as np
import pytest
from amaranth.hdl import Cat, Const
from fractions_oracle import floor_log2, minifloat_value, whole

import hwgen.units.blockdot
from hwgen import InputError, parse
from hwgen.accumulator import Aligned
from hwgen.spec import BlockDot, from_dict
from hwgen.spec.blockdot import ALIGNED, ALONE, FIXED_POINT, SHORTENED
from sim import exhaustive, golden
from sim.batch import verify_batch, verify_inputs_batch
from sim.exhaustive import Case

#: Every way of bringing blocks together, with micro-exponents, subnormal scales, other outputs.
SPECS = {
    ALONE: [
        {"a": "e4m3fn_b6_e8m0_m6x2", "b": "int4_b6_e8m0_m3x1", "output": "bf16", "stages": 11},
        {"a": "int4_b2_e8m0", "b": "e0m3_b2_e8m0_m2x1", "output": "fixed1_3"},
    ],
    SHORTENED: [
        {"a": "e5m2ieee_b2_e8m0", "b": "e2m3_b2_e8m0_m1x2", "blocks": 2, "output": "fp32"},
        {"a": "e2m1_b2_e8m0", "b": "fixed4_2_b2_e8m0", "blocks": 4, "output": "bf16"},
        {"a": "e2m1_b2_e8m0", "b": "int4_b2_e8m0", "blocks": 2, "output": "e5m2ieeens"},
        {"a": "e2m1_b2_ue4m3", "b": "int4_b2_e8m0", "blocks": 3, "output": "e8m0"},
    ],
    FIXED_POINT: [
        {"a": "e2m1_b2_ue4m3", "b": "int4_b2_ue4m3_m2x1", "blocks": 3, "output": "bf16"},
    ],
    ALIGNED: [
        {"a": "e4m3fn_b2_e8m0", "b": "e2m1_b2_e8m0", "blocks": 2, "accumulator": "aligned:24"},
        {
            **{"a": "e2m1_b3_e8m0", "b": "int4_b3_ue4m3_m3x1", "blocks": 3},
            **{"accumulator": "aligned:60:nearest_even", "stages": 12},
        },
        {
            **{"a": "int4_b2_ue4m3", "b": "int8_b2_ue5m3", "blocks": 2, "output": "int8"},
            "accumulator": "aligned:16:nearest_away",
        },
    ],
}


def test_every_way_of_summing_blocks():
    specs = []
    for alignment, fields in SPECS.items():
        aligned_so = [BlockDot(**{"output": "fp32", "stages": 5, **f}) for f in fields]
        assert {spec.alignment for spec in aligned_so} == {alignment}
        specs += aligned_so
    for spec in specs:
        assert from_dict(spec.to_dict()) == spec and spec.name.replace("_", "").isalnum()
    outcome = verify_batch(specs, vectors=200)
    assert outcome.passed, outcome.shown


#: Blocks of two sizes, aligned in every way, with micro-exponents, special elements, both orders.
TWO_SIZES = [
    {"a": "e2m1_b2_ue4m3", "b": "e4m3fn_b4_e8m0", "output": "fp32", "stages": 6},
    {
        **{"a": "e4m3fn_b4_e8m0", "b": "e2m1_b2_e8m0", "output": "bf16"},
        **{"pipeline_target": "ecp5", "stages": 8},
    },
    {"a": "int4_b6_ue4m3_m6x1", "b": "e2m1_b3_ue4m3", "blocks": 4, "output": "bf16", "stages": 3},
    {
        **{"a": "int4_b6_ue4m3_m2x1", "b": "e2m1_b3_ue4m3_m3x2"},
        **{"output": "fp16", "rounding": "up", "stages": 5},
    },
    {
        **{"a": "e5m2ieee_b2_ue4m3", "b": "e5m2ieee_b4_ue5m3"},
        **{"output": "fp32", "rounding": "down", "stages": 4},
    },
    {
        **{"a": "int4_b2_e8m0", "b": "e2m1_b4_e8m0"},
        **{"output": "fp32", "accumulator": "aligned:24", "stages": 2},
    },
    {"a": "nvfp4", "b": "mxfp8_e4m3", "output": "fp32", "stages": 4},
]


@pytest.mark.parametrize("first", [0, 1])
def test_blocks_of_two_sizes(first):
    specs = [BlockDot(**fields) for fields in TWO_SIZES]
    assert {spec.alignment for spec in specs} == {SHORTENED, FIXED_POINT, ALIGNED}
    assert [spec.blocks for spec in specs] == [2, 2, 4, 2, 2, 2, 2]
    assert [p.count for p in specs[-1].inputs] == [32, 2, 32, 1]
    outcome = verify_batch(specs[first::2], vectors=200)
    assert outcome.passed, outcome.shown


def test_values_of_blocks_of_two_sizes():
    """The golden model against what the formats' own ``decode`` says of whole operands."""
    rng = np.random.default_rng(4)
    spec = BlockDot(a="nvfp4", b="mxfp8_e4m3", blocks=4, output="fp32")
    inputs = {p.name: rng.integers(0, 1 << p.bits, (300, p.count)) for p in spec.inputs}
    inputs["b_scale"] = rng.integers(110, 140, inputs["b_scale"].shape)
    sums = []
    for row in range(300):
        factors = []
        for name, size in (("a", 16), ("b", 32)):
            f = getattr(spec, name)
            elements = f.element.decode(inputs[name][row])
            scales = f.scale.decode(inputs[f"{name}_scale"][row])
            scale_of_lane = [scales[i // size] for i in range(64)]
            factors.append([e * s for e, s in zip(elements, scale_of_lane, strict=True)])
        pairs = list(zip(*factors, strict=True))
        is_number = np.isfinite(factors).all()
        sums.append(sum(Fraction(x) * Fraction(y) for x, y in pairs) if is_number else None)
    results = spec.output.decode(golden.expected(spec, inputs)["result"][:, 0])
    assert 100 < sum(s is not None for s in sums) < 300
    for result, wanted in zip(results, sums, strict=True):
        if wanted is None:
            assert np.isnan(result)
        else:
            exact = minifloat_value(wanted, spec.output, "nearest_even", "special")[0]
            assert Fraction(float(result)) == exact


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"a": "e2m1_b6_e8m0"},
            "a=e2m1_b6_e8m0 has blocks of 6, b=mxfp8_e4m3 of 32: use block sizes of which one is a "
            "multiple of the other, such as e4m3fn_b6_e8m0 for b",
        ),
        (
            {"a": "e2m1_b1_e8m0"},
            "a=e2m1_b1_e8m0 has blocks of 1, b=mxfp8_e4m3 of 32: use block sizes that differ by a "
            "factor of up to 16, which is what a cycle sums",
        ),
        (
            {"blocks": 3},
            "blocks=3: 2 blocks of 16 share the scale of one of 32: use a multiple of 2, up to 16",
        ),
        ({"blocks": 16, "b": "e2m1_b64_e8m0"}, None),
        ({"blocks": 18}, "blocks=18: use a whole number from 1 to 16"),
    ],
)
def test_blocks_that_do_not_fill_the_larger(change, message):
    fields = {"a": "nvfp4", "b": "mxfp8_e4m3", "output": "fp32", **change}
    if message is None:
        assert BlockDot(**fields).lanes == 256
        return
    with pytest.raises(InputError) as error:
        BlockDot(**fields)
    assert str(error.value) == message


#: Signs of three blocks, the rounding and the output of their sum.
SMALL = (
    ((1, 1, -1), "nearest_even", "e5m0"),
    ((1, -1, 1), "down", "e4m2"),
    ((-1, 1, -1), "nearest_away", "e5m1"),
    ((1, -1, -1), "nearest_even", "e4m2"),
)


def small_case(signs, rounding, output, **more):
    """Three blocks of one element, 0 or −1 (1 bit), with scales of 0 and 15 powers of two.

    The other operand's elements stand still. All patterns of them: 15 bits.
    """
    fields = {"output": output, "rounding": rounding, "blocks": 3, "stages": 8, **more}
    spec = BlockDot(a="int1_b1_ue4m0", b="e1m0_b1_ue1m0", **fields)
    b = parse("e1m0").encode([2.0 * sign for sign in signs])
    return Case(spec, {"b": sum(int(c) << 2 * i for i, c in enumerate(b)), "b_scale": 0b111})


def unit_of(spec):
    """Of an aligned accumulator of products that are 0 or 1: its exponent below the largest."""
    exponent = -64
    while spec.blocks * max(math.ceil(Fraction(2) ** -exponent), 1) >= 2 ** (
        spec.accumulator.bits - 1
    ):
        exponent += 1
    return exponent


def rounded_by_hand(spec, patterns):
    """What three blocks of one element sum to, in fractions."""
    element, scale, other = spec.a.element, spec.a.scale, spec.b.element
    terms, exponents = [], []
    for i in range(3):
        x = Fraction(float(element.decode(patterns["a"][i])))
        y = Fraction(float(other.decode(patterns["b"][i])))
        s = Fraction(float(scale.decode(patterns["a_scale"][i])))
        t = Fraction(float(spec.b.scale.decode(patterns["b_scale"][i])))
        terms.append(x * y * s * t)
        lowest = 1 - scale.bias
        exponents.append(max(floor_log2(s), lowest) if s else lowest)
    if isinstance(spec.accumulator, Aligned):
        # The elements of b are twos, its scale is what it is at its one exponent.
        unit = Fraction(2) ** (unit_of(spec) + max(exponents)) * 2 * t
        terms = [whole(term / unit, spec.accumulator.rounding) * unit for term in terms]
    return minifloat_value(sum(terms), spec.output, spec.rounding, spec.overflow)[0]


def test_all_sums_of_three_blocks():
    """Gaps shortened, and aligned in windows of few bits: all patterns of scales and elements."""
    cases = [small_case(*case) for case in SMALL]
    assert {case.spec.alignment for case in cases} == {SHORTENED}
    for window in ("5", "6:nearest_even", "9:toward_zero"):
        cases.append(small_case(*SMALL[1], accumulator=f"aligned:{window}"))
    assert {case.spec.alignment for case in cases[4:]} == {ALIGNED}
    assert not [wrong[:3] for wrong in exhaustive.check(cases) if wrong]
    # The golden model that they are held against, on some of the same by hand.
    rng = np.random.default_rng(2)
    for case in cases[1::2]:
        patterns = exhaustive._patterns(case)
        codes = golden.expected(case.spec, patterns)["result"][:, 0]
        for row in rng.integers(0, len(codes), 100):
            row_inputs = {name: rows[row] for name, rows in patterns.items()}
            wanted = rounded_by_hand(case.spec, row_inputs)
            assert Fraction(float(case.spec.output.decode(codes[row]))) == wanted, (
                case.spec,
                row_inputs,
            )


def test_faults_in_bringing_blocks_together_are_found(monkeypatch):
    """One fault in each case.

    Gaps too short, no word of what lies below, and a negative number that is shifted as if it were
    none.
    """
    short, restless, logical = cases = [
        small_case(*SMALL[0]),
        small_case(*SMALL[3]),
        small_case(*SMALL[1], accumulator="aligned:9"),
    ]
    gap = BlockDot.gap.fget
    monkeypatch.setattr(
        BlockDot, "gap", property(lambda spec: gap(spec) - 2 * (spec == short.spec))
    )
    leading_bits, moved_right = (
        getattr(hwgen.units.blockdot, name) for name in ("leading_bits", "moved_right")
    )

    def without_rest(m, magnitude, kept, name):
        significand, zeros = yield from leading_bits(m, magnitude, kept, name)
        return significand & ~int(kept == restless.spec.kept_bits), zeros

    def without_sign(m, term, *rest):
        return moved_right(m, Cat(term, Const(0, 1)), *rest)

    monkeypatch.setattr(hwgen.units.blockdot, "leading_bits", without_rest)
    monkeypatch.setattr(hwgen.units.blockdot, "moved_right", without_sign)
    assert short.spec.kept_bits != restless.spec.kept_bits and logical.spec.alignment == ALIGNED
    assert all(exhaustive.check(cases))


def given(spec, rows):
    """Rows of (a, scales of a, b, scales of b), values but for scales, which are codes."""
    columns = list(zip(*rows, strict=True))
    return {
        "a": spec.a.element.encode(np.array(columns[0], float)),
        "a_scale": np.array(columns[1]),
        "b": spec.b.element.encode(np.array(columns[2], float)),
        "b_scale": np.array(columns[3]),
    }


PAIR, ZEROS = [1.0, 0.0], [0.0, 0.0]
NAN, INFINITY, SIGN = 0x7FC00000, 0x7F800000, 0x80000000
#: Elements and scales of a and b, and the result, in FP32.
ONE_BLOCK = [
    ((PAIR, [127], PAIR, [127]), 0x3F800000),
    ((PAIR, [0], PAIR, [254]), 0x3F800000),  # 2^−127 · 2^127: code 0 is no zero.
    ((PAIR, [0], PAIR, [127]), 0x00400000),  # 2^−127, subnormal in FP32
    ((PAIR, [0], PAIR, [105]), 0x00000001),  # 2^−149
    ((PAIR, [0], PAIR, [104]), 0x00000000),  # 2^−150: a tie, to even
    (([-1.5, 0], [0], PAIR, [104]), SIGN | 1),
    (([2.0**-9, 0], [0], [-(2.0**-9), 0], [0]), SIGN),
    ((PAIR, [254], PAIR, [127]), 0x7F000000),
    ((PAIR, [254], PAIR, [128]), INFINITY),
    (([-448.0, -448.0], [254], [448.0, 448.0], [254]), SIGN | INFINITY),
    ((PAIR, [255], PAIR, [127]), NAN),
    ((ZEROS, [127], ZEROS, [255]), NAN),
    ((ZEROS, [254], [448.0, 448.0], [254]), 0),  # A block of zeros, at the largest scales.
]
#: The results with an exact sum, and in a window of 48 bits.
TWO_BLOCKS = [
    # A zero block beside one that is not, on either side.
    (([0, 0, 1, 0], [254, 0], [1, 0, 1, 0], [254, 127]), (0x00400000, 0)),
    (([1, 0, 0, 0], [127, 0], [1, 0, 0, 0], [127, 0]), (0x3F800000,) * 2),
    # 2^254 − 2^254 + what is left of it is exact, and lost in a window.
    (([1, 1, -1, 1], [254, 254], [1, 2**-9, 1, 0], [254, 254]), (INFINITY,) * 2),
    (([1, 0, -1, 0], [254, 254], [1, 0, 1, 0], [254, 254]), (0, 0)),
    # 2^127 − 2^-140: below the largest power of two by less than half a step.
    (([1, 0, -1, 0], [254, 0], [1, 0, 1, 0], [127, 114]), (0x7F000000, 0x7F000000)),
    (([1, 0, 1, 0], [127, 255], [1, 0, 0, 0], [127, 127]), (NAN, NAN)),
]
#: In FP16.
NVIDIA = [
    ((PAIR, [0x38], PAIR, [0x38]), 0x3C00),
    (([6.0, 6.0], [0x7E], [6.0, 0], [0x38]), 0x73E0),  # 448·36 = 16128
    (([6.0, 6.0], [0x7E], [6.0, 6.0], [0x7E]), 0x7C00),  # 448²·72, infinite in FP16
    (([-6.0, 6.0], [0x00], [6.0, 6.0], [0x7E]), 0x0000),  # A scale of zero
    # UE4M3's smallest, 2^−9: −(2^−9)²·¼ = −2^−20 is 16 of FP16's smallest, 2^−24.
    (([0.5, 0], [0x01], [-0.5, 0], [0x01]), 0x8010),
]


def test_extremes_of_scales_and_results():
    """Scales and results at their ends, against constants.

    E8M0 codes 0, 254, 255, UE4M3's zero and largest, zero blocks, results beyond the largest and
    below the smallest normal number.
    """
    mx = BlockDot(a="e4m3fn_b2_e8m0", b="e4m3fn_b2_e8m0", output="fp32")
    two = BlockDot(a="e4m3fn_b2_e8m0", b="e4m3fn_b2_e8m0", blocks=2, output="fp32")
    cut = BlockDot(
        **{"a": "e4m3fn_b2_e8m0", "b": "e4m3fn_b2_e8m0", "blocks": 2, "output": "fp32"},
        accumulator="aligned:48",
    )
    nv = BlockDot(a="e2m1_b2_ue4m3", b="e2m1_b2_ue4m3", output="fp16")
    cases = [
        (mx, given(mx, [row for row, _ in ONE_BLOCK])),
        (two, given(two, [row for row, _ in TWO_BLOCKS])),
        (cut, given(cut, [row for row, _ in TWO_BLOCKS])),
        (nv, given(nv, [row for row, _ in NVIDIA])),
    ]
    wanted = [
        [code for _, code in ONE_BLOCK],
        [code for _, (code, _) in TWO_BLOCKS],
        [code for _, (_, code) in TWO_BLOCKS],
        [code for _, code in NVIDIA],
    ]
    for (spec, inputs), codes in zip(cases, wanted, strict=True):
        assert golden.expected(spec, inputs)["result"][:, 0].tolist() == codes, spec
    outcome = verify_inputs_batch(cases)
    assert outcome.passed, outcome.shown


def test_an_aligned_window_is_as_wide_as_it_says():
    """The largest sums that there are, of either sign, do not overflow; one bit fewer would."""
    spec = BlockDot(
        **{"a": "int4_b2_e8m0", "b": "int4_b2_e8m0", "blocks": 3, "output": "fp32"},
        accumulator="aligned:10",
    )
    # Sums of blocks from −112 to 128: 3 · 128 = 384 needs 10 bits, so the unit is one.
    assert spec.window_drop == 0 and spec.block_range == (-112, 128)
    for bits, drop in ((9, 1), (8, 2), (12, -2)):
        assert dataclasses.replace(spec, accumulator=f"aligned:{bits}").window_drop == drop


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"accumulator": "fp32"}, "blocks are summed exact, or aligned:W"),
        ({"accumulator": "aligned"}, "such as aligned:32 or aligned:32:nearest_even"),
        ({"accumulator": "aligned:0"}, "blocks are summed exact"),
        ({"accumulator": "aligned:24:stochastic"}, "rounding='stochastic': use one of"),
        ({"accumulator": "aligned:3"}, "for 2 blocks of mxfp4 x mxfp4 use 4 to 523 bits, or exact"),
        ({"accumulator": "aligned:524"}, "use 4 to 523 bits, or exact"),
    ],
)
def test_windows_that_are_none(change, message):
    with pytest.raises(InputError, match=message):
        BlockDot(**{"a": "mxfp4", "b": "mxfp4", "blocks": 2, "output": "fp32", **change})
