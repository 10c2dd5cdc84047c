"""A quantised layer: its operands on their formats' grids, scales, and the bias.

A number x is stored as Q(x / scale + zero point), Q the format's rounding to nearest even with
saturation. Weights have one scale per output channel, activations one per layer; only activations
may have a zero point. In block formats a number is an element times its block's scale, and what is
called scale here is the tensor's. What chooses the scales, and to which of its neighbours a weight
is rounded, are the methods of ``optimizer.ptq``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from hwgen.formats import BlockFormat, Format
from hwgen.formats.block_codes import BlockCodes
from optimizer import blocks
from optimizer.graph import Graph
from optimizer.lowering import Values
from optimizer.network import Node
from optimizer.ptq.asymmetric import folded_bias
from optimizer.ptq.grid import on_grid
from optimizer.rotation import Rotated
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
    channels,), or (1,) for all. ``bias``: float (output channels,), or None. ``zero_point``: of a,
    a whole number. ``weight_codes``: of ``weight`` in a block format, in blocks along the first
    axis.
    """

    node: Node
    a_format: Format
    b_format: Format
    activation_scale: np.float32
    weight: npt.NDArray[np.float64] | None
    weight_scale: npt.NDArray[np.float64]
    bias: npt.NDArray[np.floating] | None
    zero_point: float = 0.0
    weight_codes: BlockCodes | None = None

    @property
    def rounds_first(self) -> bool:
        """As ``rounds_one_by_one``, of the layer's activations."""
        return rounds_one_by_one(self.node, self.a_format)

    def rounded(self, numbers: Values, axis: int = -1) -> Values:
        """Activations a in values of their format, less the zero point; blocks along ``axis``."""
        return rounded(self.a_format, numbers, self.activation_scale, self.zero_point, axis)

    def rounded_other(self, numbers: Values) -> Values:
        """Activations b in values of their format; blocks along the second axis from the end."""
        return rounded(self.b_format, numbers, np.float32(self.weight_scale[0]), 0.0, -2)

    @cached_property
    def unit_bias(self) -> npt.NDArray[np.float64]:
        """The bias behind a unit that sums codes: with what the zero point adds taken off."""
        assert self.weight is not None
        channels = self.weight.shape[1]
        bias = np.zeros(channels) if self.bias is None else self.bias.astype(np.float64)
        weight, scale = self.weight * self.weight_scale, float(self.activation_scale)
        return folded_bias(bias[None], weight[None], scale, self.zero_point).reshape(channels)

    @cached_property
    def output_scale(self) -> npt.NDArray[np.float64]:
        """What an exact sum is multiplied by, per output channel or (1,)."""
        return self.weight_scale * float(self.activation_scale)

    @cached_property
    def exact_in_float32(self) -> bool:
        """Whether the operator's own sums are exact: none needs more bits than a float32 has.

        In any order of the sum.
        """
        if not self.rounds_first:
            return False
        assert not isinstance(self.a_format, BlockFormat)
        assert not isinstance(self.b_format, BlockFormat)
        # A zero point moves values by up to as much.
        moved = np.ldexp(abs(self.zero_point), -self.a_format.lsb_exponent)
        largest = largest_steps(self.a_format) + float(moved)
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


def rounded(
    number_format: Format, numbers: Values, scale: np.float32, zero: float = 0.0, axis: int = -1
) -> Values:
    """``numbers`` in values of the format, times block scales, less the zero point ``zero``.

    In blocks along ``axis``; of a column (K,) along its only one.
    """
    if isinstance(number_format, BlockFormat):
        axis = max(axis, -numbers.ndim)
        return blocks.values(blocks.encoded(number_format, numbers, axis, float(scale)))
    if zero:
        moved = numbers / scale + np.float32(zero)
        result: Values = on_grid(number_format, moved) - np.float32(zero)
        return result
    return on_grid(number_format, numbers / scale)


def rounds_one_by_one(node: Node, number_format: Format) -> bool:
    """Whether activations are rounded by themselves, and so before the layer's windows copy them.

    Blocks, and what is rotated, are of the rows that the windows make.
    """
    return not (isinstance(number_format, BlockFormat) or isinstance(node.lowering, Rotated))
