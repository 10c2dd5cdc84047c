"""The environment answers as the cost model does, and agents find good designs in it."""

import math

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import cost_models
from cost_models import agents
from cost_models.environment import DECIBEL, REFUSED, DotProducts
from hwgen.errors import InputError
from hwgen.spec import DotProduct

RNG = np.random.default_rng(1)
A, B = RNG.normal(size=512), RNG.laplace(size=512)


@pytest.fixture(scope="module")
def environment():
    sizes = {"lanes": (1, 4), "stages": (None, 2, 40), "mappings": ("lut", "dsp")}
    return DotProducts("ecp5", a=A, b=B, least_db=15, formats=("int4", "int8", "e2m1"), **sizes)


def test_it_is_one_of_gymnasiums(environment):
    check_env(environment, skip_render_check=True)
    assert isinstance(environment, gymnasium.Env)


def test_a_step_is_what_the_models_say(environment):
    observed, reward, ended, cut, info = environment.step(np.array([0, 1, 1, 0, 0]))
    spec = DotProduct(a="int4", b="int8", lanes=4)
    cost = cost_models.predict(spec, "ecp5")
    pj = cost_models.energy(spec, "ecp5").value
    noise = [10 ** (-cost_models.qsnr_db(x, f) / 10) for x, f in ((A, "int4"), (B, "int8"))]
    db = -10 * math.log10(sum(noise))
    assert info["spec"] == spec and ended and not cut
    assert observed.tolist() == pytest.approx([db, cost.lut.value, cost.fmax_mhz.value, pj])
    least = -math.log(cost.lut.value * pj / (4 * cost.fmax_mhz.value))
    assert reward == pytest.approx(least - DECIBEL * max(15 - db, 0))
    assert db > 15 or reward < least


def test_dsp_blocks_count(environment):
    *_, info = environment.step(np.array([1, 1, 1, 1, 1]))
    assert info["spec"].mapping == "dsp" and info["dsp"] > 0
    other = DotProducts("ecp5", a=A, b=B, formats=("int8",), dsp_lut=1000)
    action = np.array([0, 0, 2, 2, 1])
    cheap = DotProducts("ecp5", a=A, b=B, formats=("int8",)).step(action)[1]
    assert other.step(action)[1] < cheap


def test_what_cannot_be(environment):
    observed, reward, *_, info = environment.step(np.array([0, 0, 0, 2, 0]))
    assert reward == -REFUSED and "stages=40" in info["error"] and not observed.any()
    with pytest.raises(InputError, match="give an index below each of"):
        environment.step(np.array([9, 0, 0, 0, 0]))
    with pytest.raises(InputError, match="target xc7 is not placed"):
        DotProducts("xc7", a=A, b=B)
    with pytest.raises(InputError, match="finite numbers"):
        DotProducts("ecp5", a=[0.0], b=B)


def test_agents_are_no_better_than_the_best_and_improve(environment):
    best = agents.exact(environment)
    rewards = [environment.step(action)[1] for action in environment.actions()]
    assert len(rewards) == 3 * 3 * 2 * 3 * 2 and best.best == (max(rewards),)
    runs = [agents.run(environment, agent, 60, 0) for agent in agents.SAMPLERS]
    for run in runs:
        assert len(run.best) == 60 and list(run.best) == sorted(run.best)
        assert run.best[-1] <= max(rewards) and run.best[-1] > sorted(rewards)[len(rewards) // 2]
    text = agents.table(runs, best)
    assert all(agent in text for agent in agents.SAMPLERS) and str(best.design) in text
    again = agents.run(environment, "random", 60, 0)
    assert again == runs[0]
