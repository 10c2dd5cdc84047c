"""Proofs: right units are proved, broken ones found.

Simulation confirms the counterexamples; what runs out of time is not proved.
"""

import json
import re
import time
from collections import Counter

import numpy as np
import pytest

import yosys_scripts
from hwgen import DotProduct, InputError, MultiplyAccumulate, emit, parse
from hwgen.cli import main
from hwgen.errors import ToolError
from hwgen.sizes.dsp_multiplier import SIZED
from hwgen.spec import (
    UNITS,
    AccumulatorToFloat,
    Array,
    Convert,
    FixedDot,
    LMul,
    Multiply,
    SumSquares,
)
from hwgen.store import Lines
from sim import formal, golden, stimulus, verification
from sim.formal import page, references, task_list
from sim.formal.aig import FALSE, Aig
from sim.formal.circuit import Circuit, Register
from sim.formal.run import Start
from sim.formal.solve import Claim, holds, solve
from yosys_scripts import flow

#: With registers in their usual places, whose text tests change.
MUL = Multiply(a="uint4", b="uint3", stages=2)
DOT = DotProduct(a="int3", b="int2", lanes=2, max_products=8, stages=3)
INFINITE = DotProduct(a="e2m1ieee", b="int2", lanes=2, max_products=8)
CONVERT = Convert(a="e2m1", b="int2")
ROUND = AccumulatorToFloat(bits=9, b="e3m2")


def broken(verilog, old, new):
    assert verilog.count(old) == 1
    return verilog.replace(old, new)


PROVABLE = [
    (MUL, "reference"),
    (MUL, "pipeline"),
    (Multiply(a="e4m3fn", b="int3"), "reference"),
    (DotProduct(a="int3", b="int2", lanes=2, max_products=8), "accumulator"),
    (CONVERT, "stream"),
    (ROUND, "reference"),
    (LMul(a="e3m2", b="e2m1"), "reference"),
    (DOT, "reference"),
    (DOT, "accumulator"),
    (DOT, "stream"),
]


@pytest.mark.parametrize(("spec", "name"), PROVABLE)
def test_right_units_are_proved(spec, name):
    proof = formal.prove(spec, name)
    assert (proof.result, proof.reason) == ("proved", "")
    assert proof.claims > 3 and proof.counterexample is None


def test_a_proof_that_is_late_is_none():
    late = formal.prove(ROUND, "reference", timeout_s=0)
    assert late.result == "not proved" and "time limit" in late.reason


def test_what_a_property_does_not_say():
    assert formal.prove(MUL, "accumulator").result == "not applicable"
    wide = Convert(a="fp32", b="bf16")
    proof = formal.prove(wide, "reference")
    assert proof.result == "not applicable" and "16 bits" in proof.reason


def simulated(spec, counterexample, verilog):
    """Whether the bench finds a mismatch in the inputs of the counterexample."""
    cycles = [c for c in counterexample["cycles"] if c.get("valid_in", 1)]
    inputs = {}
    for port in spec.inputs:
        fields = [
            [(c[port.name] >> (n * port.bits)) & (2**port.bits - 1) for n in range(port.count)]
            for c in cycles
        ]
        inputs[port.name] = np.array(fields, np.uint64)
    driven = stimulus.concatenate(stimulus.given(inputs), stimulus.flush(spec))
    return verification.run(spec, driven, verilog=verilog).mismatches


def test_a_wrong_product_is_found():
    verilog = broken(emit.verilog(MUL), "= a * b;", "= a * b ^ (a == 13 && b == 6);")
    proof = formal.prove(MUL, "reference", verilog=verilog)
    assert (proof.result, proof.reason) == ("disproved", "product")
    cycle = proof.counterexample["cycles"][-1 - MUL.latency]
    assert (cycle["a"], cycle["b"]) == (13, 6)
    assert proof.counterexample["outputs"] == {"product": {"got": 79, "expected": 78}}
    assert simulated(MUL, proof.counterexample, verilog)


