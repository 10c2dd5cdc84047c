"""The range of all that was seen: nothing saturates.

Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference", arXiv 1712.05877, section 3, without a zero point.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from optimizer.ptq.range_problem import RangeProblem


def minmax(problem: RangeProblem) -> npt.NDArray[np.floating]:
    """The largest magnitudes, (columns,)."""
    return problem.largest
