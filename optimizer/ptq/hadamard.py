"""Rotations that spread outliers over a block: block Hadamard.

QuaRot (Ashkboos et al., arXiv 2404.00456), Quartet (Castro et al., arXiv 2505.14669) and *INT v.s.
FP* (Chen et al., arXiv 2510.25602): both operands of a product are multiplied by an orthonormal
matrix R along the axis that it sums over, X·W = (X·R)·(Rᵀ·W), and then rounded. R has blocks D·H/√n
on its diagonal, H the Hadamard matrix of n rows, D random signs
(``hwgen.formats.transforms.Hadamard``). Rᵀ·W is done once; X·R is done for every row, with
n·log2(n) additions for each n numbers and no product, 1/√n being part of the scales.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.formats.transforms import Hadamard

#: Sizes of the blocks that are tried: those of NVFP4's and of MX's blocks.
SIZES = (16, 32)


def padded(length: int, size: int) -> int:
    """``length`` filled up to whole blocks."""
    return -(-length // size) * size


def rotated(values: npt.NDArray[Any], size: int, axis: int = -1) -> npt.NDArray[Any]:
    """X·R along the last axis, or Rᵀ·W along the first of two: ``axis``, filled up with zeros.

    ``values``: floats, whose type is kept.
    """
    rows = np.moveaxis(values, axis, -1)
    missing = padded(rows.shape[-1], size) - rows.shape[-1]
    if missing:
        rows = np.pad(rows, [(0, 0)] * (rows.ndim - 1) + [(0, missing)])
    return np.moveaxis(_times(rows, Hadamard(size).matrix), -1, axis)


def rotated_back(values: npt.NDArray[Any], size: int, length: int) -> npt.NDArray[Any]:
    """What ``rotated`` made of ``length`` rows along the first axis, up to rounding."""
    columns = np.moveaxis(values, 0, -1)
    turned = _times(columns, Hadamard(size).matrix.T)
    return np.ascontiguousarray(np.moveaxis(turned[..., :length], -1, 0))


def additions(length: int, size: int) -> int:
    """Additions that rotate one row of ``length`` numbers, by the fast Hadamard transform."""
    return padded(length, size) * int(math.log2(size))


def _times(rows: npt.NDArray[Any], matrix: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    blocks = rows.reshape(*rows.shape[:-1], -1, len(matrix))
    turned: npt.NDArray[Any] = blocks @ matrix.astype(rows.dtype)
    return turned.reshape(rows.shape)
