"""The main job on a small network: every file it promises, and what is in them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from graphs import normal, residual_network

from hwgen import ToolError, emit
from hwgen.cli import main
from hwgen.errors import InputError
from optimizer import explore, exports, inference, optimize, report
from optimizer.data import load as load_data
from optimizer.onnx_import import load as load_network
from optimizer.workloads import fashion_mnist


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("job")
    model = residual_network(folder / "small.onnx")
    images = normal(1, 96, 3, 8, 8)
    labels = inference.run(load_network(model), images).argmax(axis=1)
    np.savez(
        folder / "data.npz",
        calibration_images=images[:32],
        test_images=images[32:],
        test_labels=labels[32:],
    )
    return model, folder / "data.npz"


def test_optimize_writes_what_it_promises(files, tmp_path, capsys):
    model, data = files
    out = tmp_path / "new" / "out"
    arguments = ["--fps", "50000", "--formats", "int4,int6,e2m2", "--max-drop", "5"]
    command = ["optimize", "--model", str(model), "--data", str(data), *arguments]
    code = main([*command, "--test-data", str(data), "--out", str(out)])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    names = sorted(p.name for p in out.iterdir())
    assert printed.out.count("not written: ") in (0, len(exports.FILES))
    networks = [] if "not written: plan_qdq.onnx: layer" in printed.out else exports.FILES
    assert names == sorted([*report.FILES, *networks, report.VERILOG])

    plan = json.loads((out / "plan.json").read_text())
    layers = plan["chosen"]["layers"]
    assert len(layers) == len(load_network(model).layers)
    for layer in layers:
        assert layer["measured_lut"] == layer["units"] * layer["measured_unit"]["lut"]
        assert layer["predicted_lut"]["low"] <= layer["predicted_lut"]["high"]
        assert layer["measured_unit"]["basis"].startswith("measured on")
        unit = layer["spec"]
        (file,) = [
            p for p in (out / "verilog").iterdir()
            if p.name.startswith(f"dot_{unit['a']}_{unit['b']}_lanes{unit['lanes']}_")
            and f"_products{unit['max_products']}_" in p.name
        ]  # fmt: skip
        assert f"module {file.stem}(" in file.read_text()
    assert plan["chosen"]["measured_lut"] == sum(layer["measured_lut"] for layer in layers)
    assert len(plan["checks"]) == optimize.CHECKED_LAYERS
    for check in plan["checks"]:
        assert check["cycles"] > 0 and check["outputs"] > 0
        assert check["mismatches"] == 0 and check["wrong_outputs"] == 0
    # The same images again, less those of selection: the same accuracy.
    assert plan["full_test"]["chosen_accuracy"] == plan["chosen"]["accuracy"]

    assert "all-INT8" in printed.out and "synthesised:" in printed.out
    assert "sensitivity" in printed.err  # progress
    page = (out / "report.md").read_text()
    assert "0 mismatches" in page and "hwgen optimize --model" in page


def test_a_unit_that_computes_wrongly_is_reported(files, tmp_path, monkeypatch):
    model, data = files
    genuine = emit.verilog
    monkeypatch.setattr(
        emit,
        "verilog",
        lambda spec: genuine(spec).replace("accumulate_terms_0 <= ", "accumulate_terms_0 <= 1 + "),
    )
    settings = {"target": "xc7", "fps": 50_000, "formats": ["int4"], "max_drop": 100.0}
    with pytest.raises(ToolError, match="does not compute the network's own numbers"):
        optimize.run(model, data, tmp_path / "out", **settings)
    assert "wrong" in (tmp_path / "out" / "report.md").read_text()


def test_a_tool_that_fails_late_loses_no_plan(files, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise ToolError("yosys failed")

    model, data = files
    monkeypatch.setattr(optimize.cost_models, "measure", broken)
    with pytest.raises(ToolError, match="yosys failed"):
        optimize.run(model, data, tmp_path / "out", target="xc7", fps=50_000, formats=["int4"])
    plan = json.loads((tmp_path / "out" / "plan.json").read_text())
    assert plan["chosen"]["measured_lut"] is None and list((tmp_path / "out" / "verilog").iterdir())


def test_missing_tools_are_found_before_the_long_work(files, tmp_path, monkeypatch):
    model, data = files
    monkeypatch.setenv("PATH", "/nonexistent")
    progress = []
    with pytest.raises(ToolError, match="make"):
        optimize.run(
            model, data, tmp_path / "out", target="xc7", fps=50_000, progress=progress.append
        )
    assert not progress and list(tmp_path.iterdir()) == []


def test_nothing_is_written_for_bad_input(files, tmp_path):
    model, _ = files
    with pytest.raises(InputError, match=r"28, 28\) and the network takes \(N, 3, 8, 8\)"):
        optimize.run(model, fashion_mnist.DATA, tmp_path / "out", target="ecp5", fps=100)
    assert list(tmp_path.iterdir()) == []


def test_shipped_network_is_as_accurate_as_stated():
    """93.95% of the shipped 2,000 images (93.02% of all 10,000: the workload's README)."""
    images = load_data(fashion_mnist.DATA)
    logits = inference.run(load_network(fashion_mnist.MODEL), images.test_images)
    assert inference.correct(logits, images.test_labels) == 1879
    assert fashion_mnist.MODEL.stat().st_size < 500_000


@pytest.fixture
def no_work(monkeypatch):
    """The work fails the test: what can be refused is refused before it."""

    def work(*_, **__):
        raise AssertionError("the work has begun")

    monkeypatch.setattr(inference, "run", work)
    monkeypatch.setattr(explore.sizing.Sizer, "cost", work)


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"formats": ["int4", "uint4"]}, "uint4 is no candidate for a layer: use signed"),
        ({"formats": ["int4", "e8m8"]}, "e8m8 is no candidate .* of up to 16 bits"),
        ({"formats": ["e4m3fn"]}, "e4m3fn is no candidate .* without NaN"),
        ({"formats": ["int4", "uint4_b16_e8m0"]}, "uint4_b16_e8m0 is no candidate .* signed el"),
        ({"formats": ["int4", "mxfp5"]}, "unknown format 'mxfp5'"),
        ({"formats": ["int4", ""]}, "unknown format ''"),
        ({"formats": []}, r"formats=\[\]: give a list"),
        ({"style": "parallel"}, "streaming, shared"),
        ({"target": "virtex"}, "virtex"),
        ({"max_drop": float("nan")}, "max_drop=nan"),
        ({"max_drop": -1}, "max_drop=-1"),
        ({"fps": 0}, "fps=0"),
        ({"fps": float("inf")}, "fps=inf"),
        ({"clock_mhz": float("nan")}, "clock_mhz=nan"),
        ({"fps": 1e9}, "lower the frame rate"),
    ],
)
def test_settings_are_checked_before_the_work(files, tmp_path, settings, message):
    model, data = files
    arguments = {"target": "xc7", "fps": 50_000, **settings}
    with pytest.raises(InputError, match=message) as caught:
        optimize.run(model, data, tmp_path / "out", **arguments)
    assert "\n" not in str(caught.value) and list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.update(test_labels=a["test_labels"] + 5), "label 9; allowed is 0 to 4"),
        (lambda a: a.update(test_labels=a["test_labels"] + 0.0), "labels are integers"),
        (lambda a: a.update(test_labels=a["test_labels"][1:]), "64 images but .* 63 labels"),
        (lambda a: a.update(calibration_labels=np.full(32, 5)), "label 5; allowed is 0 to 4"),
        (lambda a: a.update(test_images=a["test_images"][:, :2]), r"takes \(N, 3, 8, 8\)"),
        (lambda a: a.update(test_images=a["test_images"].astype("i4")), "dtype int32"),
    ],
)
@pytest.mark.parametrize("where", ["data", "test_data"])
def test_data_are_checked_before_the_work(files, tmp_path, change, message, where):
    model, data = files
    with np.load(data) as stored:
        arrays = {name: stored[name] for name in stored.files}
    arrays["test_labels"] = np.arange(64) % 5
    change(arrays)
    np.savez(tmp_path / "bad.npz", **arrays)
    given = {"data": data, where: tmp_path / "bad.npz"}
    with pytest.raises(InputError, match=message) as caught:
        optimize.run(model, given.pop("data"), tmp_path / "out", target="xc7", fps=50_000, **given)
    assert "bad.npz" in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()
