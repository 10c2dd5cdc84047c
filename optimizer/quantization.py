"""Post-training quantisation: scales, and weights on a format's grid.

A number x is stored as Q(x / scale), Q the format's rounding to nearest even with saturation.
Weights have one scale per output channel, activations one per layer. The scale maps a range
[-r, r] to the format's symmetric maximum; r is the absolute maximum times the factor of
``SHRINK`` that has the smallest mean squared error: for weights over the channel's weights,
for activations over a uniform sample of ``SAMPLE`` non-zero calibration activations (zeros are
exact in every format, so they do not choose between ranges). The absolute maximum is that of
all calibration activations: it bounds the ranges that are tried, and does not belong to the
sample unless it was drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from hwgen.errors import InputError
from hwgen.formats import Scalar
from optimizer.graph import Graph
from optimizer.network import Array, Node
from optimizer.runtime import Session
from optimizer.sampling import Sample
from sim import golden
from sim.exact import largest_steps

#: Candidate ranges as fractions of the absolute maximum: steps of 6%, far enough down for
#: layers in which a few values are tens of times larger than the others.
SHRINK: npt.NDArray[np.float32] = np.exp2(-np.arange(73) / 12).astype(np.float32)
#: Activations a layer that choose the range.
SAMPLE = 2**15

#: In which the products of layers mean what they mean in every operator set.
_OPSET, _IR_VERSION = 17, 8


@dataclass(frozen=True, eq=False)
class LayerQuantization:
    """Operands of one layer: a activations, b weights or other activations, as in the unit's spec.

    ``weight``: values of ``b_format``, float64 (dot length, output channels), None where b are
    activations; ``activation_scale``: of a, float32; ``weight_scale``: of b, float64 (output
    channels,), or (1,) for all.
    """

    node: Node
    a_format: Scalar
    b_format: Scalar
    activation_scale: np.float32
    weight: npt.NDArray[np.float64] | None
    weight_scale: npt.NDArray[np.float64]

    @cached_property
    def output_scale(self) -> npt.NDArray[np.float64]:
        """What an exact sum is multiplied by, per output channel or (1,)."""
        return self.weight_scale * float(self.activation_scale)

    @cached_property
    def exact_in_float32(self) -> bool:
        """Whether no partial sum needs more bits than a float32 has, in any order of the sum."""
        largest = largest_steps(self.a_format)
        if self.weight is None:
            steps = float(largest_steps(self.b_format) * self.node.lowering.dot_length)
        else:
            sums = np.abs(self.weight).sum(axis=0).max()
            steps = float(np.ldexp(sums, -self.b_format.lsb_exponent))
        return largest * steps <= golden.EXACT_FLOAT32

    @cached_property
    def product(self) -> Session:
        """The layer's operator on values of the formats, without the bias, by onnxruntime."""
        node = self.node
        proto = onnx.NodeProto()
        proto.CopyFrom(node.protos[0])
        del proto.input[2:]
        constants = {}
        if self.weight is not None:
            weight = node.lowering.weight(self.weight).astype(np.float32)
            constants[proto.input[1]] = numpy_helper.from_array(weight, proto.input[1])
        types = dict.fromkeys((*proto.input, *proto.output), onnx.TensorProto.FLOAT)
        graph = Graph((proto,), constants, types, (helper.make_opsetid("", _OPSET),), _IR_VERSION)
        return graph.session([proto], list(proto.output))


def rounded(number_format: Scalar, values: npt.NDArray[Any]) -> Array:
    """``values`` to the nearest of the format, float32: as ``quantize`` does, faster for integers.

    InputError for NaN.
    """
    f = number_format
    if not f.is_integer or f.lsb_exponent != 0 or f.has_nan:
        return f.quantize(values, dtype=np.float32)
    result: Array = np.rint(values, dtype=np.float32)
    np.clip(result, np.float32(f.min), np.float32(f.max), out=result)
    if np.isnan(result.sum()):
        raise InputError(f"some values are NaN and {f} has no NaN: remove or replace them")
    return result


def best_scales(
    number_format: Scalar, values: Array, largest: npt.NDArray[np.float32] | None = None
) -> npt.NDArray[np.float32]:
    """The scale with the smallest squared error for each column of ``values`` (rows, columns).

    ``largest``: the magnitude (columns,) that the widest range tried reaches, default each
    column's own. A column of zeros gets the scale 1.
    """
    if largest is None:
        largest = np.abs(values).max(axis=0, initial=0)
    largest = np.where(largest > 0, largest, np.float32(number_format.symmetric_max))
    full = (largest / np.float32(number_format.symmetric_max)).astype(np.float32)
    best, lowest = full, np.full(full.shape, np.inf)
    for factor in SHRINK:
        scale = full * factor
        error = rounded(number_format, values / scale)
        error *= scale
        error -= values
        squared = np.einsum("ij,ij->j", error, error)
        better = squared < lowest
        best, lowest = np.where(better, scale, best), np.where(better, squared, lowest)
    return best.astype(np.float32)


def activation_scale(number_format: Scalar, sample: Sample) -> np.float32:
    """The layer's scale from a sample of its non-zero activations."""
    largest = np.array([sample.largest])
    scale: np.float32 = best_scales(number_format, sample.values[:, None], largest)[0]
    return scale
