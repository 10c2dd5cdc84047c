"""The Pareto front of damage against area, exactly, and single points of it.

One candidate is chosen for each group (layer). The damage and the area of a choice are the
sums over the groups: a multiple-choice knapsack problem (``optimizer.knapsack``). The
epsilon-constraint method walks its whole front: the least damage within the area budget, of equal
damages the least area, then the same with a smaller budget, until nothing fits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from optimizer import integer_program
from optimizer.knapsack import Choice, Floats, Knapsack
from optimizer.knapsack import not_dominated as _not_dominated

#: (area, damage) of a candidate.
Point = tuple[int, float]


@dataclass(frozen=True)
class Solution:
    """A point of the front.

    ``choice``: the index of the candidate chosen in each group; ``area``, ``damage``: their sums;
    ``gap``: the part of the damage by which another choice within ``area`` may be better, 0 where
    none is.
    """

    choice: tuple[int, ...]
    area: int
    damage: float
    gap: float


def not_dominated(points: Sequence[Point]) -> list[int]:
    """Indices of the points that no other beats or equals in both, by rising area."""
    areas, damages = (np.array([p[i] for p in points], np.float64) for i in (0, 1))
    return [int(i) for i in _not_dominated(areas, damages)]


@dataclass(frozen=True, eq=False)
class Limits:
    """What else than the area is limited.

    ``taken``: of each group's candidates, whole numbers as float64 (candidates, resources);
    ``most``: (resources,).
    """

    taken: Sequence[Floats]
    most: Floats

    def exceeded(self, choice: Choice) -> set[int]:
        """Of which resources a choice takes too much."""
        total = sum(t[i] for t, i in zip(self.taken, choice.candidates, strict=True))
        return {int(i) for i in np.flatnonzero(total > self.most)}


def pareto_front(
    groups: Sequence[Sequence[Point]],
    resolution: float = 0.0,
    budget: int | None = None,
    limits: Limits | None = None,
) -> tuple[Solution, ...]:
    """The front of the sums over ``groups``, by falling area.

    A group has its candidates' areas and damages, one candidate of each group is chosen.
    ``resolution``: after each point the next one must have an area smaller by at least this
    fraction, and by at least 1; 0 finds every point. ``budget``: the area of the largest point at
    most; ``limits``: of other resources; nothing may fit. Areas are whole numbers. Sums of damages
    that differ by a part of ``knapsack.EQUAL`` count as equal.

    ValueError for a ``resolution`` below 0, or of 1 and more.
    """
    if not 0 <= resolution < 1:
        raise ValueError(f"resolution={resolution}: use a fraction from 0 to below 1")
    areas, damages = _arrays(groups)
    problem = Knapsack(areas, damages)
    active: set[int] = set()
    room = sum(max(area for area, _ in group) for group in groups) if budget is None else budget
    front: list[Solution] = []
    while True:
        best = problem.best(room)
        # A choice that keeps limits which it was not asked to keep is the best of those that do.
        while best is not None and limits and (over := limits.exceeded(best)):
            active |= over
            best = _within(areas, damages, room, limits, sorted(active), best.bound)
        if best is None:
            return tuple(front)
        front.append(_solution(groups, best))
        area = front[-1].area
        room = min(room - 1, area - 1, int(area * (1 - resolution)))


def _within(
    areas: Sequence[Floats],
    damages: Sequence[Floats],
    room: float,
    limits: Limits,
    active: Sequence[int],
    bound: float,
) -> Choice | None:
    """The least damage within the area ``room`` and the ``active`` limits."""
    weights = [
        np.column_stack([area, taken[:, active]])
        for area, taken in zip(areas, limits.taken, strict=True)
    ]
    most = np.array([room, *limits.most[list(active)]])
    return integer_program.best(damages, weights, most, bound)


def least_area(groups: Sequence[Sequence[Point]], damage: float) -> Solution | None:
    """The choice of least area whose damages sum to ``damage`` at most, None if there is none.

    Its ``gap`` is of the area.
    """
    areas, damages = _arrays(groups)
    best = Knapsack(damages, areas).best(damage)
    if best is None:
        return None
    found = _solution(groups, best)
    return Solution(found.choice, found.area, found.damage, _gap(found.area, best))


def _arrays(groups: Sequence[Sequence[Point]]) -> tuple[list[Floats], list[Floats]]:
    """Areas and damages of each group, float64 (candidates,)."""
    both = [np.array(group, np.float64).reshape(-1, 2) for group in groups]
    return [g[:, 0] for g in both], [g[:, 1] for g in both]


def _solution(groups: Sequence[Sequence[Point]], best: Choice) -> Solution:
    """A choice with its sums.

    Damages are added exactly and rounded once: ``sum`` does that since Python 3.12 only, and the
    same network is to give the same front under each.
    """
    points = [group[i] for group, i in zip(groups, best.candidates, strict=True)]
    area, damage = sum(a for a, _ in points), math.fsum(d for _, d in points)
    return Solution(best.candidates, area, damage, _gap(damage, best))


def _gap(cost: float, best: Choice) -> float:
    """How far ``cost`` may be from the optimum, as a part of it; 0 within rounding."""
    gap = max(0.0, cost - best.bound) / cost if cost else 0.0
    return gap if gap > 1e-9 else 0.0
