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
from optimizer.ptq.asymmetric import unsigned
from optimizer.ptq.grid import on_grid
from optimizer.ptq.methods import PLAIN, Methods
from optimizer.ptq.range_problem import RangeProblem
from optimizer.quantization import LayerQuantization
from optimizer.sampling import Sample, nonzero_sample

#: Activations a layer that choose the range.
SAMPLE = 2**15

#: A format for each layer: activations, weights.
Pairs = Mapping[str, tuple[Scalar, Scalar]]


@dataclass(frozen=True, eq=False)
class Calibration:
    """What was calibrated, by layer and format.

    ``activation_scales``: of each layer's activations, from each method of ranges, the first one
    first; ``weight_scales``: of its weights, float64 (output channels,), or of its other
    activations, (1,), likewise. ``non_negative``: the layers whose activations are never below
    zero for the calibration images. ``fixed_scales``: scales are powers of two, and stay so.
    """

    network: Network
    activation_scales: Mapping[tuple[str, Scalar], tuple[np.float32, ...]]
    weight_scales: Mapping[tuple[str, Scalar], tuple[npt.NDArray[np.float64], ...]]
    non_negative: frozenset[str] = frozenset()
    fixed_scales: bool = False

    def weight(self, name: str, number_format: Scalar) -> npt.NDArray[np.float64] | None:
        """The weights of a layer as values of the format, float64 (dot length, output channels).

        None for a layer of two activations.
        """
        weight = self.network.layer_node(name).weight
        if weight is None:
            return None
        return on_grid(number_format, weight / self.weight_scales[name, number_format][0])

    def layer(self, name: str, a_format: Scalar, b_format: Scalar) -> LayerQuantization:
        """The operands of the layer called ``name``, each number rounded to the nearest.

        Activations are a, weights b.
        """
        node = self.network.layer_node(name)
        return LayerQuantization(
            node,
            a_format,
            b_format,
            self.activation_scales[name, a_format][0],
            self.weight(name, b_format),
            self.weight_scales[name, b_format][0],
            node.bias,
        )

    def quantization(self, pairs: Pairs) -> dict[str, LayerQuantization]:
        """The operands of every layer that ``pairs`` names."""
        return {name: self.layer(name, a, b) for name, (a, b) in pairs.items()}


def calibrate(
    network: Network,
    images: Inputs,
    formats: Sequence[Scalar],
    workers: int | None = None,
    methods: Methods = PLAIN,
    most: int = SAMPLE,
) -> Calibration:
    """Scales of both operands of every layer in each of ``formats``, and in those of the file.

    Where activations are never negative and ``methods`` has unsigned formats, also in the format of
    as many bits without sign. ``images``: (N, *input shape), the calibration images; InputError
    for another shape, and where the FP32 network gives what is not finite. ``workers``: threads,
    default one a core; ``most``: activations of a layer that choose the range.
    """
    network.require_images(images, "the calibration images")
    samples = _samples(network, images, workers)
    non_negative = frozenset(n.name for n in network.nodes if not samples[n.name, 0].negative)

    def activations(key: tuple[str, Scalar, int]) -> tuple[np.float32, ...]:
        name, f, place = key
        sample = samples[name, place]
        problem = RangeProblem(sample.values[:most, None], np.array([sample.largest]), f)
        return tuple(scale[0] for scale in methods.scales(problem))

    def others(key: tuple[str, Scalar]) -> tuple[npt.NDArray[np.float64], ...]:
        weight = network.layer_node(key[0]).weight
        if weight is None:
            return tuple(np.array([s], np.float64) for s in activations((*key, 1)))
        problem = RangeProblem.of_weights(weight, key[1])
        return tuple(scale.astype(np.float64) for scale in methods.scales(problem))

    keys = [(node.name, f) for node in network.nodes for f in node.tried(formats)]
    left = list(keys)
    if methods.unsigned:
        left += [(name, unsigned(f)) for name, f in keys if name in non_negative]
    left = list(dict.fromkeys(left))
    scales = in_parallel(lambda key: activations((*key, 0)), left, workers)
    activation_scales = dict(zip(left, scales, strict=True))
    weight_scales = dict(zip(keys, in_parallel(others, keys, workers), strict=True))
    for node in network.nodes:  # A format that the file gives has the file's scale.
        a, b = node.given
        if a is not None:
            activation_scales[node.name, a.number_format] = (np.float32(a.scale[0]),)
        if b is not None:
            weight_scales[node.name, b.number_format] = (b.scale,)
    fixed = methods.power_of_two is not None
    return Calibration(network, activation_scales, weight_scales, non_negative, fixed)


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
