"""The cheapest pair of formats that is good enough for given numbers."""

import math

import numpy as np
import pytest

import cost_models
from cost_models.choices import qsnr_db
from hwgen import InputError
from hwgen.formats.theory import integer_qsnr_db

RNG = np.random.default_rng(8)
GAUSSIAN, OUTLIERS = RNG.standard_normal(4000), RNG.standard_t(3, 4000)


def test_the_ratio_is_that_of_the_definition():
    assert qsnr_db([1.0, -2.0, 7.0], "int4") == math.inf
    uniform = RNG.uniform(-1, 1, 100_000)
    # A uniform signal over the whole range of 255 steps: 20·log10(127) + 10·log10(4) dB.
    assert qsnr_db(uniform, "int8") == pytest.approx(20 * math.log10(127) + 6.02, abs=0.15)
    # Clipping gains where few numbers are large.
    clipped = qsnr_db(OUTLIERS, "int4")
    scale = np.abs(OUTLIERS).max() / 7
    error = OUTLIERS - scale * np.clip(np.rint(OUTLIERS / scale), -8, 7)
    assert clipped > 1 + 10 * math.log10(np.square(OUTLIERS).sum() / np.square(error).sum())


def test_it_is_near_theory_where_nothing_is_clipped():
    crest = np.abs(GAUSSIAN).max() / GAUSSIAN.std()
    assert qsnr_db(GAUSSIAN, "int8") == pytest.approx(integer_qsnr_db(8, crest, rho=1), abs=0.3)


def test_the_cheapest_pair_is_good_enough_and_no_other_is_cheaper():
    found = cost_models.cheapest_pairs(GAUSSIAN, OUTLIERS, least_db=20, target="ecp5", lanes=8)
    luts = [choice.cost.lut.value for choice in found]
    assert luts == sorted(luts) and len(found) > 3
    for choice in found:
        assert choice.a_db >= 20 and choice.b_db >= 20
        assert choice.a_db == qsnr_db(GAUSSIAN, choice.spec.a)
        assert choice.b_db == qsnr_db(OUTLIERS, choice.spec.b)
    assert len(cost_models.cheapest_pairs(GAUSSIAN, OUTLIERS, least_db=90, target="ecp5")) == 0


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"a": []}, "a: give finite numbers"),
        ({"b": [1.0, math.nan]}, "b: give finite numbers"),
        ({"a": [0.0, 0.0]}, "not zero"),
        ({"a": "words"}, "an array of numbers"),
        ({"least_db": math.inf}, "finite number of dB"),
        ({"formats": "int4"}, "a list of formats"),
        ({"target": "virtex"}, "virtex"),
    ],
)
def test_what_cannot_be_is_named(given, problem):
    fields = {"a": GAUSSIAN, "b": GAUSSIAN, "least_db": 10, "target": "ecp5", **given}
    with pytest.raises(InputError, match=problem):
        cost_models.cheapest_pairs(fields.pop("a"), fields.pop("b"), **fields)
