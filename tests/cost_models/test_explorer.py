"""``hwgen explore``: a page on which costs are chosen, compared and exported."""

import csv
import io
import json
import re
import sys

import pytest

import cost_models
from cost_models import explorer
from hwgen.cli import main
from hwgen.errors import InputError
from hwgen.spec import DotProduct, Multiply
from tests import browser

PAIRS, LANES = [("int4", "int4"), ("e2m1", "e2m1"), ("int4", "e2m1")], (1, 4, 32)


@pytest.fixture(scope="module")
def table():
    specs = [DotProduct(a=a, b=b, lanes=lanes) for a, b in PAIRS for lanes in LANES]
    return cost_models.compare(specs, ["ecp5", "xc7"])


@pytest.fixture
def page(table, tmp_path):
    return explorer.write(table, tmp_path / "page.html", "hwgen explore")


def test_every_cost_is_there_with_its_source(page, table):
    browser.require_self_contained(page)
    rows = json.loads(re.search(r"const ROWS = (.*);\n", page.read_text())[1])
    assert len(rows) == 18
    for row, record in zip(rows, table.records, strict=True):
        assert {name: row[name] for name in record} == record
        assert row["name"].startswith(f"dot_{row['a']}_{row['b']}_lanes{row['lanes']}_")
        assert row["source"] in ("measured", "predicted") and row["bits"] == 4
    assert f"{sum(r['source'] == 'measured' for r in rows)} measured" in page.read_text()


@browser.needed
def test_choosing_comparing_exporting(page, table):
    script = """
        const state = () => [chosen().length, byId("rows").rows.length, byId("count").textContent,
            byId("costs").data.filter(t => t.name).map(t => [t.name, t.y])];
        const box = (field, value) =>
            document.querySelector(`fieldset[data-field=${field}] input[value=${value}]`);
        said.push(state());
        box("a", "int4").click(); said.push(state());
        box("target", "xc7").click(); said.push(state());
        document.querySelector("fieldset[data-field=a] input.all").click(); said.push(state()[0]);
        byId("rows").rows[1].querySelector("input").click();
        const ratio = row => row.cells[row.cells.length - 2].textContent;
        said.push([...byId("rows").rows].slice(0, 3).map(ratio));
        said.push(csv(chosen()));
    """
    all_, some, both, count, ratios, text = browser.said(page, script)
    luts = {(r["name"].split("_lanes")[0], r["target"]): [] for r in table.records}
    for r in table.records:
        luts[r["name"].split("_lanes")[0], r["target"]].append(r["lut"])
    assert all_ == [9, 9, "9 units", [
        ["ecp5, int4", luts["dot_int4_int4", "ecp5"]],
        ["ecp5, e2m1", luts["dot_e2m1_e2m1", "ecp5"]],
        ["ecp5, int4, e2m1", luts["dot_int4_e2m1", "ecp5"]],
    ]]  # fmt: skip
    assert some[:3] == [3, 3, "3 units"] and both[0] == 6 and count == 18
    first = [r["lut"] for r in table.records[:3]]
    assert ratios == [f"{lut / first[1]:.2f}" for lut in first]
    exported = list(csv.DictReader(io.StringIO(text)))
    assert [(r["name"], r["target"], int(r["lut"])) for r in exported] == [
        (r["name"], r["target"], r["lut"]) for r in table.records
    ]


def test_the_command(capsys, tmp_path):
    file = tmp_path / "new" / "page.html"
    line = ["explore", "dot", "--a", "int4,e2m1,nvfp4", "--b", "like-a", "--lanes", "4"]
    assert main([*line, "--target", "ecp5,xc7", "--out", str(file)]) == 0
    told = capsys.readouterr()
    assert told.out == f"{file}: 4 units\n" and "1 combinations left out; the first: " in told.err
    assert f"hwgen {' '.join(line)}" in file.read_text()


def test_what_cannot_be(capsys, monkeypatch, table, tmp_path):
    with pytest.raises(InputError, match=r"the name of a page ends in \.html"):
        explorer.write(table, tmp_path / "page.txt", "")
    assert main(["explore", "dott", "--out", str(tmp_path / "p.html")]) == 2
    assert "did you mean dot" in capsys.readouterr().err
    monkeypatch.setattr(cost_models, "compare", None)  # No work before what is refused.
    assert main(["explore", "--out", str(tmp_path / "page.txt")]) == 2
    assert "the name of a page ends in .html" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "plotly", None)
    monkeypatch.delitem(sys.modules, "cost_models.explorer")
    monkeypatch.delattr(cost_models, "explorer")
    assert main(["explore", "--out", str(tmp_path / "page.html")]) == 2
    assert "pages need plotly, which is not installed: pip install" in capsys.readouterr().err
    monkeypatch.undo()
    unit = cost_models.compare([Multiply(a="int4", b="int4")], ["ecp5"])
    assert explorer.write(unit, tmp_path / "mul.html", "").is_file()  # Against its stages.
