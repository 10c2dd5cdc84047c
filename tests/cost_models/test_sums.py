"""What several units take together."""

import math

import pytest

import cost_models
from cost_models import query
from hwgen import DotProduct, InputError, Multiply

FIRST, SECOND = DotProduct(a="e3m1", b="int5", lanes=9), DotProduct(a="e2m3", b="int6", lanes=3)


def test_counts_are_sums_and_the_clock_is_the_slowest():
    one, other = (cost_models.estimate(spec, "ecp5") for spec in (FIRST, SECOND))
    both = cost_models.total([(FIRST, 3), (SECOND, 2)], "ecp5")
    for name in ("lut", "carry", "ff", "dsp"):
        for end in ("value", "low", "high"):
            parts = [getattr(getattr(cost, name), end) for cost in (one, other)]
            assert getattr(getattr(both, name), end) == 3 * parts[0] + 2 * parts[1], (name, end)
    for end in ("value", "low", "high"):
        slower = min(getattr(cost.fmax_mhz, end) for cost in (one, other))
        assert getattr(both.fmax_mhz, end) == slower
    assert both.lut.source == "predicted" and "5 units of 2 kinds, 0 of" in both.basis


def test_independent_errors_are_closer_together_but_not_those_of_copies():
    apart = cost_models.total([(FIRST, 3), (SECOND, 2)], "ecp5", errors="apart").lut
    one, other = (cost_models.estimate(spec, "ecp5").lut for spec in (FIRST, SECOND))
    above = math.hypot(3 * (one.high - one.value), 2 * (other.high - other.value))
    assert apart.high == math.ceil(apart.value + above)
    assert apart.low > 3 * one.low + 2 * other.low
    copies = [cost_models.total([(FIRST, 2)] * n, "ecp5", errors="apart") for n in (1, 2)]
    assert copies[1].lut.high == 2 * copies[0].lut.high == 4 * one.high


def test_what_is_not_known_or_does_not_fit_is_said(monkeypatch):
    many = cost_models.total([(FIRST, 100)], "ice40")
    assert "iCE40UP5K" in many.does_not_fit
    assert cost_models.total([(FIRST, 1)], "xc7").fmax_mhz.value is None
    exact = query.Quantity(5, 5, 5, "measured")
    known = query.Cost(exact, exact, exact, exact, exact, "")
    monkeypatch.setattr("cost_models.sums.estimate", lambda *given: known)
    both = cost_models.total([(FIRST, 1), (SECOND, 1)], "ecp5")
    assert both.lut.source == "measured" and both.lut.low == both.lut.high == 10


@pytest.mark.parametrize(
    ("units", "more", "words"),
    [
        ([], {}, "there is none"),
        (3, {}, "give pairs"),
        (FIRST, {}, "give pairs"),
        ([FIRST], {}, "is no pair"),
        ([(FIRST, 0)], {}, "there are 0: use a whole number above 0"),
        ([(FIRST, 1.5)], {}, "how many there are=1.5"),
        ([(Multiply(a="int4", b="int4"), math.nan)], {}, "how many there are=nan"),
        ([(FIRST, 1)], {"errors": "both"}, "errors='both': use one of together, apart"),
    ],
)
def test_bad_input_is_one_line(units, more, words):
    with pytest.raises(InputError, match=words) as told:
        cost_models.total(units, "ecp5", **more)
    assert "\n" not in str(told.value)
