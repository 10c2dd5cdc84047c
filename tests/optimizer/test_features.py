"""Networks on feature vectors, from the file to the simulated plan."""

from __future__ import annotations

import json

import numpy as np
import perceptron
import pytest

from hwgen.cli import main
from optimizer import inference
from optimizer.data import load as load_data
from optimizer.onnx_import import load


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return perceptron.write(tmp_path_factory.mktemp("mlp"))


def test_perceptron_has_learnt_something_and_is_computed_as_numpy_does(folder):
    network = load(folder / "mlp.onnx")
    data = load_data(folder / "features.npz", 10, network.input_shape)
    w = perceptron.trained()
    x = data.test_images.astype(np.float64)
    scores = np.maximum(x @ w["w0"] + w["b0"], 0) @ w["w1"] + w["b1"]
    logits = inference.run(network, data.test_images)
    np.testing.assert_allclose(logits, scores, rtol=1e-4, atol=1e-4)
    assert inference.correct(logits, data.test_labels) > 0.7 * len(logits)


@pytest.mark.parametrize("style", ["streaming", "shared"])
def test_optimize(folder, tmp_path, style, capsys):
    code = main(
        [
            *("optimize", "--model", str(folder / "mlp.onnx")),
            *("--data", str(folder / "features.npz"), "--target", "xc7", "--fps", "1e6"),
            *("--formats", "int3,e2m2", "--style", style, "--out", str(tmp_path / "out")),
        ]
    )
    printed = capsys.readouterr()
    assert code == 0, printed.err
    plan = json.loads((tmp_path / "out" / "plan.json").read_text())
    assert plan["data"] == "features" and plan["test_images"] == 400  # The others choose.
    assert plan["fp32_accuracy"]["percent"] > 70 and plan["warnings"] == []
    assert [layer["dot_length"] for layer in plan["chosen"]["layers"]] == [49, perceptron.HIDDEN]
    assert [check["layer"] for check in plan["checks"]] == ["hidden", "scores"]
    for check in plan["checks"]:
        assert check["cycles"] > 0 and check["outputs"] > 0
        assert check["mismatches"] == 0 and check["wrong_outputs"] == 0
    assert (tmp_path / "out" / "pareto.png").stat().st_size > 10_000
    assert "mlp on features" in (tmp_path / "out" / "report.md").read_text()
