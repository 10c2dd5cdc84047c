"""The regression runner: what it makes of its matrices, of faults, crashes, kills and repeats."""

import errno
import json
import multiprocessing
import os
import re
import shlex
import shutil
import signal
import time
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import hwgen
from hwgen import DotProduct, InputError, ToolError, emit
from hwgen.cli import main
from hwgen.formats import parse
from hwgen.spec import UNITS, Convert, Multiply, Port
from hwgen.spec.multidot import Modes
from sim import case_list, compiled, regression, report
from sim.case_list import Case, operands
from sim.compiled import Outcome, Run, rows
from sim.regression import pool, results
from sim.tried_formats import MIXED, NAMED
from sim.verification import pack
from sim.words import to_integer, to_words

SPECS = [DotProduct(a="int3", b="int3", lanes=lanes, max_products=8) for lanes in (1, 2, 3)]
CASES = [Case(spec, vectors=50) for spec in SPECS]
FAULT = "accumulate_terms_0 <= "


@pytest.fixture
def no_simulator(monkeypatch):
    """Every run passes at once; returns the specs that were run."""

    def check(runs, **_):
        return [Outcome(cycles=run.vectors, vectors=run.vectors, mismatches=0) for run in runs]

    monkeypatch.setattr(compiled, "check", check)
    monkeypatch.setattr(emit, "verilog", lambda spec: f"// {spec.name}")


@pytest.fixture
def one_is_broken(monkeypatch):
    """The second of the specs adds one too many in each cycle."""
    genuine = emit.verilog

    def faulty(spec):
        text = genuine(spec)
        return text.replace(FAULT, FAULT + "1 + ") if spec.lanes == 2 else text

    monkeypatch.setattr(emit, "verilog", faulty)


def statuses(summary):
    return [result.status for result in summary.results]


# -- the bench -----------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [1, 3, 8, 9, 16, 32, 33, 64, 70])
@pytest.mark.parametrize("count", [1, 5, 40])
def test_words_are_patterns(bits, count):
    rng = np.random.default_rng(bits * count)
    port = Port("p", bits, "", count)
    numbers = [[int.from_bytes(rng.bytes(9)) % 2**bits for _ in range(count)] for _ in range(9)]
    dtype = np.uint64 if bits <= 64 else object
    words = to_words(np.array(numbers, dtype), port)
    wanted = [sum(v << (i * bits) for i, v in enumerate(row)) for row in numbers]
    assert [to_integer(row) for row in words] == wanted
    if count == 1:  # Accumulators are Python's integers with a sign.
        signed = np.array([[v - 2**bits if v >> (bits - 1) else v] for (v,) in numbers], object)
        assert [to_integer(row) for row in to_words(signed, port)] == pack(signed, bits)


def simulators():
    return [n for n, s in compiled.SIMULATORS.items() if n == "verilator" or not s.missing()]


@pytest.mark.parametrize("simulator", simulators())
def test_every_unit_has_its_own_outcome(simulator, monkeypatch):
    """In several segments, each from reset; the result of the fault appears in the last only."""
    monkeypatch.setattr(rows, "SEGMENT", 100)
    dot, wide = SPECS[2], Multiply(a="fp32", b="e4m3fn")
    text = hwgen.verilog(dot)
    assert FAULT in text
    counter = "reg [3:0] resets = 0; always @(posedge clk) resets <= resets + rst;"
    late = text.replace(");\n\n", f");\n  {counter}\n", 1)
    late = late.replace(FAULT, FAULT + "(resets > 2) + ")
    renamed = DotProduct(a="int3", b="int3", lanes=3, max_products=9)
    runs = [
        Run(renamed, hwgen.verilog(renamed), 250),
        Run(wide, hwgen.verilog(wide), 130),
        Run(dot, late, 250),
    ]
    good, other, bad = compiled.check(runs, simulator=simulator)
    assert good.mismatches == other.mismatches == 0 < bad.mismatches
    assert good.cycles == sum(len(runs[0].stimulus(segment)) for segment in range(3))
    assert bad.segment == 2 and bad.mismatches <= 100 + dot.latency
    assert 0.6 < good.vectors / good.cycles < 1
    first = bad.shown[0]
    assert first.expected["accumulator"] != first.got["accumulator"]
    assert first.expected["valid_out"] == first.got["valid_out"]
    assert len(first.inputs["a"]) == 3


