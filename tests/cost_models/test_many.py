"""Costs of many designs at once: each as ``estimate`` says, of lists, grids and data frames."""

import math
import random
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

import cost_models
from cost_models import measurement, model, query
from cost_models.features import Features
from cost_models.many import FIGURES, RESOURCES
from cost_models.trees import Trees
from hwgen import DotProduct, InputError, Multiply, store
from hwgen.formats import NAMES
from hwgen.spec import from_dict

TARGETS = ["ecp5", "xc7", "ice40"]


def told(costs, row):
    return [costs.figures[name][row] for name in FIGURES]


def answered(cost):
    ends = [getattr(getattr(cost, n), e) for n in RESOURCES for e in ("value", "low", "high")]
    return [math.nan if value is None else value for value in ends]


def assert_as_one_by_one(costs, rows):
    for row in rows:
        spec, target = costs.spec(row), costs.fields["target"][row]
        cost = query._estimate(spec, target)
        assert np.array_equal(told(costs, row), answered(cost), equal_nan=True), (spec.name, target)
        assert costs.measured[row] == (cost.lut.source == "measured")
        assert costs.fits[row] == (cost.does_not_fit is None)


def test_a_grid_is_as_one_by_one():
    """Random formats and lanes, other ones each time."""
    a, b = random.sample(NAMES, 3), random.sample(NAMES, 3)
    lanes = sorted(random.sample(range(1, 257), 20))
    costs = cost_models.estimate_many({"unit": "dot", "a": a, "b": b, "lanes": lanes}, TARGETS)
    assert len(costs) + 3 * len(costs.left_out) == 3 * 3 * 20 * 3
    assert_as_one_by_one(costs, random.sample(range(len(costs)), 60))
    first = costs.spec(0)
    assert (str(first.a), str(first.b), first.lanes) == (a[0], b[0], lanes[0])
    assert [costs.fields["target"][row] for row in range(3)] == TARGETS


def test_other_units_and_settings_are_too():
    specs = [
        *(DotProduct(a="int8", b="int4", lanes=n, mapping="dsp") for n in (1, 2, 9)),
        *(DotProduct(a="e4m3", b="e2m1", lanes=n, accumulator="fp32") for n in (1, 4)),
        *(DotProduct(a="int4", b="e2m1", lanes=n, output="fp16", stages=6) for n in (3, 77)),
        *(Multiply(a=f, b="int4") for f in ("int4", "e5m2", "fp16")),
    ]
    costs = cost_models.estimate_many(specs, "ecp5")
    assert [costs.spec(row) for row in range(len(costs))] == specs
    assert_as_one_by_one(costs, range(len(costs)))


def test_more_than_a_chunk_keeps_the_order(monkeypatch):
    monkeypatch.setattr("cost_models.many.CHUNK", 7)
    specs = [DotProduct(a="e3m2", b="int5", lanes=n) for n in range(1, 20)]
    costs = cost_models.estimate_many(specs, ["xc7", "ecp5"])
    assert_as_one_by_one(costs, range(len(costs)))


def test_what_was_measured_is_told_as_that(monkeypatch):
    rows = random.sample([m for m in measurement.shipped() if m.spec["unit"] == "dot"], 5)
    specs = [from_dict(m.spec) for m in rows]
    known = {(spec, m.target): m for spec, m in zip(specs, rows, strict=True)}
    monkeypatch.setattr(measurement, "stored", lambda spec, target: known.get((spec, target)))
    for spec, m in zip(specs, rows, strict=True):
        costs = cost_models.estimate_many([DotProduct(a="e3m3", b="int6", lanes=7), spec], m.target)
        assert costs.measured.tolist() == [False, True]
        assert costs.figures["lut_low"][1] == m.result["lut"] == costs.figures["lut_high"][1]
        assert_as_one_by_one(costs, range(2))


def test_the_users_own_measurements_are_candidates(tmp_path, monkeypatch):
    monkeypatch.setenv("HWGEN_STORE", str(tmp_path / "store.sqlite"))
    spec = DotProduct(a="int2", b="int3", lanes=2)
    before = measurement.rough_designs()
    assert measurement.rough_design(DotProduct(a="int2", b="uint5", lanes=3)) not in before
    row = {"kind": "synthesis", "spec": {**spec.to_dict(), "b": "uint5", "lanes": 3}}
    fields = {"lut": 1, "carry": 0, "ff": 0, "dsp": 0, "fmax_mhz": None}
    rest = {"target": "xc7", "result": fields, "tools": {}, "created": "2026-01-01"}
    measurement.STORE.add({"key": "x", **row, **rest})
    added = measurement.rough_designs() - before
    assert added == {("dot", "int2", "uint5", 3)}


