"""Products that share a multiplier are those that have one each: every code of small formats."""

from itertools import combinations_with_replacement

import numpy as np
import pytest

import hwgen
import yosys_scripts
from hwgen import Array, DotProduct, InputError, emit, parse
from hwgen.sizes.dsp_multiplier import PACKED_FOR
from hwgen.sizes.pair_packing import BIASED, CODE, MAGNITUDE
from sim import compiled, exhaustive, golden
from sim.exhaustive import Case
from sim.formal.aig import FALSE, TRUE, Aig, every_pattern
from sim.formal.circuit import from_netlist, from_rtlil

#: Two's complement, without sign, with a sign apart, with subnormals or none, with special codes.
SMALL = (
    *("int2", "int3", "int4", "int5", "uint2", "uint3", "uint4", "fixed4_2", "e2m1"),
    *("e1m2", "e2m1fn", "ue2m1", "e1m1ieee", "e0m3", "e2m1ns"),
)


def wrong_of(cases):
    wrong_results = exhaustive.check(cases)
    return {
        case.spec.name: wrong[:3] for case, wrong in zip(cases, wrong_results, strict=True) if wrong
    }


def fits(a, b, count):
    return (parse(a).bits + parse(b).bits) * count <= exhaustive.MAX_INPUT_BITS


def packed(make):
    """The specs, one for each packing that the mappings give."""
    by_packing = {}
    for mapping in PACKED_FOR:
        try:
            spec = make(mapping)
        except InputError:
            continue
        if spec.packing is not None:
            by_packing.setdefault(spec.packing, spec)
    return by_packing.values()


def test_two_lanes_of_every_code():
    cases = [
        Case(spec, {"clear": 1})
        for pair in combinations_with_replacement(SMALL, 2)
        for a, b in sorted({pair, pair[::-1]})
        if fits(a, b, 2)
        for spec in packed(lambda mapping, a=a, b=b: DotProduct(a=a, b=b, lanes=2, mapping=mapping))
    ]
    assert len(cases) > 200
    assert {case.spec.packing.lows for case in cases} == {(MAGNITUDE, MAGNITUDE), (CODE, BIASED)}
    assert not wrong_of(cases)


GRIDS = ((2, 1), (1, 2), (2, 2), (3, 2), (1, 4))
#: Patterns that are evaluated at once.
AT_ONCE = 16


def first_sums(circuit, spec):
    """What the accumulators are after one cycle, in terms of that cycle's codes."""
    aig = Aig()
    inputs = {port.name: aig.inputs(port.name, port.width) for port in spec.inputs}
    inputs |= {"enable": [TRUE], "valid_in": [TRUE], "clear": [TRUE], "rst": [FALSE]}
    inputs = {name: inputs[name] for name in circuit.inputs if name != "clk"}
    _, state = circuit.step(aig, [FALSE] * len(circuit.registers), inputs, "first")
    outputs, _ = circuit.step(aig, state, inputs, "second")
    return aig, inputs["a"] + inputs["b"], {p.name: outputs[p.name] for p in spec.outputs}


def check_every_code(spec, circuit):
    """Every output after one cycle, for all codes of both operands, against the golden model."""
    aig, codes, outputs = first_sums(circuit, spec)
    varied, fixed = codes[:AT_ONCE], codes[AT_ONCE:]
    assert set(aig.support(part for port in outputs.values() for part in port)) <= {
        code >> 1 for code in codes
    }
    patterns = np.arange(1 << max(len(varied), 6)) & ((1 << len(varied)) - 1)
    words = every_pattern([code >> 1 for code in varied])
    for high in range(1 << len(fixed)):
        place = {code >> 1: TRUE if high >> i & 1 else FALSE for i, code in enumerate(fixed)}
        numbers = patterns | high << AT_ONCE
        inputs, low = {"clear": np.ones((len(numbers), 1), np.int64)}, 0
        for name, port in ((p.name, p) for p in spec.inputs if p.name in ("a", "b")):
            ends = low + port.bits * np.arange(port.count)
            inputs[name] = numbers[:, None] >> ends & ((1 << port.bits) - 1)
            low += port.width
        expected = golden.expected(spec, inputs)
        for port in spec.outputs:
            literals = aig.substituted(outputs[port.name], place)
            results = aig.evaluated(literals, words)
            bits = np.unpackbits(results.view(np.uint8), axis=1, bitorder="little")
            got = bits[:, : len(numbers)].T.reshape(len(numbers), port.count, port.bits)
            wanted = expected[port.name][:, :, None] >> np.arange(port.bits) & 1
            wrong = np.argwhere((got != wanted).any(axis=(1, 2)))
            assert not len(wrong), (spec.name, port.name, hex(numbers[wrong[0, 0]]))


