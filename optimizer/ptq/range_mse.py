"""The range with the smallest mean squared error of the rounded numbers.

Among fractions of the largest magnitude, as in Nagel et al., "A White Paper on Neural Network
Quantization", arXiv 2106.08295, section 3.1; for an integer and numbers of a known distribution it
has a closed form (Banner, Nahshan and Soudry, "Post Training 4-bit Quantization", arXiv
1810.05723), which the tests compare it with.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from optimizer.ptq.grid import on_grid
from optimizer.ptq.range_problem import RangeProblem

#: Candidate ranges as fractions of the absolute maximum: steps of 6%, far enough down for
#: layers in which a few values are tens of times larger than the others.
SHRINK: npt.NDArray[np.float32] = np.exp2(-np.arange(73) / 12).astype(np.float32)


def mse(problem: RangeProblem) -> npt.NDArray[np.floating]:
    """Of the ``SHRINK`` ranges of each column the one with the smallest error, (columns,)."""
    values = problem.values.astype(np.float32, copy=False)
    best, lowest = problem.largest, np.full(problem.largest.shape, np.inf)
    for factor in SHRINK:
        ranges = problem.largest * factor
        scale = problem.scales(ranges)
        error = on_grid(problem.number_format, values / scale)
        error *= scale
        error -= values
        squared = np.einsum("ij,ij->j", error, error)
        better = squared < lowest
        best, lowest = np.where(better, ranges, best), np.where(better, squared, lowest)
    return best
