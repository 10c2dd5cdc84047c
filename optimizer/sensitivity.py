"""How much one layer in a low-precision format changes the network's answer.

The damage of a format on a layer's weights, or on its activations, is the mean over the
calibration images of the Kullback-Leibler divergence between the softmax of the FP32 network
and that of the network with only this one operand of this one layer quantised. Damages are
taken as additive over operands and layers; the points that the search finds are then evaluated
without that assumption.

On the shipped ResNet-8 and 48 random mixed plans the sum, measured on 128 images, ranks the
plans as the measured divergence does (Spearman 0.985, on 1,000 test images) and as the accuracy
does (0.93); the measured divergence was 1.3 times the sum in the median, 0.8 to 2.6 times at the
extremes. The mean squared error of the logits ranks the plans equally well; the divergence is
kept because it does not change with the scale of the logits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwgen.errors import InputError
from hwgen.formats import Format
from optimizer.calibration import Calibration
from optimizer.inputs import Inputs, count
from optimizer.network import OPERANDS, Array, Network, Node, Tensors, scores
from optimizer.parallel import in_parallel
from optimizer.quantization import rounded, rounds_one_by_one
from optimizer.runtime import Session
from optimizer.stages import Progress

#: Images a batch: twice that of inference, since here the steps are many and short.
BATCH = 16


@dataclass(frozen=True, eq=False)
class Sensitivities:
    """Mean KL divergence in nats an image, by layer and format, of each operand alone."""

    activations: Mapping[tuple[str, Format], float]
    weights: Mapping[tuple[str, Format], float]
    images: int

    def pair(self, layer: str, a_format: Format, b_format: Format) -> float:
        """The damage of both operands of ``layer``, the sum of those of each alone."""
        return self.activations[layer, a_format] + self.weights[layer, b_format]


def log_softmax(logits: Array) -> npt.NDArray[np.float64]:
    """The logarithm of the softmax of each row of ``logits``, float64 (rows, classes)."""
    result: npt.NDArray[np.float64] = logits - logits.max(axis=1, keepdims=True).astype(np.float64)
    result -= np.log(np.exp(result).sum(axis=1, keepdims=True))
    return result


def divergence(reference: npt.NDArray[np.float64], logits: Array) -> npt.NDArray[np.float64]:
    """KL(reference ‖ softmax(logits)) of each row, in nats, float64 (rows,).

    ``reference``: log-probabilities, (rows, classes); ``logits``: (rows, ...).
    """
    other = log_softmax(logits.reshape(len(logits), -1))
    result: npt.NDArray[np.float64] = (np.exp(reference) * (reference - other)).sum(axis=1)
    return result


@dataclass(frozen=True, eq=False)
class _Trials:
    """Every format on both operands of one layer, and what all batches need for it.

    ``formats``: those of the first operand, and those of the other; ``before``: FP32 up to the
    layer, with what else is needed; ``rest``: from both operands to the class scores; ``behind``:
    from the layer's output, where that is needed and not the scores; ``weights``: float32, as the
    ONNX operator takes them, by format, None where the other operand are activations.
    """

    network: Network
    node: Node
    calibration: Calibration
    formats: tuple[Sequence[Format], Sequence[Format]]
    before: Session
    rest: Session
    behind: Session | None
    weights: Mapping[Format | None, Array] | None

    @staticmethod
    def of(
        network: Network,
        node: Node,
        calibration: Calibration,
        formats: tuple[Sequence[Format], Sequence[Format]],
    ) -> _Trials:
        rest, behind = network.rest(node), None
        by_rows = not all(rounds_one_by_one(node, f) for f in formats[0])
        if by_rows and node.output != network.output:
            behind = network.behind(node)
        after = (*rest.inputs, *(behind.inputs if behind else ()))
        needed = dict.fromkeys((*node.inputs, *after, network.output))
        made = [n for n in needed if n not in OPERANDS and n not in network.input_shapes]
        weights = None
        if node.weight is not None:
            weights = {f: _weight(node, calibration, f) for f in (None, *formats[1])}
        return _Trials(
            network, node, calibration, formats, network.session(made), rest, behind, weights
        )

    def damages(self, batch: tuple[int, Tensors]) -> npt.NDArray[np.float64]:
        """The damage to each image's answer, in nats: (images, all formats).

        ``batch``: how many images count, and the network's inputs. The formats of the first operand
        come first.
        """
        length, feed = batch
        values = {**feed, **self.before.run(feed)}
        reference = log_softmax(scores(values[self.network.output])[:length])
        operands = [values[name] for name in self.node.inputs]
        if self.weights is not None:
            operands.append(self.weights[None])
        values |= dict(zip(OPERANDS, operands, strict=True))
        columns = []
        for f in self.formats[0]:
            columns.append(divergence(reference, self._activations(f, operands, values)[:length]))
        for f in self.formats[1]:
            inputs = {**values, OPERANDS[1]: self._others(f, operands)}
            logits = self.rest.run(inputs)[self.network.output]
            columns.append(divergence(reference, scores(logits)[:length]))
        return np.stack(columns, axis=1)

    def _activations(self, f: Format, operands: Sequence[Array], values: Tensors) -> Array:
        """The class scores with the first operand in the format ``f``."""
        node, scale = self.node, self.calibration.activation_scales[self.node.name, f][0]
        if rounds_one_by_one(node, f):
            inputs = {**values, OPERANDS[0]: rounded(f, operands[0], scale) * scale}
            return scores(self.rest.run(inputs)[self.network.output])
        left = rounded(f, node.lowering.left(operands[0]), scale) * scale
        other = operands[1] if node.weight is None else node.lowering.right(node.weight)
        sums = left.astype(np.float32) @ (other if other.ndim > 1 else other[:, None])
        output = node.lowering.output(sums, operands[0].shape)
        if node.bias is not None:
            output = output + node.lowering.per_channel(node.bias)
        inputs = {**values, node.output: output.astype(np.float32)}
        behind = inputs if self.behind is None else self.behind.run(inputs)
        return scores(behind[self.network.output])

    def _others(self, f: Format, operands: Sequence[Array]) -> Array:
        if self.weights is not None:
            return self.weights[f]
        scale = np.float32(self.calibration.weight_scales[self.node.name, f][0][0])
        return (rounded(f, operands[1], scale, axis=-2) * scale).astype(np.float32)


def _weight(node: Node, calibration: Calibration, f: Format | None) -> Array:
    """The weights as the ONNX operator takes them, float32; quantised to ``f`` if there is one."""
    assert node.weight is not None
    if f is None:
        return node.lowering.weight(node.weight)
    values = calibration.weight(node.name, f)
    assert values is not None
    scaled = values * calibration.weight_scales[node.name, f][0]
    return node.lowering.weight(scaled.astype(np.float32))


def measure(
    network: Network,
    images: Inputs,
    calibration: Calibration,
    formats: Sequence[Format],
    progress: Progress = lambda text: None,
    workers: int | None = None,
    activations: Mapping[str, Sequence[Format]] | None = None,
) -> Sensitivities:
    """Measures every format on every layer's activations and weights, one at a time.

    So are those that the file gives to a layer. ``activations``: other formats for the activations
    of the layers that it names.

    ``images``: (N, *input shape). Only the part of the network after the layer is computed again,
    layer by layer, and only one batch of intermediate tensors a worker is in memory. InputError if
    the class scores are not finite.
    """
    batches = list(network.batches(images, BATCH))
    means = []
    tried = {
        node.name: ((activations or {}).get(node.name, node.tried(formats)), node.tried(formats))
        for node in network.nodes
    }
    for i, node in enumerate(network.nodes):
        trials = _Trials.of(network, node, calibration, tried[node.name])
        # Added image by image, not batch by batch: the same mean whatever the batches.
        damages = np.concatenate(list(in_parallel(trials.damages, batches, workers)))
        means.append(damages.mean(axis=0))
        if (i + 1) * 4 // len(network.nodes) > i * 4 // len(network.nodes):
            progress(f"sensitivity: {i + 1} of {len(network.nodes)} layers")
    if not all(np.isfinite(mean).all() for mean in means):
        raise InputError(
            f"network {network.name} gives class scores that are not finite for the calibration "
            "images: check that the images are scaled as they were in training"
        )
    results: tuple[dict[tuple[str, Format], float], ...] = ({}, {})
    for node, mean in zip(network.nodes, means, strict=True):
        firsts, seconds = tried[node.name]
        results[0].update({(node.name, f): float(mean[j]) for j, f in enumerate(firsts)})
        of_others = mean[len(firsts) :]
        results[1].update({(node.name, f): float(of_others[j]) for j, f in enumerate(seconds)})
    return Sensitivities(results[0], results[1], count(images))
