"""What a dot product's plan says of its registers is what the hardware has."""

import re

import pytest

from hwgen import emit
from hwgen.spec import DotProduct

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