def test_a_narrow_accumulator_is_found():
    spec = DotProduct(a="int3", b="int2", lanes=2, max_products=32, stages=3)
    verilog = emit.verilog(DOT).replace(DOT.name, spec.name)
    proof = formal.prove(spec, "accumulator", verilog=verilog)
    assert (proof.result, proof.reason) == ("disproved", "width of 8 bits")
    (cycle,) = proof.counterexample["cycles"]
    assert cycle == {"clear": 1, "a": 0b011011, "b": 0b1010}
    ((port, values),) = proof.counterexample["outputs"].items()
    assert "after 16 cycles" in port
    # 3 · −2 in both lanes, 16 times; got without the ninth bit.
    inputs = {"a": [[3, 3]] * 16, "b": [[2, 2]] * 16, "clear": [[1]] + [[0]] * 15}
    inputs = {name: np.array(v, np.uint64) for name, v in inputs.items()}
    last = int(golden.expected(spec, inputs)["accumulator"][-1, 0])
    assert last == -192 and values == {"got": last & 0xFF, "expected": last & 0x1FF}


TERM = "{level1_lanes_1_value[4], level1_lanes_1_value}"
#: One where both lanes have one pair of products, and else zero.
RARE = "{5'h0, level1_lanes_0_value == 3 && level1_lanes_1_value == 2}"


@pytest.mark.parametrize(
    ("name", "old", "new", "claim"),
    [
        ("reference", "8'h0 : accumulator) +", "8'h0 : accumulator) -", "lane 0"),
        ("reference", TERM, f"{TERM} + {RARE}", "lanes 0 to 1"),
        ("reference", "accumulate_clear ? 8'h0", "accumulate_clear ? 8'h1", "lane 0"),
        ("pipeline", "if (enable & valid_accumulate)", "if (enable)", "keep"),
        ("pipeline", "if (enable & valid_accumulate)", "if (valid_accumulate)", "hold"),
        ("pipeline", "accumulator <= 8'h0;", "accumulator <= 8'h1;", "reset"),
        ("pipeline", "valid_out <= valid_accumulate;", "valid_out <= valid_level1;", "valid"),
    ],
)  # fmt: skip
def test_broken_dot_products_are_found(name, old, new, claim):
    proof = formal.prove(DOT, name, verilog=broken(emit.verilog(DOT), old, new))
    assert (proof.result, proof.reason) == ("disproved", claim)
    assert proof.counterexample["outputs"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        # An infinity that is taken for NaN, one that is lost, two that do not meet.
        ("lane_0_a_infinity = a[2:0] == 3'h6", "lane_0_a_infinity = a[2:0] == 3'h7"),
        ("|{lane_1_plus, lane_0_plus}", "|{lane_0_plus, lane_0_plus}"),
        ("(next_nan_or & next_nan_or_2)", "1'b0"),
        # A sum with an infinity in it that is added.
        ("? 6'h0 :", "? accumulate_terms_0 :"),
        ("(accumulator_or | accumulate_special_negative_infinity)", "accumulator_or"),
    ],
)
def test_broken_infinities_are_found(old, new):
    verilog = broken(emit.verilog(INFINITE), old, new)
    for name in ("reference", "accumulator"):
        proof = formal.prove(INFINITE, name, verilog=verilog)
        assert (proof.result, proof.reason) == ("disproved", "infinities and NaN")
        assert proof.counterexample["outputs"]


@pytest.mark.parametrize(
    "spec",
    [
        INFINITE,
        DotProduct(a="e3m2ext", b="e2m1fn", lanes=2),
        DotProduct(a="e2m2fnuz", b="e3m1ieee", lanes=3),
        FixedDot(a="e2m1ieee", b="int4", weights="3,0,-1"),
        SumSquares(a="e2m1ieee", lanes=2),
    ],
    ids=lambda spec: spec.name,
)
def test_infinities_and_nan_are_in_the_definition(spec):
    for name in ("reference", "accumulator"):
        proof = formal.prove(spec, name)
        assert proof.result == "proved", proof.reason


@pytest.mark.parametrize("name", ["e4m3fn", "e5m2ieee", "e4m3fnuz", "e3m2ext", "e2m1", "uint3"])
def test_codes_mean_what_they_decode_to(name):
    f, aig = parse(name), Aig()
    code = aig.inputs("code", f.bits)
    literals = references.meanings(aig, code, f)
    for number, decoded in enumerate(f.decode(np.arange(1 << f.bits))):
        values = {literal >> 1: number >> bit & 1 for bit, literal in enumerate(code)}
        wanted = [np.isnan(decoded), np.isinf(decoded), decoded == 0]
        assert holds(aig, literals, values) == wanted


