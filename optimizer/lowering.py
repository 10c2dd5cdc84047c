"""Compute layers as matrix products: what a datapath multiplies and adds.

A lowering has the geometry of one layer. It turns the activations into a stack of left matrices
(..., rows, K), K the products of one output value, and the weights into a stack of right
matrices (..., K, columns); the sums of both are the layer's output, in another order. A stack has
one matrix for each group of a convolution, so a depthwise layer is a product of K = kernel
positions for each channel. Weights of all layers are kept as (K, channels): one column an output
channel, in the order of the output. Tensors are as ONNX has them, channels first.

Geometry is that of the ONNX operator reference, for one and for two dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from optimizer.windows import Pair, Window, patches, same_pads

Values = npt.NDArray[Any]
#: Rows of a left matrix, None for all.
Rows = npt.NDArray[np.integer] | None


class Lowering(Protocol):
    """The geometry of one layer; ``dot_length``: products of one output value."""

    @property
    def dot_length(self) -> int:
        """Products of one output value, K."""

    def matrix(self, weight: Values) -> Values:
        """The weight of the ONNX operator as (K, channels)."""

    def weight(self, matrix: Values) -> Values:
        """The ONNX operator's weight of a ``matrix`` (K, channels)."""

    def right(self, matrix: Values) -> Values:
        """The stack of right matrices, (..., K, columns), of a ``matrix`` (K, channels)."""

    def left(self, x: Values, rows: Rows = None) -> Values:
        """The stack of left matrices, (..., rows, K), of activations; only ``rows`` if given."""

    def output(self, sums: Values, shape: Sequence[int]) -> Values:
        """``left @ right`` as the layer's output tensor; ``shape``: of its activations."""

    def per_channel(self, vector: Values) -> Values:
        """A number for each output channel, (channels,), as it is broadcast to the output."""


@dataclass(frozen=True)
class Convolution:
    """A convolution over one axis (of ``axes`` = 1, as an image of one row) or two.

    ``window``: its pads are those of the file, unless ``auto_pad`` says that they follow from the
    size; ``inputs``, ``outputs``: channels.
    """

    axes: int
    window: Window
    auto_pad: str
    inputs: int
    outputs: int
    groups: int

    @property
    def dot_length(self) -> int:
        """Products of one output value, K."""
        return math.prod(self.window.kernel) * self.inputs // self.groups

    def matrix(self, weight: Values) -> Values:
        """(outputs, inputs / groups, *kernel) as (kernel row, column and input, outputs)."""
        image = weight.reshape(self.outputs, -1, *self.window.kernel)
        return np.ascontiguousarray(image.transpose(2, 3, 1, 0).reshape(-1, self.outputs))

    def weight(self, matrix: Values) -> Values:
        """The inverse of ``matrix``."""
        image = matrix.reshape(*self.window.kernel, -1, self.outputs).transpose(3, 2, 0, 1)
        kernel = self.window.kernel[2 - self.axes :]
        return np.ascontiguousarray(image.reshape(*image.shape[:2], *kernel))

    def right(self, matrix: Values) -> Values:
        """(groups, K, outputs / groups)."""
        return matrix.reshape(len(matrix), self.groups, -1).transpose(1, 0, 2)

    def left(self, x: Values, rows: Rows = None) -> Values:
        """(groups, rows, K): a row for each output position of each image."""
        return _rows(patches(_grouped(x, self.groups), self._placed(x.shape)), rows)

    def output(self, sums: Values, shape: Sequence[int]) -> Values:
        """(batch, outputs, *size) of the sums (groups, rows, outputs / groups)."""
        rows, columns = self._placed(shape).outputs(_image(shape))
        return _channels_first(sums, (shape[0], rows, columns), self.axes)

    def per_channel(self, vector: Values) -> Values:
        """(outputs, 1, ...)."""
        return vector.reshape(-1, *[1] * self.axes)

    def _placed(self, shape: Sequence[int]) -> Window:
        """The window with the pads of activations of ``shape``."""
        if not self.auto_pad.startswith("SAME"):
            return self.window
        w = self.window
        upper = self.auto_pad == "SAME_UPPER"
        return replace(w, pads=same_pads(_image(shape), w.kernel, w.strides, w.dilations, upper))


