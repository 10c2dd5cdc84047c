"""Lanes for a frame rate."""

import math

import pytest

import cost_models
from hwgen import DotProduct, InputError, Multiply

DOT = DotProduct(a="int8", b="int4", lanes=1)


def rate(lanes, macs, target="ecp5", end="value"):
    """Frames a second of one unit, by its own estimate."""
    spec = DotProduct(a="int8", b="int4", lanes=lanes)
    return lanes * getattr(cost_models.estimate(spec, target).fmax_mhz, end) * 1e6 / macs


@pytest.mark.parametrize("end", ["value", "low"])
def test_no_fewer_lanes_do_it(end):
    found = cost_models.lanes_for(
        DOT, macs_per_frame=5e6, frames_per_second=1000, target="ecp5", sure=end == "low"
    )
    assert found.units == 1 and found.spec.lanes > 1
    assert found.frames_per_second == pytest.approx(rate(found.spec.lanes, 5e6, end=end))
    assert found.frames_per_second >= 1000
    assert all(rate(lanes, 5e6, end=end) < 1000 for lanes in range(1, found.spec.lanes))
    assert found.cost == cost_models.estimate(found.spec, "ecp5")


def test_idle_cycles_need_more_lanes():
    busy, idle = (
        cost_models.lanes_for(
            DOT, macs_per_frame=5e6, frames_per_second=1000, target="ecp5", busy=part
        )
        for part in (1.0, 0.5)
    )
    assert idle.spec.lanes > 1.5 * busy.spec.lanes


def test_where_one_unit_is_not_enough_they_are_the_fewest():
    found = cost_models.lanes_for(DOT, macs_per_frame=1e9, frames_per_second=200, target="ecp5")
    assert found.units > 1
    most = max(rate(lanes, 1e9) for lanes in range(1, 257))
    assert found.units == math.ceil(200 / most)
    assert found.units * rate(found.spec.lanes, 1e9) >= 200
    assert found.units * max(rate(n, 1e9) for n in range(1, found.spec.lanes)) < 200


def test_a_device_has_to_have_room():
    asked = {"macs_per_frame": 1e6, "device": "iCE40UP5K"}
    found = cost_models.lanes_for(DOT, frames_per_second=1000, **asked)
    assert found.units <= cost_models.most_copies(found.spec, "iCE40UP5K")
    with pytest.raises(
        InputError, match=r"iCE40UP5K has room for units that do ([\d.e+]+)"
    ) as told:
        cost_models.lanes_for(DOT, frames_per_second=1e6, **asked)
    most = float(str(told.value).partition("that do ")[2].partition(":")[0])
    nearly = cost_models.lanes_for(DOT, frames_per_second=0.98 * most, **asked)
    assert 0.98 * most <= nearly.frames_per_second <= 1.01 * most
    assert nearly.units == cost_models.most_copies(nearly.spec, "iCE40UP5K")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"target": None}, "a target or a device"),
        ({"device": "iCE40UP5K"}, "a target or a device"),
        ({"target": "xc7"}, "target xc7 is not placed.*use one of ecp5, ice40"),
        ({"target": "ecp6"}, "ecp6"),
        ({"target": None, "device": "none"}, "unknown device"),
        ({"macs_per_frame": 0}, "macs_per_frame=0: use a number above 0"),
        ({"frames_per_second": math.nan}, "frames_per_second=nan"),
        ({"frames_per_second": math.inf}, "frames_per_second=inf"),
        ({"busy": 1.5}, "busy=1.5: use a number above 0 and up to 1"),
        ({"spec": Multiply(a="int4", b="int4")}, "give a unit with lanes"),
        ({"target": None, "device": "iCE40UP5K", "fill": 0}, "fill=0"),
    ],
)
def test_bad_input_is_one_line(more, words):
    usual = {"spec": DOT, "macs_per_frame": 1e6, "frames_per_second": 30, "target": "ecp5"}
    given = {**usual, **more}
    with pytest.raises(InputError, match=words) as told:
        cost_models.lanes_for(given.pop("spec"), **given)
    assert "\n" not in str(told.value)
