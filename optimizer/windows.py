"""Windows of convolutions: their geometry, and what of an image they see.

Geometry as in the ONNX operator reference: an output at ``i`` sees the inputs ``i * stride -
pad + j * dilation`` of its axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Pair = tuple[int, int]


@dataclass(frozen=True)
class Window:
    """A window in rows and columns; ``pads`` are (top, left, bottom, right)."""

    kernel: Pair
    strides: Pair = (1, 1)
    dilations: Pair = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)

    @property
    def extent(self) -> Pair:
        """Rows and columns from the first to the last input of a window."""
        (rows, columns), (down, right) = self.kernel, self.dilations
        return ((rows - 1) * down + 1, (columns - 1) * right + 1)

    def padded(self, size: Sequence[int]) -> Pair:
        """Height and width of an image of ``size`` (height, width) with its padding."""
        top, left, bottom, right = self.pads
        return (top + size[0] + bottom, left + size[1] + right)

    def outputs(self, size: Sequence[int]) -> Pair:
        """Windows down and across an image of ``size``; 0 where none fits."""
        height, width = (
            max(0, (whole - extent) // stride + 1)
            for whole, extent, stride in zip(
                self.padded(size), self.extent, self.strides, strict=True
            )
        )
        return (height, width)


def same_pads(
    size: Sequence[int], kernel: Pair, strides: Pair, dilations: Pair, upper: bool
) -> tuple[int, int, int, int]:
    """ONNX's SAME_UPPER and SAME_LOWER: ceil(size / stride) outputs, an odd pad at that end."""
    totals = [
        max((-(-s // stride) - 1) * stride + (k - 1) * d + 1 - s, 0)
        for s, stride, k, d in zip(size, strides, kernel, dilations, strict=True)
    ]
    less, more = [t // 2 for t in totals], [t - t // 2 for t in totals]
    first, last = (less, more) if upper else (more, less)
    return (first[0], first[1], last[0], last[1])


def patches(x: npt.NDArray[Any], window: Window) -> npt.NDArray[Any]:
    """What each window of the images ``x`` sees, of its dtype; padding is zero.

    ``x``: (groups, channels, batch, height, width); the result: (groups, kernel rows, kernel
    columns, channels, batch, output rows, output columns). Rows of an image are copied whole, once
    for each place in the kernel: much faster than window by window.
    """
    top, left, _, _ = window.pads
    *outer, height, width = x.shape
    if any(window.pads):
        # np.pad does the same, slower than a small convolution.
        padded = np.zeros((*outer, *window.padded((height, width))), x.dtype)
        padded[..., top : top + height, left : left + width] = x
        x = padded
    (rows, columns), (down, right) = window.kernel, window.dilations
    high, wide = window.outputs((height, width))
    groups, channels, batch = outer
    result = np.empty((groups, rows, columns, channels, batch, high, wide), x.dtype)
    for i in range(rows):
        for j in range(columns):
            part = x[..., i * down :: window.strides[0], j * right :: window.strides[1]]
            result[:, i, j] = part[..., :high, :wide]
    return result
