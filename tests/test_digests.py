"""The hardware of specs is what is recorded, under this Python as under each other."""

import dataclasses
import re
import sys
import tomllib
from pathlib import Path

import pytest

from hwgen.spec import UNITS, from_dict
from tests import digests

ROOT = Path(__file__).parents[1]
RECORDED = digests.recorded()
#: Rows that are made again; ``python tests/digests.py`` makes all.
COUNT = 40


def test_all_kinds_of_specs_are_recorded():
    for group in digests.GROUPS:
        assert [row for row in RECORDED if row.group == group], group
    for group in ("drawn", "tuned", "pipelined"):
        assert {row.spec["unit"] for row in RECORDED if row.group == group} == set(UNITS)
    # Each once.
    drawn = set(digests.GROUPS["drawn"]())
    assert sum(row.group == "drawn" for row in RECORDED) == len(drawn) > 0.98 * digests.DRAWN
    assert len({str(row.spec) for row in RECORDED}) == len(RECORDED)
    texts = [text for row in RECORDED for text in (row.rtlil, row.verilog)]
    assert all(re.fullmatch(f"[0-9a-f]{{{digests.DIGITS}}}", text) for text in texts)


@pytest.mark.parametrize("row", digests.spread(RECORDED, COUNT), ids=lambda row: row.spec["unit"])
def test_hardware_is_what_is_recorded(row):
    """If it is to change: ``python tests/digests.py`` names what has, ``--record`` keeps it."""
    assert digests.differences(row, digests.made(row)) == [], row.spec


def test_units_for_a_clock_have_the_recorded_registers():
    """All of them: which the search chooses depends on no rounding."""
    specs = {group: set() for group in digests.GROUPS}
    for row in RECORDED:
        specs[row.group].add(digests.from_dict(row.spec))
    drawn = set(digests.GROUPS["pipelined"]())
    # One that another group has already is recorded there.
    assert specs["pipelined"] <= drawn <= set().union(*specs.values())


def test_a_difference_is_named(capsys):
    of_mul = (row for row in RECORDED if row.spec["unit"] == "mul")
    row = next(row for row in of_mul if row.spec["stages"] < from_dict(row.spec).most_stages)
    other = digests.Row(row.group, {**row.spec, "stages": row.spec["stages"] + 1})
    broken = digests.Row(row.group, {**row.spec, "a": "int99"})
    now = [digests.made(row), dataclasses.replace(row, rtlil=digests.made(other).rtlil)]
    assert digests.report([row], now[:1]) == 0
    assert digests.report([row, row], now) == 1
    assert digests.report([broken], [digests.made(broken)]) == 1
    out = capsys.readouterr().out
    assert f"{row.group}: rtlil differs: {row.spec}" in out and "InputError: " in out
    assert "verilog differs" not in out


def test_this_python_is_one_that_is_said_to_be_supported():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    version = "{}.{}".format(*sys.version_info)
    assert f"Programming Language :: Python :: {version}" in project["classifiers"]
    assert project["requires-python"] == ">=3.11"
