"""The range that all but a few of the magnitudes are in.

Wu, Judd, Zhang, Isaev and Micikevicius, "Integer Quantization for Deep Learning Inference:
Principles and Empirical Evaluation", arXiv 2004.09602, section 5.1: 99.9 to 99.9999% of them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from optimizer.ptq.range_problem import RangeProblem

#: Of a hundred magnitudes so many are in the range.
PERCENT = 99.9


def percentile(problem: RangeProblem) -> npt.NDArray[np.floating]:
    """The percentile of the magnitudes of each column, (columns,)."""
    if not len(problem.values):
        return problem.largest
    ranges: npt.NDArray[np.floating] = np.percentile(np.abs(problem.values), PERCENT, axis=0)
    return ranges
