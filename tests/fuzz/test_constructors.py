"""A sample of the malformed calls, and that their judge can say no.

``constructors.py`` makes more.
"""

import time

import constructors
import pytest
from constructors import Target

from hwgen import InputError, accumulator


def test_malformed_calls_end_in_input_errors_or_work():
    ends, faults = constructors.run(600, seed=7)
    assert not faults, "\n".join(faults)
    assert ends["InputError"] > 200 and ends["accepted"] > 20


def refused(value):
    if value != 1:
        raise InputError("x" * 3000)


def late(value):
    if value != 1:
        time.sleep(5)


class Unknown(accumulator.Fixed):
    """Its repr is of a name that nobody knows."""


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda value: 1 if value == 1 else [][2], "IndexError"),
        (lambda value: value if value == 1 else int([]), "TypeError: int() argument must be"),
        (refused, "an error of 3000 letters"),
        (late, "TimeoutError: more than 1 s"),
        (lambda value: None if value == 1 else Unknown(8), "name 'Unknown' is not defined"),
    ],
    ids=["another", "type", "long", "late", "object"],
)
def test_a_fault_is_one(monkeypatch, function, words):
    monkeypatch.setattr(constructors, "SECONDS", 1)
    monkeypatch.setattr(constructors, "targets", lambda: [Target(function, {"value": 1})])
    ends, faults = constructors.run(2, seed=3)
    assert any(words in fault for fault in faults), (ends, faults)
