"""Costs of many units on many targets as a table."""

import csv
import io
import json

import pytest

import cost_models
from hwgen import DotProduct, InputError
from hwgen.cli import main

SPECS = [DotProduct(a=f, b=f, lanes=5) for f in ("int8", "e4m3", "e2m1")]


@pytest.fixture(scope="module")
def table():
    return cost_models.compare(SPECS, ["ecp5", "xc7"])


def test_each_row_is_its_estimate(table):
    records = table.records
    assert [(r["name"], r["target"]) for r in records] == [
        (spec.name, target) for target in ("ecp5", "xc7") for spec in SPECS
    ]
    for record, (spec, target, _) in zip(records, table.rows, strict=True):
        cost = cost_models.estimate(spec, target)
        assert (record["lut"], record["lut_low"], record["ff"]) == (
            *(cost.lut.value, cost.lut.low),
            cost.ff.value,
        )
        first = cost_models.estimate(SPECS[0], target)
        assert record["lut_ratio"] == cost.lut.value / first.lut.value
        assert (record["fmax_mhz"] is None) == (target == "xc7")
        assert record["dsp_ratio"] is None  # Of none.


def test_it_is_text_csv_json_and_html(table):
    lines = str(table).splitlines()
    assert len(lines) == 1 + len(table.rows) and "1.00" in lines[1]
    read = list(csv.DictReader(io.StringIO(table.to_csv())))
    assert [row["name"] for row in read] == [r["name"] for r in table.records]
    assert json.loads(table.to_json()) == table.records
    assert table._repr_html_().count("<tr>") == 1 + len(table.rows)


@pytest.mark.parametrize(
    ("specs", "targets", "problem"),
    [
        ([], ["ecp5"], "there is none"),
        (SPECS, "ecp5", "give a list of targets"),
        (SPECS, [], "give a list of targets"),
        (SPECS, ["virtex"], "virtex"),
        (["dot"], ["ecp5"], "spec"),
    ],
)
def test_what_cannot_be_compared_is_named(specs, targets, problem):
    with pytest.raises(InputError, match=problem):
        cost_models.compare(specs, targets)


def test_the_command_compares_all_combinations(table, capsys, tmp_path):
    """Of lists, of ranges, and of operands that have one format; what cannot be is left out."""
    same = ["compare", "dot", "--b", "like-a", "--target", "ecp5,xc7"]
    assert main([*same, "--a", "int8,e4m3,e2m1", "--lanes", "5", "--csv"]) == 0
    assert capsys.readouterr().out.splitlines() == table.to_csv().splitlines()
    file = tmp_path / "new" / "lanes.svg"
    line = ["compare", "dot", "--a", "int4", "--b", "int3", "--lanes", "0:2,4"]
    assert main([*line, "--json", "--picture", str(file)]) == 0
    told = capsys.readouterr()
    specs = [DotProduct(a="int4", b="int3", lanes=n) for n in (1, 2, 4)]
    assert [row["name"] for row in json.loads(told.out)] == [spec.name for spec in specs]
    assert told.err.startswith("1 combinations left out; the first: lanes")
    assert "</svg>" in file.read_text()


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--lanes", "3:1"], "a range is from a number to a larger one"),
        (["--lanes", "1:5000", "--stages", "1,2,3"], "15,000 units to compare: use up to 10,000"),
        (["--lanes", "2", "--csv", "--json"], "give one of them"),
        (["--lanes", "2", "--picture", "x.gif"], "ends in .png, .svg or .pdf"),
    ],
)
def test_the_command_names_what_it_cannot_compare(words, problem, capsys):
    assert main(["compare", "dot", "--a", "int4", "--b", "int3", *words]) == 2
    assert problem in capsys.readouterr().err
