"""Rounding that is learned from the layer's output, by coordinate descent.

The aim is that of Nagel et al., "Up or Down? Adaptive Rounding for Post-Training Quantization"
(AdaRound), arXiv 2004.10568: of all weights on the grid those with the smallest squared error of
the layer's output. AdaRound relaxes the choice of up or down and follows a gradient; here, as in
COMQ (Zhang et al., arXiv 2403.07134) and CDQuant (Nair and Suggala, arXiv 2406.17542), one weight
of a column after the other gets the value that is best with all others fixed. The error is a
parabola in that weight, so this is the value of the grid that is nearest to the parabola's least;
no step makes the error larger. All columns go at once. After each sweep the scale of a column is
set to what is best for its values, (vᵀXᵀT)/(vᵀXᵀX·v).
"""

from __future__ import annotations

import numpy as np

from optimizer.ptq.gptq import damped, gptq
from optimizer.ptq.grid import on_grid
from optimizer.ptq.moments import Floats
from optimizer.ptq.rounding import Problem, Rounded, nearest

#: Sweeps over all rows at most; it ends before if nothing changes.
SWEEPS = 12
#: Damping of the Hessian, as a part of its diagonal's mean: directions that were not seen stay.
DAMPING = 0.001


def learned_rounding(problem: Problem) -> Rounded:
    """From the better of the nearest values and GPTQ's, per column, to a minimum."""
    moments = problem.moments
    starts = [nearest(problem), gptq(problem)]
    errors = [moments.error(start.weight) for start in starts]
    better = (errors[1] < errors[0])[:, None]
    start = Rounded(np.where(better, starts[1].values, starts[0].values), problem.scale)
    return descend(problem, start, rescale=not problem.fixed_scale)


def descend(problem: Problem, start: Rounded, *, rescale: bool = True) -> Rounded:
    """``start`` after up to ``SWEEPS`` sweeps; ``rescale``: its scales may change too."""
    moments, weight = problem.moments, problem.weight
    hessian = damped(moments.hessian, DAMPING)
    # The damping pulls to W, not to zero.
    cross = moments.cross + (hessian - moments.hessian) @ weight
    values = start.values.copy()
    scale = np.broadcast_to(start.scale, weight.shape).copy()
    rescale = rescale and start.scale.shape[1] == 1
    for _ in range(SWEEPS):
        changed = _sweep(problem, hessian, cross, values, scale)
        if rescale:
            scale = _rescaled(hessian, cross, values, scale)
        if not changed:
            break
    return Rounded(values, scale[:, :1] if start.scale.shape[1] == 1 else scale)


def _sweep(problem: Problem, hessian: Floats, cross: Floats, values: Floats, scale: Floats) -> bool:
    """One sweep over all rows, in ``values``; whether any changed."""
    gradient = cross - hessian @ (values * scale)
    changed = False
    for k in range(values.shape[1]):
        curvature = hessian[:, k, k, None]
        old, step = values[:, k], scale[:, k]
        wanted = old * step + gradient[:, k] / curvature
        new = on_grid(problem.number_format, wanted / step)
        # On a tie the old value stays, so that sweeps end.
        stays = np.abs(wanted - old * step) <= np.abs(wanted - new * step) * (1 + 1e-12)
        new = np.where(stays, old, new)
        change = (new - old) * step
        if change.any():
            changed = True
            gradient -= hessian[:, :, k, None] * change[:, None]
            values[:, k] = new
    return changed


def _rescaled(hessian: Floats, cross: Floats, values: Floats, scale: Floats) -> Floats:
    """The best scale of each column for its values; where it would be none, the old one."""
    along = np.einsum("gkn,gkn->gn", values, cross)
    curvature = np.einsum("gkn,gkn->gn", values, hessian @ values)
    known = (curvature > 0) & (along > 0)
    best = np.divide(along, curvature, out=np.ones_like(along), where=known)
    return np.where(known[:, None], best[:, None], scale)
