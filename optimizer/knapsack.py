"""One candidate of each group, at the least cost within a budget: solved exactly.

The multiple-choice knapsack problem. The linear relaxation over each group's convex hull gives a
price of the budget and a lower bound; what a candidate adds to it is its reduced cost, and a choice
whose reduced costs sum to more than a threshold cannot cost less than bound and threshold. Dynamic
programming enumerates the choices below a small threshold, which grows until the best choice is
among them: Dyer, Kayal & Walker, EJOR 16 (1984); Pisinger, EJOR 83 (1995), from whom are the order
of the groups and the bounds by the next best slopes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

#: Sums of float64 that differ by less than this part of them count as equal.
EQUAL = 1e-12
#: Thresholds, as parts of the distance from the bound to a rounded relaxation, and how many partial
#: choices are kept with each: those of higher bounds are left out, and after the last the gap told.
PASSES = ((2.0**-6, 2**12), (2.0**-4, 2**14), (2.0**-2, 2**16), (1.0, 2**18))


@dataclass(frozen=True)
class Choice:
    """The ``candidates`` chosen, one a group; no choice costs less than ``bound``."""

    candidates: tuple[int, ...]
    bound: float


@dataclass(frozen=True, eq=False)
class _Deviations:
    """A group's candidates as changes against the relaxation's choice, which is the first.

    ``weight``, ``cost``: what they add; ``reduced``: the cost at the budget's price, 0 and above;
    ``index``: which candidates of the group they are.
    """

    group: int
    index: npt.NDArray[np.intp]
    weight: Floats
    cost: Floats
    reduced: Floats

    def within(self, threshold: float) -> _Deviations:
        """Those whose reduced cost allows a total within ``threshold``."""
        keep = self.reduced <= threshold
        return _Deviations(
            self.group,
            self.index[keep],
            self.weight[keep],
            self.cost[keep],
            self.reduced[keep],
        )

    def slope(self, sign: int) -> float:
        """The least reduced cost for a unit of weight that is added (1) or saved (-1)."""
        weight = sign * self.weight
        with np.errstate(divide="ignore"):
            found = self.reduced[weight > 0] / weight[weight > 0]
        return float(found.min(initial=np.inf))


class Knapsack:
    """A problem whose budgets are asked about one after the other.

    ``weights``, ``costs``: of each group's candidates, float64 (candidates,), finite, 0 and above.
    """

    def __init__(self, weights: Sequence[Floats], costs: Sequence[Floats]) -> None:
        self.groups = [not_dominated(w, c) for w, c in zip(weights, costs, strict=True)]
        self.weights = [w[i] for w, i in zip(weights, self.groups, strict=True)]
        self.costs = [c[i] for c, i in zip(costs, self.groups, strict=True)]
        self._segments()

    def _segments(self) -> None:
        """The hulls' steps of all groups, the most cost saved for a unit of weight first."""
        group, end, weight, saved = [], [], [], []
        for g, (w, c) in enumerate(zip(self.weights, self.costs, strict=True)):
            corners = lower_hull(w, c)
            group += [g] * (len(corners) - 1)
            end += list(corners[1:])
            weight += list(np.diff(w[corners]))
            saved += list(-np.diff(c[corners]))
        steep = np.array(saved, np.float64) / np.array(weight, np.float64)
        order = np.argsort(-steep, kind="stable")
        self.segment_group = np.array(group, np.intp)[order]
        self.segment_end = np.array(end, np.intp)[order]
        self.steepness = steep[order]
        lightest = sum(float(w[0]) for w in self.weights)
        self.reached = lightest + np.concatenate([[0.0], np.cumsum(np.array(weight)[order])])

    def best(self, budget: float) -> Choice | None:
        """The least cost within the budget, and of equal ones the least weight; None if none is."""
        budget += EQUAL * abs(budget)
        if self.reached[0] > budget:
            return None
        taken = int(np.searchsorted(self.reached, budget, side="right")) - 1
        base = np.zeros(len(self.groups), np.intp)
        # Later steps of a group's hull are less steep, so the last one written is the furthest.
        base[self.segment_group[:taken]] = self.segment_end[:taken]
        price = float(self.steepness[taken]) if taken < len(self.steepness) else 0.0
        deviations = self._deviations(base, price)
        room = max(0.0, budget - self._sum(self.weights, base))
        cost = self._sum(self.costs, base)
        rounding = EQUAL * cost
        gap = price * room
        found = _Found(0.0, {}, 0.0)
        for part, states in PASSES:
            threshold = min(part * gap, found.cost + gap) + rounding
            tried = _enumerated(deviations, threshold, room, price, rounding, states)
            if tried is not None and tried.cost <= found.cost + rounding:
                found = tried
            if found.cost + gap <= found.complete_to + 2 * rounding:
                break
        chosen = base.copy()
        for group, candidate in found.changes.items():
            chosen[group] = candidate
        bound = min(cost + found.cost, cost - gap + found.complete_to)
        candidates = tuple(int(g[i]) for g, i in zip(self.groups, chosen, strict=True))
        return Choice(candidates, bound)

    def _sum(self, values: Sequence[Floats], base: npt.NDArray[np.intp]) -> float:
        return float(sum(v[i] for v, i in zip(values, base, strict=True)))

    def _deviations(self, base: npt.NDArray[np.intp], price: float) -> list[_Deviations]:
        found = []
        for g, (w, c, i) in enumerate(zip(self.weights, self.costs, base, strict=True)):
            weight, cost = w - w[i], c - c[i]
            reduced = np.maximum(cost + price * weight, 0.0)
            order = np.argsort(np.arange(len(w)) != i, kind="stable")
            found.append(_Deviations(g, order, weight[order], cost[order], reduced[order]))
        return found


