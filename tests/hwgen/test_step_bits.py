"""What a dot product's plan says of its registers is what the hardware has."""

import dataclasses
import re
from collections.abc import Mapping

import numpy as np
import pytest
from amaranth.hdl import Fragment, Value

from hwgen import emit
from hwgen.spec import UNITS, DotProduct, from_dict
from hwgen.units import component as unit_of
from hwgen.units import unit
from sim.random_specs import legal_spec

SPECS = [
    {"a": "int8", "b": "int8", "lanes": 5, "stages": 7},
    {"a": "e4m3", "b": "e4m3", "lanes": 8, "stages": 6},
    {"a": "e4m3", "b": "e4m3", "lanes": 8, "stages": 8},
    {"a": "e2m1", "b": "e2m1", "lanes": 6, "stages": 5},
    {"a": "e4m3", "b": "int8", "lanes": 4, "stages": 6},
    {"a": "e5m2", "b": "e5m2", "lanes": 16, "stages": 8},
    {"a": "e2m1", "b": "int4", "lanes": 32, "stages": 6},
    {"a": "int4", "b": "int4", "lanes": 8, "stages": 7, "mapping": "dsp"},
    {"a": "int5", "b": "int5", "lanes": 7, "stages": 7, "mapping": "dsp"},
    {"a": "e2m1", "b": "int4", "lanes": 5, "stages": 6, "mapping": "dsp"},
]


@pytest.mark.parametrize("fields", SPECS, ids=str)
def test_bits_in_front_of_each_step(fields):
    spec = DotProduct(**fields)
    text = emit.rtlil(spec)
    widths = {
        name: int(width or 1)
        for width, name in re.findall(r"wire(?: width (\d+))?(?: signed)? \\([^\s$]+)\n", text)
    }
    assert spec.register_boundaries
    for step in (spec.steps[index] for index in spec.register_boundaries):
        bits = [
            width
            for name, width in widths.items()
            if name.startswith(f"{step.name}_") and name != f"{step.name}_clear"
        ]
        assert sum(bits) == step.bits, step.name


#: What is no data of a step: controls, and what travels beside a sum.
BESIDE = {"clear", "mode", "random_bits", "special", "zero_sign"}


def _bits(value):
    """Of the registers of values that stand between steps."""
    if isinstance(value, Value):
        return len(value)
    if isinstance(value, Mapping):
        return sum(_bits(item) for name, item in value.items() if name not in BESIDE)
    if dataclasses.is_dataclass(value):
        value = [getattr(value, f.name) for f in dataclasses.fields(value)]
    return sum(map(_bits, value)) if isinstance(value, list) else 0


def _has_odd_lanes(spec):
    """Whether some lanes' terms are narrower than the plan has them.

    They are one without an equal to be added to, and the first, if an integer's sign meets another.
    """
    mixed = spec.a.signed and spec.b.signed and spec.a.is_integer != spec.b.is_integer
    return mixed or spec.lanes & (spec.lanes - 1) > 0


@pytest.mark.parametrize("kind", ["dot", "mac", "sumsquares", "fixeddot", "multidot"])
def test_bits_of_random_specs(kind, monkeypatch):
    """Where the plan says how many there are."""
    made = {}
    registered = unit.registered

    def noted(m, value, name, enable, **options):
        if isinstance(value, Mapping):
            made[name] = _bits(value)
        return registered(m, value, name, enable, **options)

    monkeypatch.setattr(unit, "registered", noted)
    rng, compared = np.random.default_rng([3, *kind.encode()]), 0
    for _ in range(12):
        spec = legal_spec(UNITS[kind], rng, {"pipeline_target": ""})
        spec = from_dict({**spec.to_dict(), "stages": spec.most_stages})
        made.clear()
        Fragment.get(unit_of(spec), None)
        for step in spec.steps:
            if step.bits is None or step.name not in made:
                continue
            if not (step.name.startswith("level") and _has_odd_lanes(spec)):
                assert step.bits == made[step.name], (spec, step.name)
                compared += 1
    assert compared > 20
