"""What a layer's datapath sees: its real operands, cycle by cycle, and the sums it must give."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.errors import InputError
from optimizer.inference import Quantization, exact_sums, layer_inputs, matrices
from optimizer.inputs import Inputs
from optimizer.network import Network
from optimizer.plan import Plan


@dataclass(frozen=True, eq=False)
class LayerVectors:
    """A sequence of cycles of one unit.

    ``a_codes`` (activations), ``b_codes`` (weights): uint8, (cycles, lanes), lanes past the
    end of a dot product hold the code of zero; ``clear``: bool, (cycles,), True in the first
    cycle of each output; ``expected``: for each output the exact sum in units of
    2**spec.lsb_exponent, as inference computed it, in the accumulator after the output's
    last cycle. ``positions``: (row of the layer's matrix, output channel) of each output.
    """

    a_codes: npt.NDArray[np.uint8]
    b_codes: npt.NDArray[np.uint8]
    clear: npt.NDArray[np.bool_]
    expected: tuple[int, ...]
    positions: tuple[tuple[int, int], ...]

    @property
    def last_cycles(self) -> npt.NDArray[np.intp]:
        """The cycle after which each output's sum is complete."""
        cycles_per_output = len(self.clear) // len(self.expected)
        return np.arange(1, len(self.expected) + 1) * cycles_per_output - 1


def layer_vectors(
    network: Network,
    quantization: Quantization,
    plan: Plan,
    layer: str,
    images: Inputs,
    outputs: int = 64,
) -> LayerVectors:
    """The cycles of ``outputs`` outputs of ``layer`` for ``images`` (N, C, H, W) or (N, F).

    ``quantization``: the plan's operands, of this layer and those before it. The outputs are spread
    evenly over all positions and channels, because those at the image's edge are mostly zeros.
    Products come in the order kernel row, kernel column, input channel. InputError for a layer that
    is not there, and for more outputs than these images have.
    """
    network.require_images(images)
    node = network.layer_node(layer)
    layer_plan = next(p for p in plan.layers if p.layer.name == layer)
    own = quantization[layer]
    operands = layer_inputs(network, images, quantization, layer)
    left, right = matrices(own, operands)
    sums = exact_sums(own, operands)
    rows, channels = math.prod(sums.shape[:-1]), sums.shape[-1]
    if not 1 <= outputs <= sums.size:
        raise InputError(
            f"outputs={outputs}: layer {layer} has {sums.size} for these images, use 1 to that"
        )
    # Steps of the golden ratio: any number of outputs is spread over rows and channels alike.
    positions = [
        (int((k + 0.5) * rows / outputs), int((k * 0.6180339887498949 % 1) * channels))
        for k in range(outputs)
    ]
    at_row, at_channel = (np.array(index) for index in zip(*positions, strict=True))
    *stack, at = np.unravel_index(at_row, sums.shape[:-1])
    columns = np.swapaxes(right, -1, -2)
    a = np.broadcast_to(left, (*sums.shape[:-2], *left.shape[-2:]))[(*stack, at)]
    b = np.broadcast_to(columns, (*sums.shape[:-2], *columns.shape[-2:]))[(*stack, at_channel)]
    a, b = _products(a, b, node.lowering.dot_length)
    lanes = layer_plan.size.lanes
    cycles = math.ceil(a.shape[1] / lanes)
    padding = cycles * lanes - a.shape[1]

    def codes(number_format: Any, values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        padded = np.pad(values, ((0, 0), (0, padding)))
        encoded: npt.NDArray[np.uint8] = number_format.encode(padded)
        return encoded.reshape(outputs * cycles, lanes)

    spec = layer_plan.spec
    steps = np.ldexp(sums[(*stack, at, at_channel)], -spec.lsb_exponent)
    return LayerVectors(
        codes(spec.a, a),
        codes(spec.b, b),
        np.arange(outputs * cycles) % cycles == 0,
        tuple(int(step) for step in steps),
        tuple(positions),
    )


def _products(
    a: npt.NDArray[Any], b: npt.NDArray[Any], length: int
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Both operands (outputs, K) cut to ``length`` products of each output.

    Left out are products that no image has, such as those of a transposed convolution's kernel
    positions between its inputs: there the activation is zero.
    """
    if a.shape[1] == length:
        return a, b
    # The activations that are there, in their order, and zeros behind them.
    order = np.argsort(a == 0, axis=1, kind="stable")[:, :length]
    return np.take_along_axis(a, order, 1), np.take_along_axis(b, order, 1)
