"""Elements of blocks that share a multiplier: every code of small blocks, extremes of others."""

import itertools

import numpy as np
import pytest

import hwgen
import yosys_scripts
from cost_models import structure
from hwgen import Array, emit
from hwgen.sizes.pair_packing import BIASED, CODE, MAGNITUDE
from hwgen.spec import BlockDot
from sim import compiled, exhaustive, golden
from sim.batch import verify_inputs_batch
from sim.exhaustive import Case
from sim.formal.aig import FALSE, TRUE, Aig, every_pattern
from sim.formal.circuit import from_netlist, from_rtlil

OPERANDS = ("a", "b", "a_scale", "b_scale")
WEIGHTS = {"dataflow": "weight_stationary"}
SYSTOLIC = {"movement": "systolic"}
#: Patterns that are evaluated at once.
AT_ONCE = 16


def operand_ports(spec):
    return [port for port in spec.inputs if port.name in OPERANDS]


def first_sums(circuit, spec):
    """What the accumulators are after one cycle, in terms of that cycle's codes."""
    aig = Aig()
    inputs = {port.name: aig.inputs(port.name, port.width) for port in spec.inputs}
    codes = [literal for port in operand_ports(spec) for literal in inputs[port.name]]
    inputs |= {"enable": [TRUE], "valid_in": [TRUE], "clear": [TRUE], "rst": [FALSE]}
    inputs = {name: inputs[name] for name in circuit.inputs if name != "clk"}
    _, state = circuit.step(aig, [FALSE] * len(circuit.registers), inputs, "first")
    outputs, _ = circuit.step(aig, state, inputs, "second")
    return aig, codes, {p.name: outputs[p.name] for p in spec.outputs}


def wrong_codes(spec, circuit):
    """Patterns of all codes after which an output differs from the golden model's."""
    aig, codes, outputs = first_sums(circuit, spec)
    assert set(aig.support(part for port in outputs.values() for part in port)) <= {
        code >> 1 for code in codes
    }
    varied, fixed = codes[:AT_ONCE], codes[AT_ONCE:]
    patterns = np.arange(1 << len(varied))
    words = every_pattern([code >> 1 for code in varied])
    found = []
    for high in range(1 << len(fixed)):
        place = {code >> 1: TRUE if high >> i & 1 else FALSE for i, code in enumerate(fixed)}
        numbers = patterns | high << AT_ONCE
        inputs, low = {"clear": np.ones((len(numbers), 1), np.int64)}, 0
        for port in operand_ports(spec):
            ends = low + port.bits * np.arange(port.count)
            inputs[port.name] = numbers[:, None] >> ends & ((1 << port.bits) - 1)
            low += port.width
        expected = golden.expected(spec, inputs)
        for port in spec.outputs:
            results = aig.evaluated(aig.substituted(outputs[port.name], place), words)
            bits = np.unpackbits(results.view(np.uint8), axis=1, bitorder="little")
            got = bits[:, : len(numbers)].T.reshape(len(numbers), port.count, port.bits)
            wanted = expected[port.name][:, :, None] >> np.arange(port.bits) & 1
            found += numbers[(got != wanted).any(axis=(1, 2))].tolist()
    return found


def block(element, size=1, scale="ue1m1"):
    return f"{element}_b{size}_{scale}"


#: Two's complement with neighbours of either sign, without sign, mixed; a sign apart, and NaN, of
#: elements and of scales; two block sizes; more than two products in a multiplier.
SMALL = (
    {"a": block("int2", 2), "b": block("int2", 2), "rows": 2, "columns": 1},
    {"a": block("int3"), "b": block("int3"), "rows": 1, "columns": 2},
    {"a": block("int2"), "b": block("int2"), "rows": 2, "columns": 2},
    {"a": block("uint2"), "b": block("int2"), "rows": 1, "columns": 3, "mapping": "dsp27x18"},
    {"a": block("int2", 2, "ue1m0"), "b": block("int2", 1, "ue1m0"), "rows": 1, "columns": 2},
    {"a": block("e2m1"), "b": block("int2"), "rows": 1, "columns": 2, "mapping": "dsp25x18"},
    {"a": block("e2m1fn"), "b": block("e2m1"), "rows": 1, "columns": 2, "mapping": "dsp27x18"},
    {"a": block("e1m1"), "b": block("e0m3", 1, "ue2m1fn"), "rows": 2, "columns": 1},
)


def small(fields):
    return Array(**{"mapping": "dsp18x18", "stages": 1, "max_products": 4, **fields})


def test_every_code_of_small_blocks():
    specs = [small(fields) for fields in SMALL]
    assert {spec.packing.is_signed for spec in specs} == {False, True}
    assert {spec.packing.products for spec in specs} == {2, 3, 4}
    circuits = from_rtlil({spec.name: emit.rtlil(spec) for spec in specs})
    assert {spec.name: wrong_codes(spec, circuits[spec.name])[:3] for spec in specs} == {
        spec.name: [] for spec in specs
    }


