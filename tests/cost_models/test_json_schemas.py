"""The schemas of what is printed as JSON: real output keeps to them, and they are published."""

import copy
import json
from pathlib import Path

import jsonschema
import pytest

import cost_models
from cost_models import json_schemas
from hwgen import DotProduct, InputError
from hwgen.cli import main
from hwgen.spec import UNITS
from sim import unit_model

DOCS = Path(__file__).parents[2] / "docs"
DOT = ["dot", "--a", "int8", "--b", "e4m3", "--lanes", "4"]


def validator(command):
    return jsonschema.Draft202012Validator(cost_models.json_schema(command))


@pytest.mark.parametrize("command", json_schemas.SCHEMAS)
def test_they_are_schemas_and_docs_has_them(command):
    jsonschema.Draft202012Validator.check_schema(cost_models.json_schema(command))
    assert (DOCS / f"{command}.schema.json").read_text() == json_schemas.text(command)


@pytest.mark.parametrize(
    "more",
    [
        [],
        ["--target", "xc7"],
        ["--device", "LFE5U-25F"],
        ["--device", "GW1N-1", "--mapping", "dsp"],
        ["--accumulator", "fp32", "--stages", "7"],
    ],
)
def test_a_cost_keeps_to_it(capsys, more):
    assert main(["cost", *DOT, *more, "--json"]) == 0
    validator("cost").validate(json.loads(capsys.readouterr().out))


def test_each_unit_keeps_to_it():
    for kind in UNITS.values():
        spec = kind(**unit_model.of(kind).example)
        cost = cost_models.estimate(spec, "xcup")
        printed = json.dumps({**spec.to_dict(), "target": "xcup", **cost.to_dict()})
        validator("cost").validate(json.loads(printed))


def test_energy_keeps_to_it(capsys):
    for target, name in (("ecp5", "energy_pj"), ("nexus", "energy_ratio")):
        assert main(["cost", *DOT, "--target", target, "--energy", "--json"]) == 0
        printed = json.loads(capsys.readouterr().out)
        assert printed[name]["value"] > 0
        validator("cost").validate(printed)


def test_a_comparison_keeps_to_it(capsys):
    line = ["compare", "dot", "--a", "int4,e2m1", "--b", "like-a", "--lanes", "1:3"]
    assert main([*line, "--target", "ecp5,xc7", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert len(printed) == 12
    validator("compare").validate(printed)


def wrong(printed):
    """Outputs that are none, of one that is."""
    for name in ("unit", "lut", "basis", "does_not_fit"):
        yield {key: value for key, value in printed.items() if key != name}
    for path, value in (
        (("target",), "virtex"),
        (("colour",), "red"),
        (("lut", "value"), -1),
        (("lut", "source"), "guessed"),
        (("fmax_mhz", "high"), "fast"),
        (("lanes",), [4]),
        (("device",), {}),
    ):
        changed = copy.deepcopy(printed)
        place = changed
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        yield changed


def test_what_is_no_cost_does_not(capsys):
    spec = DotProduct(a="int8", b="e4m3", lanes=4)
    cost = cost_models.estimate(spec, "ecp5")
    printed = {**spec.to_dict(), "target": "ecp5", **cost.to_dict()}
    assert validator("cost").is_valid(printed)
    assert not any(map(validator("cost").is_valid, wrong(printed)))
    assert not validator("compare").is_valid([]) and not validator("compare").is_valid([{}])


def test_other_commands_have_none():
    with pytest.raises(InputError, match="command='synth': use one of cost, compare"):
        cost_models.json_schema("synth")
