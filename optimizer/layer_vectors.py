"""What a layer's datapath sees: its real operands, cycle by cycle, and the sums it must give."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.errors import InputError
from optimizer.calibration import Calibration
from optimizer.inference import exact_sums, layer_input, quantized_operand
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
    calibration: Calibration,
    plan: Plan,
    layer: str,
    images: npt.NDArray[Any],
    outputs: int = 64,
) -> LayerVectors:
    """The cycles of ``outputs`` outputs of ``layer`` for ``images`` (N, C, H, W) or (N, F).

    The layers before it are quantised as the plan says. The outputs are spread evenly over all
    positions and channels, because those at the image's edge are mostly zeros. Products come
    in the order kernel row, kernel column, input channel. InputError for a layer that is not there,
    and for more outputs than these images have.
    """
    network.require_images(images)
    node = network.layer_node(layer)
    layer_plan = next(p for p in plan.layers if p.layer.name == layer)
    quantization = calibration.network(plan.pairs)
    x = layer_input(network, images, quantization, layer)
    operand, _ = quantized_operand(node, x, quantization[layer])
    sums, _ = exact_sums(node, x, quantization[layer])
    rows, channels = sums.shape
    if not 1 <= outputs <= sums.size:
        raise InputError(
            f"outputs={outputs}: layer {layer} has {sums.size} for these images, use 1 to that"
        )
    # Steps of the golden ratio: any number of outputs is spread over rows and channels alike.
    positions = [
        (int((k + 0.5) * rows / outputs), int((k * 0.6180339887498949 % 1) * channels))
        for k in range(outputs)
    ]
    lanes = layer_plan.size.lanes
    cycles = math.ceil(operand.shape[1] / lanes)
    padding = cycles * lanes - operand.shape[1]

    def codes(number_format: Any, values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        padded = np.pad(values, ((0, 0), (0, padding)))
        encoded: npt.NDArray[np.uint8] = number_format.encode(padded)
        return encoded.reshape(outputs * cycles, lanes)

    at_row, at_channel = (list(index) for index in zip(*positions, strict=True))
    spec = layer_plan.spec
    steps = np.ldexp(sums[at_row, at_channel], -spec.lsb_exponent)
    return LayerVectors(
        codes(spec.a, operand[at_row]),
        codes(spec.b, quantization[layer].weight[:, at_channel].T),
        np.arange(outputs * cycles) % cycles == 0,
        tuple(int(step) for step in steps),
        tuple(positions),
    )
