"""The array in the simulator, matrix products by it, and what its spec refuses."""

from fractions import Fraction

import numpy as np
import pytest
from amaranth.hdl import Fragment

import hwgen
from hwgen import Array, InputError, parse
from hwgen.cli import main
from hwgen.spec import from_dict
from sim import golden, matmul, verification
from sim import stimulus as stimuli
from sim.batch import run_batch, verify_batch

RNG = np.random.default_rng(5)
WEIGHTS = {"dataflow": "weight_stationary"}
SYSTOLIC = {"movement": "systolic"}
BOTH = {**WEIGHTS, **SYSTOLIC}

#: Dataflows, movements, shapes, kinds of formats and of accumulators, specials, stages.
MATRIX = [
    {"a": "int8", "b": "int8", "rows": 2, "columns": 3, "lanes": 3},
    {"a": "int8", "b": "uint4", "rows": 3, "columns": 2, "lanes": 5, "stages": 1, **SYSTOLIC},
    {"a": "int5", "b": "int8", "rows": 3, "columns": 2, "lanes": 3, **WEIGHTS},
    {"a": "int8", "b": "e2m1", "rows": 2, "columns": 3, "stages": 2, **BOTH},
    {"a": "e4m3fn", "b": "int4", "rows": 2, "columns": 1, **SYSTOLIC},
    {"a": "e4m3fn", "b": "e5m2ieee", "rows": 2, "columns": 2, "lanes": 2, **WEIGHTS},
    {"a": "e5m2ieee", "b": "e2m1", "rows": 3, "columns": 1, **BOTH},
    {"a": "e2m3", "b": "e4m3fn", "rows": 1, "columns": 2, "lanes": 3, "accumulator": "fp16"},
    {"a": "int4", "b": "e2m1", "rows": 3, "columns": 2, "accumulator": "fp16", **BOTH},
    {"a": "int8", "b": "int8", "rows": 1, "columns": 1, "output": "int8", "rounding": "stochastic"},
    {"a": "int8", "b": "int8", "rows": 1, "columns": 1, "accumulator": "fixed:18", **BOTH},
    {"a": "e3m2", "b": "e3m2", "rows": 2, "columns": 2, "lanes": 2, "output": "fp16", "stages": 8}
    | SYSTOLIC,
    # Before the first load weights are zero, which this format has not.
    {"a": "e5m2ieee", "b": "e8m0", "rows": 2, "columns": 1, "accumulator": "bf16", **BOTH},
]
BLOCKS = [
    {"a": "e2m1_b4_ue4m3", "b": "int4_b4_ue4m3", "rows": 2, "columns": 2, "accumulator": "bf16"},
    {"a": "e2m1_b2_e8m0", "b": "e4m3fn_b2_e8m0", "rows": 1, "columns": 3, "accumulator": "fp32"}
    | SYSTOLIC,
    {"a": "e2m1_b4_ue4m3", "b": "e2m1_b4_ue4m3", "rows": 2, "columns": 1, "blocks": 2} | SYSTOLIC,
    {"a": "int4_b2_ue4m3", "b": "e2m1_b2_ue5m3", "rows": 3, "columns": 2, **WEIGHTS},
    {"a": "e2m1_b2_ue4m3", "b": "e2m1_b2_ue4m3", "rows": 2, "columns": 2, "output": "fp16"} | BOTH,
    {"a": "e2m1_b2_ue4m3", "b": "e2m1_b2_ue4m3", "rows": 1, "columns": 2, "accumulator": "fp16"}
    | WEIGHTS,
    # Blocks of two sizes.
    {"a": "e2m1_b2_ue4m3", "b": "e4m3fn_b4_e8m0", "rows": 1, "columns": 2, "output": "bf16"},
    {"a": "int4_b4_ue4m3", "b": "e2m1_b2_ue4m3", "rows": 2, "columns": 1, "blocks": 4} | BOTH,
]


@pytest.mark.parametrize("group", [MATRIX, BLOCKS], ids=["numbers", "blocks"])
def test_unit_equals_golden_model(group):
    # More stages are registers that take long to build.
    specs = [Array(max_products=24, **{"stages": 4, **fields}) for fields in group]
    for spec in specs:
        assert from_dict(spec.to_dict()) == spec and spec.name.replace("_", "").isalnum()
    outcome = verify_batch(specs, vectors=150)
    assert outcome.passed, outcome.shown


@pytest.mark.parametrize(
    ("fields", "old", "new"),
    [
        # An operand comes to the second column a cycle too soon.
        (
            {"columns": 2, **SYSTOLIC},
            ".moved_0_1_a_0_significand(moved_0_1_a_0_significand)",
            ".moved_0_1_a_0_significand(products_a_0_0_significand)",
        ),
        # The second row takes its weights with the first.
        ({"rows": 2, **WEIGHTS}, "& load[1]", "& load[0]"),
    ],
    ids=["skew", "load"],
)
def test_a_fault_is_found(fields, old, new):
    spec = Array(**{"a": "int4", "b": "int4", "rows": 1, "columns": 1, "stages": 4, **fields})
    faulty = hwgen.verilog(spec).replace(old, new)
    assert faulty != hwgen.verilog(spec)
    stimulus = stimuli.concatenate(stimuli.random(spec, 200, 1), stimuli.flush(spec))
    assert not verification.run(spec, stimulus, verilog=faulty).passed


