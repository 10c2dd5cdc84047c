"""report.html: what the page has of an exploration, and what it does when somebody chooses."""

import dataclasses
import json
import re

import pytest
from explorations import exploration, plan

from hwgen.formats import parse
from optimizer import report
from tests import browser

NAME = "</script><script>said.push('error: injected')"


def choices(layer, *pairs):
    """A datapath of one layer, its damage and LUTs by pair."""
    return {
        tuple(map(parse, pair)): (
            dataclasses.replace(
                layer, sensitivity=damage, lut=dataclasses.replace(layer.lut, value=lut)
            ),
        )
        for pair, damage, lut in pairs
    }


@pytest.fixture
def page(tmp_path):
    front = [plan(4000, 90.0), plan(6000, 93.5, "int6", "e3m2"), plan(8000, 93.6, "int8", "int4")]
    made = exploration(
        front, 93.8, chosen=1, references=[plan(9000, 93.7, "int8", "int8")], network=NAME
    )
    (layer,) = front[0].layers
    pairs = (("int4", "int4"), 0.1, 4000), (("int6", "e3m2"), 0.01, 6000), (("e2m1",) * 2, 0, 9000)
    made = dataclasses.replace(
        made,
        reason="the cheapest",
        warnings=("a <b>warning</b>",),
        choices=(choices(layer, *pairs),),
    )
    report.write(made, tmp_path / "out", "hwgen optimize --fps 10")
    return tmp_path / "out" / "report.html"


def constant(text, name):
    return json.loads(re.search(rf"const {name} = (.*);\n", text)[1])


def test_what_it_has(page):
    browser.require_self_contained(page)
    text = page.read_text()
    plans, figures = constant(text, "PLANS"), constant(text, "FIGURES")
    assert [p["name"] for p in plans] == ["1", "2", "3", "all-INT8"]
    assert [p["chosen"] for p in plans] == [False, True, False, False]
    assert [p["lut"] for p in plans] == ["4,000", "6,000", "8,000", "9,000"]
    assert plans[1]["layers"] == [
        ["layer", "int6 / e3m2", "4 × 1", "40", "6,000 (6,000–6,000)", "", "0.01000"]
    ]
    front, single = figures["front"]["data"]
    assert front["x"] == [4000, 6000, 8000] and front["y"] == [90.0, 93.5, 93.6]
    assert single["x"] == [9000] and single["customdata"] == [3]
    heat, mark = figures["sensitivities"]["data"]
    assert heat["x"] == ["int4 × int4", "int6 × e3m2", "e2m1 × e2m1"]
    assert heat["z"] == [[-1.0, -2.0, -6.0]]
    assert mark["x"] == ["int6 × e3m2"] and mark["y"] == ["layer"]
    assert "a &lt;b&gt;warning&lt;/b&gt;" in text and NAME not in text


@browser.needed
def test_what_it_does(page):
    script = """
        const cells = () => document.querySelectorAll("#plan-layers td:nth-child(2)");
        const layers = () => [...cells()].map(cell => cell.textContent);
        const state = () => [document.getElementById("name").textContent, layers(),
            radios.findIndex(r => r.checked), document.querySelectorAll("tr.shown").length];
        said.push(state());
        radios[2].focus(); radios[2].click(); said.push(state());
        document.getElementById("front").emit("plotly_click", {points: [{customdata: 3}]});
        said.push(state());
        said.push([...document.querySelectorAll(".figure .main-svg")].length > 2);
        said.push(document.documentElement.scrollWidth <= innerWidth);
    """
    shown = [
        ["2", ["int6 / e3m2"], 1, 1],
        ["3", ["int8 / int4"], 2, 1],
        ["all-INT8", ["int8 / int8"], 3, 1],
    ]
    assert browser.said(page, script) == [*shown, True, True]
    assert browser.said(page, script, "--window-size=500,900")[-1]


@browser.needed
def test_ink_is_of_the_scheme(page):
    script = """said.push(document.getElementById("front").layout.font.color);
        dispatchEvent(new Event("beforeprint"));
        said.push(document.getElementById("front").layout.font.color);"""
    assert browser.said(page, script) == ["#222", "#222"]
    dark = "--blink-settings=preferredColorScheme=0"
    assert browser.said(page, script, dark) == ["#ddd", "#222"]
