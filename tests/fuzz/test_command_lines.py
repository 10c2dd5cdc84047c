"""A few malformed command lines of ``command_lines.py``, and that its judge can say no."""

import os
import time
from pathlib import Path

import command_lines as fuzz
import pytest
from made_command_lines import VALID

from hwgen import InputError
from hwgen.cli import formats


@pytest.fixture(autouse=True)
def same_environment_afterwards(monkeypatch):
    for name in ("HOME", "XDG_DATA_HOME", "HWGEN_STORE"):
        monkeypatch.setenv(name, os.environ.get(name, ""))


def test_malformed_lines():
    told = []
    assert fuzz.run("seed 7", list(fuzz.lines(7, 24)), told.append) == 0, told


def test_lines_are_those_of_the_seed():
    first, again, other = (list(fuzz.lines(seed, 60)) for seed in (1, 1, 2))
    assert first == again != other
    assert {line[0] for line in VALID} <= {line[0] for line in first if line}


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        ({"code": None}, "longer than"),
        ({"code": 1}, "exit code 1"),
        ({"code": 70}, "exit code 70"),
        ({"code": -9}, "exit code -9"),
        ({"code": 0}, "did nothing"),
        ({"code": 0, "out": "x", "unread": ("lint",)}, "did not read lint"),
        ({"code": 2, "err": "Traceback (most recent call last):\nValueError: x\n"}, "a traceback"),
        ({"code": 2, "err": ""}, "no line that says what is wrong"),
        ({"code": 2, "err": "hwgen: error: x\n", "left": ("new",)}, "refused, and left new"),
        ({"code": 2, "err": "hwgen: error: x\n", "out": "y"}, "refused, and printed 'y'"),
        ({"code": 2, "err": "hwgen: error: x\n"}, ""),
        ({"code": 0, "left": ("new",)}, ""),
    ],
)
def test_the_judge(outcome, words):
    usual = {"code": 0, "out": "", "err": "", "unread": (), "left": ()}
    wrong = fuzz.Outcome(**usual | outcome).wrong
    assert wrong == words if not words else words in wrong


def reads_too_little(options):
    print("x")
    return 0


def does_nothing(options):
    return options.json and 0


def fails(options):
    return [][options.json]


def leaves_a_file(options):
    Path("new.txt").write_text("x")
    raise InputError(f"no {options.json}")


def hangs(options):
    time.sleep(60)


FAULTS = {
    "int2": (reads_too_little, "did not read json"),
    "int3": (does_nothing, "did nothing"),
    "int4": (fails, "exit code 70"),
    "int5": (leaves_a_file, "refused, and left new.txt"),
    "int6": (hangs, "took longer than 1 s"),
}


def test_what_a_line_does_is_seen(monkeypatch):
    """Faults are put into a command: each is told, and of the right kind."""
    genuine = formats.run

    def run(options):
        (name,) = options.names
        return FAULTS[name][0](options) if name in FAULTS else genuine(options)

    monkeypatch.setattr(formats, "run", run)
    told = []
    *lines, hanging = [["formats", name, "--json"] for name in ("int7", *FAULTS)]
    assert fuzz.run("faults", lines, told.append) == len(FAULTS) - 1
    monkeypatch.setattr(fuzz, "WALL_S", 1)
    assert fuzz.run("hanging", [hanging], told.append) == 1
    for words in (words for _, words in FAULTS.values()):
        assert sum(text.startswith(f"{words}: line ") for text in told) == 1, told
