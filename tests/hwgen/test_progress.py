"""A command that takes long says what it is at, on standard error and nowhere else."""

import io
import re
import sys
import time

import pytest

import hwgen
from hwgen import emit, progress, units
from hwgen.cli import main


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def quickly(monkeypatch):
    monkeypatch.setattr(progress, "QUIET_S", 0.2)
    monkeypatch.setattr(progress, "EVERY_S", 0.2)


@pytest.mark.parametrize("kind", [io.StringIO, Terminal])
def test_what_is_done_is_printed(quickly, monkeypatch, kind):
    errors = kind()
    monkeypatch.setattr(sys, "stderr", errors)
    with progress.shown(), progress.doing("first"), progress.doing("second", limit_s=90):
        time.sleep(0.6)
    text = errors.getvalue()
    assert "hwgen: 0 s: second for 0 s (90 s more at most)" in text and "first" not in text
    assert text.endswith("\r\033[K" if errors.isatty() else "\n")


def test_a_quick_command_prints_nothing(quickly, capsys):
    with progress.shown(), progress.doing("quick"):
        pass
    assert capsys.readouterr().err == ""


def test_a_library_prints_nothing(quickly, capsys):
    with progress.doing("slow"):
        time.sleep(0.6)
    assert capsys.readouterr().err == "" and progress.now() == ""


def test_commands_say_what_they_are_at(monkeypatch, capsys, tmp_path):
    """Making the hardware, and a tool with its step and its time limit."""
    monkeypatch.setattr(progress, "QUIET_S", 0.05)
    monkeypatch.setattr(progress, "EVERY_S", 0.05)
    unit = ["dot", "--a", "e4m3", "--b", "e4m3", "--lanes", "6"]
    assert main(["generate", *unit, "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr()
    assert "making the hardware of dot_e4m3_e4m3_lanes6" in printed.err
    _, tuned = printed.out.splitlines()
    assert re.match(r"\d+ stages, tuned for ecp5: ", tuned)
    assert main(["synth", *unit, "--target", "xc7"]) == 0
    printed = capsys.readouterr()
    assert "yosys works on dot_e4m3_e4m3_lanes6" in printed.err
    assert (
        "step " in printed.err and "s more at most" in printed.err and printed.out.count("\n") == 1
    )


def test_the_pace_of_counted_work_tells_its_end(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    pace = progress.Pace(10)
    assert str(pace) == "0/10"
    pace.part_done(known=True)  # Took no time, and says nothing of the others.
    clock[0] += 30
    assert str(pace) == "1/10"
    for _ in range(3):
        pace.part_done()
    assert str(pace) == "4/10, 1:00 left"  # 10 s each, six more.
    with progress.doing("proving", detail=pace.__str__), progress.doing("abc compares"):
        assert progress.now() == "4/10, 1:00 left: abc compares for 0 s"
    for _ in range(6):
        pace.part_done()
    assert str(pace) == "10/10"


def test_many_lanes_are_estimated_from_few(monkeypatch):
    """Only where somebody reads it, and for units whose lanes can be chosen."""
    made = []
    genuine = units.component
    monkeypatch.setattr(units, "component", lambda s: made.append(s.lanes) or genuine(s))
    spec = hwgen.DotProduct(a="int2", b="int2", lanes=96)
    assert emit.rtlil(spec) and made == [96]
    with progress.shown():
        text = emit.rtlil(spec)
        assert 0 < emit._about_s(spec, False) < 60
    assert made == [96, 6, 96, 6] and text == emit.rtlil(spec)
    assert emit._about_s(hwgen.FixedDot(a="int2", b="int2", weights=[1] * 96), False) is None
    assert emit._about_s(hwgen.DotProduct(a="int2", b="int2", lanes=95), False) is None