@pytest.mark.parametrize("simulator", simulators())
def test_netlists_run_in_each_simulator(simulator, tmp_path):
    """With the vendors' models of what they have, DSP blocks among it."""
    spec = DotProduct(a="int3", b="int3", lanes=3, mapping="dsp", max_products=8)
    cases = [Case(spec, level=t, vectors=50, simulator=simulator) for t in case_list.LEVEL_TARGETS]
    summary = regression.run(cases, tmp_path, jobs=1)
    assert summary.passed and summary.vectors > 300, [r.detail for r in summary.results]


@pytest.mark.parametrize("simulator", simulators())
def test_a_waveform_of_each_simulator(simulator, one_is_broken, tmp_path):
    """Of a run that fails, too."""
    wave = tmp_path / "wave.vcd"
    (result,) = regression.examine([Case(SPECS[1], vectors=50, simulator=simulator)], wave=wave)
    assert result.status == "failed" and result.mismatches
    assert "$enddefinitions" in wave.read_text()


# -- matrices ------------------------------------------------------------------------------


def test_every_format_is_each_operand_of_each_unit():
    matrix = case_list.formats(seed=1, vectors=10)
    refused = {(r.unit, r.operand, r.format) for r in matrix.refused}
    for unit, kind in UNITS.items():
        specs = [case.spec for case in matrix.cases if case.spec.unit == unit]
        assert specs, unit
        for operand, kind_of_format in operands(kind).items():
            formats_tried = [getattr(spec, operand) for spec in specs]
            for name in NAMED[kind_of_format]:
                if (unit, operand, name) not in refused:
                    wanted = Modes.parse(name) if kind_of_format == "Modes" else parse(name)
                    assert wanted in formats_tried
    assert all(len(pairs) == 20 == len(set(pairs)) for pairs in MIXED.values())
    # What is refused has no hardware; nothing is left out because of its settings or partners.
    why = re.compile(
        "no hardware|no unit takes|cannot be rounded to in hardware|minifloat|micro-exponents"
    )
    assert [r for r in matrix.refused if not why.search(r.reason)] == []


def test_levels_and_random():
    levels = case_list.levels(seed=1, vectors=10).cases
    for unit in UNITS:
        for level in ("rtl", *case_list.LEVEL_TARGETS):
            assert len([c for c in levels if (c.spec.unit, c.level) == (unit, level)]) >= 3
    drawn = case_list.chosen("random", seed=3, count=50).cases
    assert len({case.spec.name for case in drawn}) == 50 and all(case.lint for case in drawn)
    assert drawn == case_list.chosen("random", seed=3, count=50).cases
    for case in (*levels, *drawn):
        assert case_list.case_of(json.loads(json.dumps(case.to_dict()))) == case


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["format"], "matrix 'format': use one of formats, random, levels"),
        ([], "regress needs a matrix, formats, random"),
        (["formats", "--spec", "{}"], "MATRIX does nothing for --spec"),
        (["formats", "--unit", "dots"], "unknown unit 'dots'"),
        (["formats", "--level", "ecp6"], "level 'ecp6': use one of rtl, ecp5"),
        (["formats", "--level", "ecp5"], "matrix formats has no case of unit any at level ecp5"),
        (["formats", "--simulator", "vcs"], "simulator 'vcs': use one of verilator, icarus"),
        (["formats", "--vectors", "0"], "--vectors: 0: use a whole number from 1 to"),
        (["random", "--count", "0"], "--count: 0: use a whole number from 1 to"),
        (["formats", "--wave", "x.fst"], "--wave does nothing for another matrix"),
        (["--spec", "{"], "--spec: no JSON"),
        (["--spec", '{"unit": "dot", "a": "int4"}'], "dot:"),
        (["--page", "nowhere.md"], "'nowhere.md' is not there"),
    ],
)
def test_bad_input(arguments, message, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(["regress", *arguments]) == 2
    assert message in capsys.readouterr().err and list(tmp_path.iterdir()) == []


# -- faults --------------------------------------------------------------------------------


def test_a_fault_is_reported_with_the_command_that_shows_it(
    one_is_broken, monkeypatch, capsys, tmp_path
):
    monkeypatch.setattr(case_list, "formats", None)
    matrix = case_list.Matrix(tuple(CASES))
    monkeypatch.setitem(case_list.MATRICES, "formats", lambda seed, vectors: matrix)
    assert main(["regress", "formats", "--jobs", "1", "--out", str(tmp_path)]) == 1
    printed = capsys.readouterr()
    assert printed.out.startswith("3 of 3 cases: 2 passed, 1 failed; ")
    assert f"failed: {SPECS[1].name} (rtl, verilator, seed 1)" in printed.err
    summary = json.loads((tmp_path / "summary.json").read_text())
    (failure,) = summary["failures"]
    assert failure["case"]["spec"]["lanes"] == 2 and "expected" in failure["detail"]

    # The command, with a waveform.
    (line,) = (line for line in printed.err.splitlines() if line.startswith("reproduce: "))
    program, *arguments = shlex.split(line.removeprefix("reproduce: "))
    wave = tmp_path / "fault.vcd"
    assert program == "hwgen" and main([*arguments, "--wave", str(wave)]) == 1
    again = capsys.readouterr().out
    assert f"first in cycle {failure['first_bad_cycle']}\n" in again
    assert wave.stat().st_size > 1000

    # All three reports say it.
    (suite,) = ElementTree.parse(tmp_path / "junit.xml").getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "1", "0")
    (tag,) = suite.iter("failure")
    assert line in tag.text
    page = (tmp_path / "results.html").read_text()
    assert page.count('<td class="failed">failed</td>') == 1 and "What is wrong" in page
    body = re.search("<body>.*</body>", page, re.DOTALL)
    assert body and ElementTree.fromstring(body[0]) is not None  # well-formed


