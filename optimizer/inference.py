"""Inference in numpy: FP32, or with the quantised numbers and the exact sums of the hardware.

In a quantised layer both operands are values of their number formats (the quantised weights
and activations divided by their scales) and each output is ``sim.golden.matmul`` of them: the
same number that the hardware's accumulator holds. It is then multiplied by the scales and the
bias is added, in float64. Everything between the layers is float32.

Images go through in small batches: a layer's patches then stay in the processor's cache, which
is several times faster than large batches, and the memory does not grow with the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from optimizer.network import Array, Network, Node
from optimizer.operators import OPERATORS, layer_operand
from optimizer.quantization import LayerQuantization
from sim import golden

#: Images a batch: measured fastest between 4 and 16 for images of 28x28.
BATCH = 8

Quantization = Mapping[str, LayerQuantization]


def to_internal(images: npt.NDArray[Any]) -> Array:
    """Images (N, C, H, W) or features (N, F), any float type, to this package's axis order."""
    values = np.asarray(images, dtype=np.float32)
    return np.ascontiguousarray(values.transpose(0, 2, 3, 1)) if values.ndim == 4 else values


def quantized_operand(
    node: Node, x: Array, quantization: LayerQuantization
) -> tuple[npt.NDArray[Any], tuple[int, ...]]:
    """The layer's left matrix (rows, dot length) in values of the activation format, and its shape.

    The shape is that of the layer's output without its channels.
    """
    # Before the patches are copied: each activation is rounded once, not once a window.
    scaled = x / quantization.activation_scale
    return layer_operand(node, quantization.a_format.quantize(scaled, dtype=np.float32))


def exact_sums(
    node: Node, x: Array, quantization: LayerQuantization
) -> tuple[npt.NDArray[np.float64], tuple[int, ...]]:
    """The exact sums of a quantised layer, float64 (rows, output channels), and its output's shape.

    The shape is without the channels; sums are in units of the product of the scales.
    """
    operand, shape = quantized_operand(node, x, quantization)
    q = quantization
    return golden.matmul(q.a_format, q.b_format, operand, q.weight), shape


def run_node(node: Node, inputs: list[Array], quantization: LayerQuantization | None) -> Array:
    """The output of ``node``, float32; in FP32 without ``quantization``."""
    if quantization is None:
        return OPERATORS[node.op].run(node, *inputs)
    sums, shape = exact_sums(node, inputs[0], quantization)
    sums *= quantization.output_scale
    if node.bias is not None:
        sums += node.bias
    return sums.astype(np.float32).reshape(*shape, -1)


def all_values(network: Network, batch: npt.NDArray[Any]) -> dict[str, Array]:
    """Every tensor of the FP32 network for one batch of images, by name."""
    values = {network.input: to_internal(batch)}
    for node in network.nodes:
        values[node.output] = run_node(node, [values[name] for name in node.inputs], None)
    return values


def resume(network: Network, nodes: tuple[Node, ...], values: Mapping[str, Array]) -> Array:
    """The network's output in FP32, computing only ``nodes``; ``values`` has all other tensors."""
    tensors = dict(values)
    for node in nodes:
        tensors[node.output] = run_node(node, [tensors[name] for name in node.inputs], None)
    return tensors[network.output]


def layer_input(
    network: Network, images: npt.NDArray[Any], quantization: Quantization, layer: str
) -> Array:
    """What reaches ``layer`` in the quantised network, before the layer's own rounding."""
    target = network.layer_node(layer)
    values = {network.input: to_internal(images)}
    for node in network.nodes:
        if node is target:
            break
        inputs = [values[name] for name in node.inputs]
        values[node.output] = run_node(node, inputs, quantization.get(node.name))
    return values[target.inputs[0]]


def run(
    network: Network, images: npt.NDArray[Any], quantization: Quantization | None = None
) -> Array:
    """Logits, float32 (N, classes), of ``images``.

    ``images``: (N, *network.input_shape), that is (N, C, H, W) or (N, F). A layer that
    ``quantization`` does not name is computed in FP32, and so are all without it. InputError for
    images of another shape than the network's input.
    """
    network.require_images(images)
    by_layer = quantization or {}
    last_use = {name: i for i, node in enumerate(network.nodes) for name in node.inputs}
    outputs = []
    for start in range(0, len(images), BATCH):
        values = {network.input: to_internal(images[start : start + BATCH])}
        for index, node in enumerate(network.nodes):
            inputs = [values[name] for name in node.inputs]
            values[node.output] = run_node(node, inputs, by_layer.get(node.name))
            for name in node.inputs:
                if last_use[name] == index:
                    values.pop(name, None)
        result = values[network.output]
        outputs.append(result.reshape(len(result), -1))
    return np.concatenate(outputs)


def correct(logits: Array, labels: npt.NDArray[np.integer]) -> int:
    """How many images the logits classify as labelled."""
    return int(np.count_nonzero(logits.argmax(axis=1) == labels))
