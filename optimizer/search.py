"""The Pareto front of damage against area by integer programming (HiGHS, through scipy).

One candidate is chosen for each group (layer). The damage and the area of a choice are the
sums over the groups: a multiple-choice knapsack problem. The epsilon-constraint method walks
its whole front: the least damage within the area budget, then the least area with that damage,
then the same with a smaller budget, until nothing fits.
"""

from __future__ import annotations

import ctypes
import math
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from scipy import optimize, sparse

#: Damages are solved as whole multiples of 1/DAMAGE_STEPS of an upper bound of the solution's
#: damage: HiGHS stops at an absolute gap of 1e-6, which would not separate small damages but
#: separates integers.
DAMAGE_STEPS = 10**6

_INFEASIBLE = 2  # milp's status

#: (area, damage) of a candidate.
Point = tuple[int, float]


@dataclass(frozen=True)
class Solution:
    """A point of the front.

    ``choice``: the index of the candidate chosen in each group; ``area``, ``damage``: their sums.
    """

    choice: tuple[int, ...]
    area: int
    damage: float
    solve_seconds: float


def not_dominated(points: Sequence[Point]) -> list[int]:
    """Indices of the points that no other beats or equals in both, by rising area."""
    front: list[int] = []
    for index in sorted(range(len(points)), key=lambda i: points[i]):
        if not front or points[index][1] < points[front[-1]][1]:
            front.append(index)
    return front


@contextmanager
def _quiet() -> Iterator[None]:
    """Nothing that C code prints reaches standard output.

    HiGHS of scipy 1.17 prints a line of its own debugging now and then, whatever its options.
    """
    flush = ctypes.CDLL(None).fflush if sys.platform != "win32" else lambda _: None
    sys.stdout.flush()
    flush(None)
    try:
        saved = os.dup(1)
    except OSError:  # closed: nothing to keep quiet
        yield
        return
    with open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), 1)
    try:
        yield
    finally:
        flush(None)
        os.dup2(saved, 1)
        os.close(saved)


def _total(points: Sequence[Point]) -> Point:
    """Area and damage of a choice, the sums of its ``points``.

    Damages are added exactly and rounded once: ``sum`` does that since Python 3.12 only, and the
    same network is to give the same front under each.
    """
    return sum(area for area, _ in points), math.fsum(damage for _, damage in points)


def _greedy_path(groups: Sequence[Sequence[Point]]) -> list[Point]:
    """(area, damage) of feasible choices, from the least damage to the least area.

    Each step changes one group to the candidate with the least damage for the area saved. It
    bounds the optimum from above, which fixes most candidates before HiGHS starts.
    """
    chosen = [min(group, key=lambda point: (point[1], point[0])) for group in groups]
    path = [_total(chosen)]
    while True:
        steps = [
            ((damage - chosen[g][1]) / (chosen[g][0] - area), g, (area, damage))
            for g, group in enumerate(groups)
            for area, damage in group
            if area < chosen[g][0]
        ]
        if not steps:
            return path
        _, g, point = min(steps)
        chosen[g] = point
        path.append(_total(chosen))


@dataclass(frozen=True)
class _Column:
    """A candidate as a column of the integer program."""

    group: int
    index: int
    area: int
    damage: float


def _solve(
    columns: Sequence[_Column],
    groups: int,
    objective: Sequence[float],
    limited: Sequence[float],
    limit: float,
) -> list[_Column] | None:
    """One column a group with the least ``objective`` and ``limited`` <= ``limit``, or None."""
    membership = sparse.csr_array(
        (np.ones(len(columns)), ([c.group for c in columns], np.arange(len(columns)))),
        shape=(groups, len(columns)),
    )
    # Half a unit of room keeps whole numbers clear of the solver's tolerances, and a largest
    # coefficient of 1 keeps those of x (1e-6) from becoming large violations of the row.
    scale = max(*limited, 1.0)
    row, room = np.asarray([limited]) / scale, (limit + 0.5) / scale
    with _quiet():
        result = optimize.milp(
            np.asarray(objective),
            integrality=np.ones(len(columns)),
            bounds=optimize.Bounds(0, 1),
            constraints=[
                optimize.LinearConstraint(membership, 1, 1),
                optimize.LinearConstraint(row, -np.inf, room),
            ],
            options={"mip_rel_gap": 0.0},
        )
    if result.status == _INFEASIBLE:
        return None
    if not result.success:
        raise RuntimeError(f"HiGHS stopped: {result.message}")
    chosen = [column for column, x in zip(columns, result.x, strict=True) if x > 0.5]
    return sorted(chosen, key=lambda column: column.group)


def _useful(columns: Sequence[_Column], area: float, damage: float) -> list[_Column]:
    """The columns that a choice within both bounds can contain."""
    least_area: dict[int, int] = {}
    least_damage: dict[int, float] = {}
    for c in columns:
        least_area[c.group] = min(c.area, least_area.get(c.group, c.area))
        least_damage[c.group] = min(c.damage, least_damage.get(c.group, c.damage))
    area_left = area - sum(least_area.values())
    # A relative 1e-9 for the rounding of the float sums.
    damage_left = damage * (1 + 1e-9) - math.fsum(least_damage.values())
    return [
        c
        for c in columns
        if c.area - least_area[c.group] <= area_left
        and c.damage - least_damage[c.group] <= damage_left + damage * 1e-9
    ]


def pareto_front(
    groups: Sequence[Sequence[Point]], resolution: float = 0.0
) -> tuple[Solution, ...]:
    """The front of the sums over ``groups``, by falling area.

    A group has its candidates' areas and damages, one candidate of each group is chosen.
    ``resolution``: after each point the next one must have an area smaller by at least this
    fraction, and by at least 1; 0 finds every point. Areas are whole numbers. Sums of damages
    that differ by less than 2 · groups / ``DAMAGE_STEPS`` of a bound of their value count as
    equal. ValueError for a ``resolution`` below 0, or of 1 and more.
    """
    if not 0 <= resolution < 1:
        raise ValueError(f"resolution={resolution}: use a fraction from 0 to below 1")
    columns = [
        _Column(g, i, group[i][0], group[i][1])
        for g, group in enumerate(groups)
        for i in not_dominated(group)
    ]
    useful = [[(c.area, c.damage) for c in columns if c.group == g] for g in range(len(groups))]
    path = _greedy_path(useful)
    front: list[Solution] = []
    budget = path[0][0]
    while budget >= path[-1][0]:
        start = time.perf_counter()
        bound = next(damage for area, damage in path if area <= budget)
        step = bound / DAMAGE_STEPS or 1.0
        candidates = _useful(columns, budget, bound)
        damages = [float(np.rint(c.damage / step)) for c in candidates]
        areas = [float(c.area) for c in candidates]
        least = _solve(candidates, len(groups), damages, areas, budget)
        if least is None:
            break
        rounded = dict(zip(candidates, damages, strict=True))
        # Equal sums can differ by half a step a group after rounding, on either side.
        best = sum(rounded[c] for c in least) + len(groups)
        chosen = _solve(candidates, len(groups), areas, damages, best) or least
        area, damage = _total([(c.area, c.damage) for c in chosen])
        seconds = time.perf_counter() - start
        front.append(Solution(tuple(c.index for c in chosen), area, damage, seconds))
        budget = min(budget - 1, area - 1, int(area * (1 - resolution)))
    return tuple(front)
