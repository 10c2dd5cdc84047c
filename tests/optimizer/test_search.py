"""The search against exhaustive search, and on HAWQ's ResNet-18 figures; how long it takes."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest

from optimizer import knapsack
from optimizer.search import least_area, not_dominated, pareto_front


def exhaustive_front(groups):
    """(area, damage) of every point of the front, by falling area."""
    sums = {(0, 0)}
    for group in groups:
        sums = {(a + x, d + y) for (a, d), (x, y) in itertools.product(sums, group)}
        # A sum that is dominated stays dominated with whatever the other groups add.
        points = sorted(sums)
        sums = {points[i] for i in not_dominated(points)}
    return sorted(sums, reverse=True)


@pytest.mark.parametrize("seed", range(25))
def test_whole_front_of_small_instances(seed):
    rng = np.random.default_rng(seed)
    groups = [
        [(int(rng.integers(1, 60)), int(rng.integers(0, 60))) for _ in range(rng.integers(1, 6))]
        for _ in range(rng.integers(1, 6))
    ]
    front = pareto_front(groups)
    assert [(p.area, round(p.damage)) for p in front] == exhaustive_front(groups)
    for point in front:
        chosen = [group[i] for group, i in zip(groups, point.choice, strict=True)]
        assert (point.area, point.damage) == tuple(map(sum, zip(*chosen, strict=True)))


def drawn(rng, groups, candidates, areas=200, damages=200):
    """Candidates whose sums tie now and then, as do whole candidates."""
    shape = (groups, candidates)
    both = rng.integers(1, areas, shape), rng.integers(0, damages, shape)
    return [
        list(zip(*map(np.ndarray.tolist, pair), strict=True)) for pair in zip(*both, strict=True)
    ]


@pytest.mark.parametrize("seed", range(6))
def test_six_layers_of_six_formats(seed):
    """Both ways: the least damage of each area, and the least area of each damage."""
    groups = drawn(np.random.default_rng(seed), 6, 6, damages=(12, 200)[seed % 2])
    front = exhaustive_front(groups)
    found = pareto_front(groups)
    assert [(p.area, p.damage) for p in found] == front and not any(p.gap for p in found)
    for area, damage in front:
        least = least_area(groups, damage)
        assert (least.area, least.damage, least.gap) == (area, damage, 0.0)
    assert least_area(groups, front[0][1] - 1) is None
    middle = front[len(front) // 2][0]
    assert [p.area for p in pareto_front(groups, budget=middle)] == [
        area for area, _ in front if area <= middle
    ]
    assert pareto_front(groups, budget=front[-1][0] - 1) == ()


def test_a_gap_that_is_left_is_told(monkeypatch):
    """With room for a single partial choice: worse than the best, by no more than it says."""
    monkeypatch.setattr(knapsack, "PASSES", ((1.0, 1),))
    left = 0
    for seed in range(10):
        groups = drawn(np.random.default_rng(seed), 6, 6)
        front = exhaustive_front(groups)
        for point in pareto_front(groups):
            best = next(damage for area, damage in front if area <= point.area)
            assert point.damage >= best >= point.damage * (1 - point.gap) - 1e-9
            left += point.damage > best
    assert left > 10


def test_500_layers_of_40_candidates_in_seconds():
    """50 points of the front, each proven: 20 s of processor time are asked for."""
    rng = np.random.default_rng(0)
    groups = []
    for size in 10 ** rng.uniform(1.5, 4, 500):
        bits = np.linspace(2, 16, 40)
        areas = np.rint(size * bits**1.3 * rng.uniform(0.9, 1.1, 40)).astype(int)
        damages = rng.uniform(1e-5, 1e-1) * 4.0**-bits * rng.uniform(0.7, 1.4, 40)
        groups.append(list(zip(areas.tolist(), damages.tolist(), strict=True)))
    start = time.process_time()
    front = pareto_front(groups, 0.05)
    assert time.process_time() - start < 20
    assert len(front) >= 50 and not any(p.gap for p in front)
    for wide, narrow in itertools.pairwise(front):
        assert narrow.area <= 0.95 * wide.area and narrow.damage > wide.damage


def test_damages_over_many_magnitudes():
    """Damages as small as 1e-7 decide, although the worst candidate's is 10."""
    rng = np.random.default_rng(5)
    groups = [
        [(100 - 10 * i, int(10**e)) for i, e in enumerate(np.sort(rng.uniform(0, 8, 8)))]
        for _ in range(6)
    ]
    scaled = [[(area, damage * 1e-7) for area, damage in group] for group in groups]
    exact = exhaustive_front(groups)
    front = pareto_front(scaled)
    assert front[-1].area == exact[-1][0] and front[0].area == exact[0][0]
    assert [p.area for p in front] == [area for area, _ in exact]
    assert [p.damage for p in front] == pytest.approx([d * 1e-7 for _, d in exact], rel=1e-12)