@dataclass(frozen=True)
class TransposedConvolution:
    """A transposed convolution, over one axis or two.

    Each output value sees the kernel positions that fall on an input: every ``strides``-th.
    ``window``: kernel, strides, dilations and pads of the file; ``output_padding``: rows, columns;
    ``output_shape``: the size that the file asks for, or None; ``auto_pad`` then says where an odd
    pad goes.
    """

    axes: int
    window: Window
    auto_pad: str
    inputs: int
    outputs: int
    groups: int
    output_padding: Pair
    output_shape: Pair | None

    @property
    def dot_length(self) -> int:
        """The most products of one output value, K."""
        w = self.window
        taps = [
            int(np.bincount(np.arange(kernel) * dilation % stride).max())
            for kernel, stride, dilation in zip(w.kernel, w.strides, w.dilations, strict=True)
        ]
        return math.prod(taps) * self.inputs // self.groups

    def matrix(self, weight: Values) -> Values:
        """(inputs, outputs / groups, *kernel) as (kernel row, column and input, outputs).

        The kernel is turned round: it then slides over the inputs with zeros between them.
        """
        g = self.groups
        image = weight.reshape(g, self.inputs // g, self.outputs // g, *self.window.kernel)
        turned = image[..., ::-1, ::-1].transpose(3, 4, 1, 0, 2)
        return np.ascontiguousarray(turned.reshape(-1, self.outputs))

    def weight(self, matrix: Values) -> Values:
        """The inverse of ``matrix``."""
        g, kernel = self.groups, self.window.kernel
        image = matrix.reshape(*kernel, self.inputs // g, g, self.outputs // g)
        turned = image[::-1, ::-1].transpose(3, 2, 4, 0, 1)
        short = kernel[2 - self.axes :]
        return np.ascontiguousarray(turned.reshape(self.inputs, self.outputs // g, *short))

    def right(self, matrix: Values) -> Values:
        """(groups, all kernel positions and inputs, outputs / groups)."""
        return matrix.reshape(len(matrix), self.groups, -1).transpose(1, 0, 2)

    def left(self, x: Values, rows: Rows = None) -> Values:
        """(groups, rows, all kernel positions and inputs), with zeros where no input falls."""
        image, w, pads = _grouped(x, self.groups), self.window, self._pads(x.shape)
        *outer, height, width = image.shape
        size = ((height - 1) * w.strides[0] + 1, (width - 1) * w.strides[1] + 1)
        spread = np.zeros((*outer, *size), image.dtype)
        spread[..., :: w.strides[0], :: w.strides[1]] = image
        # A pad below zero cuts off.
        top, left, bottom, right = (max(0, -p) for p in pads)
        spread = spread[..., top : size[0] - bottom, left : size[1] - right]
        around = tuple(max(0, p) for p in pads)
        sliding = Window(
            w.kernel, (1, 1), w.dilations, (around[0], around[1], around[2], around[3])
        )
        return _rows(patches(spread, sliding), rows)

    def output(self, sums: Values, shape: Sequence[int]) -> Values:
        """(batch, outputs, *size) of the sums (groups, rows, outputs / groups)."""
        w, (top, left, bottom, right) = self.window, self._pads(shape)
        height, width = _image(shape)
        rows = (height - 1) * w.strides[0] + 1 + top + bottom - w.extent[0] + 1
        columns = (width - 1) * w.strides[1] + 1 + left + right - w.extent[1] + 1
        return _channels_first(sums, (shape[0], rows, columns), self.axes)

    def per_channel(self, vector: Values) -> Values:
        """(outputs, 1, ...)."""
        return vector.reshape(-1, *[1] * self.axes)

    def _pads(self, shape: Sequence[int]) -> tuple[int, int, int, int]:
        """Zeros around the spread inputs, below zero where it is cut: top, left, bottom, right."""
        w, first, last = self.window, list(self.window.pads[:2]), list(self.window.pads[2:])
        for axis, size in enumerate(_image(shape)):
            stride, extent = w.strides[axis], w.extent[axis]
            whole = stride * (size - 1) + self.output_padding[axis] + extent
            wanted = None if self.output_shape is None else self.output_shape[axis]
            if wanted is None and self.auto_pad.startswith("SAME"):
                wanted = size * stride
            if wanted is not None:
                total = max(0, whole - wanted)
                less, more = total // 2, total - total // 2
                upper = self.auto_pad == "SAME_UPPER"
                first[axis], last[axis] = (less, more) if upper else (more, less)
                # Behind the last input there are zeros, if that many outputs are asked for.
                last[axis] += min(0, whole - wanted)
        reach = [extent - 1 for extent in w.extent]
        top, left = (r - p for r, p in zip(reach, first, strict=True))
        bottom, right = (
            r - p + o for r, p, o in zip(reach, last, self.output_padding, strict=True)
        )
        return (top, left, bottom, right)


@dataclass(frozen=True)
class MatrixProduct:
    """numpy's ``a @ b``: ``a`` are activations, ``b`` has ``shape`` and is a weight or is not.

    Of one axis, an operand is a row, or a column, that the output does not have.
    """

    left_axes: int
    shape: tuple[int, ...]

    @property
    def dot_length(self) -> int:
        """Products of one output value, K."""
        return self.shape[-2] if len(self.shape) > 1 else self.shape[0]

    def matrix(self, weight: Values) -> Values:
        """(..., K, N) as (K, ... and N)."""
        stack = weight.reshape(-1, *self._matrix)
        return np.ascontiguousarray(stack.transpose(1, 0, 2).reshape(self.dot_length, -1))

    def weight(self, matrix: Values) -> Values:
        """The inverse of ``matrix``."""
        return np.ascontiguousarray(self.right(matrix)).reshape(self.shape)

    def right(self, matrix: Values) -> Values:
        """(..., K, N)."""
        stack = matrix.reshape(self.dot_length, -1, self._matrix[1]).transpose(1, 0, 2)
        return stack.reshape(*self.shape[:-2], *self._matrix)

    def left(self, x: Values, rows: Rows = None) -> Values:
        """(..., M, K); (1, rows, K), of all M, with ``rows``."""
        if rows is not None:
            return x.reshape(1, -1, x.shape[-1])[:, rows]
        return x[None] if x.ndim == 1 else x

    def output(self, sums: Values, shape: Sequence[int]) -> Values:
        """The sums, without the axes that a row and a column do not have."""
        if len(self.shape) == 1:
            sums = sums[..., 0]
        return sums.squeeze(-1 if len(self.shape) == 1 else -2) if len(shape) == 1 else sums

    def per_channel(self, vector: Values) -> Values:
        """(..., 1, N)."""
        if len(self.shape) < 3:
            return vector if len(self.shape) == 2 else vector.reshape(())
        stack = vector.reshape(*self.shape[:-2], 1, self.shape[-1])
        return stack.squeeze(-2) if self.left_axes == 1 else stack

    @property
    def _matrix(self) -> Pair:
        """Rows and columns of one right matrix."""
        return (self.shape[-2], self.shape[-1]) if len(self.shape) > 1 else (self.shape[0], 1)


def _image(shape: Sequence[int]) -> Pair:
    """Rows and columns of activations (batch, channels, *size)."""
    return (shape[2], shape[3]) if len(shape) == 4 else (1, shape[2])


def _grouped(x: Values, groups: int) -> Values:
    """(batch, channels, *size) as (groups, channels of a group, batch, rows, columns)."""
    batch, channels, *size = x.shape
    rows, columns = size if len(size) == 2 else (1, *size)
    image = x.reshape(batch, groups, channels // groups, rows, columns)
    return image.transpose(1, 2, 0, 3, 4)


def _rows(seen: Values, chosen: Rows) -> Values:
    """What windows see, places last, as (groups, places, K): a view; only the ``chosen`` places."""
    groups, rows, columns, channels, *places = seen.shape
    matrix = seen.reshape(groups, rows * columns * channels, math.prod(places))
    if chosen is not None:
        matrix = matrix[:, :, chosen]
    return np.swapaxes(matrix, 1, 2)


def _channels_first(sums: Values, places: tuple[int, int, int], axes: int) -> Values:
    """(groups, rows, columns) as (batch, channels, *size); ``places``: batch, rows, columns."""
    batch, *size = places
    # Of sums with the places last in memory, as those of inference are, whole images are copied.
    image = np.swapaxes(sums, 1, 2).reshape(len(sums), -1, *places).transpose(2, 0, 1, 3, 4)
    return np.ascontiguousarray(image).reshape(batch, -1, *size[2 - axes :])
