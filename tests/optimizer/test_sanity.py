"""Data that do not belong to the network are told, and those that do are not."""

from __future__ import annotations

import dataclasses
import json
import math
import re

import numpy as np
import perceptron
import pytest
from graphs import crude_cost

from hwgen.errors import InputError
from optimizer import explore, inference, report, sanity
from optimizer.data import ImageData
from optimizer.onnx_import import load


def tail(correct, total, share):
    """P(X >= correct) of a binomial distribution, term by term."""
    if share == 1:
        return 1.0
    terms = (
        math.lgamma(total + 1) - math.lgamma(k + 1) - math.lgamma(total - k + 1)
        + k * math.log(share) + (total - k) * math.log1p(-share)
        for k in range(correct, total + 1)
    )  # fmt: skip
    return math.fsum(map(math.exp, terms))


@pytest.mark.parametrize(
    ("correct", "counts", "classes", "warned"),
    [
        (192, [200] * 10, 10, True),  # 9.6% of ten classes
        (0, [200] * 10, 10, True),
        (246, [200] * 10, 10, False),  # 3.4 standard deviations above
        (1700, [1700, 100, 100, 100], 4, True),  # the majority class alone
        (1760, [1700, 100, 100, 100], 4, False),
        (3, [1, 1, 1], 3, True),  # all of three: not enough to say
        (10, [5, 5], 2, False),
        (50, [50], 10, True),  # only one class
        (30, [25, 25], 1000, True),  # better than 1/1000, not than the more frequent of two
    ],
)
def test_chance(correct, counts, classes, warned):
    labels = np.repeat(np.arange(len(counts)), counts)
    text = sanity.no_better_than_chance(correct, labels, classes)
    share = max(1 / classes, max(counts) / sum(counts))
    assert (text is not None) == warned == (tail(correct, sum(counts), share) > 0.001)
    if text is not None:
        assert f"{correct:,} of {sum(counts):,} test images" in text


@pytest.fixture(scope="module")
def mlp(tmp_path_factory):
    folder = perceptron.write(tmp_path_factory.mktemp("mlp"))
    data = perceptron.features()
    given = ImageData(data["calibration"], None, data["test"], data["test_labels"], "clothes")
    return load(folder / "mlp.onnx"), given


def warnings(network, data):
    return sanity.warnings(network, data, inference.run(network, data.test_images))


def test_data_that_belong_to_the_network(mlp):
    assert warnings(*mlp) == ()


def changed(data, **fields):
    return dataclasses.replace(data, **fields)


@pytest.mark.parametrize(
    ("change", "patterns"),
    [
        # Labels of another order: real images, a good network, no agreement.
        (lambda d: {"test_labels": np.roll(d.test_labels, 1)}, ["in FP32", "means nothing"]),
        (lambda d: {"test_labels": np.full_like(d.test_labels, 7)}, ["every test label is 7"]),
        (
            lambda d: {"test_images": np.zeros_like(d.test_images)},
            ["in FP32", "answers . for every test image", "go from 0 to 0"],
        ),
        (
            lambda d: {"calibration_images": d.calibration_images * np.float32(255)},
            ["scaled differently"],
        ),
        (
            lambda d: {"calibration_images": np.ones_like(d.calibration_images)},
            ["calibration images are constant"],
        ),
        (lambda d: {"calibration_images": d.test_images}, ["800 of the 800 test images"]),
        (
            lambda d: {
                "calibration_images": np.concatenate([d.calibration_images, d.test_images[:9]])
            },
            ["9 of the 800 test images are calibration images too"],
        ),
    ],
)  # fmt: skip
def test_data_that_do_not(mlp, change, patterns):
    network, data = mlp
    text = " ".join(warnings(network, changed(data, **change(data))))
    for pattern in patterns:
        assert re.search(pattern, text), text
    assert "\n" not in text


def test_scores_that_are_not_finite_are_refused(mlp):
    network, data = mlp
    huge = changed(data, test_images=data.test_images * np.float32(3e38))
    with (
        pytest.raises(
            InputError, match="not finite for 800 test images, first behind layer 'hidden'"
        ),
        np.errstate(all="ignore"),
    ):
        warnings(network, huge)


def test_warnings_are_printed_and_written(mlp, tmp_path):
    network, data = mlp
    wrong = changed(data, test_labels=np.roll(data.test_labels, 1))
    lines = []
    exploration = explore.explore(
        network,
        wrong,
        explore.settings(target="ecp5", fps=1e5, formats=["int4"], sensitivity_images=20),
        predict=crude_cost,
        progress=lines.append,
    )
    (text,) = exploration.warnings
    # Before the long work, not after it.
    assert lines.index(f"WARNING: {text}") < lines.index(
        next(i for i in lines if "calibration:" in i)
    )
    report.write(exploration, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "plan.json").read_text())["warnings"] == [text]
    page = (tmp_path / "out" / "report.md").read_text()
    assert "**WARNING**" in page and "not clearly better than without looking" in page
    assert page.index("**WARNING**") < page.index("## Front")
    assert f"WARNING: {text}" in report.table(exploration)
