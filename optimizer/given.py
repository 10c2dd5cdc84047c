"""Formats that a network's file already asks for: QONNX, QDQ and QOperator models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwgen.formats import Scalar


@dataclass(frozen=True, eq=False)
class Given:
    """Whole numbers in ``number_format`` times ``scale``, float64 (channels,) or (1,) for all.

    ``low`` and ``high``: the smallest and the largest of them.
    """

    number_format: Scalar
    scale: npt.NDArray[np.float64]
    low: int
    high: int
