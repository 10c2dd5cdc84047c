"""Sweeps: what is measured once, what fails, what is left after an interruption."""

import errno
import threading
import time

import pytest

import yosys_scripts
from cost_models import measurement, query, sweep
from cost_models.sweep_plan import Point
from hwgen import records
from hwgen.cli import main
from hwgen.errors import InputError, ToolError
from hwgen.spec import Multiply
from tests.cost_models.sweeps import POINTS, TWO, rows, run

pytestmark = pytest.mark.usefixtures("empty_store")
CRASHED = "yosys crashed (signal 11)"


def test_a_plan_is_measured_once(capsys, monkeypatch, plan, tmp_path):
    """By Yosys itself: the second time it is not asked."""
    first, again = tmp_path / "new" / "folder" / "first.jsonl", tmp_path / "again.jsonl"
    assert main(["sweep", str(plan), "--export", str(first)]) == 0
    told = capsys.readouterr()
    assert told.out == f"2 of 2 points are measured\n{first}: 2 measurements\n"
    lines = [line for line in told.err.splitlines() if not line.startswith("hwgen: ")]
    assert [line.split(":")[0] for line in lines] == ["1/2, 0", "2/2"]
    assert "xc7 mul_int2_int2" in told.err and " LUT in " in lines[1]
    monkeypatch.setattr(yosys_scripts, "synthesise", lambda *given, **named: 1 / 0)
    assert main(["sweep", str(plan), "--export", str(again)]) == 0
    assert capsys.readouterr().err == "" and again.read_bytes() == first.read_bytes()
    measured = records.read(first, measurement.checked)
    assert [m.spec["a"] for m in measured] == ["int2", "int3"]
    assert all(m.result["lut"] > 0 and "cells" not in m.result for m in measured)


@pytest.mark.parametrize("workers", [1, 3])
def test_outcomes_are_in_the_order_of_the_points(tools, workers):
    told = []
    outcomes = run(progress=told.append, workers=workers)
    assert [o.point for o in outcomes] == POINTS and not any(o.known for o in outcomes)
    assert [o.measurement.result["lut"] for o in outcomes] == [len(p.spec.name) for p in POINTS]
    assert sorted(tools.asked) == sorted(p.spec.name for p in POINTS) != tools.asked
    assert len(told) == 8 and told[-1].startswith("8/8: xc7 mul_")
    again = run(progress=told.append)
    assert all(o.known for o in again) and len(told) == len(tools.asked) == 8
    assert [o.measurement for o in again] == [o.measurement for o in outcomes]


@pytest.mark.parametrize("end", [KeyboardInterrupt, RuntimeError])
def test_an_interruption_loses_nothing(tools, end):
    told = []

    def interrupted(line):
        told.append(line)
        if len(told) == 3:
            raise end

    with pytest.raises(end):
        run(progress=interrupted, workers=1)
    asked = len(tools.asked)
    assert 3 <= asked < 8
    assert sum(result is not None for result in rows().values()) == asked
    outcomes = run(workers=1)
    assert sorted(tools.asked) == sorted(p.spec.name for p in POINTS)
    assert sum(o.known for o in outcomes) == asked
    assert all(o.measurement is not None for o in outcomes)


def test_an_interruption_before_all_are_at_work_drops_them(tools, monkeypatch):
    """Ctrl-C while what is known is still looked up."""
    genuine, looked = sweep._known, []

    def known(point, retry):
        looked.append(point)
        if len(looked) == 6:
            raise KeyboardInterrupt
        return genuine(point, retry)

    entered = threading.Event()
    release = threading.Event()
    synthesise = tools.synthesise

    def slow(*given, **named):
        entered.set()
        release.wait(20)
        return synthesise(*given, **named)

    monkeypatch.setattr(yosys_scripts, "synthesise", slow)
    monkeypatch.setattr(sweep, "_known", known)
    threading.Thread(target=lambda: (entered.wait(20), time.sleep(0.2), release.set())).start()
    with pytest.raises(KeyboardInterrupt):
        run(workers=1)
    assert len(tools.asked) <= 1


def test_a_failure_is_a_result(tools):
    told, name = [], POINTS[2].spec.name
    tools.problems[name] = ToolError(CRASHED)
    outcomes = run(progress=told.append)
    assert [o.failure for o in outcomes] == [CRASHED if i == 2 else "" for i in range(8)]
    assert [o.measurement is None for o in outcomes] == [i == 2 for i in range(8)]
    assert sum(f"xc7 {name}: failed: {CRASHED}" in line for line in told) == 1
    # Nothing is tried again, though it would work now.
    del tools.problems[name]
    again = run(progress=told.append)
    assert len(tools.asked) == 8 == len(told)
    assert (again[2].measurement, again[2].failure, again[2].known) == (None, CRASHED, True)
    # Unless that is asked for; it is measured from then on.
    for settings, known in (({"retry": True}, False), ({}, True), ({"retry": True}, True)):
        outcome = run(**settings)[2]
        assert (outcome.failure, outcome.known) == ("", known)
        assert outcome.measurement.result["lut"] == len(name)
    assert tools.asked.count(name) == 2 and len(tools.asked) == 9


def test_a_failure_is_of_one_target_and_placement(tools):
    spec = POINTS[0].spec
    tools.problems[spec.name] = ToolError(CRASHED)
    assert run([Point(spec, "ecp5", True)])[0].failure == CRASHED
    tools.problems.clear()
    others = [Point(spec, "ecp5", False), Point(spec, "xc7", True)]
    assert all(o.measurement is not None for o in run(others))
    assert run([Point(spec, "ecp5", True)])[0].failure == CRASHED