def test_a_lint_finding_is_a_failure(no_simulator, monkeypatch):
    text = "module {}(input a); wire b = c; endmodule"
    monkeypatch.setattr(emit, "verilog", lambda spec: text.format(spec.name))
    (result,) = regression.examine([Case(SPECS[0], lint=True)])
    assert result.status == "failed" and "verilator: " in result.detail


def test_a_netlist_and_every_input():
    spec = Convert(a="e2m1", b="int3", stages=1)
    for case in (Case(spec, level="ice40", vectors=50), Case(spec, check="exhaustive")):
        (result,) = regression.examine([case])
        assert result.status == "passed", result.detail
        assert result.vectors == 16 or case.level == "ice40"


def crashing(how):
    def check(runs, **_):
        if any(run.spec.lanes == 2 for run in runs):
            how()
        return [Outcome(cycles=9, vectors=9, mismatches=0) for run in runs]

    return check


def fails():
    raise ToolError("the simulation was ended by signal 11")


def is_wrong():
    raise ZeroDivisionError


def disk_is_full():
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/x")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (fails, "ended by signal 11"),
        (is_wrong, "ZeroDivisionError"),
        (disk_is_full, "'/x' cannot be used (No space left on device): free some space"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "ended its process with exit code -9"),
    ],
)
def test_a_crash_is_an_error_of_that_case_only(no_simulator, monkeypatch, tmp_path, how, message):
    monkeypatch.setattr(compiled, "check", crashing(how))
    summary = regression.run(CASES, tmp_path, jobs=1)
    assert statuses(summary) == ["passed", "error", "passed"] and not summary.passed
    assert message in summary.results[1].detail
    assert ("  File " in summary.results[1].detail) == (how is is_wrong)
    root = ElementTree.fromstring(report.junit(summary))
    assert [suite.get("errors") for suite in root] == ["1"]
    # It is tried again, and the others are not.
    monkeypatch.setattr(compiled, "check", crashing(lambda: None))
    summary = regression.run(CASES, tmp_path, jobs=1)
    assert summary.passed and [result.reused for result in summary.results] == [True, False, True]


def test_a_hang_is_an_error_of_that_case_only(no_simulator, monkeypatch, tmp_path):
    monkeypatch.setattr(pool, "TIME_LIMIT_S", 1.5)
    monkeypatch.setattr(compiled, "check", crashing(lambda: time.sleep(60)))
    summary = regression.run(CASES, tmp_path, jobs=2)
    assert statuses(summary) == ["passed", "error", "passed"]
    assert "took longer than 2 s" in summary.results[1].detail


def test_a_missing_simulator_is_named_and_the_rest_runs(no_simulator, monkeypatch, tmp_path):
    genuine = shutil.which
    gone = ("iverilog", "vvp")
    monkeypatch.setattr(shutil, "which", lambda name: None if name in gone else genuine(name))
    both = [Case(SPECS[0], vectors=50, simulator=name) for name in ("icarus", "verilator")]
    summary = regression.run(both, tmp_path, jobs=1)
    assert statuses(summary) == ["not run", "passed"] and not summary.passed
    assert "apt install iverilog" in summary.results[0].detail
    assert "<skipped" in report.junit(summary)


# -- kills and repeats ---------------------------------------------------------------------