@pytest.mark.parametrize(
    ("old", "new", "claim"),
    [
        ("= valid_out | full;", "= valid_out;", "offer stays"),
        ("full ? held :", "full ? ~held :", "offer stays"),
        ("enable = ~full;", "enable = 1'b1;", "offer stays"),
        ("inputs__ready = enable;", "inputs__ready = 1'b1;", "queue"),
        ("last_1 <= last_0;", "last_1 <= ~last_0;", "queue"),
        ("full <= results__valid & ~results__ready;", "full <= results__valid;", "progress"),
        ("= valid_out | full;", "= (valid_out & results__ready) | full;", "no path from tready"),
    ],
)
def test_broken_streams_are_found(old, new, claim):
    verilog = broken(emit.verilog(CONVERT, stream=True), old, new)
    proof = formal.prove(CONVERT, "stream", verilog=verilog)
    assert proof.reason.startswith(claim)
    assert proof.result == "disproved" and proof.counterexample["outputs"]


@pytest.mark.parametrize(
    ("old", "new", "claim"),
    [
        # Steps that are not the last have results.
        ("result_0 <= step_taken & a__payload[4];", "result_0 <= step_taken;", "queue"),
        # A step is taken while the unit stands still.
        ("a__ready = enable & b__valid;", "a__ready = b__valid;", "queue"),
        # Sums that wait are not those that were made.
        ("full ? held : {last_2, ", "full ? held : {last_1, ", "offer stays"),
    ],
)
def test_broken_streams_of_an_array_are_found(old, new, claim):
    spec = Array(a="int4", b="int2", rows=1, columns=1, max_products=4, stages=3)
    verilog = broken(emit.verilog(spec, stream=True), old, new)
    proof = formal.prove(spec, "stream", verilog=verilog)
    assert proof.result == "disproved" and proof.reason.startswith(claim)


@pytest.mark.parametrize("target", ["ecp5", "ice40"])
def test_netlists(target):
    netlist = flow.netlist(emit.rtlil(MUL), MUL.name, target=target)
    assert formal.prove(MUL, "netlist", target=target, verilog=netlist.verilog).result == "proved"
    # One LUT inverted.
    init = ".INIT(16'h" if target == "ecp5" else ".LUT_INIT(16'h"
    place = netlist.verilog.rindex(init) + len(init)
    table = int(netlist.verilog[place : place + 4], 16)
    wrong = netlist.verilog[:place] + f"{table ^ 0xFFFF:04x}" + netlist.verilog[place + 4 :]
    proof = formal.prove(MUL, "netlist", target=target, verilog=wrong)
    assert (proof.result, proof.reason) == ("disproved", "results")


def test_a_state_that_is_never_reached_disproves_nothing():
    """A counter of 2 that steps over 3, and whose output is wrong there alone."""
    aig = Aig()
    low, high = aig.inputs("count", 2)
    wrong = aig.and_(low, high)
    registers = [
        Register("low", low >> 1, aig.and_(low ^ 1, high ^ 1), 0),
        Register("high", high >> 1, aig.and_(low, high ^ 1), 0),
    ]
    circuit = Circuit("counter", aig, {}, {"wrong": [wrong]}, registers)

    def claim(start):
        outputs, _ = circuit.step(start.aig, start.state(circuit, "s"), {}, "now")
        return Claim("right", start.aig, [(outputs["wrong"][0], FALSE)])

    assert solve(claim(Start()), time.monotonic() + 60).result == "disproved"
    assert solve(claim(Start(5)), time.monotonic() + 60).result == "proved"


def test_what_was_proved_is_kept(tmp_path, monkeypatch):
    path = tmp_path / "proofs.jsonl"
    tasks = formal.tasks_of(MUL, "reference", None) + formal.tasks_of(MUL, "accumulator", None)
    first = list(formal.prove_all(tasks, Lines(formal.PROOF, path)))
    assert [row["result"] for row in first] == ["proved", "not applicable"]
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[0][:40]]))  # killed in the middle of a line
    calls = []
    monkeypatch.setattr("sim.formal.proofs.prove", lambda *a, **k: calls.append(a))
    assert list(formal.prove_all(tasks, Lines(formal.PROOF, path))) == first
    assert not calls


