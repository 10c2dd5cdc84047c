"""A few malformed command lines of ``command_lines.py``, and that its judge can say no."""

import command_lines as fuzz
import pytest


def test_malformed_lines():
    told = []
    assert fuzz.run("seed 7", list(fuzz.lines(7, 24)), told.append) == 0, told


def test_lines_are_those_of_the_seed():
    first, again, other = (list(fuzz.lines(seed, 60)) for seed in (1, 1, 2))
    assert first == again != other
    assert {line[0] for line in fuzz.VALID} <= {line[0] for line in first if line}


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
