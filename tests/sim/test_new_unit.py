"""Adding a unit is three new files and one entry.

Those in tests/new_unit, put where a unit's files are, are one for every command.
"""

import json
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import hwgen
import hwgen.spec
import hwgen.units
import sim.models
from cost_models import model, query, structure
from hwgen.cli import main
from sim import case_list, formal, regression
from sim.random_specs import legal_spec
from sim.verification import verify

FILES = Path(__file__).parents[1] / "new_unit"
ROOMS = {"spec": hwgen.spec, "units": hwgen.units, "models": sim.models}


@pytest.fixture
def negate(monkeypatch):
    """The unit's spec, while it is one of the units."""
    assert sorted(f.relative_to(FILES).as_posix() for f in FILES.rglob("*.py")) == [
        "models/negate.py",
        "spec/negate.py",
        "units/negate.py",
    ]
    for folder, package in ROOMS.items():
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(FILES / folder)])
    kind = import_module("hwgen.spec.negate").Negate
    monkeypatch.setitem(hwgen.spec.KINDS, kind.unit, ("negate", "Negate"))  # The one entry.
    yield kind
    for package in ROOMS.values():
        sys.modules.pop(f"{package.__name__}.negate", None)


def test_it_is_simulated_and_a_fault_is_found(negate):
    assert verify(negate(a="fixed6_2", lowest="wrap", stages=2), vectors=300).passed
    faulty = hwgen.verilog(negate(a="int5", lowest="wrap")).replace("_wrap_", "_saturate_")
    proof = formal.prove(negate(a="int5"), "reference", verilog=faulty)
    assert (proof.result, proof.reason) == ("disproved", "results")


def test_it_is_on_the_command_line(negate, capsys, tmp_path):
    out = str(tmp_path)
    given = ["negate", "--a", "int4", "--lowest", "wrap"]
    assert main(["generate", *given, "--all", "--out", out]) == 0
    assert "negate_int4_wrap_stages1.v: module" in capsys.readouterr().out
    assert main(["generate", "negate", "--a", "int4", "--lowest", "up", "--out", out]) == 2
    assert "lowest='up': use one of saturate, wrap" in capsys.readouterr().err
    assert main(["generate", "mul", "--a", "int4", "--b", "int4", "--lowest", "wrap"]) == 2
    assert "unit mul has no --lowest" in capsys.readouterr().err
    assert main(["prove", *given, "--property", "reference"]) == 0
    assert "reference: proved" in capsys.readouterr().out
    assert main(["units"]) == 0
    assert "negate: The negative of a code" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["verify", "--help"])
    assert "what the lowest number becomes" in capsys.readouterr().out


def test_it_is_proved_with_the_others(negate):
    tasks = [t for t in formal.task_list.tasks() if t.spec.unit == "negate"]
    assert [t.property for t in tasks] == ["stream", "pipeline", "reference"]
    assert formal.task_list.tasks("negatives") == tasks[2:]
    assert all(formal.prove(t.spec, t.property).result == "proved" for t in tasks[1:])


def test_it_is_in_every_matrix(negate):
    chosen = case_list.chosen("levels", units=["negate"], levels=["rtl"])
    matrix = case_list.chosen("exhaustive", units=["negate"])
    assert len(chosen.cases) == 3 and len(matrix.cases) == 8
    for cases in (chosen.cases, matrix.cases):
        assert {result.status for result in regression.examine(cases)} == {"passed"}
    formats = case_list.chosen("formats", units=["negate"])
    assert {case.spec.lowest for case in formats.cases} == {"saturate", "wrap"}
    assert {refused.format for refused in formats.refused} >= {"e4m3", "uint8"}
    json.dumps([case.to_dict() for case in formats.cases])
    drawn = [legal_spec(negate, np.random.default_rng(seed)) for seed in range(20)]
    assert {spec.lowest for spec in drawn} == {"saturate", "wrap"}


def test_its_cost_is_measured_or_a_guess(negate):
    """What the cost model reads is its step plan; nothing like it was measured."""
    spec = negate(a="int8")
    cost = query.predict(spec, "ecp5")
    assert "a guess: it is smaller than all that was measured" in cost.basis
    shape = model.of("ecp5", "lut")
    stratum = shape.stratum_name(structure.inputs(spec), False)
    assert stratum == model.NEW_UNIT and shape.strata[stratum].count > 100
    assert cost.lut.low < cost.lut.value < cost.lut.high
    assert cost.ff.value == structure.registers(spec)  # Which the plan says.
    assert query.measure(negate(a="int8"), "ice40", place=False).lut.value > 0
