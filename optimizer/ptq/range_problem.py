"""What a range is chosen for, and the scale that it gives.

A range is the magnitude that a format's largest value stands for; the scale is the range over that
value. A method of ranges is a function of a ``RangeProblem`` that returns a range for each column:
the columns are output channels, of weights, or there is one, of activations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwgen.formats import Scalar


@dataclass(frozen=True, eq=False)
class RangeProblem:
    """Numbers that a format shall stand for.

    ``values``: a sample, float (rows, columns); ``largest``: the largest magnitudes of all that
    were seen, (columns,). A format without sign shall only get what is never negative.
    """

    values: npt.NDArray[np.floating]
    largest: npt.NDArray[np.floating]
    number_format: Scalar

    @staticmethod
    def of_weights(weight: npt.NDArray[np.floating], number_format: Scalar) -> RangeProblem:
        """All of ``weight`` (rows, columns)."""
        return RangeProblem(weight, np.abs(weight).max(axis=0, initial=0), number_format)

    def scales(self, ranges: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Ranges (columns,) as scales, float32; 1 where the range is zero."""
        top = np.float32(self.number_format.symmetric_max)
        wide = np.where(ranges > 0, ranges, top)
        return (wide.astype(np.float32) / top).astype(np.float32)
