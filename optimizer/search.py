"""The Pareto front of damage against area by integer programming (HiGHS, through scipy).

One candidate is chosen for each group (layer). The damage and the area of a choice are the
sums over the groups: a multiple-choice knapsack problem. The epsilon-constraint method walks
its whole front: the least damage within the area budget, then the least area with that damage,
then the same with a smaller budget, until nothing fits.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, sparse

#: Damages are solved as whole multiples of (largest sum / DAMAGE_STEPS): HiGHS stops at an
#: absolute gap of 1e-6, which would not separate small damages but separates integers.
DAMAGE_STEPS = 10**7

#: (area, damage) of a candidate.
Point = tuple[int, float]


@dataclass(frozen=True)
class Solution:
    """``choice``: the index of the candidate chosen in each group."""

    choice: tuple[int, ...]
    area: int
    damage: float
    solve_seconds: float


def not_dominated(points: Sequence[Point]) -> list[int]:
    """Indices of the points that no other beats or equals in both, by rising area."""
    kept: list[int] = []
    for index in sorted(range(len(points)), key=lambda i: points[i]):
        if not kept or points[index][1] < points[kept[-1]][1]:
            kept.append(index)
    return kept


def pareto_front(
    groups: Sequence[Sequence[Point]], resolution: float = 0.0
) -> tuple[Solution, ...]:
    """The front of the sums, by falling area.

    ``resolution``: after each point the next one must have an area smaller by at least this
    fraction, and by at least 1; 0 finds every point. Damages count as equal when they differ
    by less than the largest possible sum over ``DAMAGE_STEPS`` · 2.
    """
    if not 0 <= resolution < 1:
        raise ValueError(f"resolution={resolution}: use a fraction from 0 to below 1")
    kept = [not_dominated(group) for group in groups]
    candidates = [(g, i) for g, indices in enumerate(kept) for i in indices]
    areas = np.array([groups[g][i][0] for g, i in candidates], np.float64)
    worst = sum(max(groups[g][i][1] for i in indices) for g, indices in enumerate(kept))
    step = worst / DAMAGE_STEPS or 1.0
    damages = np.rint([groups[g][i][1] / step for g, i in candidates])
    columns = np.arange(len(candidates))
    membership = sparse.csr_array(
        (np.ones(len(candidates)), ([g for g, _ in candidates], columns)),
        shape=(len(groups), len(candidates)),
    )

    def solve(
        objective: npt.NDArray[np.float64], limited: npt.NDArray[np.float64], limit: float
    ) -> npt.NDArray[np.intp] | None:
        """The chosen columns with the least ``objective``, or None if nothing fits."""
        result = optimize.milp(
            objective,
            integrality=np.ones(len(candidates)),
            bounds=optimize.Bounds(0, 1),
            constraints=[
                optimize.LinearConstraint(membership, 1, 1),
                optimize.LinearConstraint(limited[None, :], -np.inf, limit),
            ],
            options={"mip_rel_gap": 0.0},
        )
        if result.status == 2:
            return None
        if not result.success:
            raise RuntimeError(f"HiGHS stopped: {result.message}")
        return np.flatnonzero(result.x > 0.5)

    front: list[Solution] = []
    budget = float(sum(max(groups[g][i][0] for i in indices) for g, indices in enumerate(kept)))
    smallest = sum(min(groups[g][i][0] for i in indices) for g, indices in enumerate(kept))
    while budget >= smallest:
        start = time.perf_counter()
        # Half a unit of room keeps the whole numbers clear of the solver's tolerances.
        least = solve(damages, areas, budget + 0.5)
        if least is None:
            break
        smallest_area = solve(areas, damages, float(damages[least].sum()) + 0.5)
        chosen = least if smallest_area is None else smallest_area
        picked = [candidates[column] for column in chosen]
        area = int(sum(groups[g][i][0] for g, i in picked))
        front.append(
            Solution(
                tuple(i for _, i in sorted(picked)),
                area,
                float(sum(groups[g][i][1] for g, i in picked)),
                time.perf_counter() - start,
            )
        )
        budget = min(area - 1, int(area * (1 - resolution)))
    return tuple(front)
