"""Formats that a network's file already asks for: QONNX, QDQ and QOperator models.

Whole numbers with a zero point are, less that point, whole numbers of a datapath: uint8 with the
zero point 128 is int8, with another one it is int9. A datapath takes one scale for all activations
of a layer, and one for each output channel of its weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, TensorProto, numpy_helper

from hwgen.formats import Scalar, parse_scalar
from optimizer.quantised_files import Quantiser

#: Operators whose output has no other values than their first input, but for zero.
KEEPS_VALUES = (
    *("Identity", "Dropout", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose"),
    *("MaxPool", "Relu", "Slice", "Split", "Gather", "Expand"),
)
#: Bits of the widest format, and how near a weight is to a whole number times its scale.
MOST_BITS, NEAR = 16, 1e-2


@dataclass(frozen=True, eq=False)
class Given:
    """Whole numbers in ``number_format`` times ``scale``, float64 (channels,) or (1,) for all."""

    number_format: Scalar
    scale: npt.NDArray[np.float64]

    def of_activations(self) -> Given | None:
        """The format itself, if it has one scale for all."""
        return self if len(self.scale) == 1 else None

    def of_weights(self, weight: npt.NDArray[np.float32]) -> Given | None:
        """The format, if ``weight`` (dot length, channels) is of it; a scale for each channel."""
        channels = weight.shape[1]
        if len(self.scale) not in (1, channels):
            return None
        scale = np.broadcast_to(self.scale, (channels,))
        whole = weight / scale
        f = self.number_format
        fits = (np.abs(whole - np.rint(whole)) < NEAR) & (whole > f.min - NEAR)
        if not (fits & (whole < f.max + NEAR)).all():
            return None
        return replace(self, scale=np.array(scale))


def formats(
    quantisers: Mapping[str, Quantiser],
    nodes: Sequence[NodeProto],
    constants: Mapping[str, TensorProto],
) -> dict[str, Given]:
    """The format of every tensor that is of a quantiser, as far as it is one of a datapath.

    ``nodes``: of the whole graph in order; ``constants``: what is known of scales and zero points.
    """
    found: dict[str, Given] = {}
    for name, quantiser in quantisers.items():
        given = _format(quantiser, constants)
        if given is not None:
            found[name] = given
    for node in nodes:
        if node.op_type in KEEPS_VALUES and node.input and node.input[0] in found:
            for output in node.output:
                found.setdefault(output, found[node.input[0]])
    return found


def _format(quantiser: Quantiser, constants: Mapping[str, TensorProto]) -> Given | None:
    if quantiser.scale not in constants:
        return None
    scale = numpy_helper.to_array(constants[quantiser.scale]).astype(np.float64).reshape(-1)
    points = np.zeros(1)
    if quantiser.zero_point is not None:
        if quantiser.zero_point not in constants:
            return None
        points = numpy_helper.to_array(constants[quantiser.zero_point]).astype(np.float64)
    low, high = quantiser.low - points.max(), quantiser.high - points.min()
    usable = np.isfinite(scale).all() and (scale != 0).all() and np.isfinite([low, high]).all()
    if not usable or low != int(low) or high != int(high):
        return None
    if low >= 0:
        bits = max(1, int(high).bit_length())
        name = f"uint{bits}"
    else:
        bits = max(2, int(-low - 1).bit_length() + 1, int(max(high, 0)).bit_length() + 1)
        name = f"int{bits}"
    return Given(parse_scalar(name), scale) if bits <= MOST_BITS else None