@dataclass(frozen=True)
class _Found:
    """The best of the choices enumerated: its cost against the base, and what it changes.

    ``complete_to``: no choice was left out whose reduced cost is below.
    """

    cost: float
    changes: dict[int, int]
    complete_to: float


def _enumerated(
    deviations: Sequence[_Deviations],
    threshold: float,
    room: float,
    price: float,
    rounding: float,
    states: int,
) -> _Found | None:
    """The best choice with a total reduced cost within ``threshold``, None if there is none.

    ``room``: what may be added to the base's weight; each unit of it that is not used costs
    ``price``; ``states``: how many partial choices are kept at most.
    """
    complete_to = threshold
    groups = [d for d in (d.within(threshold) for d in deviations) if len(d.index) > 1]
    # First those that trade weight for cost at nearly the price: what the others can still do for a
    # partial choice is little then.
    groups.sort(key=lambda d: min(d.slope(1), d.slope(-1)))
    adding, saving = _slopes(groups, 1), _slopes(groups, -1)
    weight, cost, reduced = np.zeros(1), np.zeros(1), np.zeros(1)
    steps: list[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]] = []
    for n, d in enumerate(groups):
        weight = (weight[:, None] + d.weight).reshape(-1)
        cost = (cost[:, None] + d.cost).reshape(-1)
        reduced = (reduced[:, None] + d.reduced).reshape(-1)
        bound = _bound(weight, reduced, room, min(price, adding[n + 1]), saving[n + 1])
        keep = np.flatnonzero(bound <= threshold)
        keep = keep[not_dominated(weight[keep], cost[keep])]
        if len(keep) > states:
            order = np.lexsort((np.abs(weight[keep] - room), bound[keep]))
            complete_to = min(complete_to, float(bound[keep[order[states]]]))
            keep = np.sort(keep[order[:states]])
        weight, cost, reduced = weight[keep], cost[keep], reduced[keep]
        steps.append((keep // len(d.index), keep % len(d.index)))
        # A partial choice that fits is a whole one, with the base for the other groups.
        least = cost[weight <= room].min(initial=np.inf) + price * room
        threshold = min(threshold, float(least) + rounding)
        if threshold <= 2 * rounding:
            break
    fits = np.flatnonzero(weight <= room)
    if not len(fits):
        return None
    best = fits[cost[fits] <= cost[fits].min() + rounding]
    state = int(best[np.argmin(weight[best])])
    found, changes = float(cost[state]), {}
    for d, (parent, option) in zip(reversed(groups[: len(steps)]), reversed(steps), strict=True):
        changes[d.group] = int(d.index[option[state]])
        state = int(parent[state])
    return _Found(found, changes, complete_to)


def _slopes(groups: Sequence[_Deviations], sign: int) -> Floats:
    """The least slope of the groups from each on, infinite behind the last."""
    slopes = [d.slope(sign) for d in groups]
    return np.minimum.accumulate(np.array([*slopes, np.inf])[::-1])[::-1]


def _bound(weight: Floats, reduced: Floats, room: float, adding: float, saving: float) -> Floats:
    """The least total reduced cost of any choice that completes a partial one."""
    over = weight - room
    # 0 · inf: nothing to save.
    with np.errstate(invalid="ignore"):
        more = np.where(over > 0, over * saving, -over * adding)
    return np.asarray(reduced + more, np.float64)


def not_dominated(weight: Floats, cost: Floats) -> npt.NDArray[np.intp]:
    """Indices of the points that no other beats or equals in both, by rising weight."""
    order = np.lexsort((cost, weight))
    least = np.minimum.accumulate(cost[order])
    better = np.ones(len(order), bool)
    better[1:] = cost[order][1:] < least[:-1]
    return np.asarray(order[better], np.intp)


def lower_hull(weight: Floats, cost: Floats) -> list[int]:
    """The corners of the lower convex hull of points of rising weight and falling cost."""
    corners: list[int] = []
    for i in range(len(weight)):
        while len(corners) > 1:
            a, b = corners[-2], corners[-1]
            first = (cost[b] - cost[a]) * (weight[i] - weight[a])
            if first < (cost[i] - cost[a]) * (weight[b] - weight[a]):
                break
            corners.pop()
        corners.append(i)
    return corners
