"""Weights on a grid, and the plain way to get them there.

A rounding is a function of a ``Problem`` that returns a ``Rounded``. All others are compared with
``nearest``; each has a file of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwgen.formats import Scalar
from optimizer.ptq.moments import Floats, Moments


@dataclass(frozen=True, eq=False)
class Problem:
    """Weights to be rounded, and what for.

    ``weight``: W, float64 (groups, K, N); ``scale``: what the values of ``number_format`` are
    multiplied by, broadcast to it: (groups, 1, N), one an output channel, or a number for each row
    where blocks of rows share one. ``moments``: of the layer.
    """

    weight: Floats
    scale: Floats
    number_format: Scalar
    moments: Moments


@dataclass(frozen=True, eq=False)
class Rounded:
    """Values of the format, float64 (groups, K, N), and their scales, broadcast to that."""

    values: Floats
    scale: Floats

    @property
    def weight(self) -> Floats:
        """V, as numbers of the network, (groups, K, N)."""
        return self.values * self.scale


def on_grid(number_format: Scalar, values: Floats) -> Floats:
    """The nearest values of the format, saturated, float64."""
    f = number_format
    if f.is_integer and f.lsb_exponent == 0:
        # As ``quantize`` does, much faster on the few numbers of one row.
        return np.clip(np.rint(values), f.min, f.max)
    rounded: npt.NDArray[np.float64] = f.quantize(values)
    return rounded


def nearest(problem: Problem) -> Rounded:
    """Each weight to the nearest value of the format, whatever the layer sees."""
    values = on_grid(problem.number_format, problem.weight / problem.scale)
    return Rounded(values, problem.scale)
