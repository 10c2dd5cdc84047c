"""Weights on a grid, and the plain way to get them there.

A rounding is a function of a ``Problem`` that returns a ``Rounded``. All others are compared with
``nearest``; each has a file of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from hwgen.formats import Scalar
from optimizer.ptq.grid import on_grid
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
    fixed_scale: bool = False


@dataclass(frozen=True, eq=False)
class Rounded:
    """Values of the format, float64 (groups, K, N), and their scales, broadcast to that."""

    values: Floats
    scale: Floats

    @property
    def weight(self) -> Floats:
        """V, as numbers of the network, (groups, K, N)."""
        return self.values * self.scale


def nearest(problem: Problem) -> Rounded:
    """Each weight to the nearest value of the format, whatever the layer sees."""
    values = on_grid(problem.number_format, problem.weight / problem.scale)
    return Rounded(values, problem.scale)
