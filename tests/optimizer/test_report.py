"""The tables say what came of an exploration: every figure of a result that is known."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

from explorations import exploration, plan
from graphs import normal, save
from onnx import helper
from onnx_files import dense

from cost_models import Cost, Quantity
from hwgen.formats import parse
from hwgen.spec import BlockDot
from optimizer import report
from optimizer.ablation import Step
from optimizer.explore import FullTest
from optimizer.network import FloatOperator
from optimizer.onnx_import import load
from optimizer.plan import Accuracy, LayerCheck
from optimizer.rotation import rotated_network
from optimizer.sizing import LutRange, Size


def known():
    """Three layers a plan, of which each figure is another; the cheaper of two is chosen."""
    plans = []
    for lut, percent, b in ((600, 93.0, "int5"), (900, 94.5, "int7")):
        (first,) = plan(lut, percent, "e2m1", b).layers
        layers = tuple(
            dataclasses.replace(
                first,
                layer=dataclasses.replace(first.layer, name=f"layer{i}", outputs=1200 * i),
                size=dataclasses.replace(first.size, lanes=4 * i, units=i + 4),
                cycles=1000 * i,
                lut=LutRange(lut + i, lut - i, lut + 1000 * i),
                sensitivity=0.01 * i,
            )
            for i in (1, 2, 3)
        )
        plans.append(dataclasses.replace(plan(lut, percent), layers=layers))
    e = exploration(plans, 94.0, 0, (plan(2000, 93.9),))
    return dataclasses.replace(e, reason="the cheapest")


def measured(e):
    """In place of synthesis: 110 LUTs a unit, 49.6 MHz."""
    lut, none = Quantity(110, 110, 110, "measured"), Quantity(0, 0, 0, "measured")
    cost = Cost(lut, none, none, none, Quantity(49.6, 49.6, 49.6, "measured"), basis="a test")
    chosen = e.chosen.with_measured(dict.fromkeys(e.chosen.specs, cost))
    check = LayerCheck("layer2", "unit", cycles=5000, mismatches=1, outputs=20, wrong_outputs=3)
    test = FullTest("all", Accuracy(9302, 10_000), Accuracy(9255, 10_000))
    return dataclasses.replace(e, chosen=chosen, checks=(check,), full_test=test)


def cells(text, head):
    """The rows below the line that begins with ``head``, as lists of cells."""
    lines = text.split("\n")
    start = next(i for i, line in enumerate(lines) if line.split()[:1] == [head]) + 2
    rows = []
    for line in lines[start:]:
        if not line:
            return rows
        rows.append([cell.strip() for cell in line.split("  ") if cell.strip()])
    raise AssertionError("no end of the table")


def test_every_figure_of_the_table():
    text = report.table(known())
    assert cells(text, "point") == [
        ["1", "1,806", "93.00", "93.00", "-1.00", "0.0600", "–", "A e2m1, W int5", "<- chosen"],
        ["2", "2,706", "94.50", "94.50", "+0.50", "0.0600", "–", "A e2m1, W int7"],
        ["all-INT8", "2,000", "93.90", "93.90", "-0.10", "0.0100", "–", "A int4, W int4"],
        ["FP32", "94.00", "94.00"],
    ]
    figures = [
        ["4", "5", "1,000", "601", "599–1,600", "–", "–", "0.01000", "e2m1 / int5"],
        ["8", "6", "2,000", "602", "598–2,600", "–", "–", "0.02000", "e2m1 / int5"],
        ["12", "7", "3,000", "603", "597–3,600", "–", "–", "0.03000", "e2m1 / int5"],
    ]
    assert cells(text, "layer") == [
        *([f"layer{i}", "16", f"{1200 * i:,}", *row] for i, row in enumerate(figures, 1)),
        ["sum", "3,000", "1,806", "1,794–7,800", "–", "0.06000"],
    ]
    assert "chosen: the cheapest\n" in text
    assert "net on data, ecp5, 1000 images/s at 50 MHz, streaming style" in text
    # The root of 0.94 · 0.06 / 2000.
    assert "2,000 test images (standard error 0.53 points), calibration on 512 images" in text


def test_every_figure_that_was_measured():
    text = report.table(measured(known()))
    rows = cells(text, "layer")
    assert [row[8:10] for row in rows[:3]] == [["550", "50"], ["660", "50"], ["770", "50"]]
    assert rows[3][4] == "1,980"
    # 1,806 of 1,980 are 8.8% less.
    assert "synthesised: 1,980 LUT, predicted 1,806 (-8.8%)" in text
    assert "layer1, layer2, layer3 do not reach 50 MHz" in text
    assert (
        "10,000 test images of all that selected nothing: FP32 93.02%, chosen plan 92.55%" in text
    )
    assert "simulated layer2: 5,000 cycles of unit" in text
    assert "1 mismatches; 20 sums against inference, 3 wrong" in text


def test_products_in_float_are_told_with_their_share_and_reason():
    e = known()
    assert "in float" not in report.table(e)
    named = [FloatOperator(f"gate{i}", "LSTM", 1000 + i, "it is recurrent") for i in range(11)]
    named.insert(3, FloatOperator("choice", "If", None, "what it computes depends on the input"))
    network = SimpleNamespace(
        name="net", float_operators=tuple(named), float_share=0.2345, nodes=()
    )
    e = dataclasses.replace(e, network=network)
    for text in (report.table(e), report.page(e)):
        assert "23.4% of the products, and 1 operators that are not counted" in text
        assert "LSTM gate2, 1,002 products an image: it is recurrent" in text
        assert "If choice, not counted: what it computes depends on the input" in text
        assert "2 more, named in plan.json" in text and "gate10" not in text
    assert e.to_dict()["float_share"] == 0.2345 and len(e.to_dict()["float_operators"]) == 12


def test_what_is_done_to_the_rows_of_blocks(tmp_path):
    """16 products in blocks of 32; and 5 rows of 24 numbers, rotated in blocks of 16."""
    e = known()
    assert "zeros" not in report.table(e) and "rotated" not in report.table(e)
    first, second, _ = e.chosen.layers
    spec = BlockDot(a="mxfp4", b="mxfp4")
    blocked = dataclasses.replace(first, spec=spec, size=Size(32, 1, 40, 32))
    chosen = dataclasses.replace(e.chosen, layers=(blocked, second))
    settings = dataclasses.replace(e.settings, formats=(parse("mxfp4"), parse("int4")))
    w = {"w": normal(1, 24, 3)}
    nodes = [helper.make_node("MatMul", ["x", "w"], ["c"], name="own"), *dense("c", 15, w)]
    network = load(save(tmp_path / "n.onnx", nodes, w, ("batch", 5, 24)))
    turned = rotated_network(network, ["own"], 16)
    e = dataclasses.replace(
        e, chosen=chosen, front=(chosen, e.front[1]), settings=settings, network=turned
    )
    report.write(e, tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    for text in (report.table(e), report.page(e), page):
        assert "pow2, pow2-group, unsigned, asymmetric are for single numbers alone" in text
        assert "zeros to whole blocks, at the cost of all others: layer1 16 to 32" in text
        assert "rotated at run time in blocks of 16: 640 additions an image" in text
    assert e.to_dict()["rotations"] == [{"layer": "own", "size": 16, "additions": 5 * 2 * 16 * 4}]


def test_what_each_method_brought():
    steps = (
        Step("round to nearest", Accuracy(800, 1000), 0.5),
        Step("bias", Accuracy(900, 1000), 0.25),
    )
    made = dataclasses.replace(exploration([plan(600, 93.0)], 94.0), reason="r", ablation=steps)
    first, last = (
        line.split()
        for line in report.table(made).splitlines()
        if line.startswith(("round to nearest", "bias "))
    )
    assert first == ["round", "to", "nearest", "80.00", "±1.26", "0.5000"]
    assert last == ["bias", "90.00", "±0.95", "+10.00", "0.2500", "<-", "as", "it", "is"]