def test_a_missing_solver_is_named(monkeypatch):
    monkeypatch.setattr("sim.formal.solve.importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ToolError, match="pip install pyosys"):
        formal.prove(MUL, "reference")


def test_bad_questions():
    with pytest.raises(InputError, match="use one of reference"):
        formal.prove(MUL, "truth")
    with pytest.raises(InputError, match="use one of ecp5"):
        formal.prove(MUL, "netlist", target="asic")
    with pytest.raises(InputError, match="of no target"):
        formal.prove(MUL, "reference", target="ecp5")


@pytest.mark.parametrize("dataflow", ["output_stationary", "weight_stationary"])
def test_a_truth_table_is_not_made_of_what_depends_on_earlier_inputs(dataflow):
    few = {"rows": 2, "columns": 1, "max_products": 4, "stages": 3}
    proof = formal.prove(Array(a="int2", b="int2", dataflow=dataflow, **few), "reference")
    assert proof.result == "not applicable" and "keeps something" in proof.reason


def test_the_command(capsys):
    assert main(["prove", "mul", "--a", "uint4", "--b", "uint3", "--property", "reference"]) == 0
    assert "reference: proved (4 claims" in capsys.readouterr().out
    arguments = ["prove", "mul", "--a", "uint4", "--b", "uint3", "--property", "accumulator"]
    assert main([*arguments, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["counts"]["not applicable"] == 1
    for wrong in (["prove"], ["prove", "mul", "--all"], [*arguments, "--timeout", "0"]):
        assert main(wrong) == 2
        assert "hwgen: error: " in capsys.readouterr().err


def test_the_list_is_of_every_unit_and_target():
    tasks = formal.task_list.tasks()
    assert {task.property for task in tasks} == set(formal.PROPERTIES)
    assert {task.spec.unit for task in tasks} == set(UNITS)
    targets = Counter(task.target for task in tasks if task.property == "netlist")
    assert set(targets) == set(yosys_scripts.TARGETS)
    # But of products that are packed for a multiplier that a target has not.
    packed = {t.spec for t in tasks if t.property == "netlist" and t.spec.mapping in SIZED}
    assert packed and targets.pop("ice40") == targets["ecp5"] - len(packed)
    assert len(set(targets.values())) == 1
    assert len({(task.spec.name, task.property, task.target) for task in tasks}) == len(tasks)


SMALL_SUM = MultiplyAccumulate(a="e2m1", b="e2m1", accumulator="e2m1")
SMALL_OUTPUT = DotProduct(
    a="e1m1", b="e1m1", lanes=1, addend="e1m1", output="e2m1", rounding="down"
)


SMALL_SQUARES = SumSquares(a="e1m1", lanes=1, output="e2m1")
SMALL_FIXED = FixedDot(a="e1m1", b="int4", weights="3,-5", output="e3m2")


@pytest.mark.parametrize("spec", [SMALL_SUM, SMALL_OUTPUT, SMALL_SQUARES, SMALL_FIXED])
def test_rounded_sums_are_proved_with_the_signs_of_zeros(spec):
    assert formal.prove(spec, "reference").result == "proved"


@pytest.mark.parametrize(
    ("spec", "signal"),
    [
        # The sign of the product, of the sum, of what is kept with the output.
        (SMALL_SUM, "signs_together"),
        (SMALL_SUM, "step_sign"),
        (SMALL_OUTPUT, "next_zero_sign"),
    ],
)
def test_broken_signs_of_zeros_are_found(spec, signal):
    verilog, count = re.subn(
        rf"wire {signal} = [^;]+;", f"wire {signal} = 1'b0;", emit.verilog(spec)
    )
    assert count == 1
    proof = formal.prove(spec, "reference", verilog=verilog)
    assert (proof.result, proof.reason) == ("disproved", "rounded sums")


def test_the_table_counts_what_was_proved(tmp_path):
    tasks = task_list.tasks("rounders")
    rows = [
        {"name": task.spec.name, "property": task.property, "target": task.target, **more}
        for task, more in zip(
            tasks,
            [
                {"result": "proved", "seconds": 2.25},
                {"result": "not proved", "seconds": 300.0},
                {"result": "proved", "seconds": 1.0},
            ],
            strict=True,
        )
    ]
    file = tmp_path / "proof.md"
    file.write_text(f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n")
    page.update(file, rows)
    text = file.read_text()
    assert "| rounders | reference |  | 2 of 3 | 2.2 |" in text
    assert f"| streams | stream |  | 0 of {len(task_list.examples())} | 0.0 |" in text
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "old" not in text
    with pytest.raises(InputError, match="no page to put a table in"):
        page.update(tmp_path / "none.md", rows)
    file.write_text("a page without the table's marks\n")
    with pytest.raises(InputError, match="no place for the table"):
        page.update(file, rows)
    assert main(["prove", "--all", "--target", "ecp5", "--page", str(file)]) == 2


def test_every_unit_is_in_the_list():
    assert {spec.unit for spec in task_list.examples()} == set(UNITS)
