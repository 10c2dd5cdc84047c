"""The AXI4-Stream form in the simulator; and that its bench finds faults that are put there."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from hwgen import DotProduct, InputError, emit
from hwgen.package.timing import stream_waves, unit_waves
from hwgen.spec import Array, Convert
from hwgen.spec.base import Port
from hwgen.units.stream import StreamUnit, tdata_places, tdata_width
from sim import golden, verify_stream
from sim.random_specs import examples
from sim.stimulus import Stimulus
from sim.stream import beats, tdata

DOT = DotProduct(a="e2m1", b="int3", lanes=2, max_products=64)


@pytest.mark.parametrize("spec", [DOT, *examples(seed=7, count=1)], ids=lambda spec: spec.name)
def test_every_unit_as_a_stream(spec):
    outcome = verify_stream(spec, vectors=300)
    assert outcome.passed, outcome.shown
    # Gaps and back-pressure took place.
    results = 300 if len(spec.input_streams) == 1 else 30
    assert outcome.vectors > results and outcome.cycles > 1.2 * outcome.vectors


#: The mark of the last beat, so many stages behind the input, beside the result.
LAST = "{{last_{}, accumulator}}"


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        # The beat that was not taken is lost.
        ("results__valid = valid_out | full", "results__valid = valid_out & ~full", "tvalid stays"),
        # It is replaced by the next.
        ("results__payload = full ? held", "results__payload = 1'b0 ? held", "stand still"),
        # The source is told that a beat was taken while the unit stands still.
        ("inputs__ready = enable", "inputs__ready = 1'b1", "result"),
        # TLAST comes a cycle too soon.
        (LAST.format(DOT.stages - 1), LAST.format(DOT.stages - 2), "result"),
        # A bubble is a beat.
        ("results__valid = valid_out | full", "results__valid = 1'b1", "was sent"),
    ],
)
def test_a_fault_is_found(old, new, rule):
    verilog = emit.verilog(DOT, stream=True)
    faulty = verilog.replace(old, new)
    assert faulty != verilog
    outcome = verify_stream(DOT, vectors=200, verilog=faulty)
    assert not outcome.passed and outcome.mismatches > 0
    assert any(rule in fault.rule for fault in outcome.shown), outcome.shown


WEIGHTS_STAY = {"rows": 2, "columns": 2, "dataflow": "weight_stationary"}
#: Arrays: formats and accumulators, blocks of two sizes, dataflows, movements, packed multipliers.
ARRAYS = [
    {"a": "int4", "b": "e2m1", "rows": 2, "columns": 2},
    {"a": "e2m1_b2_ue4m3", "b": "e4m3fn_b4_e8m0", "rows": 2, "columns": 1, "accumulator": "fp32"},
    {"a": "int4", "b": "int4", **WEIGHTS_STAY, "columns": 4, "mapping": "dsp18x18"},
    {
        **{"a": "int3_b2_e8m0", "b": "e2m1_b2_e8m0", **WEIGHTS_STAY, "mapping": "dsp18x18"},
        **{"movement": "systolic", "accumulator": "fp32"},
    },
    {"a": "int4", "b": "e2m1", **WEIGHTS_STAY, "movement": "systolic", "accumulator": "fp16"},
    {"a": "e5m2ieee", "b": "e2m1", "rows": 1, "columns": 1, "dataflow": "weight_stationary"},
    {"a": "int4", "b": "int3", **WEIGHTS_STAY, "output": "int8", "rounding": "stochastic"},
]


@pytest.mark.parametrize("fields", ARRAYS, ids=lambda f: f"{f['a']}-{f.get('dataflow', '')}")
def test_an_array_between_its_streams(fields):
    """With stalls of every stream for itself."""
    outcome = verify_stream(Array(max_products=24, **fields), vectors=150)
    assert outcome.passed, outcome.shown
    assert outcome.cycles > 1.2 * outcome.vectors


def test_weights_are_loaded_while_others_are_used():
    """Where nothing waits, results come in nearly every cycle; a third of what goes in is rows."""
    spec = Array(a="int4", b="int4", **{**WEIGHTS_STAY, "rows": 3})
    outcome = verify_stream(spec, vectors=300, waits=False)
    assert outcome.passed, outcome.shown
    given = beats(spec, 300, np.random.default_rng([1, 1]), 1)
    (rows, _), ends = given.sent["s_axis_b"], sum(given.results[1])
    assert len(rows) > outcome.vectors / 3
    # A tile of fewer inputs than rows waits for the next one's weights.
    assert outcome.cycles < 1.2 * outcome.vectors and ends > 20


@pytest.mark.parametrize(
    ("fields", "old", "new", "rule"),
    [
        # Loading takes the place of the weights that are in use.
        ({}, "swap = activations_taken & tile_begins", "swap = 1'b1", "result"),
        # A tile begins before all of its rows are there.
        ({}, "~tile_begins | next_tile_is_loaded", "1'b1", "result"),
        # A row that finds no room is lost.
        ({}, "b__ready = enable & weights_taken_or", "b__ready = 1'b1", "result"),
        # A partial sum is taken by an input that clears it.
        ({}, "activations_taken_or & ~clear", "activations_taken_or", "result"),
        # Beats that load have results.
        ({}, "result_0 <= activations_taken", "result_0 <= activations_taken | weights_taken", ""),
        # Each step of a tile has a result.
        (
            {"dataflow": "output_stationary"},
            "result_0 <= step_taken & a__payload[8]",
            "result_0 <= step_taken",
            "sent",
        ),
        # The sums of a tile go on in the next.
        (
            {"dataflow": "output_stationary"},
            "clear <= a__payload[8]",
            "clear <= 1'b0",
            "result",
        ),
    ],
)
def test_a_fault_of_an_array_is_found(fields, old, new, rule):
    spec = Array(a="int4", b="int4", **{**WEIGHTS_STAY, **fields})
    verilog = emit.verilog(spec, stream=True)
    faulty = verilog.replace(old, new)
    assert faulty != verilog
    outcome = verify_stream(spec, vectors=200, verilog=faulty)
    assert any(rule in fault.rule for fault in outcome.shown), outcome.shown


def test_a_slow_stream_is_found():
    """A legal stream that works in every other cycle only."""
    enable = "  wire enable = ~full;\n"
    turn = "  reg turn = 1'h0;\n  always @(posedge clk) turn <= !turn;\n"
    verilog = emit.verilog(DOT, stream=True)
    slow = verilog.replace(enable, f"{turn}  wire enable = !full && turn;\n")
    assert slow != verilog
    slow = slow.replace("= valid_out | full", "= (valid_out && turn) || full")
    outcome = verify_stream(DOT, vectors=200, verilog=slow)
    assert {fault.rule for fault in outcome.shown} == {"a result every cycle where nothing waits"}


def test_bad_counts():
    with pytest.raises(InputError, match="vectors=0: use a whole number"):
        verify_stream(DOT, vectors=0)
    with pytest.raises(InputError, match="seed=-1: use a whole number"):
        verify_stream(DOT, seed=-1)


def test_tdata_is_the_ports_side_by_side():
    ports = (Port("x", 1, ""), Port("y", 3, "", count=2), Port("z", 4, "", signed=True))
    assert tdata_places(ports) == {"x": 0, "y": 1, "z": 7} and tdata_width(ports) == 16
    patterns = {"x": np.array([[1]]), "y": np.array([[2, 7]]), "z": np.array([[-3]])}
    assert tdata(ports, patterns) == [0b11111_1101_111_010_1]
    assert tdata(ports[:2], patterns) == [0b0_111_010_1]


@pytest.mark.parametrize("spec", [DOT, Convert(a="fp16", b="int8", stages=1)], ids=str)
def test_timing_diagrams_are_what_happens(spec):
    waves = {wave.name: wave.levels for wave in unit_waves(spec)}
    valid, enable = (np.array(waves[name]) for name in ("valid_in", "enable"))
    inputs = {p.name: np.zeros((len(valid), p.count), np.uint8) for p in spec.inputs}
    after_edge, _ = golden.trace(spec, Stimulus(inputs, valid, enable))
    assert [False, *after_edge[:-1]] == list(waves["valid_out"])

    waves = {wave.name: wave.levels for wave in stream_waves(spec)}
    unit, got = StreamUnit(spec), []

    async def bench(ctx):
        ctx.set(unit.inputs.valid, 1)
        for ready in waves["m_axis_tready"]:
            ctx.set(unit.results.ready, ready)
            got.append((bool(ctx.get(unit.inputs.ready)), bool(ctx.get(unit.results.valid))))
            await ctx.tick()

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert got == list(zip(waves["s_axis_tready"], waves["m_axis_tvalid"], strict=True))
