"""Specs that nobody chose: elaborated, linted, simulated."""

import dataclasses
from itertools import islice

import numpy as np
import pytest

from hwgen import DotProduct, InputError, emit
from hwgen.spec import UNITS
from sim import case_list, regression, report
from sim.batch import verify_batch
from sim.random_specs import examples, legal_spec, legal_specs

COUNT = 30
#: That share a build.
TOGETHER = 15


#: Fields that a unit shares with another, and that say but one thing in it.
ONE_VALUE = {
    ("mac", "lanes"),
    ("fixeddot", "mapping"),
    ("sumsquares", "mapping"),
    ("accumulator_to_float", "scale"),
}


@pytest.mark.parametrize("first", range(0, COUNT, TOGETHER))
def test_random_specs_are_right(first):
    """As ``hwgen regress random``, which takes more of them."""
    cases = case_list.chosen("random", seed=1, count=COUNT).cases[first : first + TOGETHER]
    assert {case.vectors for case in cases} == {200}
    results = list(regression.examine(cases))
    assert len(results) == TOGETHER
    for result in results:
        assert result.status == "passed" and result.vectors > 100, report.trouble(result)


def test_random_specs_in_cocotb():
    specs = list(islice(legal_specs(seed=1), 6))
    outcome = verify_batch(specs, vectors=200)
    assert outcome.passed, outcome.shown
    assert all(outcome.vectors[spec.name] > 200 for spec in specs)


def test_a_fault_in_one_of_many_is_found(monkeypatch):
    specs = [DotProduct(a="int3", b="int3", lanes=lanes, max_products=8) for lanes in (1, 2, 3)]
    genuine = emit.verilog

    def faulty(spec):
        old = "accumulate_terms_0 <= "
        return genuine(spec).replace(old, old + "1 + ") if spec.lanes == 2 else genuine(spec)

    monkeypatch.setattr(emit, "verilog", faulty)
    outcome = verify_batch(specs, vectors=50)
    assert not outcome.passed and outcome.shown
    assert all(shown.startswith(specs[1].name) for shown in outcome.shown)
    with pytest.raises(InputError, match="each spec once"):
        verify_batch(specs[:1] * 2)


def test_same_seed_same_specs():
    first, again, other = (list(islice(legal_specs(seed), 1200)) for seed in (4, 4, 5))
    assert first == again and first != other
    assert {spec.unit for spec in first} == set(UNITS)
    # Every field is drawn, for some spec.
    for spec in first:
        for field in dataclasses.fields(spec):
            drawn = {getattr(s, field.name) for s in first if s.unit == spec.unit}
            assert len(drawn) > 1 or (spec.unit, field.name) in ONE_VALUE, (spec.unit, field.name)


def test_examples_are_of_every_unit():
    specs = examples(seed=1, count=2)
    assert [spec.unit for spec in specs] == [unit for unit in UNITS for _ in range(2)]


def test_a_field_of_a_new_name_is_named():
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Shifter(DotProduct):
        distance: int

    with pytest.raises(InputError, match="unit dot: say how 'distance' is drawn"):
        legal_spec(Shifter, np.random.default_rng(1))
