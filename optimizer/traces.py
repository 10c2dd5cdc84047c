"""What cheap predictions of damage read of each layer: noise of rounding, curvature, similarity.

Curvature without gradients. z'Hz of a Rademacher vector z is the trace of H in the mean
(Hutchinson; HAWQ-V2, arXiv 1911.03852, section 3.3), and second differences of the loss along z
give it from forward passes alone:

- ``hessian``: of the cross-entropy against the FP32 network's own answers,
  (L(w + ez) - 2 L(w) + L(w - ez)) / e²;
- ``fisher``: of the Kullback-Leibler divergence from the FP32 network's answers, whose value and
  slope are zero at w, so that D(w + ez) is e²/2 z'Fz; F is the Fisher information.

e is ``STEP`` of the operand's root mean square. The cost is 2 passes a probe and operand from the
layer to the scores, over all images.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwgen.formats import Format, Scalar
from optimizer.calibration import Calibration
from optimizer.inputs import Inputs, count
from optimizer.network import OPERANDS, Array, Network, Node, Tensors, scores
from optimizer.parallel import in_parallel
from optimizer.ptq.grid import on_grid
from optimizer.runtime import Session
from optimizer.sensitivity import divergence, log_softmax

#: Images a batch.
BATCH = 16
#: The length of a probe's step, as a part of the operand's root mean square.
STEP = 0.05
SEED = 11

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Operand:
    """One operand of a layer; sums are means over the images.

    ``size``: its numbers; ``power``: the sum of their squares; ``noise``: of the squares of what
    rounding to a format changes; ``fisher``, ``hessian``: traces.
    """

    size: int
    power: float
    noise: Mapping[Format, float]
    fisher: float
    hessian: float


@dataclass(frozen=True, eq=False)
class Traits:
    """A layer: its operands, activations first, and ``macs`` an image.

    ``likeness``: of its activations to those of the other layers, each 0 to 1, summed.
    """

    name: str
    macs: int
    operands: tuple[Operand, Operand]
    likeness: float


def passes(network: Network, probes: int) -> int:
    """Passes of each image from a layer to the scores that ``traits`` takes."""
    return sum(1 + 4 * probes for _ in network.nodes)


def traits(
    network: Network,
    images: Inputs,
    calibration: Calibration,
    formats: Mapping[str, tuple[Sequence[Scalar], Sequence[Scalar]]],
    probes: int,
    workers: int | None = None,
) -> list[Traits]:
    """The traits of every layer, with ``formats`` of its operands, from ``images`` (N, ...)."""
    batches = list(enumerate(network.batches(images, BATCH)))
    made = []
    grams: list[Floats] = []
    for place, (node, layer) in enumerate(zip(network.nodes, network.layers, strict=True)):
        look = _Look.of(network, node, calibration, formats[node.name], probes, place)
        parts = list(in_parallel(look.at, batches, workers))
        rows = np.concatenate([p.rows for p in parts])
        gram = (rows @ rows.T).astype(np.float64)
        grams.append(gram / np.linalg.norm(gram))
        sums = np.sum([p.sums for p in parts], axis=0) / count(images)
        made.append((node.name, layer.macs, _operands(sums, formats[node.name], parts[0].sizes)))
    likeness = np.array([[float((a * b).sum()) for b in grams] for a in grams])
    return [Traits(*known, float(row.sum() - 1)) for known, row in zip(made, likeness, strict=True)]


def _operands(
    sums: Floats, formats: tuple[Sequence[Scalar], Sequence[Scalar]], sizes: tuple[int, int]
) -> tuple[Operand, Operand]:
    rest: Iterator[float] = iter(sums.tolist())
    first, second = (
        Operand(size, next(rest), {f: next(rest) for f in tried}, next(rest), next(rest))
        for size, tried in zip(sizes, formats, strict=True)
    )
    return first, second


@dataclass(frozen=True, eq=False)
class _Seen:
    """Of a batch: activations as rows, (images, n); ``sums`` in the order of ``Operand``."""

    rows: Array
    sums: Floats
    sizes: tuple[int, int]


@dataclass(frozen=True, eq=False)
class _Look:
    """A layer, and what looks at it need."""

    network: Network
    node: Node
    calibration: Calibration
    formats: tuple[Sequence[Scalar], Sequence[Scalar]]
    before: Session
    rest: Session
    probes: int
    place: int

    @staticmethod
    def of(
        network: Network,
        node: Node,
        calibration: Calibration,
        formats: tuple[Sequence[Scalar], Sequence[Scalar]],
        probes: int,
        place: int,
    ) -> _Look:
        rest = network.rest(node)
        needed = dict.fromkeys((*node.inputs, *rest.inputs, network.output))
        made = [n for n in needed if n not in OPERANDS and n not in network.input_shapes]
        session = network.session(made)
        return _Look(network, node, calibration, formats, session, rest, probes, place)

    def at(self, batch: tuple[int, tuple[int, Tensors]]) -> _Seen:
        """What one batch shows; weights count once an image."""
        index, (length, feed) = batch
        values = {**feed, **self.before.run(feed)}
        operands = [values[name] for name in self.node.inputs]
        if self.node.weight is not None:
            operands.append(self.node.lowering.weight(self.node.weight))
        values |= dict(zip(OPERANDS, operands, strict=True))
        reference = log_softmax(scores(values[self.network.output])[:length])
        rng = np.random.default_rng([SEED, self.place, index])
        sums: list[float] = []
        sizes = []
        whole = len(next(iter(feed.values())))
        for which, x in enumerate(operands):
            is_weight = which == 1 and self.node.weight is not None
            # Of activations the part of one image; all images share a weight.
            share = length if is_weight else length / whole
            sizes.append(x.size if is_weight else x.size // whole)
            sums.append(float(np.square(x, dtype=np.float64).sum()) * share)
            for f in self.formats[which]:
                change = self._rounded(which, f, x) - x
                sums.append(float(np.square(change, dtype=np.float64).sum()) * share)
            sums += self._traces(which, x, values, reference, rng)
        rows = operands[0].reshape(whole, -1)[:length]
        return _Seen(rows, np.array(sums), (sizes[0], sizes[1]))

    def _rounded(self, which: int, f: Scalar, x: Array) -> Array:
        name = self.node.name
        if which == 1 and self.node.weight is not None:
            weight = self.calibration.weight(name, f)
            assert weight is not None
            scaled = (weight * self.calibration.weight_scales[name, f][0]).astype(np.float32)
            return self.node.lowering.weight(scaled)
        scales = self.calibration
        scale = (
            scales.activation_scales[name, f][0]
            if which == 0
            else np.float32(scales.weight_scales[name, f][0][0])
        )
        return on_grid(f, x / scale) * scale

    def _traces(
        self, which: int, x: Array, values: Tensors, reference: Floats, rng: np.random.Generator
    ) -> tuple[float, float]:
        """The traces of Fisher information and Hessian for one operand, summed over the images."""
        step = STEP * float(np.sqrt(np.square(x, dtype=np.float64).mean())) or 1.0
        fisher = hessian = 0.0
        answers = reference.argmax(axis=1)
        at = np.arange(len(answers))
        middle = -reference[at, answers]
        for _ in range(self.probes):
            z = rng.choice(np.array([-1, 1], np.float32), x.shape) * np.float32(step)
            ends = []
            for moved in (x + z, x - z):
                logits = self.rest.run({**values, OPERANDS[which]: moved})[self.network.output]
                logits = scores(logits)[: len(answers)]
                fisher += float(divergence(reference, logits).sum())
                ends.append(-log_softmax(logits)[at, answers])
            hessian += float((ends[0] - 2 * middle + ends[1]).sum())
        # Two steps a probe; a divergence is half of e² z'Fz.
        return fisher / (self.probes * step**2), hessian / (self.probes * step**2)
