"""The shipped networks: as accurate as their page says, and taken whole."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from graphs import crude_cost

from optimizer import explore, inference
from optimizer.data import ImageData
from optimizer.data import load as load_data
from optimizer.onnx_import import load
from optimizer.workloads import fashion_mnist

PAGE = Path(fashion_mnist.__file__).with_name("README.md")
NETWORKS = sorted(PAGE.parent.glob("*.onnx"))


@pytest.fixture(scope="module")
def images():
    return load_data(fashion_mnist.DATA)


@pytest.mark.parametrize("path", NETWORKS, ids=lambda path: path.stem)
def test_a_network_is_as_accurate_as_stated(path, images):
    network = load(path)
    logits = inference.run(network, images.test_images)
    percent = 100 * inference.correct(logits, images.test_labels) / len(logits)
    (stated,) = re.findall(rf"^\| `{path.name}` .*\| ([\d.]+) % \|$", PAGE.read_text(), re.M)
    assert f"{percent:.2f}" == stated
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(path), options)
    (own,) = session.run(None, {"image": images.test_images[:100]})
    np.testing.assert_allclose(logits[:100], own, rtol=0, atol=1e-5)
    assert path.stat().st_size < 500_000 and not network.float_operators


def test_every_script_has_its_network():
    made = {"train.py": "resnet8", "train_mobilenet.py": "mobilenet", "train_vit.py": "vit"}
    assert {path.name for path in PAGE.parent.glob("train*.py")} - {"training.py"} == set(made)
    assert {path.stem for path in NETWORKS} == set(made.values())


@pytest.mark.parametrize("name", [p.stem for p in NETWORKS if p != fashion_mnist.MODEL])
def test_a_front_of_a_few_images(name, images):
    """Formats of 8 bits lose little, and each layer's sums are exact: the search has its plans."""
    network = load(PAGE.with_name(f"{name}.onnx"))
    few = ImageData(
        images.calibration_images[:32],
        None,
        images.test_images[:64],
        images.test_labels[:64],
        "few",
    )
    asked = explore.settings(
        target="ecp5", fps=100, formats=["int4", "int8"], sensitivity_images=16
    )
    e = explore.explore(network, few, asked, predict=crude_cost)
    assert abs(e.references["all-INT8"].accuracy.correct - e.fp32.correct) <= 3
    assert e.front[-1].accuracy.correct >= e.fp32.correct - 3 and len(e.points) > 2
