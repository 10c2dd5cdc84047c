"""Faults in the RTL: found by the bench, or proved to be none."""

import dataclasses
import json

import pytest

from hwgen import Convert, DotProduct, InputError
from hwgen.cli import main
from hwgen.store import Lines
from sim import mutation
from sim import stimulus as stimuli
from sim.mutation import mutate

SPEC = Convert(a="e4m3fn", b="e2m1")


def test_faults_are_found_or_are_none():
    score = mutate(DotProduct(a="int4", b="e2m1", lanes=2), mutants=30, vectors=300)
    assert score.mutants == 30 and score.killed >= 25
    assert score.killed + len(score.survivors) == score.mutants
    assert score.passed and score.score == 1 and score.count("not proved") == 0


def test_a_stimulus_that_looks_at_little_lets_faults_live(monkeypatch):
    """Without NaN and large numbers some faults survive.

    The proof tells them from those that are none.
    """

    def small(spec, vectors, seed):
        codes = spec.a.encode([1.0, 0.5, -1.0, 0.0])
        return stimuli.concatenate(stimuli.given({"a": codes}), stimuli.flush(spec))

    monkeypatch.setattr(mutation, "whole_stimulus", small)
    score = mutate(SPEC, mutants=12, vectors=4)
    assert not score.passed and score.count("different") > 2 and score.score < 1
    assert "different" in str(score.survivors)
    # Where the cells come from: some have no place, and none has one outside.
    places = [place for s in score.survivors for place in s.mutant.source]
    assert places and all(place.startswith("hwgen/") for place in places)


def test_command_line_and_store(capsys, tmp_path):
    options = ["convert", "--a", "e2m1", "--b", "int4", "--mutants", "5", "--vectors", "20"]
    assert main(["mutate", *options, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["scores"]
    assert row["killed"] + row["equal"] == row["mutants"] == 5 and row["passed"]
    store = Lines(mutation.SCORE, tmp_path / "mutants.jsonl")
    (first,) = mutation.mutate_all([SPEC], store, mutants=3, vectors=20)
    again = Lines(mutation.SCORE, tmp_path / "mutants.jsonl")
    (second,) = mutation.mutate_all([SPEC], again, mutants=3, vectors=20)
    assert json.dumps(first) == json.dumps(second)
    other = dataclasses.replace(SPEC, stages=1)
    assert mutation.key_of(other, 3, 20, 1) != mutation.key_of(SPEC, 3, 20, 1)


def test_bad_input(capsys):
    with pytest.raises(InputError, match="mutants=0: use a whole number from 1 to 10000"):
        mutate(SPEC, mutants=0)
    assert main(["mutate"]) == 2
    assert "give either a unit or --all" in capsys.readouterr().err
    assert main(["mutate", "convert", "--a", "e2m1", "--b", "int4", "--store", "x"]) == 2
    assert "--store does nothing for a unit" in capsys.readouterr().err
