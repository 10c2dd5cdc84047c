"""Partial sums that take turns in the loop of a float accumulator: contract, hardware, proofs."""

import numpy as np
import pytest

from hwgen import DotProduct, InputError, MultiplyAccumulate, SumSquares, emit, pipelined
from hwgen.accumulator import parse as parse_accumulator
from hwgen.pipelining import modelled, timing_paths
from hwgen.spec import Array, from_dict
from sim import exact, formal, golden, stimulus
from sim.accumulate import accumulate
from sim.formal import partial_sums
from sim.formal.circuit import from_rtlil
from tests.sim.machines import Machine
from tests.sim.netlists import require_equal_netlist

RNG_SEED = 31


def mac(a, accumulator, **more):
    return MultiplyAccumulate(a=a, b=a, accumulator=accumulator, **more)


def staged(spec, stages):
    return from_dict({**spec.to_dict(), "stages": stages})


def test_the_name_says_how_many_and_is_read_back():
    accumulator = parse_accumulator("bf16:saturate:down:interleave:12")
    assert accumulator.interleave == 12
    assert str(accumulator) == "e8m7ieee:saturate:down:interleave:12"
    assert str(parse_accumulator("fp16:interleave:1")) == "e5m10ieee"
    assert "_fp32_" not in mac("e2m1", "e3m2:interleave:3").name
    assert "e3m2_interleave_3" in mac("e2m1", "e3m2:interleave:3").name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fp32:interleave:0", "interleave and the number of partial sums"),
        ("fp32:interleave:33", "interleave=33: use a whole number from 1 to 32"),
        ("fp32:interleave", "interleave and the number of partial sums"),
        ("fixed:24:interleave:4", "interleave and the number of partial sums"),
        ("exact:interleave:4", "interleave and the number of partial sums"),
        ("fp16:fast:interleave:4", "choose one"),
    ],
)
def test_what_makes_no_sense_is_refused(name, message):
    with pytest.raises(InputError, match=message):
        mac("e2m1", name)


def test_an_array_has_none():
    with pytest.raises(InputError, match="leave 'interleave:4' out"):
        Array(a="e2m1", b="e2m1", rows=2, columns=2, accumulator="fp32:interleave:4")


@pytest.mark.parametrize("name", ["e3m2", "fp16:stochastic", "bf16:down", "e4m3fn:up"])
@pytest.mark.parametrize("turns", [2, 3, 7, 32])
def test_the_golden_model_is_that_of_each_sum_by_itself(name, turns):
    rng, count, f = np.random.default_rng(RNG_SEED), 90, mac("e4m3", "fp32").a
    codes = rng.integers(0, 256, count) & rng.choice([0x80, 0xFF, 0xFF], count)
    sums, clear = exact.decode(f, codes.astype(f.code_dtype)), rng.random(count) < 0.1
    drawn = rng.integers(0, 2**32, count, np.uint64) if "stochastic" in name else None
    words = accumulate(parse_accumulator(f"{name}:interleave:{turns}"), sums, clear, drawn).words
    for first in range(turns):
        turn = slice(first, None, turns)
        of_one = None if drawn is None else drawn[turn]
        alone = accumulate(parse_accumulator(name), sums[turn], clear[turn], of_one).words
        assert (words[turn] == alone).all()


def right_cycles(spec, cycles=90, count=24):
    """How many results agree with the golden model, in so many streams of inputs at once.

    Each stream has bubbles and stalls of its own, and one that is often reset.
    """
    rng = np.random.default_rng([RNG_SEED, spec.stages])
    machine = Machine(spec, from_rtlil({spec.name: emit.rtlil(spec)})[spec.name], count)
    drawn = [stimulus.random(spec, cycles, seed) for seed in range(count)]
    inputs = {
        port.name: np.stack([one.inputs[port.name] for one in drawn], 1).astype(np.int64)
        for port in spec.inputs
    }
    ports = {port.name: port for port in spec.inputs}
    busy = rng.choice([0.3, 0.9, 1.0], count)
    valid, enable = rng.random((cycles, count)) < busy, rng.random((cycles, count)) < 0.9
    shown = []
    for cycle in range(cycles):
        words = {
            name: sum(lane << place * ports[name].bits for place, lane in enumerate(lanes.T))
            for name, lanes in ((name, values[cycle]) for name, values in inputs.items())
        }
        shown.append((machine.output(), machine.output("valid_out"), enable[cycle]))
        machine.cycle(valid_in=valid[cycle].astype(int), enable=enable[cycle].astype(int), **words)
    compared = 0
    for stream in range(count):
        taken = np.flatnonzero(valid[:, stream] & enable[:, stream])
        of_stream = {
            name: values[taken, stream].astype(np.uint64) for name, values in inputs.items()
        }
        wanted = golden.expected(spec, of_stream)["accumulator"][:, 0]
        got = [codes[stream] for codes, is_valid, on in shown if is_valid[stream] and on[stream]]
        assert got == wanted[: len(got)].tolist(), (spec.name, stream)
        compared += len(got)
    return compared


