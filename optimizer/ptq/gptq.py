"""Rounding with error feedback: GPTQ.

Frantar, Ashkboos, Hoefler and Alistarh, "GPTQ: Accurate Post-Training Quantization for Generative
Pre-trained Transformers", arXiv 2210.17323: the rows of the weight matrix (inputs of the layer) are
rounded one after the other, and what one leaves as error the rows that follow take up, by the
inverse of the Hessian H = XᵀX of the layer's squared error, in its Cholesky form. The order is that
of the largest diagonal first ("act-order" of the authors' code). The start is the weight that is
best without a grid, since X is not what the weights were trained for: W + (H + λI)⁻¹(XᵀT − H·W).
"""

from __future__ import annotations

import numpy as np

from optimizer.ptq.grid import on_grid
from optimizer.ptq.moments import Floats
from optimizer.ptq.rounding import Problem, Rounded

#: λ as a part of the mean of the Hessian's diagonal: 1%, as in the paper.
DAMPING = 0.01
#: Rows whose errors are kept back and handed on together, as in the paper.
BLOCK = 128


def damped(hessian: Floats, damping: float = DAMPING) -> Floats:
    """H + λI, (groups, K, K); where nothing was seen at all, I."""
    diagonal = np.einsum("gkk->gk", hessian)
    mean = diagonal.mean(axis=1)
    part = np.where(mean > 0, damping * mean, 1.0)
    return np.asarray(hessian + part[:, None, None] * np.eye(hessian.shape[1]))


def best_start(problem: Problem, hessian: Floats) -> Floats:
    """The weights with the smallest error without a grid, pulled to W by the damping of H."""
    moments, weight = problem.moments, problem.weight
    change = np.linalg.solve(hessian, moments.cross - moments.hessian @ weight)
    return np.asarray(weight + change)


def gptq(problem: Problem) -> Rounded:
    """Rows one after the other, the error of each handed on to those that follow."""
    hessian = damped(problem.moments.hessian)
    weight = best_start(problem, hessian)
    groups, rows, columns = weight.shape
    order = np.argsort(-np.einsum("gkk->gk", hessian), axis=1, kind="stable")
    at = np.arange(groups)[:, None]
    weight = weight[at, order]
    scale = np.broadcast_to(problem.scale, weight.shape)[at, order]
    ordered = hessian[at[:, :, None], order[:, :, None], order[:, None, :]]
    # Rows of the upper Cholesky factor U of H⁻¹ = UᵀU.
    upper = np.linalg.cholesky(np.linalg.inv(ordered)).transpose(0, 2, 1)
    values = np.empty_like(weight)
    for first in range(0, rows, BLOCK):
        last = min(first + BLOCK, rows)
        errors = np.empty((groups, last - first, columns))
        for k in range(first, last):
            values[:, k] = on_grid(problem.number_format, weight[:, k] / scale[:, k])
            error = (weight[:, k] - values[:, k] * scale[:, k]) / upper[:, k, k, None]
            weight[:, k + 1 : last] -= upper[:, k, k + 1 : last, None] * error[:, None]
            errors[:, k - first] = error
        weight[:, last:] -= upper[:, first:last, last:].transpose(0, 2, 1) @ errors
    back = np.argsort(order, axis=1)
    return Rounded(values[at, back], problem.scale)
