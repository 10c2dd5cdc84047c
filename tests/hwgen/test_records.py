"""Files of results: bad lines are named and passed over, and no write leaves half a line."""

import json
import os
import subprocess
import sys
import warnings

import pytest

from hwgen import InputError, Multiply, records
from hwgen.records import PassedOver
from hwgen.store import Lines
from sim import formal, mutation, regression
from sim.case_list import Case

PROOF = {
    "key": "k",
    "name": "mul_int4_int4_stages1_lut",
    "property": "stream",
    "target": None,
    "result": "proved",
    "claims": 6,
    "engines": ["structure"],
    "seconds": 3.5,
    "versions": {},
    "reason": "",
    "counterexample": None,
}
SCORE = {
    **{"key": "k", "name": "mul", "passed": True, "seconds": 1.0, "cycles": 9},
    **{"mutants": 3, "killed": 2, "equal": 1, "different": 0, "not_proved": 0},
}


def result(**changes):
    whole = regression.Result(Case(Multiply(a="int4", b="int4")), regression.PASSED, vectors=5)
    return {**whole.to_dict(), **changes}


#: A file's reader, a good row, and changes that make it a bad one.
KINDS = {
    "proofs": (
        lambda path: Lines(formal.PROOF, path).results,
        PROOF,
        [{"result": "yes"}, {"claims": -1}, {"counterexample": {}}, {"property": "refrence"}],
    ),
    "mutants": (
        lambda path: Lines(mutation.SCORE, path).results,
        SCORE,
        [{"killed": "many"}, {"killed": 3}, {"passed": None}, {"equal": True}],
    ),
    "results": (
        lambda path: regression.load(path.parent),
        result(),
        [{"status": "fine"}, {"vectors": -5}, {"case": None}, {"mismatches": 1}, {"vectors": 0}],
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_bad_rows_are_named_and_passed_over(tmp_path, kind):
    read, good, changes = KINDS[kind]
    file = tmp_path / regression.RESULTS
    bad = [json.dumps({**good, **change}) for change in changes]
    for line in [*bad, "null", "[]", "5", "{", "[" * 100_000, json.dumps({"key": "k"})]:
        file.write_text(f"{line}\n{json.dumps(good)}\n")
        with pytest.warns(PassedOver, match=rf"{file}, line 1 is passed over: ") as caught:
            assert len(read(file)) == 1, line[:90]
        assert len(caught) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_half_a_line_is_no_row_and_is_replaced(tmp_path, kind):
    read, good, _ = KINDS[kind]
    file = tmp_path / regression.RESULTS
    whole = json.dumps(good)
    with warnings.catch_warnings():
        warnings.simplefilter("error", PassedOver)
        for length in (1, len(whole) // 2, len(whole) - 1):
            file.write_text(f"{whole}\n{whole[:length]}")
            assert len(read(file)) == 1
            records.append(file, good)
            assert file.read_text() == f"{whole}\n{whole}\n"
        file.write_text(whole)  # A whole line that an editor left without its end.
        records.append(file, good)
        assert file.read_text() == f"{whole}\n{whole}\n"


def test_a_long_half_line_is_found(tmp_path):
    file = tmp_path / "rows"
    file.write_text('{"a": 1}\n{"b": "' + "x" * 20_000)
    records.append(file, {"c": 2})
    assert file.read_text() == '{"a": 1}\n{"c": 2}\n'


def test_a_full_disk_leaves_whole_lines(tmp_path):
    """A file size limit stands in for the end of the disk."""
    program = """
import resource, signal, sys
from pathlib import Path
from hwgen import records
from hwgen.errors import InputError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    for number in range(1000):
        records.append(Path(sys.argv[1]), {"number": number, "more": "x" * 90})
except InputError as error:
    print(error)
"""
    file = tmp_path / "rows"
    done = subprocess.run(
        [sys.executable, "-c", program, str(file)], capture_output=True, text=True, check=True
    )
    assert f"'{file}' cannot be written (" in done.stdout
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [row["number"] for row in rows] == list(range(len(rows))) and len(rows) > 5


def test_unreadable_files_are_input_errors(tmp_path):
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        records.read(tmp_path, dict)
    with pytest.raises(InputError, match=r"cannot be written \("):
        records.append(tmp_path, {})
    with pytest.raises(InputError, match=r"cannot be written \(No space left on device\)"):
        records.append(tmp_path.__class__("/dev/full"), {})
    assert not os.listdir(tmp_path)