def test_a_killed_run_goes_on_where_it_was(no_simulator, monkeypatch, tmp_path):
    def slow(runs, **_):
        time.sleep(0.2)
        return [Outcome(cycles=9, vectors=9, mismatches=0) for run in runs]

    monkeypatch.setattr(compiled, "check", slow)
    monkeypatch.setitem(pool.BATCH, "bench", 1)
    cases = [Case(SPECS[0], vectors=50, seed=seed) for seed in range(1, 9)]
    killed = multiprocessing.get_context("fork").Process(
        target=regression.run, args=(cases, tmp_path), kwargs={"jobs": 1}
    )
    killed.start()
    file = tmp_path / regression.RESULTS
    while not file.exists() or len(file.read_text().splitlines()) < 3:
        assert killed.is_alive()
        time.sleep(0.02)
    killed.kill()
    killed.join()
    known = len(regression.load(tmp_path))
    with file.open("a") as half:
        half.write('{"case": {"spec": {"unit"')  # what a kill may leave
    summary = regression.run(cases, tmp_path, jobs=1)
    assert summary.passed and sum(result.reused for result in summary.results) == known >= 3
    assert len(regression.load(tmp_path)) == len(cases)


def test_ctrl_c_ends_in_a_summary(no_simulator, monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(pool.BATCH, "bench", 1)
    genuine = report.progress

    def progress(summary):
        if summary.results and not summary.interrupted:
            raise KeyboardInterrupt
        return genuine(summary)

    monkeypatch.setattr(report, "progress", progress)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setitem(case_list.MATRICES, "levels", lambda *_: case_list.Matrix(tuple(CASES)))
    assert main(["regress", "levels", "--jobs", "1", "--out", str(tmp_path)]) == 130
    printed = capsys.readouterr()
    assert re.match(r"1 of 3 cases: 1 passed; .*\(interrupted\)", printed.out)
    assert "the same command goes on from here" in printed.err
    assert json.loads((tmp_path / "summary.json").read_text())["interrupted"] is True
    monkeypatch.setattr(report, "progress", genuine)
    assert main(["regress", "levels", "--jobs", "1", "--out", str(tmp_path)]) == 0
    assert "3 passed; 1 known from earlier runs" in capsys.readouterr().out


def test_what_passed_is_run_again_only_if_something_changed(no_simulator, monkeypatch, tmp_path):
    def reused(**options):
        summary = regression.run(CASES[:1], tmp_path, jobs=1, **options)
        assert summary.passed
        return summary.results[0].reused

    assert not reused()
    assert reused() and not reused(again=True)
    # Other sources that make the same Verilog.
    monkeypatch.setattr(results, "generator_digest", lambda: "other")
    assert reused()
    monkeypatch.setattr(emit, "verilog", lambda spec: f"// {spec.name}, other")
    assert reused()  # by its sources, which are said to be the same
    monkeypatch.setattr(results, "generator_digest", lambda: "third")
    assert not reused()
    monkeypatch.setattr(results, "verdict_digest", lambda simulator, level: "other")
    assert not reused()


def test_the_table_of_a_page(no_simulator, tmp_path, capsys):
    regression.run([*CASES, Case(SPECS[0], vectors=70)], tmp_path, jobs=1)
    page = tmp_path / "page.md"
    page.write_text(f"# Title\n\n{report.BEGIN}\nold\n{report.END}\nrest\n")
    for _ in range(2):
        assert main(["regress", "--page", str(page), "--out", str(tmp_path)]) == 0
    text = page.read_text()
    assert text.startswith("# Title\n") and text.endswith("rest\n") and "old" not in text
    # Proofs and mutants are those that the repository keeps.
    assert "| `dot` | rtl | verilator | 4 | 1 | 220 | 0 | 0 | – |" in text
    assert "| coverage | proofs | mutants |" in text
    shipped = Path(report.__file__).parent / "results"
    proofs, mutants = (
        [json.loads(line) for line in (shipped / name).read_text().splitlines()]
        for name in ("proofs.jsonl", "mutants.jsonl")
    )
    proved = [row["name"] for row in proofs if row["result"] == "proved"]
    (score,) = (row for row in mutants if row["name"].startswith("dot_"))
    assert (
        f"| – | {sum(name.startswith('dot_') for name in proved)} | "
        f"{score['killed']} of {score['mutants']} killed, {score['equal']} equal |\n"
    ) in text
    # A case that ran again, as other inputs, counts once.
    results = tmp_path / "results.jsonl"
    rows = [json.loads(line) for line in results.read_text().splitlines()]
    again = [json.dumps({**row, "inputs": "other", "content": "other"}) for row in rows]
    results.write_text(results.read_text() + "\n".join(again) + "\n")
    assert report.update_page(page, tmp_path) == len(rows) and page.read_text() == text
    with pytest.raises(InputError, match="has no results"):
        report.update_page(page, tmp_path / "empty")
