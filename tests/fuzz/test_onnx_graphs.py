"""A few graphs of ``onnx_graphs.py``, and that its judge can say no."""

import dataclasses
import warnings

import onnx_graphs as fuzz

from optimizer import folding


def test_damaged_graphs(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outcomes, faults = fuzz.run(seed=11, numbers=range(150), folder=tmp_path)
    assert not faults
    assert outcomes["equal"] > 30 and outcomes["refused"] > 30, outcomes


def test_cases_are_those_of_the_seed():
    first, again, other = ([fuzz.case(seed, n) for n in range(20)] for seed in (1, 1, 2))
    assert first == again != other


def test_a_wrong_reading_is_a_fault(tmp_path, monkeypatch):
    right = folding.affine

    def wrong(*arguments):
        found = right(*arguments)
        return found and dataclasses.replace(found, shift=found.shift + 0.1)

    monkeypatch.setattr(folding, "affine", wrong)
    assert fuzz.run(seed=11, numbers=range(40), folder=tmp_path)[1]
    monkeypatch.setattr(fuzz, "outcome", lambda path, oracle: 1 / 0)
    assert fuzz.run(seed=11, numbers=range(2), folder=tmp_path)[1] == [0, 1]