def test_resolution_thins_the_front_and_keeps_optima():
    rng = np.random.default_rng(1)
    groups = [[(int(a), int(d)) for a, d in rng.integers(1, 500, (6, 2))] for _ in range(5)]
    exact = exhaustive_front(groups)
    coarse = pareto_front(groups, 0.1)
    assert {(p.area, round(p.damage)) for p in coarse} <= set(exact)
    assert all(b.area <= 0.9 * a.area for a, b in itertools.pairwise(coarse))
    assert coarse[0].area == exact[0][0]


def test_one_group_is_its_own_front():
    group = [(5, 3.0), (4, 3.0), (9, 1.0), (7, 2.0), (8, 2.5), (9, 1.5)]
    assert [(p.area, p.damage) for p in pareto_front([group])] == [(9, 1.0), (7, 2.0), (4, 3.0)]


# HAWQ-V3 (github.com/Zhen-Dong/HAWQ, ILP.ipynb), ResNet-18: mean Hessian trace, squared weight
# error at 8 and 4 bits, parameters and T4 latency (ms) at 4 and 8 bits of the 19 layers.
TRACE = [
    .06857826, .03162379, .03298575, .01205663, .02222431, .00596336, .06931772, .00807129,
    .00372905, .00530698, .00209011, .00737569, .00210454, .00151197, .00158041, .00078146,
    .00451841, .00098745, .00072944,
]  # fmt: skip
ERROR_8 = [
    .0235, .0125, .0102, .0082, .0145, .0344, .0023, .0287, .0148, .0333, .0682, .0027, .0448,
    .0336, .0576, .1130, .0102, .0947, .0532,
]  # fmt: skip
ERROR_4 = [
    6.7430, 3.9691, 3.3281, 2.6796, 4.7277, 10.5966, .6827, 9.0942, 4.8857, 10.7599, 21.7546,
    .8603, 14.5324, 10.9651, 18.7706, 36.4044, 3.1572, 29.6994, 17.4016,
]  # fmt: skip
PARAMETERS = [
    36864, 36864, 36864, 36864, 73728, 147456, 8192, 147456, 147456, 294912, 589824, 32768,
    589824, 589824, 1179648, 2359296, 131072, 2359296, 2359296,
]  # fmt: skip
LATENCY_4 = [
    .21094404, .21092674, .21104113, .21086851, .13642465, .19167506, .02532183, .19148203,
    .19142914, .11395316, .20556011, .01917474, .20566918, .20566509, .13185102, .22287786,
    .01790088, .22304611, .22286099,
]  # fmt: skip
LATENCY_8 = [
    .36189111, .36211718, .31141909, .30454471, .19184896, .38948934, .0334169, .38904905,
    .3892859, .19134735, .34307431, .02802354, .34313329, .34310756, .21117103, .37376585,
    .02896843, .37398187, .37405185,
]  # fmt: skip


@pytest.mark.parametrize("cost", ["size", "latency"])
def test_hawq_resnet18(cost):
    """At half-way between all-4-bit and all-8-bit and all along the front: the optimum."""
    if cost == "size":  # in units of 4 kbit: every layer is a whole multiple
        costs = [(p * 8 // 4096, p * 4 // 4096) for p in PARAMETERS]
    else:  # in units of 10 ns
        costs = [
            (round(b * 1e5), round(a * 1e5)) for a, b in zip(LATENCY_4, LATENCY_8, strict=True)
        ]
    damages = [(t * e8, t * e4) for t, e8, e4 in zip(TRACE, ERROR_8, ERROR_4, strict=True)]
    groups = [list(zip(c, d, strict=True)) for c, d in zip(costs, damages, strict=True)]

    area, damage = np.zeros(1), np.zeros(1)
    for group in groups:  # all 2^19 choices
        area = np.concatenate([area + a for a, _ in group])
        damage = np.concatenate([damage + d for _, d in group])

    start = time.process_time()
    front = pareto_front(groups, 0.02)
    assert time.process_time() - start < 1
    assert front[0].damage == pytest.approx(damage.min(), rel=1e-6)
    for point in front:
        assert point.damage == pytest.approx(damage[area <= point.area].min(), rel=1e-5)
    half = (sum(c[0] for c in costs) + sum(c[1] for c in costs)) // 2
    at_half = next(p for p in front if p.area <= half)
    assert at_half.damage == pytest.approx(damage[area <= at_half.area].min(), rel=1e-5)


def test_damages_are_added_exactly():
    """As ``sum`` does not before Python 3.12: the front is the same under each."""
    assert 0.1 + 0.1 + 0.1 + 0.1 + 0.1 + 0.1 + 0.1 + 0.1 + 0.1 + 0.1 != 1.0
    (solution,) = pareto_front([[(1, 0.1)]] * 10)
    assert solution.damage == 1.0
