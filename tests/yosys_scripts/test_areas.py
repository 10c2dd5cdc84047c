"""Exact dot products of 32 lanes stay as small as they are said to be."""

import pytest

import yosys_scripts
from cost_models import plain
from hwgen.spec import DotProduct

#: LUTs without DSP blocks; docs/area.md has what each takes.
LIMITS = {
    ("int8", "xc7"): 2200,
    ("int8", "ecp5"): 3200,
    ("int4", "xc7"): 650,
    ("int4", "ecp5"): 1000,
    ("e2m1", "xc7"): 620,
    ("e2m1", "ecp5"): 1250,
    ("e4m3fn", "xc7"): 3300,
    ("e4m3fn", "ecp5"): 5500,
}


@pytest.mark.parametrize(("name", "target"), LIMITS)
def test_a_sum_is_small(name, target):
    text = plain.unit_rtlil(DotProduct(a=name, b=name, lanes=32))
    result = yosys_scripts.synthesise(text, plain.TOP, target=target, place=False)
    assert 0 < result.lut <= LIMITS[name, target]
    assert result.dsp == 0
