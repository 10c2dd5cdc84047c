"""A module's name tells the spec: no two specs that can differ have one name."""

import dataclasses
import re
from collections import Counter

import numpy as np

from hwgen import InputError
from hwgen.spec import UNITS, AccumulatorToFloat, from_dict
from hwgen.spec.base import spec_fields
from sim import unit_model
from sim.random_specs import FIELDS, TYPES, legal_spec

#: Fields that never change alone, each with the reason.
FOLLOWS = {
    ("quantizer", "lanes"): "the block size of the format b",
    ("fixeddot", "lanes"): "how many weights there are",
    ("accumulator_to_float", "scale"): "there is none",
    ("array", "blocks"): "lanes change with them",
    ("mac", "lanes"): "it has one",
    ("fixeddot", "mapping"): "constants are multiplied in logic",
    ("sumsquares", "mapping"): "squares are made in logic",
}
#: Fields without which others of a unit hardly ever count, for every eighth spec.
GIVEN = {"array": {"a": "e2m1_b2_e8m0", "b": "int4_b2_ue4m3"}}
SPECS = 20_000


def _neighbours(spec, rng):
    """Legal specs that differ in one field, by its name, as far as a few draws find them."""
    fields = {f.name: getattr(spec, f.name) for f in spec_fields(type(spec))}
    for field in spec_fields(type(spec)):
        own = unit_model.of(spec).draws.get(field.name)
        draw = own or FIELDS.get(field.name) or TYPES.get(str(field.type).partition(" ")[0])
        if draw is None:
            continue
        # Tuned units are slow to make: only the step from an untuned one is taken.
        for _ in range(1 if field.name == "pipeline_target" and rng.random() < 0.95 else 3):
            try:
                neighbour = type(spec)(**{**fields, field.name: draw(rng)})
            except InputError:
                continue
            if neighbour != spec:
                yield field.name, neighbour
                break


def test_no_two_specs_have_one_name():
    """Specs and their neighbours: of any field that changes, the name says so."""
    rng = np.random.default_rng(20)
    names, changed = {}, Counter()
    for kind in UNITS.values():
        count = 0
        while count < SPECS / len(UNITS):
            given = GIVEN.get(kind.unit, {}) if rng.integers(8) == 0 else {}
            spec = legal_spec(kind, rng, {"pipeline_target": "", **given})
            for field, candidate in [("", spec), *_neighbours(spec, rng)]:
                other = names.setdefault(candidate.name, candidate)
                assert other == candidate, (
                    f"{candidate.name}: {other.to_dict()} and {candidate.to_dict()}"
                )
                assert re.fullmatch(r"[A-Za-z]\w*", candidate.name), (
                    f"no name in Verilog: {candidate.name}"
                )
                changed[kind.unit, field] += 1
                count += 1
    assert sum(changed.values()) >= SPECS
    fields = {(kind.unit, field.name) for kind in UNITS.values() for field in spec_fields(kind)}
    unchanged = fields - changed.keys()
    assert unchanged == FOLLOWS.keys(), unchanged ^ FOLLOWS.keys()


def test_names_say_where_multiplications_go():
    unmapped = AccumulatorToFloat(bits=20, b="bf16")
    plain = dataclasses.replace(unmapped, pipeline_target="", stages=3)
    mapped = [dataclasses.replace(plain, mapping=mapping) for mapping in ("dsp", "auto")]
    assert len({spec.name for spec in (unmapped, plain, *mapped)}) == 4
    # As it was: shipped measurements and proofs have it.
    assert plain.name == "accumulator_to_float_20_0_to_e8m7ieee_nearest_even_special_stages3"


def test_names_of_shipped_measurements_are_those_of_their_specs():
    """None has the name of another."""
    from cost_models import measurement

    specs = {from_dict(m.spec) for m in measurement.shipped()}
    assert len({spec.name for spec in specs}) == len(specs)
