"""Every choice of the units in the simulator, against the golden model."""

import pytest

from hwgen import Convert, DotProduct, MultiplyAccumulate
from sim import verify

#: Accumulators, outputs, stages, special codes, signs: each at least twice, in other company.
DOTS = [
    {"a": "e4m3fn", "b": "int8", "lanes": 4},
    {"a": "e5m2ieee", "b": "e4m3fnuz", "lanes": 3, "stages": 7},
    {"a": "int4", "b": "uint4", "lanes": 9, "stages": 1},
    {"a": "e2m1", "b": "e2m1", "lanes": 4, "output": "fp32"},
    {"a": "e4m3fn", "b": "e5m2ieee", "lanes": 2, "output": "bf16", "rounding": "stochastic"},
    {"a": "e3m4", "b": "e3m4", "lanes": 7, "output": "int8", "rounding": "down", "stages": 9},
    {"a": "e4m3fn", "b": "ue4m3", "lanes": 2, "output": "e4m3fn", "overflow": "saturate"},
    {"a": "int8", "b": "uint4", "lanes": 3, "accumulator": "fixed:14"},
    {"a": "e2m1", "b": "fixed8_6", "lanes": 3, "accumulator": "fixed:12:3:wrap:nearest_away"},
    {"a": "e3m2", "b": "e0m3", "lanes": 3, "accumulator": "fixed:10:-2:stochastic"},
    {"a": "e4m3ext", "b": "int4", "lanes": 2, "accumulator": "fixed:20:4", "output": "fp16"},
    {"a": "e4m3", "b": "e4m3", "lanes": 4, "accumulator": "fp32"},
    {"a": "int8", "b": "int8", "lanes": 2, "accumulator": "fp16:toward_zero", "stages": 6},
    {"a": "e2m3", "b": "e4m3ns", "lanes": 2, "accumulator": "e4m3fn:stochastic"},
    {"a": "e5m2", "b": "e3m0", "lanes": 2, "accumulator": "fp16:saturate"},
]
MACS = [
    {"a": "e4m3fn", "b": "e4m3fn", "accumulator": "bf16"},
    {"a": "int8", "b": "int8"},
    {"a": "e2m1", "b": "e8m0", "accumulator": "fp32:down"},
]
CONVERSIONS = [
    {"a": "bf16", "b": "e4m3fn", "overflow": "special"},
    {"a": "fp16", "b": "e2m1", "rounding": "stochastic", "stages": 3},
    {"a": "int16", "b": "e5m2ieee", "rounding": "nearest_away", "stages": 1},
    {"a": "uint8", "b": "fp32", "rounding": "up"},
    {"a": "fp32", "b": "bf16", "rounding": "down", "overflow": "special"},
    {"a": "e5m2", "b": "fixed8_6", "rounding": "toward_zero"},
    {"a": "e4m3ext", "b": "ue4m3", "overflow": "special"},
]


@pytest.mark.parametrize("fields", DOTS, ids=str)
def test_dot(fields):
    outcome = verify(DotProduct(**fields), vectors=400)
    assert outcome.passed, outcome.shown


@pytest.mark.parametrize("fields", MACS, ids=str)
def test_mac(fields):
    outcome = verify(MultiplyAccumulate(**fields), vectors=400)
    assert outcome.passed, outcome.shown


@pytest.mark.parametrize("fields", CONVERSIONS, ids=str)
def test_convert(fields):
    outcome = verify(Convert(**fields), vectors=400)
    assert outcome.passed, outcome.shown