def test_neighbouring_elements_of_every_code():
    formats = ("int2", "int4", "uint3", "fixed3_1", "e2m1", "e2m1fn")
    specs = [
        spec
        for i, (a, b) in enumerate(combinations_with_replacement(formats, 2))
        for rows, columns in [GRIDS[i % len(GRIDS)]]
        if parse(a).bits * rows + parse(b).bits * columns <= AT_ONCE
        for spec in packed(
            lambda mapping, a=a, b=b, rows=rows, columns=columns: Array(
                a=a, b=b, rows=rows, columns=columns, mapping=mapping, stages=1
            )
        )
    ]
    assert len(specs) > 15
    assert {spec.packing.is_signed for spec in specs} == {False, True}
    circuits = from_rtlil({spec.name: emit.rtlil(spec) for spec in specs})
    for spec in specs:
        check_every_code(spec, circuits[spec.name])


@pytest.mark.parametrize(
    ("target", "spec"),
    [
        ("xcup", Array(a="int4", b="int4", rows=2, columns=2, mapping="dsp27x18", stages=1)),
        ("ecp5", Array(a="int4", b="int4", rows=2, columns=1, mapping="dsp", stages=1)),
        ("xcup", DotProduct(a="e2m1", b="int4", lanes=2, mapping="dsp", stages=1)),
        ("ecp5", DotProduct(a="int4", b="int4", lanes=2, mapping="dsp", stages=1)),
    ],
    ids=str,
)
def test_netlists_of_every_code(target, spec):
    netlist = yosys_scripts.netlist(
        emit.rtlil(spec), spec.name, target=target, mapping=spec.mapping
    )
    assert netlist.verilog.count("DSP48E2 #" if target == "xcup" else "MULT18X18D ") == 1
    check_every_code(spec, from_netlist(netlist))


#: Every movement, dataflow, kind of sum and of remainder.
UNITS = (
    DotProduct(a="int4", b="int4", lanes=32, mapping="dsp"),
    DotProduct(a="int5", b="int5", lanes=7, mapping="dsp", stages=7),
    DotProduct(a="e2m1", b="int4", lanes=5, mapping="dsp", addend="e4m3", accumulator="fp32"),
    DotProduct(a="e2m1fn", b="e2m1", lanes=6, mapping="dsp18x18", output="bf16", stages=3),
    Array(a="int8", b="int8", rows=3, columns=4, lanes=2, mapping="dsp27x18", stages=6),
    Array(a="int4", b="int4", rows=4, columns=3, mapping="dsp25x18", movement="systolic"),
    Array(a="e4m3", b="e4m3fn", rows=3, columns=2, lanes=3, mapping="dsp27x18"),
    Array(a="e5m2ieee", b="e2m3", rows=2, columns=2, mapping="dsp27x18", movement="systolic"),
    Array(
        a="int8",
        b="int8",
        rows=3,
        columns=3,
        mapping="dsp27x18",
        dataflow="weight_stationary",
        movement="systolic",
    ),
    Array(
        a="e4m3fn",
        b="e2m1",
        rows=2,
        columns=5,
        lanes=2,
        mapping="dsp",
        dataflow="weight_stationary",
        accumulator="fp32",
        stages=6,
    ),
)


def test_units_equal_their_golden_models():
    assert all(spec.packing is not None for spec in UNITS)
    runs = [compiled.Run(spec, hwgen.verilog(spec), 400) for spec in UNITS]
    for spec, outcome in zip(UNITS, compiled.check(runs), strict=True):
        assert outcome.mismatches == 0, spec.name


@pytest.mark.parametrize("target", ["ecp5", "xcup"])
def test_netlists_equal_their_golden_models(target):
    """Registers and adders that DSP blocks take are those of the netlist here."""
    specs = [
        DotProduct(a="int4", b="int4", lanes=5, mapping="dsp", stages=5),
        Array(a="int4", b="int4", rows=3, columns=2, mapping="dsp", stages=5),
    ]
    if target == "xcup":
        specs.append(Array(a="int8", b="int8", rows=2, columns=2, mapping="dsp27x18"))
        specs.append(Array(a="e4m3", b="e4m3", rows=2, columns=2, mapping="dsp27x18", stages=5))
        # Not packed: sums go from one block to the next.
        specs.append(DotProduct(a="int8", b="int8", lanes=4, mapping="dsp", stages=1))
        specs.append(DotProduct(a="int8", b="int8", lanes=5, mapping="dsp", stages=3))
    netlists = [
        yosys_scripts.netlist(emit.rtlil(spec), spec.name, target=target, mapping=spec.mapping)
        for spec in specs
    ]
    if target == "xcup":
        assert "9'h015" in netlists[-1].verilog and "9'h015" in netlists[-2].verilog
    runs = [
        compiled.Run(spec, netlist.verilog, 300)
        for spec, netlist in zip(specs, netlists, strict=True)
    ]
    outcomes = compiled.check(
        runs, sources=netlists[0].cell_models, flags=netlists[0].verilator_flags
    )
    for spec, outcome in zip(specs, outcomes, strict=True):
        assert outcome.mismatches == 0, spec.name
