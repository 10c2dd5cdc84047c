"""Tables for Accelergy, read as its table-based plug-in reads them."""

import csv
import os

import pytest
import yaml

import cost_models
from hwgen import DotProduct, InputError, Multiply

SPECS = [
    *(DotProduct(a=f, b="int4", lanes=n) for f in ("int4", "e4m3") for n in (1, 8)),
    Multiply(a="int4", b="int4"),
]


def area(root, technology, class_name, **attributes):
    """What the plug-in answers: the best set of the technology, its first row that agrees."""
    best = (0, None)
    for folder, _, names in os.walk(root):
        for name in names:
            if "table.yaml" not in name:
                continue
            with open(os.path.join(folder, name)) as file:
                identifier = yaml.safe_load(file)
            assert {"name", "technology", "accuracy", "path_to_data_dir"} <= set(identifier)
            data = os.path.join(folder, identifier["path_to_data_dir"])
            path = os.path.join(data, f"{class_name}.csv")
            if str(identifier["technology"]) != technology or not os.path.exists(path):
                continue
            with open(path) as file:
                for row in csv.DictReader(file):
                    asked = {**attributes, "technology": technology}.items()
                    if all(row.get(key, str(value)) == str(value) for key, value in asked):
                        if identifier["accuracy"] > best[0]:
                            best = (identifier["accuracy"], row)
                        break
    return best[1]


@pytest.mark.parametrize("resource", ["lut", "ff"])
def test_the_plug_in_finds_each_unit(tmp_path, resource):
    files = [
        *cost_models.accelergy_tables(SPECS, "ecp5", tmp_path, area=resource),
        *cost_models.accelergy_tables(SPECS, "xc7", tmp_path, area=resource),
    ]
    assert {file.name for file in files} == {
        *("hwgen_ecp5.table.yaml", "hwgen_xc7.table.yaml", "hwgen_dot.csv", "hwgen_mul.csv"),
    }
    for target in ("ecp5", "xc7"):
        for spec in SPECS:
            fields = spec.to_dict()
            unit = fields.pop("unit")
            fields = {k: v for k, v in fields.items() if v is not None}
            row = area(tmp_path, target, f"hwgen_{unit}", **fields, global_cycle_seconds=1e-9)
            cost = cost_models.estimate(spec, target)
            assert float(row["area"]) == getattr(cost, resource).value
            assert row["fmax_mhz"] == ("" if target == "xc7" else str(cost.fmax_mhz.value))
            few = {name: fields[name] for name in ("a", "b")}
            assert area(tmp_path, target, f"hwgen_{unit}", **few) is not None
    assert area(tmp_path, "ecp5", "hwgen_dot", a="int16") is None
    assert area(tmp_path, "45nm", "hwgen_dot", a="int4") is None


def test_energy_is_left_to_others(tmp_path):
    """Each action that is asked for has another name; numbers are there for who reads columns."""
    *_, table, _ = cost_models.accelergy_tables(SPECS, "ecp5", tmp_path)
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert {row["action"] for row in rows} == {"area_only"} and float(rows[0]["energy"]) == 0


@pytest.mark.parametrize(
    ("specs", "target", "more", "words"),
    [
        ([], "ecp5", {}, "none to compare"),
        (SPECS, "ecp6", {}, "ecp6"),
        (SPECS, "ecp5", {"area": "um2"}, "area='um2': use one of lut, carry, ff, dsp"),
    ],
)
def test_bad_input_is_one_line(tmp_path, specs, target, more, words):
    with pytest.raises(InputError, match=words):
        cost_models.accelergy_tables(specs, target, tmp_path / "new", **more)
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        cost_models.accelergy_tables(SPECS[:1], "ecp5", tmp_path / "file")
