"""What a layer's datapath sees: its real operands, cycle by cycle, and the sums it must give."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.errors import InputError
from hwgen.formats import BlockFormat
from hwgen.spec import Array, BlockDot
from optimizer import blocks
from optimizer.datapaths import Datapath
from optimizer.inference import Quantization, exact_sums, layer_inputs, matrices
from optimizer.inputs import Inputs
from optimizer.network import Network
from optimizer.plan import Plan
from optimizer.quantization import LayerQuantization
from sim.unit_model import Patterns

Codes = npt.NDArray[Any]
#: Rows of both operands, or matrices.
Rows = tuple[npt.NDArray[Any], npt.NDArray[Any]]


@dataclass(frozen=True, eq=False)
class LayerVectors:
    """A sequence of cycles of one unit.

    ``a_codes`` (activations), ``b_codes`` (weights): uint8 or wider, (cycles, lanes), lanes past
    the end of a dot product hold the code of zero; ``scales``: those of blocks, and their
    micro-exponents, (cycles, count) by the port's name; ``clear``: bool, (cycles,), True in the
    first cycle of each output; ``expected``: for each output the sum as inference computed it, as
    ``results`` reads it after the output's last cycle. ``positions``: (row of the layer's matrix,
    output channel) of each output.
    """

    a_codes: Codes
    b_codes: Codes
    clear: npt.NDArray[np.bool_]
    expected: tuple[Any, ...]
    positions: tuple[tuple[int, int], ...]
    scales: Mapping[str, Codes] = field(default_factory=dict)

    def inputs(self, spec: Datapath) -> dict[str, npt.NDArray[Any]]:
        """The cycles as the input ports of ``spec`` take them."""
        ports = {"clear": self.clear[:, None], "a": self.a_codes, "b": self.b_codes, **self.scales}
        return {port.name: ports[port.name] for port in spec.inputs}

    @property
    def last_cycles(self) -> npt.NDArray[np.intp]:
        """The cycle after which each output's sum is complete."""
        cycles_per_output = len(self.clear) // len(self.expected)
        return np.arange(1, len(self.expected) + 1) * cycles_per_output - 1


def results(spec: Datapath, outputs: Patterns, cycles: npt.NDArray[np.intp]) -> tuple[Any, ...]:
    """What a unit's output ports say after ``cycles``.

    Of single numbers the accumulator, a whole number of 2**spec.lsb_exponent; of blocks the sum as
    a float32, in which a layer's result goes on.
    """
    if isinstance(spec, BlockDot):
        values = spec.output.decode(outputs["result"][cycles, 0])
        return tuple(np.float32(value) for value in values)
    words = outputs["accumulator"][cycles, 0].tolist()
    if isinstance(spec, Array):
        return tuple(np.float32(math.ldexp(word, spec.lsb_exponent)) for word in words)
    return tuple(map(int, words))


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
    node, own = network.layer_node(layer), quantization[layer]
    layer_plan = next(p for p in plan.layers if p.layer.name == layer)
    operands = layer_inputs(network, images, quantization, layer)
    sums = exact_sums(own, operands)
    if not 1 <= outputs <= sums.size:
        raise InputError(
            f"outputs={outputs}: layer {layer} has {sums.size} for these images, use 1 to that"
        )
    positions = _spread(outputs, math.prod(sums.shape[:-1]), sums.shape[-1])
    at_row, at_channel = (np.array(index) for index in zip(*positions, strict=True))
    *stack, at = np.unravel_index(at_row, sums.shape[:-1])

    def picked(left: npt.NDArray[Any], right: npt.NDArray[Any]) -> Rows:
        columns = np.swapaxes(right, -1, -2)
        a = np.broadcast_to(left, (*sums.shape[:-2], *left.shape[-2:]))[(*stack, at)]
        b = np.broadcast_to(columns, (*sums.shape[:-2], *columns.shape[-2:]))
        return a, b[(*stack, at_channel)]

    values, chosen = picked(*matrices(own, operands)), sums[(*stack, at, at_channel)]
    lanes, spec = layer_plan.size.lanes, layer_plan.spec
    cycles = math.ceil(values[0].shape[1] / lanes)
    ports: dict[str, Codes] = {}
    if isinstance(own.a_format, BlockFormat):
        steps = picked(*_steps(own, operands))
        for name, f, of, step in zip("ab", (spec.a, spec.b), values, steps, strict=True):
            assert isinstance(f, BlockFormat)
            ports |= _block_ports(name, f, of / step, step, cycles * lanes)
        expected: tuple[Any, ...] = tuple(np.float32(value) for value in chosen)
    else:
        values = _products(*values, node.lowering.dot_length)
        cycles = math.ceil(values[0].shape[1] / lanes)
        for name, f, of in zip("ab", (spec.a, spec.b), values, strict=True):
            padding = cycles * lanes - of.shape[1]
            ports[name] = f.element.encode(np.pad(of, ((0, 0), (0, padding))))
        expected = tuple(int(step) for step in np.ldexp(chosen, -spec.lsb_exponent))
    by_cycle = {name: codes.reshape(outputs * cycles, -1) for name, codes in ports.items()}
    return LayerVectors(
        by_cycle.pop("a"),
        by_cycle.pop("b"),
        np.arange(outputs * cycles) % cycles == 0,
        expected,
        tuple(positions),
        by_cycle,
    )


def _spread(outputs: int, rows: int, channels: int) -> list[tuple[int, int]]:
    """So many places over rows and channels alike: steps of the golden ratio."""
    return [
        (int((k + 0.5) * rows / outputs), int((k * 0.6180339887498949 % 1) * channels))
        for k in range(outputs)
    ]


def _steps(q: LayerQuantization, operands: Sequence[npt.NDArray[np.float32]]) -> Rows:
    """What each element of a layer's matrices is multiplied by, in the matrices' shapes."""
    lowering = q.node.lowering
    assert isinstance(q.a_format, BlockFormat) and isinstance(q.b_format, BlockFormat)
    rows = lowering.left(operands[0])
    left = blocks.steps(blocks.encoded(q.a_format, rows, -1, float(q.activation_scale)))
    if q.weight_codes is not None:
        return left, lowering.right(blocks.steps(q.weight_codes))
    other = operands[1] if operands[1].ndim > 1 else operands[1][:, None]
    return left, blocks.steps(blocks.encoded(q.b_format, other, -2, float(q.weight_scale[0])))


def _block_ports(
    name: str,
    f: BlockFormat,
    elements: npt.NDArray[np.float64],
    steps: npt.NDArray[np.float64],
    length: int,
) -> dict[str, Codes]:
    """The ports of an operand, (outputs, …), filled up with zeros to ``length`` elements."""
    filled = [np.pad(x, ((0, 0), (0, length - x.shape[1]))) for x in (elements, steps)]
    codes = blocks.of_steps(f, filled[0], filled[1], 1, 1.0)
    ports = {name: codes.elements, f"{name}_scale": codes.scales}
    if codes.micro_exponents is not None:
        ports[f"{name}_micro"] = codes.micro_exponents
    return ports


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