def test_a_neighbour_without_its_correction_is_found(monkeypatch):
    """A product takes one from that above where it is negative, which half of x makes good."""
    spec = small(SMALL[1])
    monkeypatch.setattr(
        "hwgen.arithmetic.grid_packing._field_product", lambda plan, field: field.as_signed()
    )
    (circuit,) = from_rtlil({spec.name: emit.rtlil(spec)}).values()
    assert wrong_codes(spec, circuit)


@pytest.mark.parametrize(
    ("target", "cell", "fields"),
    [
        ("ecp5", "MULT18X18D ", {"a": block("int3", 1, "ue1m0"), "b": block("int3", 1, "ue1m0")}),
        (
            "xcup",
            "DSP48E2 #",
            {
                **{"a": block("e2m1", 1, "ue1m0"), "b": block("e2m1fn", 1, "ue1m0")},
                "mapping": "dsp27x18",
            },
        ),
        (
            "xc7",
            "DSP48E1 #",
            {
                **{"a": block("int3", 1, "ue1m0"), "b": block("int2", 1, "ue1m0")},
                "mapping": "dsp25x18",
            },
        ),
    ],
    ids=["ecp5", "xcup", "xc7"],
)
def test_a_netlist_of_every_code(target, cell, fields):
    spec = small({"rows": 1, "columns": 2, **fields})
    netlist = yosys_scripts.netlist(
        emit.rtlil(spec), spec.name, target=target, mapping=spec.mapping
    )
    # One for both products, and one for each of the sums that a scale of zero makes zero.
    assert spec.packing.products == 2
    assert (
        netlist.verilog.count(cell) == structure.counted(structure.inputs(spec), "dsp", target) == 3
    )
    assert not wrong_codes(spec, from_netlist(netlist))


def extremes(f):
    """Codes at the ends of a format, about zero, and those that are no numbers."""
    codes = np.arange(1 << f.bits)
    numbers = f.decode(codes)
    finite = np.isfinite(numbers)
    values = np.unique(numbers[finite])
    ends = [*values[:2], *values[-2:], *values[np.argsort(abs(values))[:3]]]
    return np.concatenate([np.flatnonzero(np.isin(numbers, ends)), codes[~finite][:2]])


#: Fields that are full: two integers of eight bits, in both orders; four of four; minifloats.
EXTREME = (
    {"a": "int8_b1_e8m0", "b": "int8_b1_e8m0", "rows": 1, "columns": 2, "mapping": "dsp25x18"},
    {"a": "int8_b1_e8m0", "b": "int8_b1_e8m0", "rows": 2, "columns": 1, "mapping": "dsp27x18"},
    {"a": "int4_b1_e8m0", "b": "int4_b1_e8m0", "rows": 2, "columns": 2, "mapping": "dsp27x18"},
    {"a": "fixed8_6_b1_e8m0", "b": "e2m1_b1_e8m0", "rows": 1, "columns": 2},
    {
        "a": "e4m3fn_b1_e8m0",
        "b": "e5m2ieee_b1_ue4m3",
        "rows": 2,
        "columns": 2,
        "mapping": "dsp27x18",
    },
)


@pytest.mark.parametrize("fields", EXTREME, ids=lambda f: f"{f['a']}-{f['b']}")
def test_extremes_of_each_field(fields):
    """Each neighbour at each end, beside each other's, with scales of one, or that are special."""
    spec = Array(**{"mapping": "dsp18x18", "accumulator": "fp32", "stages": 1, **fields})
    sides = [
        (name, count, extremes(getattr(spec, name).element))
        for name, count in (("a", spec.rows), ("b", spec.columns))
    ]
    choices = [codes for _, count, codes in sides for _ in range(count)]
    rng = np.random.default_rng(3)
    rows = np.array(list(itertools.product(*choices)))
    rows = rows[rng.permutation(len(rows))[:3000]]
    inputs = {"clear": np.ones((len(rows), 1), np.int64)}
    inputs["a"], inputs["b"] = rows[:, : spec.rows], rows[:, spec.rows :]
    for name, count, _ in sides:
        scale = getattr(spec, name).scale
        special = np.flatnonzero(np.isnan(scale.decode(np.arange(1 << scale.bits))))
        ends = [0, *special, int(scale.encode(scale.max))]
        codes = np.full((len(rows), count), int(scale.encode(1.0)))
        chosen = rng.random(codes.shape) < 0.05
        inputs[f"{name}_scale"] = np.where(chosen, rng.choice(ends, codes.shape), codes)
    outcome = verify_inputs_batch([(spec, inputs)])
    assert outcome.passed and min(outcome.vectors.values()) >= len(rows), outcome.shown


