"""One candidate of each group, at the least cost within several limits: by HiGHS, through scipy."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from scipy import optimize, sparse

from optimizer.knapsack import Choice, Floats

#: Seconds after which the best choice so far is taken, and its gap told.
MOST_SECONDS = 60.0

#: Of milp's status.
_INFEASIBLE = 2


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


def best(
    costs: Sequence[Floats], weights: Sequence[Floats], limits: Floats, about: float
) -> Choice | None:
    """The choice of least cost whose weights stay within ``limits``; None if there is none.

    ``costs``: of each group's candidates, (candidates,); ``weights``: (candidates, limits), whole
    numbers; ``about``: a lower bound of the cost, whose size scales it: HiGHS stops at an absolute
    gap of 1e-6. RuntimeError if it finds nothing in ``MOST_SECONDS``.
    """
    kept = [_not_dominated(c, w) for c, w in zip(costs, weights, strict=True)]
    cost = np.concatenate([c[k] for c, k in zip(costs, kept, strict=True)])
    weight = np.concatenate([w[k] for w, k in zip(weights, kept, strict=True)])
    group = np.repeat(np.arange(len(kept)), [len(k) for k in kept])
    membership = sparse.csr_array((np.ones(len(cost)), (group, np.arange(len(cost)))))
    scale = about if about > 0 else float(cost.max()) or 1.0
    # Half a unit of room keeps whole numbers clear of the solver's tolerances, and a largest
    # coefficient of 1 keeps those of x (1e-6) from becoming large violations of a row.
    rows = np.maximum(weight.max(axis=0), 1.0)
    with _quiet():
        result = optimize.milp(
            cost / scale,
            integrality=np.ones(len(cost)),
            bounds=optimize.Bounds(0, 1),
            constraints=[
                optimize.LinearConstraint(membership, 1, 1),
                optimize.LinearConstraint(weight.T / rows[:, None], -np.inf, (limits + 0.5) / rows),
            ],
            options={"mip_rel_gap": 0.0, "time_limit": MOST_SECONDS},
        )
    if result.status == _INFEASIBLE:
        return None
    if result.x is None:
        raise RuntimeError(f"HiGHS stopped: {result.message}")
    chosen = np.flatnonzero(result.x > 0.5)
    index = np.concatenate(kept)[chosen]
    return Choice(tuple(map(int, index)), float(result.mip_dual_bound) * scale)


def _not_dominated(cost: Floats, weight: Floats) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Indices of the candidates that no other beats or equals in cost and all weights."""
    points = np.column_stack([cost, weight])
    order = np.lexsort(points.T[::-1])
    kept: list[int] = []
    for i in order:
        if not (points[kept] <= points[i]).all(axis=1).any():
            kept.append(int(i))
    return np.array(sorted(kept), np.intp)
