"""Numbers that are wider than the window in which they are rounded to integers."""

import pytest

from hwgen import Requantize
from hwgen.formats.rounding import MODES
from sim.batch import verify_batch


@pytest.mark.parametrize("stages", [0, 2])
def test_what_lies_below_the_window_is_lost(stages):
    """Scales of few bits, under which the sum reaches far below a step: by one bit and by many."""
    specs = [
        Requantize(bits=bits, lsb_exponent=-low, scale=scale, b=b, rounding=rounding, stages=stages)
        for bits, low, scale, b in (
            (23, 16, "e2m1", "int1"),
            (23, 16, "e2m1", "int4"),
            (12, 8, "e2m1", "uint1"),
            (30, 20, "ue4m3", "int8"),
            (14, 5, "e2m1", "int8"),
        )
        for rounding in MODES
        if rounding != "stochastic"
    ]
    outcome = verify_batch(specs, vectors=200, seed=5)
    assert outcome.passed, outcome.shown
