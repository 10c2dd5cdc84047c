"""The range whose rounded numbers are distributed most like the numbers.

Migacz, "8-bit Inference with TensorRT", GPU Technology Conference 2017: a histogram of magnitudes;
for each range the distribution P has what is beyond the range in its last bin, and Q has the mass
of the bins that round to one value spread evenly over those of them that are not empty. The range
with the smallest Kullback-Leibler divergence of Q from P is chosen. There the values of the format
are equal steps; here they are those of any format.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from optimizer.ptq.range_problem import RangeProblem

#: Bins of the histogram, as many as in the source.
BINS = 2048
#: Ranges tried: every so many bins.
STRIDE = 16


def kl(problem: RangeProblem) -> npt.NDArray[np.floating]:
    """The range of the smallest divergence of each column, (columns,)."""
    columns = zip(np.abs(problem.values).T, problem.largest, strict=True)
    return np.array([_of_column(problem, column, float(top)) for column, top in columns])


def _of_column(problem: RangeProblem, magnitudes: npt.NDArray[np.floating], top: float) -> float:
    magnitudes = magnitudes[magnitudes > 0]
    if not magnitudes.size or top <= 0:
        return top
    counts, edges = np.histogram(magnitudes, BINS, (0.0, top))
    middles = (edges[:-1] + edges[1:]) / 2
    best, lowest = top, np.inf
    for bins in range(STRIDE, BINS + 1, STRIDE):
        divergence = _divergence(problem, counts, middles[:bins], float(edges[bins]))
        if divergence < lowest:
            best, lowest = float(edges[bins]), divergence
    return best


def _divergence(
    problem: RangeProblem,
    counts: npt.NDArray[np.int64],
    middles: npt.NDArray[np.float64],
    bound: float,
) -> float:
    """KL(P ‖ Q) in nats of the range ``bound``, whose bins have ``middles``."""
    bins = len(middles)
    inside = counts[:bins].astype(np.float64)
    p = inside.copy()
    p[-1] += counts[bins:].sum()
    values = problem.number_format.quantize(middles * (problem.number_format.symmetric_max / bound))
    _, level = np.unique(values, return_inverse=True)
    filled = inside > 0
    mass, width = np.bincount(level, inside), np.bincount(level, filled)
    q = np.where(filled, mass[level] / np.maximum(width[level], 1), 0.0)
    # Mass of P where Q has none: as in the source, a part too small to matter is put there.
    seen = p > 0
    q[seen & ~filled] = 1e-4
    p, q = p[seen] / p.sum(), q[seen] / q.sum()
    return float((p * np.log(p / q)).sum())