def test_what_no_unit_is_is_left_out():
    costs = cost_models.estimate_many(
        {"unit": "dot", "a": ["int4", "e8m0"], "b": "int4", "lanes": 4, "max_products": [2, 64]},
        "xc7",
    )
    assert len(costs) + len(costs.left_out) == 4 and 0 < len(costs) < 4
    assert all(fields["max_products"] == 2 for fields, _ in costs.left_out)
    assert "max_products=2" in costs.left_out[0][1]


def frame(**columns):
    usual = {"unit": ["dot", "mul"], "a": "int4", "b": ["int4", "e2m1"], "lanes": [8, None]}
    return pd.DataFrame({**usual, "target": ["ecp5", "xc7"], **columns}, index=["one", "two"])


def test_a_frame_gives_a_frame():
    given = frame()
    got = cost_models.estimate_many(given)
    assert list(got.index) == ["one", "two"] and list(got.columns)[:5] == list(given.columns)
    specs = [DotProduct(a="int4", b="int4", lanes=8), Multiply(a="int4", b="e2m1")]
    for place, (spec, target) in enumerate(zip(specs, ("ecp5", "xc7"), strict=True)):
        row = [got[name].iloc[place] for name in FIGURES]
        assert np.array_equal(row, answered(cost_models.estimate(spec, target)), equal_nan=True)
    assert got["measured"].dtype == bool and got["fits"].all()
    same = cost_models.estimate_many(given.drop(columns="target"), "xc7")
    assert same["lut"].iloc[1] == got["lut"].iloc[1]


def test_costs_are_a_frame_too():
    costs = cost_models.estimate_many({"unit": "mul", "a": ["int4", "int5"], "b": "int4"}, "ecp5")
    table = costs.to_frame()
    assert table["a"].tolist() == ["int4", "int5"] and table["lut"].tolist() == list(
        costs.figures["lut"]
    )
    assert costs.cost(1) == cost_models.estimate(Multiply(a="int5", b="int4"), "ecp5")


GRID = {"unit": "dot", "a": "int4", "b": "int4", "lanes": [1, 2]}


@pytest.mark.parametrize(
    ("designs", "targets", "words"),
    [
        ([], "ecp5", "there is none"),
        ("dot", "ecp5", "give a list of specs"),
        (DotProduct(a="int4", b="int4", lanes=2), "ecp5", "give a list of specs"),
        ([3], "ecp5", "spec=3"),
        (GRID, [], "targets="),
        (GRID, None, "targets=None"),
        (GRID, "virtex", "virtex"),
        (GRID, ["ecp5", 3], "3"),
        ({**GRID, "lanes": []}, "ecp5", "lanes=.*at least one value"),
        ({**GRID, "lane": [1]}, "ecp5", "'lane' is no field"),
        ({**GRID, "lanes": [math.nan]}, "ecp5", "finite"),
        ({**GRID, "lanes": [2.5]}, "ecp5", "lanes=2.5"),
        ({**GRID, "lanes": [0, 999]}, "ecp5", "lanes=0: use a whole number from 1 to 256"),
        ({**GRID, "unit": "dots"}, "ecp5", "unit='dots': use one of"),
        ({"a": "int4"}, "ecp5", "unit=None"),
        ({"unit": "dot", "a": "int4"}, "ecp5", "needs b, lanes"),
        ({**GRID, "rows": 3}, "ecp5", "unit dot has no field 'rows'"),
        ({**GRID, "lanes": range(1, 257), "max_products": range(10**6)}, "ecp5", "designs: use up"),
        ({**GRID, "mapping": "dsp"}, "gates", "gates"),
        (frame(colour="red"), None, "column 'colour' is no field"),
        (frame(), "ecp5", "give the targets once"),
        (frame().drop(columns="target"), None, "give the targets once"),
        (frame().drop(columns="target"), ["ecp5"], "of a data frame give one name"),
        (frame().iloc[:0], None, "no row"),
        (frame(lanes=[0, None]), None, "row 'one': lanes=0"),
        (frame(lanes=[math.inf, None]), None, "row 'one': lanes=inf"),
        (frame(lanes=[3, 4]), None, "row 'two': unit mul has no field 'lanes'"),
        (frame(unit=["dot", "nul"]), None, "row 'two': unit='nul'"),
        (frame(target=["ecp5", "ecp6"]), None, "row 'two': unknown target 'ecp6'"),
        (frame(target=["ecp5", None]), None, "row 'two'"),
    ],
)
def test_bad_input_is_one_line(designs, targets, words):
    with pytest.raises(InputError, match=words) as told:
        cost_models.estimate_many(designs, targets)
    assert "\n" not in str(told.value)


def least_us(work, count):
    """CPU time of a call in µs, the least of many."""
    times = []
    for _ in range(count):
        started = time.process_time_ns()
        work()
        times.append(time.process_time_ns() - started)
    return min(times) / 1000