def test_a_time_limit_is_a_failure():
    """Of the tool itself."""
    (outcome,) = run(POINTS[:1], time_limit_s=0)
    assert outcome.measurement is None and not outcome.known
    assert outcome.failure.startswith("yosys took longer than 0 s")
    (again,) = run(POINTS[:1])
    assert (again.failure, again.known) == (outcome.failure, True)
    (measured,) = run(POINTS[:1], retry=True)
    assert measured.measurement.result["lut"] > 0


def test_a_fault_of_one_unit_stops_no_other(tools, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    tools.problems[POINTS[3].spec.name] = ZeroDivisionError("division by zero")
    outcomes = run()
    assert [o.measurement is None for o in outcomes] == [i == 3 for i in range(8)]
    assert "ZeroDivisionError: division by zero; this is a fault of hwgen" in outcomes[3].failure
    (fault,) = tmp_path.glob("hwgen-fault-*.txt")
    assert str(fault) in outcomes[3].failure and "Traceback" in fault.read_text()


@pytest.mark.parametrize(
    "problem", [OSError(errno.ENOSPC, "No space left on device"), MemoryError(), InputError("x")]
)
def test_what_the_machine_lacks_is_no_result(tools, problem):
    tools.problems[POINTS[3].spec.name] = problem
    with pytest.raises(type(problem)):
        run()
    tools.problems.clear()
    assert all(o.measurement is not None for o in run())


def test_failures_are_shown(tools, capsys, tmp_path):
    file, export = tmp_path / "plan.toml", tmp_path / "e.jsonl"
    file.write_text(TWO.replace('["int2", "int3"]', '"listed"'))
    tools.problems = {p.spec.name: ToolError(CRASHED) for p in POINTS[:2]}
    assert main(["sweep", str(file), "--export", str(export)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "13 of 15 points are measured" and out[-1] == f"{export}: 13 measurements"
    assert len(out) == 5 and "--retry tries them again" in out[3]
    assert out[1:3] == [f"  failed: xc7 {p.spec.name}: {CRASHED}" for p in POINTS[:2]]


def test_a_sweep_of_failures_alone_fails_and_overwrites_nothing(capsys, monkeypatch, tmp_path):
    def fails(*given, **named):
        raise ToolError(CRASHED)

    monkeypatch.setattr(yosys_scripts, "synthesise", fails)
    file, export = tmp_path / "plan.toml", tmp_path / "e.jsonl"
    file.write_text(TWO.replace('["int2", "int3"]', '"listed"'))
    export.write_text("earlier\n")
    assert main(["sweep", str(file), "--export", str(export)]) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "0 of 15 points are measured" and out[-2] == "  and 5 more"
    assert len(out) == 13 and export.read_text() == "earlier\n"


def test_a_plan_is_not_overwritten(capsys, tools, plan):
    assert main(["sweep", str(plan), "--export", str(plan.parent / "." / plan.name)]) == 2
    assert "it is the plan: name another file" in capsys.readouterr().err
    assert plan.read_text() == TWO and tools.asked == []


def test_the_command_passes_on_what_it_is_given(capsys, monkeypatch, plan):
    given = {}

    def noted(points, **named):
        given.update(named, points=points)
        return [sweep.Outcome(points[0], None, CRASHED), sweep.Outcome(points[1], None, CRASHED)]

    monkeypatch.setattr(sweep, "run", noted)
    assert main(["sweep", str(plan), "--workers", "3", "--retry", "--timeout", "7"]) == 1
    assert [p.spec.name for p in given["points"]] == [p.spec.name for p in POINTS[:2]]
    assert (given["workers"], given["retry"], given["time_limit_s"]) == (3, True, 7)
    assert main(["sweep", str(plan), "--scheduler", "tcp://host:1"]) == 1
    assert (given["workers"], given["scheduler"], given["retry"]) == (None, "tcp://host:1", False)
    assert given["time_limit_s"] == measurement.TIME_LIMIT_S


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"workers": 0}, "workers=0: use a whole number from 1 to 1024"),
        ({"workers": -1}, "workers=-1: use a whole number"),
        ({"workers": 1025}, "workers=1025: use a whole number"),
        ({"workers": 2, "scheduler": "tcp://host:1"}, "leave one of them out"),
    ],
)
def test_settings_that_cannot_be_are_refused(tools, settings, words):
    with pytest.raises(InputError, match=words):
        run(**settings)
    assert tools.asked == []


def test_a_store_that_cannot_be_written_is_told_first(tools, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HWGEN_STORE", str(tmp_path / "file" / "store.sqlite"))
    with pytest.raises(InputError, match=r"the store of results .* cannot be used"):
        run()
    assert tools.asked == []


def test_the_least_sure_units(monkeypatch, capsys, tools, tmp_path):
    """By the interval of the model, in parts of the value; those it does not know first."""

    def predict(spec, target):
        if str(spec.a) == "e2m1":
            raise InputError("unlike all")
        width = 90 if str(spec.a) == "int4" else 10
        lut = query.Quantity(100.0, 100.0, 100.0 + width, "predicted")
        return query.Cost(lut, lut, lut, lut, lut, "x")

    monkeypatch.setattr(query, "predict", predict)
    widths = [sweep.unsureness(Multiply(a=a, b=a), "xc7") for a in ("int2", "int4", "e2m1")]
    assert widths == [0.1, 0.9, float("inf")]
    file = tmp_path / "plan.toml"
    sample = 'sample = "unsure"\ncount = 2\nseed = 1\n'
    file.write_text(TWO.replace('["int2", "int3"]', '"listed"') + sample)
    assert main(["sweep", str(file)]) == 0
    assert [name.split("_")[1] for name in sorted(tools.asked)] == ["e2m1", "int4"]