def test_movements_differ_in_latency_alone():
    """The golden model, which the hardware of both is held against, does not know of them."""
    fields = {"a": "int4", "b": "e2m1", "rows": 3, "columns": 4, "lanes": 2, "stages": 4}
    for dataflow in ({}, WEIGHTS):
        broadcast, systolic = Array(**fields, **dataflow), Array(**fields, **dataflow, **SYSTOLIC)
        assert systolic.latency == broadcast.latency + 5 and broadcast.outputs == systolic.outputs


def test_as_many_stages_as_there_are_steps():
    for fields in [*MATRIX[::2], *BLOCKS[::2]]:
        fields = {**fields, "stages": 2}
        most = Array(max_products=24, **fields).most_stages
        unit = hwgen.component(Array(max_products=24, **{**fields, "stages": most}))
        Fragment.get(unit, None)
        assert len(unit.spec.steps) == most - 1
        with pytest.raises(InputError, match="stages="):
            Array(max_products=24, **{**fields, "stages": most + 1})


def test_specials_stay_in_their_row_and_column():
    spec = Array(a="e5m2ieee", b="e4m3fn", rows=2, columns=2, lanes=2)
    a = spec.a.encode([[[1, 2], [np.inf, 1]], [[1, 1], [-np.inf, 1]]], overflow="special")
    b = spec.b.encode([[[1, 1], [np.nan, 3]], [[2, 1], [1, 1]]])
    inputs = {"clear": np.array([[1], [0]]), "a": a.reshape(2, 4), "b": b.reshape(2, 4)}
    got = golden.expected(spec, inputs)
    assert got["nan"].tolist() == [[0, 1, 0, 1], [0, 1, 1, 1]]
    assert got["positive_infinity"].tolist() == [[0, 0, 1, 0], [0, 0, 0, 0]]
    # 1·1 + 2·1, then 1·2 + 1·1 more.
    unit = 2.0**spec.lsb_exponent
    assert [int(v) * unit for v in got["accumulator"][:, 0]] == [3, 6]


def _operand(name, shape):
    """Random codes (rows, K), the scales of their blocks, and the numbers that they are."""
    f = parse(name)
    if f.scale is not None:
        blocks = f.encode(RNG.normal(size=shape), axis=1)
        codes = blocks.elements.reshape(shape[0], -1)[:, : shape[1]]
        return codes, blocks.scales, blocks.decode()
    codes = RNG.integers(0, 2**f.bits, shape).astype(f.code_dtype)
    return codes, None, f.decode(codes)


def _fractions(values):
    return np.vectorize(lambda v: Fraction(float(v)), otypes=[object])(values)


#: Formats, shapes, and sizes M, K, N that are no multiples of a tile.
PRODUCTS = [
    ("int8", "int8", {"rows": 2, "columns": 3, "lanes": 3}, (5, 11, 4)),
    ("e4m3", "e4m3", {"rows": 3, "columns": 2, "lanes": 2}, (4, 15, 5)),
    ("mxfp4", "mxfp4", {"rows": 2, "columns": 1}, (3, 150, 2)),
    ("e2m1_b4_ue4m3", "e4m3fn_b8_e8m0", {"rows": 2, "columns": 1}, (3, 45, 2)),
]


def test_matrix_products_of_the_simulated_array():
    """In tiles, from the Verilog: the product is that of Python's fractions.

    What it answers to the very inputs that ``matmul`` drives is the golden model's, whose tiles
    make the product.
    """
    specs, driven = [], []
    for first, second, shape, (m, k, n) in PRODUCTS:
        a, a_scale, x = _operand(first, (m, k))
        b, b_scale, y = _operand(second, (n, k))
        scales = {} if a_scale is None else {"a_scale": a_scale, "b_scale": b_scale.T}
        wanted = _fractions(x) @ _fractions(y).T
        for fields in ({}, {**BOTH}):
            spec = Array(a=first, b=second, max_products=256, stages=4, **shape, **fields)
            parts = []

            def answers(spec, inputs, parts=parts):
                parts.append(stimuli.given(inputs))
                return golden.expected(spec, inputs)

            got = matmul(spec, a, b.T, answers=answers, **scales)["accumulator"]
            assert got.shape == (m, n)
            assert (got.astype(object) * Fraction(2) ** spec.lsb_exponent == wanted).all()
            if first == "int8":
                assert np.array_equal(
                    got.astype(np.int64), x.astype(np.int64) @ y.T.astype(np.int64)
                )
            if "dataflow" in fields:
                assert len(parts) > 1  # Sums over tiles come in again.
            specs.append(spec)
            driven.append(stimuli.concatenate(*parts, stimuli.flush(spec)))
    outcome = run_batch(list(zip(specs, driven, strict=True)))
    assert outcome.passed, outcome.shown


