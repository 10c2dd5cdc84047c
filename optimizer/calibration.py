"""Every layer's operands in every candidate format, from calibration images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.formats import Scalar
from optimizer.inference import BATCH, all_values
from optimizer.network import Network
from optimizer.parallel import in_parallel
from optimizer.quantization import (
    SAMPLE,
    LayerQuantization,
    activation_scale,
    quantize_weight,
)
from optimizer.sampling import Sample, nonzero_sample

#: A format for each layer: activations, weights.
Pairs = Mapping[str, tuple[Scalar, Scalar]]


@dataclass(frozen=True, eq=False)
class Calibration:
    """What was calibrated, by layer and format.

    ``activation_scales``: one a layer; ``weights``: values of the format, float64 (dot length,
    output channels), and their scales, float64 (output channels,).
    """

    activation_scales: Mapping[tuple[str, Scalar], np.float32]
    weights: Mapping[tuple[str, Scalar], tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]

    def layer(self, name: str, a_format: Scalar, b_format: Scalar) -> LayerQuantization:
        """The operands of the layer called ``name``: activations are a, weights b."""
        weight, scale = self.weights[name, b_format]
        return LayerQuantization(
            a_format, b_format, self.activation_scales[name, a_format], weight, scale
        )

    def network(self, pairs: Pairs) -> dict[str, LayerQuantization]:
        """The operands of every layer that ``pairs`` names."""
        return {name: self.layer(name, a, b) for name, (a, b) in pairs.items()}


def calibrate(
    network: Network,
    images: npt.NDArray[Any],
    formats: Sequence[Scalar],
    workers: int | None = None,
) -> Calibration:
    """Activation scales and quantised weights of every layer in each of ``formats``.

    ``images``: (N, *input shape), the calibration images; InputError for another shape.
    ``workers``: threads, default one a core.
    """
    network.require_images(images, "the calibration images")

    def samples_of_batch(first: int) -> dict[str, Sample]:
        values = all_values(network, images[first : first + BATCH])
        return {
            name: nonzero_sample(values[node.inputs[0]], first, SAMPLE)
            for name, node in network.layer_nodes.items()
        }

    samples: dict[str, Sample] = {}
    for batch_samples in in_parallel(samples_of_batch, range(0, len(images), BATCH), workers):
        for name, sample in batch_samples.items():
            samples[name] = samples[name].merged(sample, SAMPLE) if name in samples else sample
    keys = [(name, number_format) for name in network.layer_nodes for number_format in formats]
    scales = in_parallel(lambda key: activation_scale(key[1], samples[key[0]]), keys, workers)
    activation_scales = dict(zip(keys, scales, strict=True))
    quantized = in_parallel(
        lambda key: quantize_weight(key[1], network.weight(key[0])), keys, workers
    )
    return Calibration(activation_scales, dict(zip(keys, quantized, strict=True)))
