"""From the ONNX file to the plan, its operands and the written files, on a small network."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
from graphs import crude_cost, normal, residual_network

from cost_models import Cost, Quantity
from hwgen.errors import InputError
from hwgen.files import require_writable
from hwgen.formats import parse
from optimizer import inference, report, selection, sensitivity, sizing
from optimizer.data import ImageData
from optimizer.evaluation import choose
from optimizer.explore import Exploration, explore, planned, settings
from optimizer.layer_vectors import layer_vectors
from optimizer.onnx_import import load
from optimizer.plan import Accuracy
from optimizer.stages import Stages
from sim import golden

FORMATS = ("int2", "int4", "int8", "e2m1", "e3m2")


@pytest.fixture(scope="module")
def setting(tmp_path_factory):
    path = residual_network(tmp_path_factory.mktemp("net") / "small.onnx")
    images = normal(1, 96, 3, 8, 8)
    labels = inference.run(load(path), images).argmax(axis=1)
    return path, ImageData(images[:32], None, images[32:], labels[32:], "random")


def crude_costs(specs):
    return map(crude_cost, specs)


def run(setting, **options) -> Exploration:
    arguments = {
        "target": "ecp5",
        "fps": 50_000,
        "formats": FORMATS,
        "max_drop": 2.0,
    }
    keywords = {"predict": crude_cost}
    for name, value in options.items():
        (keywords if name in ("predict", "progress", "workers") else arguments)[name] = value
    path, data = setting
    return explore(load(path), data, settings(**arguments), **keywords)


@pytest.fixture(scope="module", params=["streaming", "shared"])
def exploration(request, setting):
    return run(setting, style=request.param)


def test_front_is_a_front_of_measured_accuracies(setting, exploration):
    e = exploration
    assert e.fp32 == e.fp32_selection == Accuracy(32, 32)
    luts = [plan.lut.value for plan in e.front]
    correct = [plan.selection.correct for plan in e.front]
    assert luts == sorted(set(luts)) and correct == sorted(set(correct))
    for plan in e.points:
        assert any(
            f.lut.value <= plan.lut.value and f.selection.correct >= plan.selection.correct
            for f in e.front
        )
    logits = inference.run(e.network, setting[1].test_images, e.quantization)
    hits = logits.argmax(axis=1) == setting[1].test_labels
    chosen, others = selection.split(64)
    assert e.chosen.selection.correct == hits[chosen].sum()
    assert e.chosen.accuracy.correct == hits[others].sum()
    assert list(e.references) == ["all-INT8", "all-INT4", "all-E4M3"]
    assert all(len({*p.pairs.values()}) == 1 for p in e.references.values())


def test_every_plan_that_none_beats_is_evaluated(setting):
    """By trying all, 4^4, of which those past the largest divergence are left out."""
    formats = [parse(name) for name in ("int4", "e2m1")]
    images = setting[1].calibration_images
    all_points = {"max_divergence": 100.0, "min_divergence": 0.0}
    e = run(setting, formats=formats, resolution=0.0, ptq=["none"], **all_points)
    damages = sensitivity.measure(e.network, images, e.calibration, formats)
    pairs = list(itertools.product(formats, formats))
    options = []
    for layer in e.network.layers:
        candidates, sizer = sizing.sizes([layer], 1000), sizing.Sizer(crude_costs)
        luts = [sizer.best(candidates, a, b)[2].value for a, b in pairs]
        options.append(
            [(n, damages.pair(layer.name, *p)) for n, p in zip(luts, pairs, strict=True)]
        )
    sums = {
        tuple(map(math.fsum, zip(*choice, strict=True))) for choice in itertools.product(*options)
    }
    wanted = sorted(
        s for s in sums if not any(o != s and o[0] <= s[0] and o[1] <= s[1] for o in sums)
    )[::-1]
    assert len(wanted) > 5

    def points(e):
        # All-INT4 is a point too, and the last.
        assert e.points[-1] is e.references["all-INT4"]
        return [(p.lut.value, p.sensitivity) for p in e.points[:-1]]

    assert [lut for lut, _ in points(e)] == [lut for lut, _ in wanted]
    assert [d for _, d in points(e)] == pytest.approx([d for _, d in wanted])
    limit = wanted[len(wanted) // 2][1]
    limit *= 1.0001
    few = run(
        setting,
        formats=formats,
        resolution=0.0,
        max_divergence=limit,
        min_divergence=0.0,
        ptq=["none"],
    )
    assert points(few) == points(e)[: len(wanted) // 2 + 1]
    cheap = run(setting, formats=formats, resolution=0.0, min_divergence=limit, ptq=["none"])
    assert points(cheap)[0] == points(few)[-1]


def test_points_that_are_not_beaten_are_tested(exploration):
    e = exploration
    assert all(p.accuracy is not None for p in (*e.front, *e.references.values()))
    assert all(p.selection is not None for p in e.points)
    assert any(p.accuracy is None for p in e.points)


def test_the_chosen_point_has_its_neighbours_and_others_are_every_second(setting):
    """Of a whole front at steps of 2%: the same as by hand, from the same front."""
    asked = {"resolution": 0.02, "max_divergence": 100.0, "min_divergence": 0.0, "ptq": ["none"]}
    network, data = load(setting[0]), setting[1]
    front = run(setting, **asked)
    stages = Stages(lambda text: None)
    chosen_settings = settings(target="ecp5", fps=50_000, formats=FORMATS, max_drop=2.0, **asked)
    sizer = sizing.Sizer(crude_costs)
    _, _, plans = planned(network, data, chosen_settings, sizer, stages, None)
    luts = [plan.lut.value for plan in plans]
    references = set(map(id, front.references.values()))
    found = [luts.index(p.lut.value) for p in front.points if id(p) not in references]
    assert {*range(0, len(plans), 2), len(plans) - 1} <= set(found) and len(found) < len(plans)
    place = luts.index(front.chosen.lut.value)
    assert {max(place - 1, 0), place, min(place + 1, len(plans) - 1)} <= set(found)


def test_plans_are_fast_enough_and_add_up(exploration):
    budget = 1000
    for plan in (*exploration.points, *exploration.references.values()):
        assert plan.cycles <= budget
        if plan.style == "shared":
            assert len({layer.spec for layer in plan.layers}) == 1
            assert plan.lut == plan.layers[0].lut
            assert plan.cycles == sum(layer.cycles for layer in plan.layers)
        else:
            assert plan.lut.value == sum(layer.lut.value for layer in plan.layers)
        ten = Quantity(10, 10, 10, "measured")
        cost = Cost(ten, ten, ten, ten, ten, basis="a test")
        measured = plan.with_measured(dict.fromkeys(plan.specs, cost))
        assert not measured.too_slow(10.0) and len(measured.too_slow(10.1)) == len(plan.layers)
        units = {layer.layer.name: layer.size.units for layer in plan.layers}
        arrays = [next(iter(units.values()))] if plan.style == "shared" else units.values()
        assert plan.measured_lut is None and measured.measured_lut == 10 * sum(arrays)


def test_chosen_is_the_cheapest_within_the_drop(exploration):
    e = exploration
    full = e.fp32_selection.percent
    allowed = [p for p in e.front if full - p.selection.percent <= 2.0]
    assert e.chosen is min(allowed, key=lambda p: p.lut.value)


@pytest.mark.parametrize(
    ("drop", "index", "reason"),
    [
        (2.0, 2, "the fewest LUTs within 2 points"),
        (1.0, 3, "the fewest LUTs within 1 points"),
        # None loses so little; the cheaper of the two most accurate.
        (0.5, 3, "no plan is within 0.5 points"),
    ],
)
def test_the_choice_by_hand(drop, index, reason):
    """Of plans at 90, 97, 98, 99 and 99% where FP32 has 100: the cheapest allowed, or the best."""
    plans = [
        SimpleNamespace(selection=Accuracy(correct, 100), lut=SimpleNamespace(value=lut))
        for correct, lut in ((90, 10), (97, 20), (98, 30), (99, 40), (99, 50))
    ]
    asked = settings(target="ecp5", fps=1.0, max_drop=drop)
    chosen, stated, enough = choose(plans[::-1], Accuracy(100, 100), asked)
    assert chosen is plans[index] and stated.startswith(reason) and enough == ("no" not in reason)
    asked = settings(target="ecp5", fps=1.0, min_accuracy=100.0 - drop)
    chosen, stated, enough = choose(plans[::-1], Accuracy(100, 100), asked)
    assert chosen is plans[index] and enough == (drop >= 1)


@pytest.mark.parametrize("layer", ["conv", "block.conv1", "block.shortcut", "dense"])
def test_operands_give_the_sums_of_the_inference(setting, exploration, layer):
    e, images = exploration, setting[1].test_images[:6]
    plan = e.chosen
    operands = layer_vectors(e.network, e.quantization, plan, layer, images, outputs=20)
    chosen = next(p for p in plan.layers if p.layer.name == layer)
    spec = chosen.spec
    assert operands.a_codes.shape == operands.b_codes.shape == (len(operands.clear), spec.lanes)
    assert operands.a_codes.dtype == operands.b_codes.dtype == np.uint8
    assert operands.clear.sum() == len(operands.expected) == 20
    assert any(operands.expected)
    inputs = {"a": operands.a_codes, "b": operands.b_codes, "clear": operands.clear[:, None]}
    sums = golden.expected(spec, inputs)["accumulator"][:, 0]
    assert tuple(sums[operands.last_cycles]) == operands.expected

    # The same sums, scaled, are what the layer hands on in the network's own run.
    quantization = e.quantization
    own = quantization[layer]
    operands_there = inference.layer_inputs(e.network, images, quantization, layer)
    out = inference.run_layer(own, operands_there)
    if out.ndim == 4:
        out = out.transpose(0, 2, 3, 1)
    bias = own.unit_bias
    out = out.reshape(-1, len(bias))
    for total, (row, channel) in zip(operands.expected, operands.positions, strict=True):
        value = total * 2.0**spec.lsb_exponent * own.output_scale[channel] + bias[channel]
        # A zero point is folded into the bias of the unit, and rounds there.
        near = pytest.approx(value, rel=1e-6, abs=1e-6)
        assert out[row, channel] == (near if own.zero_point else np.float32(value))


def test_number_of_outputs_is_checked(setting, exploration):
    with pytest.raises(InputError, match="outputs=1000"):
        layer_vectors(
            exploration.network, exploration.quantization, exploration.chosen, "dense",
            setting[1].test_images[:1], outputs=1000,
        )  # fmt: skip
    with pytest.raises(InputError, match="no layer 'none'"):
        layer_vectors(
            exploration.network, exploration.quantization, exploration.chosen, "none",
            setting[1].test_images[:1],
        )  # fmt: skip


def test_same_result_whatever_the_number_of_workers(setting):
    plans = [run(setting, workers=n).to_dict() for n in (1, 3)]
    for plan in plans:
        plan.pop("seconds")
    assert plans[0] == plans[1]


def test_report(exploration, tmp_path):
    folder = tmp_path / "new" / "out"
    report.write(exploration, folder, "hwgen optimize --fps 50000", {"unit.v": "module unit;"})
    report.write(exploration, folder, "hwgen optimize --fps 50000", {"other.v": "module other;"})
    assert sorted(p.name for p in folder.iterdir()) == sorted([*report.FILES, report.VERILOG])
    assert [p.name for p in (folder / report.VERILOG).iterdir()] == ["other.v"]
    assert [p.name for p in folder.parent.iterdir()] == ["out"]
    assert (folder / "pareto.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    plan = json.loads((folder / "plan.json").read_text())
    assert plan["chosen"]["layers"][0]["name"] == "conv"
    assert plan["chosen"]["predicted_lut"]["value"] == exploration.chosen.lut.value
    assert plan["test_images"] == 32
    page = (folder / "report.md").read_text()
    assert "32 test images" in page and "hwgen optimize --fps 50000" in page
    assert "all-INT8" in report.table(exploration)


def test_nothing_is_left_when_drawing_fails(exploration, tmp_path, monkeypatch):
    def broken(*_):
        raise RuntimeError("no picture")

    monkeypatch.setattr(report, "page", broken)
    with pytest.raises(RuntimeError, match="no picture"):
        report.write(exploration, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_unwritable_folder(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(InputError, match="is not writable"):
            require_writable(folder)
    require_writable(tmp_path / "a" / "b")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_bad_arguments(setting):
    path, data = setting
    with pytest.raises(InputError, match="streaming, shared"):
        run(setting, style="other")
    with pytest.raises(InputError, match="unknown format 'int99x'"):
        run(setting, formats=["int99x"])
    with pytest.raises(InputError, match=r"calibration images .* \(N, 3, 8, 8\)"):
        run((path, dataclasses.replace(data, calibration_images=normal(1, 4, 1, 8, 8))))
    with pytest.raises(InputError, match="5 classes"):
        run((path, dataclasses.replace(data, test_labels=data.test_labels + 5)))
    with pytest.raises(InputError, match="lower the frame rate"):
        run(setting, fps=1e8)


def test_formats_are_taken_as_names_or_formats(setting):
    names = run(setting, formats=["int4"], workers=1)
    objects = run(setting, formats=[parse("int4")], workers=1)
    assert names.chosen.to_dict() == objects.chosen.to_dict()
    assert len(names.front) == 1


def test_a_target_without_a_model_is_found_before_the_long_work(setting):
    stages = []

    def predict(spec):
        raise InputError(f"nothing is known of {spec.name}")

    with pytest.raises(InputError, match="nothing is known"):
        run(setting, predict=predict, progress=stages.append)
    assert not any("calibration:" in line or "sensitivity" in line for line in stages)