#: Every dataflow and movement, kinds of accumulator and of remainder, both orders of block sizes.
UNITS = (
    {"a": "int8_b4_e8m0", "b": "int8_b2_e8m0", "rows": 2, "columns": 3, "mapping": "dsp27x18"},
    {"a": "e2m1_b2_ue4m3", "b": "e2m1_b4_ue4m3", "rows": 3, "columns": 2, **SYSTOLIC},
    {
        **{"a": "e4m3fn_b2_e8m0", "b": "int4_b2_ue4m3", "rows": 2, "columns": 3},
        **{"mapping": "dsp25x18", "accumulator": "fp32", "stages": 7, **WEIGHTS},
    },
    {
        **{"a": "e5m2ieee_b2_e8m0", "b": "e2m3_b4_e8m0", "rows": 2, "columns": 2},
        **{"mapping": "dsp27x18", "output": "bf16", **WEIGHTS, **SYSTOLIC},
    },
    {
        **{"a": "e0m3_b3_ue5m3", "b": "uint3_b3_ue4m3", "rows": 3, "columns": 3, "blocks": 2},
        **{"mapping": "dsp27x18", "accumulator": "fixed:40:9"},
    },
)


def test_units_equal_their_golden_models():
    specs = [Array(**{"mapping": "dsp18x18", "max_products": 48, **fields}) for fields in UNITS]
    runs = [compiled.Run(spec, hwgen.verilog(spec), 200) for spec in specs]
    for spec, outcome in zip(specs, compiled.check(runs), strict=True):
        assert outcome.mismatches == 0 and outcome.vectors > 200, spec.name


#: Two lanes of a block, in a pair and odd: magnitudes, and codes with their corrections; NaN.
PAIRS = (
    {"a": block("int2", 2), "b": block("int2", 2)},
    {"a": block("int3", 2), "b": block("int3", 2, "ue1m0"), "output": "int8"},
    {"a": block("int2", 3, "ue1m0"), "b": block("int2", 3, "ue1m0"), "output": "int6"},
    {"a": block("e2m1", 2, "ue1m0"), "b": block("int2", 2), "rounding": "down"},
    {"a": block("int2", 2), "b": block("e2m1fn", 2, "ue1m0"), "output": "e3m2ieee"},
    {"a": block("e1m1", 2, "ue2m0"), "b": block("e1m1", 2), "blocks": 1},
)


def test_two_lanes_of_a_block_of_every_code():
    specs = [BlockDot(**{"output": "e3m2", "mapping": "dsp18x18", **fields}) for fields in PAIRS]
    assert {spec.packing.lows for spec in specs} == {(MAGNITUDE, MAGNITUDE), (CODE, BIASED)}
    wrong = exhaustive.check([Case(spec) for spec in specs])
    assert {spec.name: w[:3] for spec, w in zip(specs, wrong, strict=True) if w} == {}


#: Odd blocks, two sizes, micro-exponents, a sum that is shortened or aligned.
BLOCK_DOTS = (
    {"a": "e2m1_b4_ue4m3", "b": "int4_b8_e8m0", "blocks": 4, "output": "fp16"},
    {"a": "int5_b3_e8m0", "b": "e2m1_b3_e8m0", "blocks": 2, "accumulator": "aligned:40"},
    {"a": "e0m3_b4_e8m0_m2x1", "b": "int4_b4_e8m0", "blocks": 2, "stages": 8},
    {"a": "e2m1fn_b5_e8m0", "b": "uint4_b5_ue5m3", "output": "bf16", "rounding": "stochastic"},
)


def test_block_dots_equal_their_golden_models():
    specs = [BlockDot(**{"mapping": "dsp27x18", **fields}) for fields in BLOCK_DOTS]
    runs = [compiled.Run(spec, hwgen.verilog(spec), 200) for spec in specs]
    for spec, outcome in zip(specs, compiled.check(runs), strict=True):
        assert outcome.mismatches == 0 and outcome.vectors > 200, spec.name


@pytest.mark.parametrize("target", ["ecp5", "xc7"])
def test_a_netlist_of_two_lanes(target):
    spec = BlockDot(
        a=block("int4", 2, "ue1m0"), b="int4_b2_e8m0", output="bf16", mapping="dsp18x18", stages=2
    )
    netlist = yosys_scripts.netlist(
        emit.rtlil(spec), spec.name, target=target, mapping=spec.mapping
    )
    run = compiled.Run(spec, netlist.verilog, 400)
    (outcome,) = compiled.check([run], sources=netlist.cell_models, flags=netlist.verilator_flags)
    assert outcome.mismatches == 0 and outcome.vectors > 400
