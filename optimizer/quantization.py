"""A quantised layer: its operands on their formats' grids, scales, and the bias.

A number x is stored as Q(x / scale), Q the format's rounding to nearest even with saturation.
Weights have one scale per output channel, activations one per layer. What chooses the scales, and
to which of its neighbours a weight is rounded, are the methods of ``optimizer.ptq``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from hwgen.formats import Scalar
from optimizer.graph import Graph
from optimizer.network import Node
from optimizer.runtime import Session
from sim import golden
from sim.exact import largest_steps

#: In which the products of layers mean what they mean in every operator set.
_OPSET, _IR_VERSION = 17, 8


@dataclass(frozen=True, eq=False)
class LayerQuantization:
    """Operands of one layer: a activations, b weights or other activations, as in the unit's spec.

    ``weight``: values of ``b_format``, float64 (dot length, output channels), None where b are
    activations; ``activation_scale``: of a, float32; ``weight_scale``: of b, float64 (output
    channels,), or (1,) for all. ``bias``: float (output channels,), or None.
    """

    node: Node
    a_format: Scalar
    b_format: Scalar
    activation_scale: np.float32
    weight: npt.NDArray[np.float64] | None
    weight_scale: npt.NDArray[np.float64]
    bias: npt.NDArray[np.floating] | None

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
