"""Known faults of other designs, as vectors.

Each drives the hardware, and the golden model is held against constants that were computed without
it. The faults are those of published generators of MX hardware: a block adder that shifts a
negative operand as if it had no sign and moves the scale the wrong way, no single blocks, only
lanes that are powers of two, E8M0 without its NaN, bias and overflow, FP8 scales that are not
OCP's, and a reciprocal taken for a division.
"""

from fractions import Fraction

import numpy as np
import pytest

from hwgen import DotProduct, parse
from hwgen.spec import BlockDot, Quantizer
from sim import golden
from sim.batch import verify_inputs_batch

FP32 = parse("fp32")
INT16 = {"a": "int16_b2_e8m0", "b": "int16_b2_e8m0", "output": "fp32"}
ONE = 127  # E8M0's code of 2^0
NAN, INFINITY = 0x7FC00000, 0x7F800000


def codes(spec, a, a_scale, b, b_scale):
    """Inputs of a unit: rows of values of the elements and codes of the scales."""
    return {
        "a": spec.a.element.encode(np.array(a, float)),
        "a_scale": np.array(a_scale),
        "b": spec.b.element.encode(np.array(b, float)),
        "b_scale": np.array(b_scale),
    }


def fp32(value):
    """The code of a value that FP32 has."""
    value = Fraction(value)
    assert Fraction(float(np.float32(float(value)))) == value
    return int(np.float32(float(value)).view(np.uint32))


#: (blocks, their elements' sums as factors, scales' exponents), and the sum.
ACROSS_BLOCKS = [
    # 100000·2^10 + (−50000)·2^9: a logical shift makes 4231804·2^10 of it.
    (((250, 400), (250, -200)), (10, 9), 100000 * 2**10 - 50000 * 2**9),
    (((250, -200), (250, 400)), (9, 10), 100000 * 2**10 - 50000 * 2**9),
    (((-250, 400), (-250, 200)), (9, 10), -100000 * 2**9 - 50000 * 2**10),
    # The smaller scale's block moves right, whichever it is: 8 + 1/8.
    (((1, 1), (1, 1)), (3, -3), Fraction(65, 8)),
    (((1, 1), (1, 1)), (-3, 3), Fraction(65, 8)),
    (((1, 1), (-1, 1)), (3, -3), Fraction(63, 8)),
]


def blocks_of_different_scale():
    """Exact, and aligned in a window that is wide enough for these."""
    rows = [
        (
            [x for f, _ in factors for x in (f, 0)],
            [ONE + e for e in exponents],
            [x for _, f in factors for x in (f, 1)],
            [ONE, ONE],
        )
        for factors, exponents, _ in ACROSS_BLOCKS
    ]
    wanted = [fp32(total) for *_, total in ACROSS_BLOCKS]
    specs = [
        BlockDot(**INT16, blocks=2, accumulator=kind)
        for kind in ("exact", "aligned:56", "aligned:48:nearest_even")
    ]
    return [(spec, codes(spec, *zip(*rows, strict=True)), {"result": wanted}) for spec in specs]


def what_is_left_out_elsewhere():
    """One block, and block sizes and lanes of any number.

    A block's scale that moves its result up and down, E8M0's NaN, bias and ends.
    """
    single = BlockDot(a="int4_b3_e8m0", b="int4_b3_e8m0", output="fp32")
    window = BlockDot(a="int4_b5_e8m0", b="int4_b5_e8m0", output="fp32", accumulator="aligned:10")
    rows = [
        ((2, 3, -4), 21, ONE, ONE, fp32(-6 + 9 - 28)),
        ((2, 3, -4), 21, ONE + 5, ONE - 7, fp32(Fraction(-25, 4))),
        ((1, 0, 0), 3, 0, 254, fp32(-3)),
        ((1, 0, 0), 3, 0, ONE, 0x80C00000),  # −3·2^−127 is subnormal
        ((7, 7, 7), 3, 254, ONE, INFINITY),  # 21·2^127 and more
        ((-8, 0, 0), 3, 254, 254, INFINITY),
        ((8 - 8, 0, 0), 3, 254, 254, 0),
        ((1, 1, 1), 3, 255, ONE, NAN),
        ((0, 0, 0), 3, ONE, 255, NAN),
    ]
    b = (-3, 3, 7)
    cases = []
    for spec in (single, window):
        extra = [0] * (spec.lanes - 3)
        a = [[*row[0], *extra] for row in rows]
        cases.append(
            (
                spec,
                codes(
                    spec,
                    a,
                    [[row[2]] for row in rows],
                    [[*b, *extra]] * len(rows),
                    [[row[3]] for row in rows],
                ),
                {"result": [row[4] for row in rows]},
            )
        )
    lanes = DotProduct(a="int4", b="int4", lanes=7)
    x, y = np.arange(-8, -1), np.array([1, -2, 3, -4, 5, -6, 7])
    inputs = {"clear": np.array([[1]]), "a": x[None] & 15, "b": y[None] & 15}
    return [*cases, (lanes, inputs, {"accumulator": [int(x @ y)]})]


