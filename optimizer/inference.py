"""Inference: FP32, or with the quantised numbers and the exact sums of the hardware.

In a quantised layer both operands are values of their number formats (the quantised weights
and activations divided by their scales) and each output is the exact sum of their products: the
same number that the hardware's accumulator holds. It is then multiplied by the scales and the
bias is added, in float64. Everything between the layers is float, computed by onnxruntime.
Sums of blocks are added in float64, which is exact unless scales are very far apart; a layer's
result is a float32.

Where no partial sum of a layer needs more bits than a float32 has, onnxruntime's own operator gives
the exact sums; elsewhere they are ``sim.golden.matmul`` of the layer's matrices.

Images go through in small batches: a layer's tensors then stay in the processor's cache, which
is several times faster than large batches, and the memory does not grow with the data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.formats import BlockFormat
from optimizer.inputs import Inputs
from optimizer.network import Array, Network, Node, Tensors, scores
from optimizer.quantization import LayerQuantization
from sim import golden

#: Images a batch: measured fastest between 4 and 16 for images of 28x28.
BATCH = 8

Quantization = Mapping[str, LayerQuantization]


def matrices(
    q: LayerQuantization, operands: Sequence[Array]
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """What a layer multiplies: (..., rows, dot length) and (..., dot length, columns)."""
    lowering = q.node.lowering
    # Before the patches are copied, where that can be: each activation is converted once then, and
    # not once a window.
    if q.rounds_first:
        left = lowering.left(q.rounded(operands[0]).astype(np.float64))
    else:
        left = q.rounded(lowering.left(operands[0]))
    # A border's zeros are the code that stands for zero.
    left = left + q.zero_point if q.zero_point else left
    if q.weight is not None:
        return left, lowering.right(q.weight)
    b = q.rounded_other(operands[1])
    return left, b if b.ndim > 1 else b[:, None]


def exact_sums(q: LayerQuantization, operands: Sequence[Array]) -> npt.NDArray[np.float64]:
    """The exact sums of a quantised layer, float64 (..., rows, columns) of its matrices.

    They are in units of the product of the scales, with what a zero point adds.
    """
    left, right = (np.swapaxes(matrix, -1, -2) for matrix in matrices(q, operands))
    # Turned, with the places of an image last: the order of its tensor.
    if isinstance(q.a_format, BlockFormat) or isinstance(q.b_format, BlockFormat):
        turned: npt.NDArray[np.float64] = right @ left
    else:
        turned = golden.matmul(q.b_format, q.a_format, right, left)
    return np.swapaxes(turned, -1, -2)


def run_layer(q: LayerQuantization, operands: Sequence[Array]) -> Array:
    """The output of a quantised layer, float32; ``operands``: a, and b where it is no weight."""
    node, bias = q.node, q.bias
    sums: npt.NDArray[Any]
    if q.exact_in_float32:
        rounded = [q.rounded(operands[0]), *map(q.rounded_other, operands[1:])]
        values = dict(zip(q.product.inputs, rounded, strict=False))
        sums = q.product.run(values)[node.protos[0].output[0]]
    else:
        sums = node.lowering.output(exact_sums(q, operands), operands[0].shape)
        bias = q.unit_bias if q.zero_point else bias
    scale = q.output_scale
    result = np.multiply(
        sums, scale if len(scale) == 1 else node.lowering.per_channel(scale), dtype=np.float64
    )
    if bias is not None:
        result += node.lowering.per_channel(bias)
    return np.asarray(result, np.float32)


def _forward(
    network: Network, values: Tensors, quantization: Quantization, until: Node | None = None
) -> None:
    """Computes into ``values``, up to the layer ``until``; what nothing needs any more is dropped.

    A layer that ``quantization`` does not name is computed in FP32.
    """

    def drop(names: Sequence[str], step: int) -> None:
        for name in names:
            if network.last_uses[name] == step:
                values.pop(name, None)

    for i, part in enumerate(network.parts):
        if part is not None:
            values.update(part.run(values))
            drop(part.inputs, 2 * i)
        if i == len(network.nodes) or network.nodes[i] is until:
            return
        node = network.nodes[i]
        if node.name in quantization:
            operands = [values[name] for name in node.inputs]
            values[node.output] = run_layer(quantization[node.name], operands)
        else:
            values.update(network.layer_sessions[i].run(values))
        drop(node.inputs, 2 * i + 1)


def layer_inputs(
    network: Network, images: Inputs, quantization: Quantization, layer: str
) -> list[Array]:
    """What reaches ``layer`` in the quantised network, before the layer's own rounding.

    Of ``images`` that make one batch.
    """
    node = network.layer_node(layer)
    ((_, values),) = network.batches(images, 2**31)
    _forward(network, values, quantization, node)
    return [values[name] for name in node.inputs]


def run(network: Network, images: Inputs, quantization: Quantization | None = None) -> Array:
    """Logits, float32 (N, classes), of ``images``.

    ``images``: (N, *network.input_shape), or such an array for each input by name. A layer that
    ``quantization`` does not name is computed in FP32, and so are all without it. InputError for
    images of another shape than the network's input.
    """
    network.require_images(images)
    outputs = []
    for length, values in network.batches(images, BATCH):
        if quantization:
            _forward(network, values, quantization)
            result = values[network.output]
        else:
            result = network.whole.run(values)[network.output]
        outputs.append(scores(result)[:length])
    return np.concatenate(outputs)


def correct(logits: Array, labels: npt.NDArray[np.integer]) -> int:
    """How many images the logits classify as labelled."""
    return int(np.count_nonzero(logits.argmax(axis=1) == labels))
