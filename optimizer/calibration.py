"""Every layer's operands in every candidate format, from calibration images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from hwgen.errors import InputError
from hwgen.formats import BlockFormat, Format, Scalar
from hwgen.formats.block_codes import BlockCodes
from optimizer import blocks
from optimizer.inference import BATCH
from optimizer.inputs import Inputs
from optimizer.lowering import TransposedConvolution
from optimizer.network import Array, Network, Node
from optimizer.parallel import in_parallel
from optimizer.ptq.asymmetric import unsigned, zero_point
from optimizer.ptq.grid import on_grid
from optimizer.ptq.methods import PLAIN, Methods
from optimizer.ptq.range_problem import RangeProblem
from optimizer.quantization import LayerQuantization
from optimizer.rotation import Rotated
from optimizer.sampling import Sample, nonzero_sample

#: Activations a layer that choose the range.
SAMPLE = 2**15

#: A format for each layer: activations, weights.
Pairs = Mapping[str, tuple[Format, Format]]
#: A layer's name and a format of one of its operands.
Key = tuple[str, Format]


@dataclass(frozen=True, eq=False)
class Calibration:
    """What was calibrated, by layer and format.

    ``activation_scales``: of each layer's activations, from each method of ranges, the first one
    first; ``weight_scales``: of its weights, float64 (output channels,), or of its other
    activations, (1,), likewise. In block formats these are the tensors' scales.
    ``zero_points``: scales and zero points of activations in integer formats, where they are asked
    for. ``non_negative``: the layers whose activations are never below zero for the calibration
    images. ``fixed_scales``: scales are powers of two, and stay so. ``block_rules``: those that
    blocks of weights may have their scales by, None for the format's own.
    """

    network: Network
    activation_scales: Mapping[Key, tuple[np.float32, ...]]
    weight_scales: Mapping[Key, tuple[npt.NDArray[np.float64], ...]]
    non_negative: frozenset[str] = frozenset()
    fixed_scales: bool = False
    zero_points: Mapping[Key, tuple[np.float32, float]] = field(default_factory=dict)
    block_rules: tuple[str | None, ...] = (None,)

    def weight(self, name: str, number_format: Format) -> npt.NDArray[np.float64] | None:
        """The weights of a layer as values of the format, float64 (dot length, output channels).

        None for a layer of two activations.
        """
        weight = self.network.layer_node(name).weight
        if weight is None:
            return None
        if isinstance(number_format, BlockFormat):
            return blocks.values(self.weight_codes(name, number_format))
        return on_grid(number_format, weight / self.weight_scales[name, number_format][0])

    def weight_codes(
        self, name: str, number_format: BlockFormat, rule: str | None = None
    ) -> BlockCodes:
        """The weights of a layer in blocks along the axis that it sums over.

        ``rule``: that of the scales, None for the format's own.
        """
        weight = self.network.weight(name)
        scale = float(self.weight_scales[name, number_format][0][0])
        return blocks.encoded(number_format, weight, 0, scale, rule)

    def layer(self, name: str, a_format: Format, b_format: Format) -> LayerQuantization:
        """The operands of the layer called ``name``, each number rounded to the nearest.

        Activations are a, weights b.
        """
        node = self.network.layer_node(name)
        codes = None
        if node.weight is not None and isinstance(b_format, BlockFormat):
            codes = self.weight_codes(name, b_format)
        return LayerQuantization(
            node,
            a_format,
            b_format,
            self.activation_scales[name, a_format][0],
            self.weight(name, b_format) if codes is None else blocks.values(codes),
            self.weight_scales[name, b_format][0],
            node.bias,
            weight_codes=codes,
        )

    def quantization(self, pairs: Pairs) -> dict[str, LayerQuantization]:
        """The operands of every layer that ``pairs`` names."""
        return {name: self.layer(name, a, b) for name, (a, b) in pairs.items()}


def calibrate(
    network: Network,
    images: Inputs,
    formats: Sequence[Format],
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

    def activations(key: tuple[str, Format, int]) -> tuple[np.float32, ...]:
        name, f, place = key
        sample = samples[name, place]
        if isinstance(f, BlockFormat):
            return (np.float32(blocks.scale_of_tensor(f, float(sample.largest))),)
        problem = RangeProblem(sample.values[:most, None], np.array([sample.largest]), f)
        return tuple(scale[0] for scale in methods.scales(problem))

    def others(key: Key) -> tuple[npt.NDArray[np.float64], ...]:
        name, f = key
        weight = network.layer_node(name).weight
        if weight is None:
            return tuple(np.array([s], np.float64) for s in activations((name, f, 1)))
        if isinstance(f, BlockFormat):
            return (np.array([blocks.scale_of_tensor(f, float(np.abs(weight).max(initial=0)))]),)
        problem = RangeProblem.of_weights(weight, f)
        return tuple(scale.astype(np.float64) for scale in methods.scales(problem))

    keys = [(node.name, f) for node in network.nodes for f in node.tried(formats)]
    positive = non_negative if methods.unsigned else ()
    without_sign = [(name, unsigned(f)) for name, f in keys if name in positive]
    left = list(dict.fromkeys([*keys, *without_sign]))
    scales = in_parallel(lambda key: activations((*key, 0)), left, workers)
    activation_scales = dict(zip(left, scales, strict=True))
    weight_scales = dict(zip(keys, in_parallel(others, keys, workers), strict=True))
    for node in network.nodes:  # A format that the file gives has the file's scale.
        a, b = node.given
        if a is not None:
            activation_scales[node.name, a.number_format] = (np.float32(a.scale[0]),)
        if b is not None:
            weight_scales[node.name, b.number_format] = (b.scale,)
    asymmetric = left if methods.asymmetric else []
    zero_points = _zero_points(network, asymmetric, samples, methods, most, workers)
    return Calibration(
        network,
        activation_scales,
        weight_scales,
        non_negative,
        methods.power_of_two is not None,
        zero_points,
        methods.block_rules,
    )


def _zero_points(
    network: Network,
    keys: Sequence[Key],
    samples: Mapping[tuple[str, int], Sample],
    methods: Methods,
    most: int,
    workers: int | None,
) -> dict[Key, tuple[np.float32, float]]:
    """Scale and zero point, not 0, of activations in each integer format that can have one."""
    left = [
        (name, f)
        for name, f in keys
        if isinstance(f, Scalar)
        and f.is_integer
        and _may_move(network.layer_node(name))
        # Without sign, and nothing below zero: the zero point is 0.
        and (f.signed or samples[name, 0].negative)
    ]

    def found(key: tuple[str, Scalar]) -> tuple[np.float32, float]:
        sample = samples[key[0], 0]
        ends = float(sample.low), float(sample.high)
        scale, zero = zero_point(key[1], sample.values[:most], *ends)
        # With a larger scale the same zero point leaves room at both ends.
        return methods.allowed(np.array([scale], np.float32))[0], zero

    ranges = zip(left, in_parallel(found, left, workers), strict=True)
    return {key: (scale, zero) for key, (scale, zero) in ranges if zero}


def _may_move(node: Node) -> bool:
    """Whether a zero point of a layer's activations adds a constant to each output channel.

    Not where the other operand are activations, and not where sums have holes; a format that the
    file gives has the file's.
    """
    weighs = node.weight is not None and node.given == (None, None)
    return weighs and not isinstance(node.lowering, TransposedConvolution)


def _seen(node: Node, tensor: Array, images: int) -> Array:
    """What is rounded of a layer's operand: the tensor, or its rotated rows, the images first."""
    if not isinstance(node.lowering, Rotated):
        return tensor
    rows = node.lowering.left(tensor)
    if not hasattr(node.lowering, "groups"):
        return rows
    groups, count, length = rows.shape
    return rows.reshape(groups, images, count // images, length).swapaxes(0, 1)


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
            images_there = len(next(iter(feed.values())))
            tensor = _seen(network.layer_node(key[0]), values[name], images_there)
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
