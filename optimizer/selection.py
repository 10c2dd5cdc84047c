"""Which methods of post-training quantisation a plan gets: measured, and kept where better.

Three parts of the data have a use each. Calibration images make scales, rounding and biases. What
is kept of them, and which plan is chosen, selection images decide. Test images give the figures,
and decide nothing. Selection and test images are the labelled ones, drawn apart at random.

What a plan loses on selection images is the mean Kullback-Leibler divergence of its softmax from
that of FP32: it ranks plans as their accuracy does (see ``sensitivity``) with a fraction of its
noise. Methods are tried together, since they need each other: the mean of an output that is
corrected alone can do harm where rounding has lost its variance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from hwgen.formats import Format
from optimizer import equalization, inference
from optimizer.calibration import Calibration, Pairs, calibrate
from optimizer.data import ImageData
from optimizer.inputs import Inputs, count, named, taken
from optimizer.network import Network
from optimizer.plan import bits
from optimizer.ptq.asymmetric import unsigned
from optimizer.ptq.methods import Methods, Recipe
from optimizer.quantization import LayerQuantization
from optimizer.refinement import Reference, reference, refined
from optimizer.sensitivity import divergence, log_softmax
from optimizer.stages import Progress

SEED = 3
#: Selection images at most, and at most half of the labelled ones.
SELECTION = 1000
#: Selection images whose divergence is measured, and calibration images that refine.
DIVERGENCE_IMAGES, REFINEMENT_IMAGES = 256, 512
#: Calibration images that make and refine networks with factors of channels.
PROBE_IMAGES = 256
#: Activations of a layer that choose a range there.
PROBE_SAMPLE = 2**13
#: Bits of the weights that a network's factors of channels are chosen with, as near as there are.
PROBE_BITS = 4
#: A divergence in nats from which on nothing is tried: no answer in a thousand changes.
ENOUGH = 3e-4


@dataclass(frozen=True, eq=False)
class Part:
    """Labelled images: (N, *input shape), and int64 (N,)."""

    images: Inputs
    labels: npt.NDArray[np.int64]


def split(length: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Which of ``length`` labelled images select and which test; a single one does both."""
    drawn = np.random.default_rng(SEED).permutation(length)
    size = min(SELECTION, length // 2)
    chosen, others = np.sort(drawn[:size]), np.sort(drawn[size:])
    return (chosen if size else others), others


def parts(data: ImageData) -> tuple[Part, Part]:
    """The selection images and the test images, as ``split`` draws them."""
    chosen, others = split(count(data.test_images))
    return _part(data, chosen), _part(data, others)


def unseen(more: ImageData, data: ImageData) -> Part:
    """The test images of ``more`` that are none of the selection images of ``data``."""
    known = set(_contents(parts(data)[0].images))
    index = [i for i, content in enumerate(_contents(more.test_images)) if content not in known]
    return _part(more, np.array(index, np.intp))


def _contents(images: Inputs) -> list[bytes]:
    """What tells one image from another."""
    arrays = named(images, "").values()
    return [b"".join(array[i].tobytes() for array in arrays) for i in range(count(images))]


def _part(data: ImageData, index: npt.NDArray[np.integer]) -> Part:
    return Part(taken(data.test_images, index), data.test_labels[index])


def _drawn(images: Inputs, most: int) -> Inputs:
    """At most ``most`` of the images, at random: the first ones may all be of one class."""
    drawn = np.random.default_rng(SEED).permutation(count(images))
    return taken(images, np.sort(drawn[:most]))


@dataclass(frozen=True, eq=False)
class Tuned:
    """What a plan gets: ``recipe``, and the divergence of each that was tried, in nats."""

    recipe: Recipe
    divergences: Mapping[Recipe, float]


@dataclass(frozen=True, eq=False)
class Tuner:
    """A calibrated network, and what its plans are tuned with.

    ``images``: selection images (N, *input shape).
    """

    network: Network
    calibration: Calibration
    methods: Methods
    fp32: Reference
    images: Inputs

    @cached_property
    def recipes(self) -> tuple[Recipe, ...]:
        """The combinations that are tried, the plain one first."""
        bias = self.methods.bias
        several = len(self.methods.ranges) > 1
        found = [Recipe(rounding, bias) for rounding in self.methods.roundings]
        found += [Recipe(bias=bias, ranges=several and not bias)]
        return tuple(dict.fromkeys((Recipe(), *found)))

    @cached_property
    def _reference(self) -> npt.NDArray[np.float64]:
        return log_softmax(inference.run(self.network, self.images))

    def divergence(
        self, quantization: Mapping[str, LayerQuantization], network: Network | None = None
    ) -> float:
        """The mean divergence from FP32 on the selection images, nats an image.

        ``network``: another one that computes the same in FP32.
        """
        return float(self.divergences(quantization, network).mean())

    def divergences(
        self, quantization: Mapping[str, LayerQuantization], network: Network | None = None
    ) -> npt.NDArray[np.float64]:
        """The divergence of each image, (images,)."""
        return divergence(
            self._reference, inference.run(network or self.network, self.images, quantization)
        )

    def quantization(
        self, pairs: Pairs, recipe: Recipe, workers: int | None = None
    ) -> dict[str, LayerQuantization]:
        """The operands of every layer in the formats of ``pairs``, made by ``recipe``."""
        if recipe == Recipe():
            return self.calibration.quantization(pairs)
        return refined(self.calibration, self.fp32, pairs, recipe, workers)

    def tuned(
        self, pairs: Pairs, workers: int | None = None
    ) -> tuple[Tuned, dict[str, LayerQuantization]]:
        """The best recipe for the formats of ``pairs``, and the operands that it makes."""
        divergences: dict[Recipe, float] = {}
        best: tuple[Recipe, dict[str, LayerQuantization]] | None = None
        for recipe in self.recipes:
            quantization = self.quantization(pairs, recipe, workers)
            divergences[recipe] = found = self.divergence(quantization)
            if best is None or found < divergences[best[0]]:
                best = (recipe, quantization)
            # The last recipe is a part of those before: it is tried where they do not help.
            helped = best[0] != Recipe() and recipe == self.recipes[-2]
            if helped or divergences[best[0]] < ENOUGH:
                break
        assert best is not None
        if divergences[best[0]] >= ENOUGH and self._may_move(pairs):
            recipe = replace(best[0], asymmetric=True)
            quantization = self.quantization(pairs, recipe, workers)
            divergences[recipe] = self.divergence(quantization)
            if divergences[recipe] < divergences[best[0]]:
                best = (recipe, quantization)
        return Tuned(best[0], divergences), best[1]

    def _may_move(self, pairs: Pairs) -> bool:
        """Whether some layer's activations can have a zero point in these formats."""
        return any((name, a) in self.calibration.zero_points for name, (a, _) in pairs.items())


def tuner(
    network: Network,
    calibration: Calibration,
    data: ImageData,
    methods: Methods,
    workers: int | None = None,
    images: Inputs | None = None,
) -> Tuner:
    """What plans of ``network`` are tuned with; ``images``: other ones that refine."""
    if images is None:
        images = _drawn(data.calibration_images, REFINEMENT_IMAGES)
    fp32 = reference(network, images, workers)
    made = Tuner(
        network, calibration, methods, fp32, _drawn(parts(data)[0].images, DIVERGENCE_IMAGES)
    )
    # Before threads share it.
    _ = made._reference
    return made


# --- formats without sign ---------------------------------------------------------------------


def with_unsigned(calibration: Calibration, pairs: Pairs) -> dict[str, tuple[Format, Format]]:
    """``pairs`` with formats without sign for activations that are never negative."""
    never = calibration.non_negative
    return {name: (unsigned(a) if name in never else a, b) for name, (a, b) in pairs.items()}


# --- factors of channels ----------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Equalized:
    """A network with or without factors of channels, and why.

    ``method``: a name of ``ptq.methods.EQUALIZATIONS``, or None for none; ``divergences``: with
    all layers in one format, in nats, by method.
    """

    network: Network
    method: str | None
    divergences: Mapping[str | None, float]


def equalized(
    network: Network,
    data: ImageData,
    methods: Methods,
    formats: Sequence[Format],
    progress: Progress,
    workers: int | None = None,
) -> Equalized:
    """The network whose channels have the factors that lose least with all layers in one format.

    That is the format of ``formats`` nearest to ``PROBE_BITS`` bits. Factors are only kept where
    the mean of what they win, image by image, is more than its standard error.
    """
    if not methods.equalizations or not equalization.pairs(network):
        return Equalized(network, None, {})
    f = probe_format(formats)
    images = probe_images(data)
    networks: dict[str | None, Network] = {None: network}
    for method in methods.equalizations:
        networks[method] = EQUALIZERS[method](network, images)
    losses: dict[str | None, npt.NDArray[np.float64]] = {}
    for name, candidate in networks.items():
        losses[name] = losses_in(candidate, images, data, methods, f, workers)
        progress(
            f"channels {'as they are' if name is None else name}: divergence "
            f"{losses[name].mean():.4f} with all layers in {f}"
        )
    best = min(losses, key=lambda name: losses[name].mean())
    if not wins(losses[None], losses[best]):
        best = None
    return Equalized(networks[best], best, {name: float(v.mean()) for name, v in losses.items()})


def wins(before: npt.NDArray[np.float64], after: npt.NDArray[np.float64]) -> bool:
    """Whether the mean of what is won, image by image, is more than its standard error."""
    won = before - after
    return bool(won.mean() * np.sqrt(len(won)) > won.std())


def probe_images(data: ImageData) -> Inputs:
    """The calibration images that make networks which are only compared."""
    return _drawn(data.calibration_images, PROBE_IMAGES)


def probe_format(formats: Sequence[Format]) -> Format:
    """The one nearest to ``PROBE_BITS`` bits, of equal ones one of single numbers."""

    def key(f: Format) -> tuple[float, bool, bool]:
        return (abs(bits(f) - PROBE_BITS), f.scale is not None, not f.element.is_integer)

    return min(formats, key=key)


def losses_in(
    network: Network,
    images: Inputs,
    data: ImageData,
    methods: Methods,
    f: Format,
    workers: int | None,
) -> npt.NDArray[np.float64]:
    """Each selection image's divergence with all layers in one format, refined with ``images``."""
    calibration = calibrate(network, images, [f], workers, methods, PROBE_SAMPLE)
    strongest = replace(methods, roundings=methods.roundings[:1])
    made = tuner(network, calibration, data, strongest, workers, images)
    pairs: Pairs = dict.fromkeys(network.layer_nodes, (f, f))
    if methods.unsigned:
        pairs = with_unsigned(calibration, pairs)
    recipe = made.recipes[1] if len(made.recipes) > 1 else Recipe()
    return made.divergences(made.quantization(pairs, recipe, workers))


EQUALIZERS: dict[str, Callable[[Network, Inputs], Network]] = {
    "cross-layer": lambda network, images: equalization.cross_layer(network),
    "smoothquant": equalization.smooth,
}