def test_an_answer_that_was_given_before_takes_no_time():
    spec = DotProduct(a="e4m3", b="int5", lanes=17)
    cost_models.estimate(spec, "ecp5")
    again = DotProduct(a="e4m3", b="int5", lanes=17)
    assert least_us(lambda: cost_models.estimate(again, "ecp5"), 50) < 100


def test_in_a_batch_a_prediction_of_all_resources_takes_little():
    features = Features([DotProduct(a="e4m3", b="int5", lanes=n) for n in range(1, 257)])
    query.figures(features, "ecp5")
    assert least_us(lambda: query.figures(features, "ecp5"), 5) / len(features) < 100


def test_a_new_measurement_is_told_at_once(tmp_path, monkeypatch):
    """What is remembered is forgotten as the store changes, and while it is being written."""
    file = tmp_path / "store.sqlite"
    monkeypatch.setenv("HWGEN_STORE", str(file))
    spec, found = DotProduct(a="int4", b="e3m1", lanes=6), []
    monkeypatch.setattr(measurement, "stored", lambda *given: found.append(given))
    for _ in range(3):
        cost_models.estimate(spec, "xcup")
    assert len(found) <= 1
    file.write_text("new")
    assert store.state() is None
    for _ in range(2):
        cost_models.estimate(spec, "xcup")
    assert len(found) >= 3
    monkeypatch.setattr(store, "_SETTLED_NS", -1)
    state = store.state()
    (tmp_path / "store.sqlite.kept.jsonl").write_text("x\n")
    assert state is not None and store.state() not in (None, state)


def test_the_package_is_imported_without_hardware():
    """And a query imports no simulator and no cells."""
    code = (
        "import sys, cost_models; early = 'numpy' in sys.modules; cost_models.estimate;"
        "print(early, *(m for m in ('sim', 'hwgen.units', 'scipy', 'cost_models.fit', 'pandas')"
        " if m in sys.modules))"
    )
    got = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert got.stdout.split()[0] == "False" and "sim" not in got.stdout.split()[1:]


def test_a_batch_is_to_the_last_bit_what_one_is():
    specs = [DotProduct(a="e4m3", b="e2m3", lanes=n) for n in range(1, 101)]
    for resource in model.RESOURCES:
        fitted = model.of("ecp5", resource)
        many = fitted.predictions(Features(specs), "ecp5")
        for row in (0, 41, 99):
            assert many[row] == fitted.predict(specs[row], "ecp5")


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_trees_are_added_two_at_a_time(count):
    """Each row has the sum of its leaves, by a walk down each tree, alone and among others."""
    rng = np.random.default_rng(count)
    trees = Trees(
        rng.integers(0, 5, (count, 15)).astype(np.int16),
        rng.normal(size=(count, 15)).astype(np.float32),
        rng.normal(size=(count, 16)).astype(np.float32),
    )
    rows = rng.normal(size=(1100, 5))
    told = trees.predict(rows)
    for row in (0, 1, 511, 1023, 1024, 1099):
        wanted = 0.0
        for tree in range(count):
            node = 0
            while node < 15:
                above = rows[row].astype(np.float32)[trees.feature[tree, node]]
                node = 2 * node + 1 + int(above > trees.threshold[tree, node])
            wanted += float(trees.leaf[tree, node - 15])
        assert told[row] == pytest.approx(wanted, rel=1e-12)
        assert trees.predict(rows[row : row + 1])[0] == told[row]


def test_a_random_grid_is_what_single_queries_say():
    """Formats, lanes, targets and mappings at random, of several units."""
    rng = np.random.default_rng(4)
    names = ["int4", "uint8", "e2m1", "e4m3", "e5m2", "fp16"]
    for unit, more in (("dot", {"mapping": ["lut", "dsp"]}), ("multidot", {}), ("array", {})):
        a, b = (rng.choice(names, 2, replace=False).tolist() for _ in "ab")
        lanes = sorted(rng.choice(range(1, 257), 3, replace=False).tolist())
        grid = {"unit": unit, "a": a, "b": b, "lanes": lanes, **more}
        if unit == "multidot":
            grid = {"unit": unit, "formats": ["int8,int4", "int4,int2"], "lanes": lanes[:2]}
        if unit == "array":
            grid |= {"rows": [1, 3], "columns": 2, "lanes": [1, 4]}
        costs = cost_models.estimate_many(grid, ["ecp5", "xcup"])
        for row in rng.choice(len(costs), min(6, len(costs)), replace=False).tolist():
            wanted = answered(costs.cost(row))
            np.testing.assert_allclose(told(costs, row), wanted, rtol=1e-9, equal_nan=True)