def the_scale_of_fp8_blocks():
    """1.0 in E4M3: 2^(0 − 8), code 119, elements of 256.

    (Others store 112.)
    """
    spec = Quantizer(a="bf16", b="e4m3fn_b2_e8m0")
    values = np.array([[1.0, 1.0], [448.0, -1.0], [1.9921875, 0.0], [2.0**-126, 0.0], [0.0, 0.0]])
    inputs = {"a": parse("bf16").encode(values)}
    # 256; 448 and −1; 510 saturates to 448; 2^−126 over 2^−127, as small as scales are; zeros.
    e4m3 = [[0x78, 0x78], [0x7E, 0xB8], [0x7E, 0x00], [0x40, 0x00], [0x00, 0x00]]
    return [(spec, inputs, {"scale": [119, 127, 119, 0, 0], "elements": e4m3})]


def a_reciprocal_is_no_division():
    """NVFP4 codes: by default x·(1/(g·s)) in float32 steps, like torchao; ``float32`` divides.

    The two differ at ties, and only there. A unit has the sum of either's codes right.
    """
    nvfp4 = parse("nvfp4")
    tensor_scale = np.float32(0.0123)
    rng = np.random.default_rng(11)
    middles = np.array([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0], np.float32)
    scales = parse("ue4m3").decode(rng.integers(0x20, 0x70, 2000)).astype(np.float32)
    # The largest of each block makes its scale; the others are as near to ties as float32 is.
    steps = np.concatenate(
        [np.full((2000, 1), 6, np.float32), rng.choice(middles, (2000, 15))], axis=1
    )
    values = (steps * (scales * tensor_scale)[:, None]).astype(np.float32)
    blocks = {
        name: nvfp4.encode(values, tensor_scale=float(tensor_scale), arithmetic=name)
        for name in ("float32_reciprocal", "float32")
    }
    default = nvfp4.encode(values, tensor_scale=float(tensor_scale))
    assert np.array_equal(default.elements, blocks["float32_reciprocal"].elements)
    block_scales = parse("ue4m3").decode(default.scales).astype(np.float32).reshape(-1, 1)
    reciprocal = np.float32(1) / tensor_scale / block_scales
    by_hand = {
        "float32_reciprocal": values * reciprocal,
        "float32": values / (block_scales * tensor_scale),
    }
    levels = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6])
    for name, quotients in by_hand.items():
        assert quotients.dtype == np.float32
        distance = np.abs(quotients.astype(np.float64)[..., None] - levels)
        # To nearest; of two, the one of even code.
        nearest = np.argmin(distance + 1e-12 * (np.arange(8) % 2), axis=-1)
        assert np.array_equal(blocks[name].elements.reshape(values.shape), nearest), name
    differ = (blocks["float32"].elements != default.elements).reshape(values.shape)
    assert differ[:, 1:].mean() > 0.01 and not differ[:, 0].any()

    spec = BlockDot(a="nvfp4", b="nvfp4", output="fp32")
    rows = np.flatnonzero(differ.any(axis=1))[:40]
    inputs = {
        "a": np.concatenate([f.elements.reshape(values.shape)[rows] for f in blocks.values()]),
        "a_scale": np.concatenate([f.scales.reshape(-1, 1)[rows] for f in blocks.values()]),
    }
    inputs |= {"b": inputs["a"][::-1], "b_scale": inputs["a_scale"][::-1]}
    wanted = []
    for a, s, b, t in zip(*(inputs[k] for k in ("a", "a_scale", "b", "b_scale")), strict=True):
        total = sum(Fraction(levels[x]) * Fraction(levels[y]) for x, y in zip(a, b, strict=True))
        ends = [Fraction(float(parse("ue4m3").decode(c[0]))) for c in (s, t)]
        # Eight and nine bits in all: float32 has it exactly.
        wanted.append(fp32(total * ends[0] * ends[1]))
    return [(spec, inputs, {"result": wanted})]


FAULTS = (
    blocks_of_different_scale,
    what_is_left_out_elsewhere,
    the_scale_of_fp8_blocks,
    a_reciprocal_is_no_division,
)


@pytest.mark.parametrize("fault", FAULTS)
def test_the_golden_model_has_the_right_numbers(fault):
    for spec, inputs, wanted in fault():
        outputs = golden.expected(spec, inputs)
        for port, numbers in wanted.items():
            got = outputs[port] if np.ndim(numbers) == 2 else outputs[port][:, 0]
            assert got.tolist() == numbers, spec


def test_the_hardware_has_them():
    """All in one simulation, against the golden model."""
    cases = [(spec, inputs) for fault in FAULTS for spec, inputs, _ in fault()]
    outcome = verify_inputs_batch(cases)
    assert outcome.passed, outcome.shown
