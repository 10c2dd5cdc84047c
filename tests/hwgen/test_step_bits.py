"""What a plan says of the registers in front of its steps is what the hardware has."""

import dataclasses
import itertools
import re
from collections.abc import Mapping

import numpy as np
import pytest
from amaranth.hdl import Fragment, Value

from hwgen import emit
from hwgen.spec import UNITS, DotProduct, from_dict
from hwgen.spec.steps.array import WEIGHTS
from hwgen.units import array, unit
from hwgen.units import component as unit_of
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
def test_data_bits_in_front_of_each_step(fields):
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
        assert sum(bits) == step.data_bits, step.name


#: What is no data of a step: controls, and what travels beside a sum.
BESIDE = {"clear", "mode", "random_bits", "special", "zero_sign"}


def _bits(value, beside=frozenset()):
    """Of the registers of values that stand between steps, but for those of these names."""
    if isinstance(value, Value):
        return len(value)
    if isinstance(value, Mapping):
        return sum(_bits(item) for name, item in value.items() if name not in beside)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = [getattr(value, f.name) for f in dataclasses.fields(value)]
    return sum(map(_bits, value)) if isinstance(value, list) else 0


#: Operands in blocks of two sizes, which units take that have them.
TWO_SIZES = dict.fromkeys(
    ("blockdot", "array"),
    (
        {"a": "e2m1_b2_ue4m3", "b": "e5m2ieee_b4_e8m0"},
        {"a": "int4_b6_ue4m3", "b": "e2m1_b2_ue4m3"},
    ),
)
#: Products that share multipliers, which no target places registers for.
PACKED = {
    "blockdot": (
        {"a": "int4_b5_e8m0", "b": "int4_b5_ue4m3", "mapping": "dsp18x18"},
        {"a": "e0m3_b8_e8m0_m4x2", "b": "e2m1_b4_e8m0", "mapping": "dsp27x18"},
    ),
    "array": tuple(
        {**operands, "rows": 2, "columns": 3, "dataflow": dataflow, "mapping": "dsp27x18"}
        for operands in ({"a": "e0m3_b2_e8m0", "b": "e2m1_b4_ue4m3"}, {"a": "e0m3", "b": "int4"})
        for dataflow in ("output_stationary", "weight_stationary")
    ),
}


@pytest.mark.parametrize("target", ["", "ecp5"])
@pytest.mark.parametrize("kind", UNITS)
@pytest.mark.parametrize("count", [3, 8])
def test_bits_of_all_registers(kind, target, count, monkeypatch):
    """Of random specs with a register in front of every step: what each of these holds.

    Of an array the first element's, or group of elements', and the first column's.
    """
    made = {}
    registered = unit.registered

    def noted(m, value, name, enable, **options):
        made.setdefault(name, _bits(value))
        return registered(m, value, name, enable, **options)

    monkeypatch.setattr(unit, "registered", noted)
    monkeypatch.setattr(array, "registered", noted)
    rng = np.random.default_rng([count, *kind.encode()])
    packed = PACKED.get(kind, ()) if not target else ()
    for operands in [*[{}] * count, *TWO_SIZES.get(kind, ()), *packed]:
        spec = legal_spec(UNITS[kind], rng, {"pipeline_target": target, **operands})
        spec = from_dict({**spec.to_dict(), "stages": spec.most_stages})
        made.clear()
        hardware = unit_of(spec)
        Fragment.get(hardware, None)
        if kind == "array":  # Where controls go by on lines of their own.
            made["operands"] += sum(
                made[f"{port.name}_{i}_1"]
                for port in spec.inputs
                for i in range(port.count)
                if port.name.split("_")[0] not in ("a", "b")
            )
        for step, behind in itertools.pairwise(spec.steps):
            if step.name == WEIGHTS:
                made[behind.name] = made["beside_weights"] + made["weight"]
            elif step.has_state:
                kept = hardware.registers() if kind == "array" else hardware.state()
                made[behind.name] = made[f"{step.name}_beside"] + _bits(kept)
        places = {spec.steps[index].name for index in spec.register_boundaries}
        for step in spec.steps:  # A loop of partial sums may have fewer places than steps.
            if spec.loop is None or step.name in places:
                assert step.bits == made[step.name], (spec, step.name)


def _has_odd_lanes(spec):
    """Whether some lanes' terms are narrower than the plan has them.

    They are one without an equal to be added to, and the first, if an integer's sign meets another.
    """
    mixed = spec.a.signed and spec.b.signed and spec.a.is_integer != spec.b.is_integer
    return mixed or spec.lanes & (spec.lanes - 1) > 0


@pytest.mark.parametrize("kind", ["dot", "mac"])
def test_data_bits_of_random_specs(kind, monkeypatch):
    """Where the plan says how many of them are data."""
    made = {}
    registered = unit.registered

    def noted(m, value, name, enable, **options):
        if isinstance(value, Mapping):
            made[name] = _bits(value, BESIDE)
        return registered(m, value, name, enable, **options)

    monkeypatch.setattr(unit, "registered", noted)
    rng, compared = np.random.default_rng([3, *kind.encode()]), 0
    for _ in range(12):
        spec = legal_spec(UNITS[kind], rng, {"pipeline_target": ""})
        spec = from_dict({**spec.to_dict(), "stages": spec.most_stages})
        made.clear()
        Fragment.get(unit_of(spec), None)
        for step in spec.steps:
            if step.data_bits is None or step.name not in made:
                continue
            if not (step.name.startswith("level") and _has_odd_lanes(spec)):
                assert step.data_bits == made[step.name], (spec, step.name)
                compared += 1
    assert compared > 20
