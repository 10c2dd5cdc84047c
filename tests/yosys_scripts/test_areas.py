"""Exact dot products of 32 lanes stay as small as docs/area.md says."""

import re
from pathlib import Path

import pytest

import yosys_scripts
from cost_models import baseline
from hwgen.spec import DotProduct

PAGE = Path(__file__).parents[2] / "docs" / "area.md"


@pytest.mark.parametrize("target", ["xc7", "ecp5"])
@pytest.mark.parametrize("name", ["int8", "int4", "e2m1", "e4m3fn"])
def test_a_sum_is_as_small_as_the_page_says(name, target):
    """LUTs without DSP blocks. Where one is smaller, the page is to say so."""
    row = rf"^\| {name} \| 32 \| {target} \|.*\*\*([\d,]+)\*\*"
    (lut_of_page,) = re.findall(row, PAGE.read_text(), re.MULTILINE)
    text = baseline.unit_rtlil(DotProduct(a=name, b=name, lanes=32))
    result = yosys_scripts.synthesise(text, baseline.TOP, target=target, place=False)
    assert result.lut == pytest.approx(int(lut_of_page.replace(",", "")), rel=0.01)
    assert result.dsp == 0
