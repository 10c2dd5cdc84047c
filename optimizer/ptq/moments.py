"""What the weights of a layer are rounded for: the moments of its operand and of its output.

A layer turns the rows x of its operand into x·W. In the quantised network it sees other rows, X,
because they are rounded themselves and come from layers that are; the rounded weights V shall
still give T = x·W. The error of X·V against T needs no rows, only sums over them:

    Σ|T − X·V|² = Σ|T|² − 2·Vᵀ(XᵀT) + Vᵀ(XᵀX)·V,

and the best bias is the mean of T less that of X times V (Nagel et al., "Data-Free Quantization
Through Weight Equalization and Bias Correction", arXiv 1906.04721, section 4.2, with the means
measured instead of derived). With that bias all moments are taken about the means. Matrices come
in stacks, one for each group of a convolution: (groups, rows, dot length).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums over ``count`` rows, about the means, float64.

    ``operand_mean``: (groups, K); ``target_mean``: (groups, N); ``hessian``: XᵀX, (groups, K, K);
    ``cross``: XᵀT, (groups, K, N); ``target_square``: (groups, N).
    """

    count: int
    operand_mean: Floats
    target_mean: Floats
    hessian: Floats
    cross: Floats
    target_square: Floats

    @staticmethod
    def of(operand: npt.NDArray[np.floating], target: npt.NDArray[np.floating]) -> Moments:
        """Of the rows X, (groups, rows, K), and the outputs T that they shall give, (…, rows, N).

        ValueError without rows, or with other numbers of them.
        """
        if operand.shape[:2] != target.shape[:2] or not operand.shape[1]:
            raise ValueError(f"rows of {operand.shape} and of {target.shape}: give the same, 1 up")
        operand_mean = operand.mean(axis=1, dtype=np.float64)
        target_mean = target.mean(axis=1, dtype=np.float64)
        x = operand - operand_mean[:, None].astype(operand.dtype)
        t = target - target_mean[:, None].astype(target.dtype)
        turned = x.transpose(0, 2, 1)
        return Moments(
            operand.shape[1],
            operand_mean,
            target_mean,
            (turned @ x).astype(np.float64),
            (turned @ t).astype(np.float64),
            np.einsum("grn,grn->gn", t, t, dtype=np.float64),
        )

    @property
    def about_zero(self) -> Moments:
        """The same sums about zero: for a layer whose bias stays as it is."""
        x, t = self.operand_mean, self.target_mean
        return Moments(
            self.count,
            np.zeros_like(x),
            np.zeros_like(t),
            self.hessian + self.count * x[:, :, None] * x[:, None, :],
            self.cross + self.count * x[:, :, None] * t[:, None, :],
            self.target_square + self.count * t**2,
        )

    def error(self, weight: Floats) -> Floats:
        """Mean squared error a row of each output with ``weight`` V, (groups, K, N): (groups, N).

        With the bias of ``bias_change`` if the moments are about the means.
        """
        gradient = self.hessian @ weight - 2 * self.cross
        squared = self.target_square + np.einsum("gkn,gkn->gn", weight, gradient)
        # A sum of squares; rounding can take it below zero.
        return np.asarray(np.maximum(squared, 0) / self.count)

    def bias_change(self, weight: Floats) -> Floats:
        """What is added to the bias so that ``weight`` V gives the right means, (groups, N)."""
        mean = np.einsum("gk,gkn->gn", self.operand_mean, weight)
        return np.asarray(self.target_mean - mean)
