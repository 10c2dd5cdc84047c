"""Names that a file gives, in a terminal, in Markdown and in the report."""

from __future__ import annotations

import json
import re

import numpy as np
import perceptron
import pytest
from graphs import crude_cost

from optimizer import explore, report
from optimizer.data import ImageData
from optimizer.onnx_import import load
from optimizer.text import fenced, markdown, printable

NAMES = (
    "a|b",
    "`code` and ```more```",
    "line\nbreak\r\n| x |",
    "*bold* _under_ snake_case __init__",
    "<img src=x>",
    "[link](http://x) ![image](y)",
    "back\\slash \\| pipe",
    "x" * 300,
    "\x1b[31mred\x1b[0m",
    "$x^2$ #1 ~~gone~~ &amp;",
    "層/量",
    "  spaces  ",
)


def rendered(text):
    """What a reader of Markdown sees: escapes undone; nothing else may have a meaning."""
    unescaped = re.sub(r"\\([!-/:-@\[-`{-~])", "", text)
    assert not re.search(r"[\\`*\[\]<>|#~$&!]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", unescaped), text
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", text)


@pytest.mark.parametrize("name", NAMES)
def test_markdown_shows_a_name_as_it_is(name):
    line = printable(name)
    assert line.isprintable()
    assert rendered(markdown(line)) == line


def test_printable_is_one_line_and_short():
    assert printable("a\nb\x00\x1b[0m\udc80é層") == "a\\nb\\x00\\x1b[0m\\udc80é層"
    short = printable("start" + "x" * 300 + "end", 40)
    assert len(short) == 40 and short.startswith("start") and short.endswith("end") and "…" in short
    assert printable("x" * 40, 40) == "x" * 40


@pytest.mark.parametrize("text", ["plain", "a ``` b", "`", "````"])
def test_fence_is_longer_than_what_it_holds(text):
    first, *_, last = fenced(text).split("\n")
    assert first == last and set(first) == {"`"} and len(first) >= 3 and first not in text


@pytest.mark.parametrize("pair", list(zip(NAMES[::2], NAMES[1::2], strict=True)))
def test_layer_names_in_the_report(tmp_path, pair):
    folder = perceptron.write(tmp_path, pair)
    network = load(folder / "mlp.onnx")
    d = perceptron.features()
    data = ImageData(d["calibration"][:40], None, d["test"][:80], d["test_labels"][:80], "a|b`c\nd")
    exploration = explore.explore(
        network,
        data,
        explore.settings(target="ecp5", fps=1e5, formats=["int6"]),
        predict=crude_cost,
    )
    report.write(exploration, tmp_path / "out", command="hwgen optimize --model 'a```b\nc.onnx'")
    page = (tmp_path / "out" / "report.md").read_text()
    assert "# Accuracy against LUTs: mlp on a\\|b\\`c\\\\nd\n" in page
    rows = [line for line in page.split("\n") if line.startswith("| ")]
    cells = [re.split(r"(?<!\\)(?:\\\\)*\|", row)[1:-1] for row in rows]
    firsts = ("point", "layer", "methods, one more a row")
    heads = [i for i, row in enumerate(cells) if row[0].strip() in firsts]
    for i, row in enumerate(cells):
        head = cells[max(h for h in heads if h <= i)]
        assert len(row) == len(head)
    names = [rendered(row[0]).strip() for row in cells[heads[1] + 2 : heads[2] - 1]]
    plan = json.loads((tmp_path / "out" / "plan.json").read_text())
    whole = [layer["name"] for layer in plan["chosen"]["layers"]]
    assert whole == list(network.layer_nodes)
    assert names == [printable(name, report.LONGEST_NAME).strip() for name in whole]
    table = report.table(exploration)
    assert "\x1b" not in table and all(len(line) < 250 for line in table.split("\n"))
    assert np.isfinite(exploration.fp32.percent)
