"""Plans within the limits of a device: by all choices, and as the command says it."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from graphs import normal, residual_network

import cost_models
from hwgen.cli import main
from hwgen.errors import InputError
from hwgen.formats import parse
from optimizer import fastest, inference, integer_program, sizing
from optimizer.data import ImageData
from optimizer.explore import settings, sizer_of
from optimizer.network import Layer
from optimizer.onnx_import import load
from optimizer.search import Limits, pareto_front


@pytest.mark.parametrize("seed", range(8))
def test_front_within_two_more_limits_is_that_of_all_choices(seed):
    rng = np.random.default_rng(seed)
    groups = [list(zip(*rng.integers(1, 60, (2, 6)).tolist(), strict=True)) for _ in range(4)]
    taken = [rng.integers(0, 9, (6, 2)).astype(float) for _ in range(4)]
    most = np.array([10.0, 14.0])
    sums = []
    for choice in itertools.product(range(6), repeat=4):
        if (sum(t[i] for t, i in zip(taken, choice, strict=True)) <= most).all():
            points = [group[i] for group, i in zip(groups, choice, strict=True)]
            sums.append(tuple(map(sum, zip(*points, strict=True))))
    wanted = {min(damage for area, damage in sums if area <= most) for most, _ in sums}
    front = pareto_front(groups, 0.0, None, Limits(taken, most))
    for point in front:
        assert point.damage == min(damage for area, damage in sums if area <= point.area)
        assert point.gap == 0.0
    assert {point.damage for point in front} == wanted


def test_nothing_fits():
    groups = [[(5, 1.0), (7, 0.5)]] * 2
    taken = [np.array([[3.0], [1.0]])] * 2
    assert pareto_front(groups, 0.0, None, Limits(taken, np.array([1.0]))) == ()
    assert pareto_front(groups, 0.0, 9, Limits(taken, np.array([9.0]))) == ()
    assert integer_program.best([np.ones(2)], [np.full((2, 1), 4.0)], np.array([3.0]), 1.0) is None


def test_limits_of_a_device_and_given_ones():
    asked = settings(target="ecp5", fps=1000, device="lfe5u-25f", most={"dsp": 4})
    assert asked.limits == {"lut": 20644, "ff": 20644, "carry": 10322, "dsp": 4}
    more = settings(target="ecp5", fps=1000, device="LFE5U-25F", most={"lut": 24000, "dsp": 99})
    assert (more.limits["lut"], more.limits["dsp"]) == (24000, 28)
    assert settings(target="ecp5", fps=1000, most={"lut": 99}).limits == {"lut": 99}
    for wrong, message in (
        ({"device": "LFE5U-1F"}, "unknown device 'LFE5U-1F'"),
        ({"device": "XC7A35T"}, "XC7A35T is a device of xc7"),
        ({"most": {"bram": 4}}, "most='bram'"),
        ({"most": {"dsp": -4}}, "most dsp=-4"),
        ({"min_accuracy": 120.0}, "min_accuracy=120.0: use percent"),
    ):
        with pytest.raises(InputError, match=message):
            settings(target="ecp5", fps=1000, **wrong)


class _Network:
    layers = (Layer("first", "Conv", 144, 12544), Layer("second", "Conv", 288, 3136))
    name = "two"


def test_highest_rate_is_the_last_that_fits():
    """One cycle less an image, and the arrays take too much."""
    asked = settings(target="ecp5", fps=1.0, device="LFE5U-25F")
    sizer = sizer_of("ecp5", None)
    pair = (parse("uint4"), parse("int4"))
    rate = fastest.highest_rate(_Network, dict.fromkeys(("first", "second"), pair), asked, sizer)
    cycles = round(50e6 / rate)

    def lut(budget):
        return sum(sizer.best(sizing.sizes([n], budget), *pair)[2].value for n in _Network.layers)

    assert lut(cycles) <= asked.limits["lut"] < lut(cycles - 1)
    small = settings(target="ecp5", fps=1.0, most={"lut": 10})
    with pytest.raises(InputError, match="not even one lane a layer fits"):
        fastest.highest_rate(_Network, dict.fromkeys(("first", "second"), pair), small, sizer)


def test_the_highest_rate_of_a_network_is_used_up(tmp_path):
    """The plan fits, at the highest rate that its formats can have."""
    network = load(residual_network(tmp_path / "small.onnx"))
    images = normal(1, 64, 3, 8, 8)
    labels = inference.run(network, images).argmax(axis=1)
    data = ImageData(images[:16], None, images[16:], labels[16:], "random")
    asked = settings(
        target="ecp5", fps=1.0, most={"lut": 3000}, formats=["int4", "int8"], max_drop=10.0,
        ptq=["none"],
    )  # fmt: skip
    e = fastest.explore_fastest(network, data, asked)
    assert e.unmet is None and e.chosen.lut.value <= 3000
    assert e.chosen.cycles <= e.settings.cycle_budget
    full = e.fp32_selection.percent
    assert e.reason.startswith("the fewest") and e.chosen.selection.percent >= full - 10
    faster = sizer_of("ecp5", None)
    rate = fastest.highest_rate(network, e.chosen.pairs, asked, faster)
    assert e.settings.fps == pytest.approx(rate, rel=0.01)
    with pytest.raises(InputError, match="give a device, or the most LUTs"):
        fastest.explore_fastest(network, data, settings(target="ecp5", fps=1.0))


@pytest.mark.slow
def test_what_no_plan_meets_is_one_line_beside_the_nearest_plan(tmp_path, capsys):
    line = ["optimize", "--formats", "int4,int8", "--ptq", "none", "--fps", "20000"]
    out = tmp_path / "out"
    code = main([*line, "--device", "iCE40UP3K", "--out", str(out)])
    told = capsys.readouterr()
    assert code == 2
    error = told.err.strip().splitlines()[-1]
    assert error.startswith("hwgen: error: no plan fits iCE40UP3K at 20000 images/s: this is the")
    assert "of 2,380 lut" in error and "on iCE40UP3K: " in told.out
    plan = json.loads((out / "plan.json").read_text())
    assert plan["unmet"] in error and plan["chosen"]["measured_lut"] is None
    assert plan["chosen"]["predicted_lut"]["value"] > 2380
    assert cost_models.part("iCE40UP3K").capacity["lut"] == 2800