SMALL = [
    mac("e2m1", "e3m2:interleave:4"),
    mac("e4m3fn", "fp16:down:interleave:3"),
    mac("int4", "e4m3fnuz:interleave:5"),
    mac("e5m2ieee", "bf16:saturate:interleave:2"),
    mac("e4m3", "fp32:stochastic:interleave:6"),
    DotProduct(a="e3m2", b="int3", lanes=3, addend="e4m3", accumulator="fp16:up:interleave:7"),
    SumSquares(a="e2m3", lanes=2, accumulator="e5m2:toward_zero:interleave:3"),
]


@pytest.mark.parametrize("spec", SMALL, ids=lambda spec: spec.name)
@pytest.mark.parametrize("which", ["least", "usual", "most"])
def test_results_are_those_of_the_golden_model(spec, which):
    """With as few registers as there can be, as many, and those of the usual clock."""
    stages = {"least": spec.least_stages, "usual": spec.stages, "most": spec.most_stages}[which]
    assert right_cycles(staged(spec, stages)) > 700


@pytest.mark.parametrize("target", ["ecp5", "xc7", "ice40"])
def test_a_netlist_is_right(target):
    require_equal_netlist(mac("e2m1", "e3m2:interleave:3"), target)


def test_registers_stand_in_the_loop_but_for_one_less_than_there_are_sums():
    spec = mac("e4m3", "fp16:interleave:5")
    for stages in range(spec.least_stages, spec.most_stages + 1):
        one = staged(spec, stages)
        inside = [i for i in one.register_boundaries if one.loop.first < i <= one.loop.last]
        assert len(inside) <= 4 and len(one.register_boundaries) == stages - 1
    assert len(inside) == 4
    with pytest.raises(InputError, match="stages"):
        staged(spec, spec.most_stages + 1)


def test_more_sums_make_a_faster_loop():
    clocks = [modelled(mac("e4m3", f"fp32:interleave:{count}")).fmax_mhz for count in (2, 4, 8, 16)]
    assert clocks == sorted(clocks) and clocks[-1] > 3 * clocks[0]


def test_stages_for_a_clock():
    spec = pipelined(mac("e4m3", "fp32:interleave:19"), fmax_mhz=200, target="ecp5")
    assert modelled(spec).fmax_mhz >= 200
    assert spec.accumulator.interleave == 19
    ends = [path.end for path in timing_paths(spec)]
    assert sum(end.startswith("accumulate_") for end in ends) >= 18
    with pytest.raises(InputError, match="'accumulate_"):
        pipelined(mac("e4m3", "fp32:interleave:3"), fmax_mhz=200, target="ecp5")


def test_proofs_of_the_order_and_of_results():
    spec = mac("e1m1", "e2m1:toward_zero:interleave:2")
    for name in ("reference", "pipeline"):
        assert formal.prove(spec, name).result == "proved"


@pytest.mark.parametrize("text", ["order", "waiting", "code"])
def test_a_fault_is_found_by_a_proof(text):
    spec = mac("e1m1", "e2m1:toward_zero:interleave:2")
    faults = {
        "order": ("running_0 <= ", "running_0 <= 4'h1 ^ "),
        "waiting": ("running_waiting <= ", "running_waiting <= 2'h2 & "),
        "code": ("running_1 <= next_code;", "running_1 <= running_0;"),
    }
    verilog, (old, new) = emit.verilog(spec), faults[text]
    assert old in verilog
    assert formal.prove(spec, "reference", verilog=verilog.replace(old, new)).result != "proved"


def test_the_registers_of_the_queue_are_found():
    spec = mac("e1m1", "e2m1:interleave:3")
    circuit = from_rtlil({spec.name: emit.rtlil(spec)})[spec.name]
    assert len(set(partial_sums.first_sum(circuit, spec))) == 4
