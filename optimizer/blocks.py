"""Operands in block formats: blocks lie along the axis that a layer sums over.

Weights are encoded once, activations when they come, each block by its own largest number. The
scale that a format has for a whole tensor is fixed by calibration, as it stands outside of the
datapath. What is left over of a sum that is no whole number of blocks is filled up with zeros.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.formats import BlockFormat
from hwgen.formats.block_codes import BlockCodes, in_blocks
from hwgen.formats.block_scale import tensor_scale

Floats = npt.NDArray[np.float64]


def scale_of_tensor(number_format: BlockFormat, largest: float) -> float:
    """The scale of a tensor of largest magnitude ``largest``; 1 of a format that has none."""
    f = number_format
    if f.tensor_scale is None:
        return 1.0
    return tensor_scale(float(largest), f.element, f.scale, f.tensor_scale)


def encoded(
    number_format: BlockFormat,
    numbers: npt.NDArray[np.floating],
    axis: int,
    scale: float,
    rule: str | None = None,
) -> BlockCodes:
    """``numbers`` in blocks along ``axis``; ``scale``: the tensor's; ``rule``: None for usual."""
    given = None if number_format.tensor_scale is None else float(scale)
    return number_format.encode(numbers, axis=axis, scale_rule=rule, tensor_scale=given)


def values(codes: BlockCodes) -> Floats:
    """Elements times block scales, without the tensor's scale, float64 of the codes' shape."""
    scales = np.asarray(codes.format.scale.decode(codes.scales), np.float64)
    return _in_shape(codes, codes.element_values() * scales[..., None])


def steps(codes: BlockCodes) -> Floats:
    """What each element's value is multiplied by, the tensor's scale left out, in that shape."""
    scales = np.asarray(codes.format.scale.decode(codes.scales), np.float64)
    each = np.broadcast_to(scales[..., None], codes.elements.shape)
    if codes.micro_exponents is not None:
        micro = np.repeat(codes.micro_exponents, codes.format.micro_block, axis=-1)
        each = np.ldexp(each, -micro.astype(np.int64))
    return _in_shape(codes, each)


def of_steps(
    number_format: BlockFormat, elements: Floats, given: Floats, axis: int, scale: float
) -> BlockCodes:
    """Codes of ``elements``, values of the element's format, times ``given``, their ``steps``.

    Both of one shape, in blocks along ``axis``; ``scale``: the tensor's.
    """
    f = number_format
    rows = in_blocks(given, axis, f.block_size)
    scales, micro = rows.max(axis=-1), None
    if f.micro_bits:
        parts = rows.reshape(*rows.shape[:-1], -1, f.micro_block).max(axis=-1)
        # Where nothing is but what fills up, any exponent will do.
        below = np.where(parts > 0, scales[..., None] / np.where(parts > 0, parts, 1.0), 1.0)
        micro = np.rint(np.log2(below)).astype(np.uint8)
    return BlockCodes(
        f,
        elements.shape,
        axis,
        f.element.encode(in_blocks(elements, axis, f.block_size)),
        f.scale.encode(scales),
        micro,
        None if f.tensor_scale is None else scale,
    )


def _in_shape(codes: BlockCodes, blocks: npt.NDArray[Any]) -> Floats:
    """Numbers (…, blocks, block size) as an array of the codes' shape."""
    rows = blocks.reshape(*blocks.shape[:-2], -1)[..., : codes.shape[codes.axis]]
    return np.moveaxis(rows, -1, codes.axis)
