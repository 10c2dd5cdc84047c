"""What fits a device."""

import dataclasses
import json
import re

import pytest

import cost_models
import yosys_scripts
from cost_models import query
from hwgen import DotProduct, InputError, Multiply
from hwgen.cli import main


def dot(lanes, **others):
    return DotProduct(a="int8", b="int8", lanes=lanes, **others)


def test_every_target_has_parts_that_its_largest_devices_hold():
    for name in yosys_scripts.TARGETS:
        target = yosys_scripts.target(name)
        assert target.parts
        for device in target.parts:
            assert set(device.capacity) == {"lut", "ff", "dsp", "carry"}
            assert target.does_not_fit(device.capacity) is None, device.name
    assert cost_models.part("xc7a35t").capacity["lut"] == 20_800


def test_what_fits_is_used_up():
    small, large = (cost_models.part(name) for name in ("iCE40UP5K", "LFE5U-85F"))
    cost = cost_models.predict(dot(8), "ice40")
    assert small.utilisation(cost)["lut"] == cost.lut.value / 5280
    copies = cost_models.most_copies(dot(8), "iCE40UP5K")
    assert copies * cost.lut.value <= 0.85 * 5280 < (copies + 1) * cost.lut.value
    assert cost_models.most_copies(dot(8), "LFE5U-85F") > 5 * copies
    assert small.does_not_fit(cost) is None
    many = cost_models.predict(dot(256), "ice40")
    assert "iCE40UP5K has 5,280 lut, not" in small.does_not_fit(many)
    assert large.does_not_fit(cost_models.predict(dot(256), "ecp5")) is None


def test_the_most_lanes_fit_and_one_more_does_not():
    best = cost_models.most_lanes(dot(1), "iCE40UP5K")
    room = 0.85 * 5280
    assert cost_models.estimate(best, "ice40").lut.value <= room
    assert cost_models.estimate(dot(best.lanes + 2), "ice40").lut.value > 0.95 * room
    packed = cost_models.most_lanes(dot(1, mapping="dsp"), "iCE40UP5K")
    assert packed.lanes <= 16 and packed.mapping == "dsp"


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda: cost_models.part("XC7A36T"), "unknown device 'XC7A36T' \\(did you mean"),
        (lambda: cost_models.part(35), "unknown device 35"),
        (lambda: cost_models.most_lanes(Multiply(a="int4", b="int4"), "GW1N-9"), "with lanes"),
        (lambda: cost_models.most_copies(dot(2), "GW1N-9", fill=1.5), "above 0 and up to 1"),
    ],
)
def test_what_is_no_device_or_fill_is_named(call, problem):
    with pytest.raises(InputError, match=problem):
        call()


def test_a_device_by_its_name(capsys):
    asked = ["cost", "dot", "--a", "int8", "--b", "int8", "--lanes"]
    assert main([*asked, "8", "--device", "lfe5u-25f", "--json"]) == 0
    told = capsys.readouterr()
    taken = json.loads(told.out)
    lut = cost_models.estimate(dot(8), "ecp5").lut
    assert taken["target"] == "ecp5" and taken["device"]["capacity"]["lut"] == 24_288
    assert taken["device"]["utilisation_percent"]["lut"] == round(100 * lut.value / 24_288, 2)
    assert taken["device"]["copies"] == cost_models.most_copies(dot(8), "LFE5U-25F")
    assert taken["device"]["does_not_fit"] is None and told.err == ""
    assert main([*asked, "256", "--device", "iCE40UP5K"]) == 0
    told = capsys.readouterr()
    assert re.search(r"of iCE40UP5K: lut \d+\.\d% of 5,280, .*; none fits", told.out)
    assert "hwgen: warning: it does not fit: iCE40UP5K has 5,280 lut, not" in told.err


def test_what_may_not_fit_is_said_too():
    part = cost_models.part("iCE40UP5K")
    few = query.Quantity(1, 1, 1, "predicted")
    cost = query.Cost(query.Quantity(5000, 4000, 6000, "predicted"), few, few, few, few, "")
    taken = part.to_dict(cost)
    assert taken["does_not_fit"] is None and "5,280 lut, not 6,000" in taken["may_not_fit"]
    none = dataclasses.replace(part, capacity={**part.capacity, "dsp": 0})
    assert none.to_dict(cost)["utilisation_percent"]["dsp"] is None


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--device", "LFE5U-26F"], "unknown device 'LFE5U-26F' (did you mean LFE5U-25F"),
        (["--device", ""], "unknown device ''"),
        (["--device", "GW1N-9", "--target", "xc7"], "GW1N-9 is a device of gowin"),
    ],
)
def test_a_wrong_device_is_one_line(capsys, more, words):
    assert main(["cost", "dot", "--a", "int8", "--b", "int8", "--lanes", "2", *more]) == 2
    told = capsys.readouterr()
    assert words in told.err and told.err.count("\n") == 1 and told.out == ""
