"""What tests of sweeps begin with."""

import dataclasses

import pytest

import yosys_scripts
from cost_models import measurement
from tests.cost_models.sweeps import TWO, Tools


@pytest.fixture
def empty_store(tmp_path, monkeypatch):
    """A store of this test, which knows nothing of what ships."""
    monkeypatch.setenv("HWGEN_STORE", str(tmp_path / "store.sqlite"))
    monkeypatch.setattr(measurement.STORE, "kind", dataclasses.replace(measurement.KIND, ships=""))


@pytest.fixture
def tools(monkeypatch):
    fake = Tools()
    monkeypatch.setattr(yosys_scripts, "synthesise", fake.synthesise)
    return fake


@pytest.fixture
def plan(tmp_path):
    file = tmp_path / "plan.toml"
    file.write_text(TWO)
    return file
