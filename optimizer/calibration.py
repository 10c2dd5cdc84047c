"""Every layer's operands in every candidate format, from calibration images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwgen.errors import InputError
from hwgen.formats import Scalar
from optimizer.inference import BATCH
from optimizer.inputs import Inputs
from optimizer.network import Network
from optimizer.parallel import in_parallel
from optimizer.quantization import (
    SAMPLE,
    LayerQuantization,
    activation_scale,
    best_scales,
)
from optimizer.sampling import Sample, nonzero_sample

#: A format for each layer: activations, weights.
Pairs = Mapping[str, tuple[Scalar, Scalar]]


@dataclass(frozen=True, eq=False)
class Calibration:
    """What was calibrated, by layer and format.

    ``activation_scales``: of each layer's activations; ``weight_scales``: of its weights, float64
    (output channels,), or of its other activations, (1,).
    """

    network: Network
    activation_scales: Mapping[tuple[str, Scalar], np.float32]
    weight_scales: Mapping[tuple[str, Scalar], npt.NDArray[np.float64]]

    def weight(self, name: str, number_format: Scalar) -> npt.NDArray[np.float64] | None:
        """The weights of a layer as values of the format, float64 (dot length, output channels).

        None for a layer of two activations.
        """
        weight = self.network.layer_node(name).weight
        if weight is None:
            return None
        return number_format.quantize(weight / self.weight_scales[name, number_format])

    def layer(self, name: str, a_format: Scalar, b_format: Scalar) -> LayerQuantization:
        """The operands of the layer called ``name``: activations are a, weights b."""
        return LayerQuantization(
            self.network.layer_node(name),
            a_format,
            b_format,
            self.activation_scales[name, a_format],
            self.weight(name, b_format),
            self.weight_scales[name, b_format],
        )

    def quantization(self, pairs: Pairs) -> dict[str, LayerQuantization]:
        """The operands of every layer that ``pairs`` names."""
        return {name: self.layer(name, a, b) for name, (a, b) in pairs.items()}


def calibrate(
    network: Network,
    images: Inputs,
    formats: Sequence[Scalar],
    workers: int | None = None,
) -> Calibration:
    """Scales of both operands of every layer in each of ``formats``.

    ``images``: (N, *input shape), the calibration images; InputError for another shape, and where
    the FP32 network gives what is not finite. ``workers``: threads, default one a core.
    """
    network.require_images(images, "the calibration images")
    samples = _samples(network, images, workers)
    keys = [(node.name, f) for node in network.nodes for f in formats]
    scales = in_parallel(lambda key: activation_scale(key[1], samples[key[0], 0]), keys, workers)
    activation_scales = dict(zip(keys, scales, strict=True))

    def other(key: tuple[str, Scalar]) -> npt.NDArray[np.float64]:
        weight = network.layer_node(key[0]).weight
        if weight is None:
            return np.array([activation_scale(key[1], samples[key[0], 1])], np.float64)
        return best_scales(key[1], weight).astype(np.float64)

    weight_scales = dict(zip(keys, in_parallel(other, keys, workers), strict=True))
    return Calibration(network, activation_scales, weight_scales)


def _samples(
    network: Network, images: Inputs, workers: int | None
) -> dict[tuple[str, int], Sample]:
    """A sample of each operand of each layer that is no weight, by layer and place."""
    wanted = {(node.name, i): name for node in network.nodes for i, name in enumerate(node.inputs)}
    made = [n for n in dict.fromkeys(wanted.values()) if n not in network.input_shapes]
    session = network.session(made) if made else None
    batches = list(network.batches(images, BATCH))
    firsts = np.cumsum([0, *(length for length, _ in batches)])

    def of_batch(index: int) -> dict[tuple[str, int], Sample]:
        length, feed = batches[index]
        values = feed if session is None else {**feed, **session.run(feed)}
        result = {}
        for key, name in wanted.items():
            tensor = values[name]
            images_there = len(next(iter(feed.values())))
            whole = len(tensor) if len(tensor) % images_there else images_there
            if tensor.ndim == 4:  # Channels last, the order in which the shipped plans were drawn.
                tensor = tensor.transpose(0, 2, 3, 1)
            rows = tensor.reshape(whole, -1)[: length if whole == images_there else None]
            if not np.isfinite(rows).all():
                raise InputError(
                    f"layer {key[0]!r} of network {network.name} sees numbers that are NaN or "
                    "infinite for the calibration images: check that the images are scaled as they "
                    "were in training"
                )
            result[key] = nonzero_sample(rows, int(firsts[index]), SAMPLE)
        return result

    samples: dict[tuple[str, int], Sample] = {}
    for batch_samples in in_parallel(of_batch, range(len(batches)), workers):
        for key, sample in batch_samples.items():
            samples[key] = samples[key].merged(sample, SAMPLE) if key in samples else sample
    return samples
