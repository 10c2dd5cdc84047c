"""Energy: toggles of the netlist times a coefficient that can be derived again."""

import math
import tomllib

import numpy as np
import pytest
from scipy.stats import chisquare

import cost_models
from cost_models import energy_calibration, toggle_energy
from hwgen import DotProduct
from sim import stimulus as stimuli


def test_shipped_coefficient_is_what_the_calibration_gives():
    derived = tomllib.loads(energy_calibration.report())["coefficient"]
    shipped = toggle_energy.coefficient()
    assert derived["pj_per_toggle"] == pytest.approx(shipped.pj_per_toggle, rel=0.02)
    assert derived["pj_per_lut"] == pytest.approx(shipped.pj_per_lut, rel=1e-3)
    # 351 uA at 1.219 V are 427.869 uW, at 12 MHz 35.65575 pJ a cycle, of 180 logic cells.
    assert shipped.pj_per_lut == pytest.approx(35.65575 / 180, abs=5e-5)
    # Without glitches the output of a cell changes at most once a cycle: of most a random bit.
    assert 45 < 35.65575 / shipped.pj_per_toggle < 180


def test_energy_of_ice40_and_of_a_target_without_a_coefficient():
    spec = DotProduct(a="e2m1", b="int3", lanes=2, max_products=16)
    absolute = cost_models.energy(spec, "ice40")
    assert not absolute.relative and "iCE40UP5K" in absolute.basis
    # Two estimates are the ends, and the value stands between them: by a rule that is told.
    assert 0 < absolute.low < absolute.value < absolute.high
    assert absolute.value == pytest.approx(math.sqrt(absolute.low * absolute.high), abs=2e-3)
    # Of two lanes: toggles of 0.3604 pJ, and LUTs of 0.1981 pJ.
    lut = cost_models.measure(spec, "ice40", place=False).lut.value
    ends = sorted((absolute.toggles_per_cycle * 0.3604 / 2, lut * 0.1981 / 2))
    assert [absolute.low, absolute.high] == pytest.approx(ends, abs=2e-3)
    assert "geometric mean" in absolute.basis
    given = cost_models.energy(spec, "ice40", stimuli.uniform(spec, 300, seed=1))
    assert "300 cycles of given operands" in given.basis
    assert given.toggles_per_cycle == pytest.approx(absolute.toggles_per_cycle, rel=0.1)
    relative = cost_models.energy(spec, "ecp5")
    assert relative.relative and relative.basis.startswith("relative: no published coefficient")


def test_uniform_codes_are_uniform():
    """Each code comes as often as the others, and sums are as long as they may be.

    The bench's own cycles are not so: a quarter of them has extremes.
    """
    spec = DotProduct(a="e2m1", b="int8", lanes=8, max_products=64)
    cycles = stimuli.uniform(spec, 4000, seed=3)
    for port, codes in (("a", 16), ("b", 256)):
        counts = np.bincount(cycles.inputs[port].ravel(), minlength=codes)
        assert chisquare(counts).pvalue > 1e-4
    bench = np.bincount(stimuli.random(spec, 4000, seed=3).inputs["b"].ravel(), minlength=256)
    assert chisquare(bench).pvalue < 1e-9
    assert cycles.valid.all() and cycles.enable.all()
    assert np.flatnonzero(cycles.inputs["clear"]).tolist() == list(range(0, 4000, 8))


def operands(codes, clear):
    return stimuli.given({"clear": clear, "a": codes, "b": codes})


def test_idle_operands_take_less():
    spec = DotProduct(a="int4", b="int4", lanes=2, max_products=16)
    rng = np.random.default_rng(1)
    shape, clear = (400, 2), np.zeros(400, np.bool_)
    busy = rng.integers(0, 16, shape, dtype=np.uint8)
    idle = np.zeros(shape, np.uint8)
    by_activity = [
        toggle_energy.activity(spec, "ice40", stimuli.given({"clear": clear, "a": x, "b": x}))
        for x in (busy, idle)
    ]
    assert by_activity[1] < 0.1 * by_activity[0]
    again = toggle_energy.activity(spec, "ice40", operands(busy, clear))
    assert again == by_activity[0]
