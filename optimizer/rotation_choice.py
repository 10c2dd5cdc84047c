"""Whether layers are rotated, which, and in blocks of what size: measured, and kept where better.

A layer is a candidate where the error of its output, with all operands in one format, is less when
it is rotated. The network with all candidates rotated is kept if it loses less of FP32's answers on
selection images, as factors of channels are (``optimizer.selection``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwgen.formats import Format
from optimizer.calibration import calibrate
from optimizer.data import ImageData
from optimizer.inputs import Inputs
from optimizer.network import Network
from optimizer.parallel import in_parallel
from optimizer.ptq.hadamard import SIZES
from optimizer.ptq.methods import Methods
from optimizer.quantization import LayerQuantization
from optimizer.refinement import Reference, reference
from optimizer.rotation import can_rotate, rotated_network
from optimizer.selection import PROBE_SAMPLE, losses_in, probe_format, probe_images, wins
from optimizer.stages import Progress


@dataclass(frozen=True, eq=False)
class Turned:
    """A network, rotated in blocks of ``size`` in some layers or, with None, as it was."""

    network: Network
    size: int | None = None


def turned(
    network: Network,
    data: ImageData,
    methods: Methods,
    formats: Sequence[Format],
    progress: Progress,
    workers: int | None = None,
) -> Turned:
    """The network with the rotations that lose least with all layers in one format."""
    names = [node.name for node in network.nodes if can_rotate(node)]
    if not methods.hadamard or not names:
        return Turned(network)
    f, images = probe_format(formats), probe_images(data)
    fp32 = reference(network, images, workers)
    plain = _errors(network, images, fp32, f, methods, workers)
    networks: dict[int | None, Network] = {None: network}
    for size in SIZES:
        whole = rotated_network(network, names, size)
        errors = _errors(whole, images, fp32, f, methods, workers)
        better = {name for name in names if errors[name] < plain[name]}
        networks[size] = rotated_network(network, better, size)
        progress(
            f"rotation in blocks of {size}: less error in {len(better)} layers of {len(names)}"
        )
    losses: dict[int | None, npt.NDArray[np.float64]] = {}
    for of_size, candidate in networks.items():
        losses[of_size] = losses_in(candidate, images, data, methods, f, workers)
        told = "none" if of_size is None else f"blocks of {of_size}"
        progress(
            f"rotation, {told}: divergence {losses[of_size].mean():.4f} with all layers in {f}"
        )
    best = min(losses, key=lambda size: losses[size].mean())
    if best is None or not wins(losses[None], losses[best]):
        return Turned(network)
    return Turned(networks[best], best)


def _errors(
    network: Network,
    images: Inputs,
    fp32: Reference,
    f: Format,
    methods: Methods,
    workers: int | None,
) -> Mapping[str, float]:
    """The squared error of each layer's output that rounding it alone makes."""
    calibration = calibrate(network, images, [f], workers, methods, PROBE_SAMPLE)
    layers = {name: calibration.layer(name, f, f) for name in fp32.targets}
    made = [name for q in layers.values() for name in q.node.inputs]
    wanted = [name for name in dict.fromkeys(made) if name not in network.input_shapes]
    session = network.session(wanted) if wanted else None

    def of_batch(index: int) -> dict[str, float]:
        values = dict(fp32.feeds[index])
        if session is not None:
            values.update(session.run(values))
        return {
            name: _error(
                q, values[q.node.inputs[0]], fp32.rows[name][index], fp32.targets[name][index]
            )
            for name, q in layers.items()
        }

    batches = list(in_parallel(of_batch, range(len(fp32.feeds)), workers))
    return {name: sum(batch[name] for batch in batches) for name in layers}


def _error(
    q: LayerQuantization,
    x: npt.NDArray[np.float32],
    rows: npt.NDArray[np.intp],
    target: npt.NDArray[np.float32],
) -> float:
    """Of the chosen ``rows`` of a layer with the activations ``x``."""
    assert q.weight is not None
    scaled = q.weight * np.broadcast_to(q.output_scale, q.weight.shape[1:])
    left = q.rounded(q.node.lowering.left(x, rows))
    return float(np.square(left @ q.node.lowering.right(scaled) - target).sum())