def test_a_rounded_product_is_that_of_the_accumulator():
    spec = Array(a="int8", b="int8", rows=2, columns=2, lanes=2, accumulator="fp32")
    a, b = (RNG.integers(0, 256, (3, 3)).astype(np.uint8) for _ in range(2))
    got = matmul(spec, a, b)["accumulator"]
    values = spec.a.decode(a) @ spec.b.decode(b)
    assert np.array_equal(spec.accumulator.format.decode(got), values)


def test_products_that_the_array_does_not_make():
    spec = Array(a="int8", b="int8", rows=2, columns=2, max_products=8)
    a = np.zeros((3, 9), np.uint8)
    with pytest.raises(InputError, match=r"shapes \(3, 9\) and \(3, 9\): use \(M, K\)"):
        matmul(spec, a, a)
    with pytest.raises(InputError, match=r"K=9 takes 9 products .* up to max_products=8"):
        matmul(spec, a, a.T)
    with pytest.raises(InputError, match="a=int8: a_scale has no meaning"):
        matmul(spec, a, a.T, a_scale=a)
    rounds = Array(a="int8", b="int8", rows=2, columns=2, output="int8", **WEIGHTS)
    with pytest.raises(InputError, match="output=int8: 5 tiles along K would be rounded each"):
        matmul(rounds, a, a.T)
    scales = Array(a="e8m0", b="e8m0", rows=2, columns=2, lanes=2)
    with pytest.raises(InputError, match="no zero to fill up tiles of 2"):
        matmul(scales, a, a.T)
    blocks = Array(a="mxfp4", b="mxfp4", rows=1, columns=1)
    with pytest.raises(InputError, match="a_scale of 1 scales: 27 codes of mxfp4 have 3 x 1"):
        matmul(blocks, a, a.T, a_scale=[[1]], b_scale=[[1, 1, 1]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": 0}, "rows=0: use a whole number from 1 to 64"),
        ({"columns": 65}, "columns=65: use a whole number from 1 to 64"),
        ({"dataflow": "row"}, "dataflow='row': use one of output_stationary, weight_stationary"),
        ({"movement": "bus"}, "movement='bus': use one of broadcast, systolic"),
        ({"b": "mxfp4"}, "a=int8 and b=mxfp4: use two block formats, or two of single numbers"),
        ({"blocks": 2}, "blocks=2: int8 and int8 have no blocks; give lanes"),
        ({"a": "mxfp4", "b": "mxfp4", "lanes": 8}, "lanes=8: 1 of mxfp4 have 32 numbers"),
        ({"a": "mxfp4", "b": "e2m1_b12_e8m0"}, "a=mxfp4 has blocks of 32, b=e2m1_b12_e8m0 of 12"),
        ({"a": "mxfp4", "b": "nvfp4", "blocks": 1}, "blocks=1: 2 blocks of 16 share the scale"),
        ({"rows": 64, "columns": 64, "lanes": 2}, "are 8192 products in a cycle: use up to 4096"),
        ({"rows": 64, "columns": 64}, "the ports of 64 x 64 elements have .* bits, with 28 of"),
        ({"max_products": 1, "lanes": 2}, "at least the 2 products that one cycle sums"),
        ({"max_products": 5, "rows": 6, **WEIGHTS}, "at least the 6 products that one cycle sums"),
        ({"stages": 1, **WEIGHTS}, "stages=1: use a whole number from 2 to"),
        ({"a": "e4m3fn", "accumulator": "e4m3"}, "accumulator=e4m3 has no NaN"),
        ({"accumulator": "fp32", "output": "bf16"}, "leave output out"),
        ({"a": "lns4f3"}, "a=lns4f3: no hardware decodes its codes yet"),
        ({"mapping": "ram"}, "mapping='ram': use one of"),
    ],
)
def test_arrays_that_are_not_made(change, message):
    with pytest.raises(InputError, match=message):
        Array(**{"a": "int8", "b": "int8", "rows": 2, "columns": 2, **change})


def test_an_element_has_a_lane_or_a_block_unless_told():
    assert Array(a="int8", b="int8", rows=2, columns=2).lanes == 1
    spec = Array(a="mxfp4", b="mxfp4", rows=2, columns=2)
    assert (spec.blocks, spec.lanes) == (1, 32) and from_dict(spec.to_dict()) == spec


def test_command_line(capsys, tmp_path):
    unit = ["array", "--a", "int4", "--b", "int4", "--rows", "2", "--columns", "1"]
    assert main(["generate", *unit, "--all", "--out", str(tmp_path)]) == 0
    assert (
        "latency 3 cycles, accumulator width 20, lsb exponent 0, skew 0" in capsys.readouterr().out
    )
    assert main(["generate", *unit, "--movement", "diagonal"]) == 2
    assert "movement='diagonal': use one of" in capsys.readouterr().err
