"""From a trained network, data and a target to the accuracy-versus-area Pareto front."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import cost_models
from hwgen.errors import InputError
from hwgen.fields import require_instance
from optimizer import (
    candidates,
    evaluation,
    inference,
    rotation,
    rotation_choice,
    selection,
    sensitivity,
    sizing,
)
from optimizer.ablation import Step, ablation
from optimizer.calibration import Calibration, calibrate
from optimizer.data import ImageData
from optimizer.inference import Quantization
from optimizer.inputs import Inputs, count, taken
from optimizer.network import Network
from optimizer.parallel import in_parallel
from optimizer.plan import Accuracy, LayerCheck, Plan
from optimizer.ptq.methods import HADAMARD
from optimizer.rotation import RotationCost
from optimizer.selection import Part
from optimizer.settings import Settings as Settings
from optimizer.settings import require_candidates as require_candidates
from optimizer.settings import settings as settings
from optimizer.stages import Progress, Stages

SENSITIVITY_SEED = 1


@dataclass(frozen=True, eq=False)
class Exploration:
    """The result of an exploration; all accuracies are measured on the same images.

    ``network``: equalised, if that is among the methods kept, by the method ``equalization``, and
    some of its layers rotated, likewise;
    ``quantization``: the chosen plan's operands. ``fp32``: on the test images, which decide
    nothing; ``fp32_selection``: on those that do.
    ``points``: every evaluated plan: the search's front by falling LUTs, then those of the
    ``references``, plans with one format, that the candidates allow; ``front``: those that none
    of them beats in selection accuracy and LUTs, and that are tested, as the references are;
    ``chosen``: the cheapest of the front within the allowed drop, or else the most accurate, as
    ``reason`` says, and ``unmet`` if it is not what was asked for. ``ablation``: what each method
    of post-training quantisation brought to it. ``warnings``: signs that network and data do not
    belong together. ``seconds``: by stage.
    ``checks``: of the chosen plan's Verilog. ``full_test``: FP32 and the chosen plan on a larger
    test set. ``choices``: each datapath's layers in every pair of formats that was priced.
    """

    network: Network
    calibration: Calibration
    quantization: Quantization
    settings: Settings
    data_name: str
    calibration_images: int
    fp32: Accuracy
    fp32_selection: Accuracy
    points: tuple[Plan, ...]
    front: tuple[Plan, ...]
    references: Mapping[str, Plan]
    chosen: Plan
    reason: str
    unmet: str | None = None
    warnings: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    checks: tuple[LayerCheck, ...] = ()
    full_test: FullTest | None = None
    equalization: str | None = None
    ablation: tuple[Step, ...] = ()
    choices: tuple[candidates.Choices, ...] = ()

    @property
    def rotations(self) -> tuple[RotationCost, ...]:
        """What the rotations of activations take at run time, by layer."""
        return rotation.costs(self.network)

    @property
    def sensitivity_images(self) -> int:
        """How many images measured the sensitivities: at most as many as were asked for."""
        return min(self.settings.sensitivity_images, self.calibration_images)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types: what ``plan.json`` holds."""
        settings = dataclasses.asdict(self.settings)
        settings["sensitivity_images"] = self.sensitivity_images
        settings["formats"] = [str(f) for f in self.settings.formats]
        settings["ptq"] = list(self.settings.ptq.names)
        return {
            "network": self.network.name,
            "data": self.data_name,
            "test_images": self.fp32.images,
            "calibration_images": self.calibration_images,
            "settings": settings,
            "warnings": list(self.warnings),
            "float_operators": [dataclasses.asdict(f) for f in self.network.float_operators],
            "float_share": self.network.float_share,
            "fp32_accuracy": self.fp32.to_dict(),
            "fp32_selection_accuracy": self.fp32_selection.to_dict(),
            "equalization": self.equalization,
            "rotations": [dataclasses.asdict(cost) for cost in self.rotations],
            "ablation": [step.to_dict() for step in self.ablation],
            "chosen": self.chosen.to_dict(),
            "reason": self.reason,
            "unmet": self.unmet,
            "front": [plan.to_dict() for plan in self.front],
            "references": {name: plan.to_dict() for name, plan in self.references.items()},
            "checks": [dataclasses.asdict(check) for check in self.checks],
            "full_test": self.full_test.to_dict() if self.full_test else None,
            "seconds": dict(self.seconds),
        }


@dataclass(frozen=True)
class FullTest:
    """FP32 and the chosen plan on a larger set, ``data_name``, without the selection images."""

    data_name: str
    fp32: Accuracy
    chosen: Accuracy

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "data": self.data_name,
            "fp32_accuracy": self.fp32.to_dict(),
            "chosen_accuracy": self.chosen.to_dict(),
        }


def full_test(e: Exploration, part: Part, name: str, workers: int | None = None) -> FullTest:
    """FP32 and the chosen plan of an exploration on all images of ``part``, called ``name``."""
    size = 16 * inference.BATCH * (e.network.batch or 1)

    def measured(start: int) -> tuple[Accuracy, Accuracy]:
        index = slice(start, start + size)
        images = Part(taken(part.images, index), part.labels[index])
        return (
            evaluation.accuracy(e.network, images, None),
            evaluation.accuracy(e.network, images, e.quantization),
        )

    pairs = list(in_parallel(measured, range(0, len(part.labels), size), workers))
    total = [sum((pair[k] for pair in pairs), Accuracy(0, 0)) for k in (0, 1)]
    return FullTest(name, *total)


def sizer_of(target: str, predict: sizing.Predict | None) -> sizing.Sizer:
    """Asks ``predict``, or the cost model of this project for ``target``."""
    if predict is not None:
        return sizing.Sizer(lambda specs: map(predict, specs))
    return sizing.Sizer(lambda specs: cost_models.predict_each(specs, target))


def explore(
    network: Network,
    data: ImageData,
    settings: Settings,
    *,
    predict: sizing.Predict | None = None,
    progress: Progress = lambda text: None,
    workers: int | None = None,
    known: Sequence[Plan] = (),
) -> Exploration:
    """The front of accuracy against LUTs, every point really evaluated on the test images.

    Its stages are public functions that can be called one by one. ``predict``: LUTs of a spec,
    default the project's cost model for the target; ``progress`` gets lines of text; ``workers``:
    threads, default one a core; ``known``: plans of this network and data that were evaluated
    already, to choose from too. InputError for what cannot be used. It is long, as it names every
    stage and every field of the result.
    """
    _require_all(network, data, settings)
    stages, sizer = Stages(progress), sizer_of(settings.target, predict)
    fp32 = _baseline(network, data, stages, workers)
    candidates.require_price(network, settings, sizer)
    tried = settings.ptq, settings.formats
    with stages.timed("equalization"):
        equalized = selection.equalized(network, data, *tried, progress, workers)
    with stages.timed("rotation"):
        turned = rotation_choice.turned(equalized.network, data, *tried, progress, workers)
    calibration, choices, plans = planned(turned.network, data, settings, sizer, stages, workers)
    others = candidates.reference_plans(turned.network, choices, settings)
    progress(f"{sizer.predictions} units predicted; front of {len(plans)} points")
    with stages.timed("evaluation"):
        tuner = selection.tuner(turned.network, calibration, data, settings.ptq, workers)
        evaluated, references = evaluation.evaluate_front(
            tuner, data, plans, others, settings, fp32.selection, progress, workers
        )
    positive = _positive(calibration, settings)
    fitting = candidates.allowed(turned.network, references, settings, sizer, positive)
    points = (*evaluated, *known, *fitting)
    front = evaluation.accuracy_front(points)
    chosen, reason, unmet = _decided(front, fp32, settings, sizer)
    changed = {} if equalized.method is None else {equalized.method: equalized.network}
    changed |= {} if turned.size is None else {HADAMARD: turned.network}
    with stages.timed("ablation"):
        assert chosen.recipe is not None
        quantization = tuner.quantization(chosen.pairs, chosen.recipe, workers)
        steps = ablation(network, changed, tuner, data, chosen, workers)
    return Exploration(
        network=turned.network,
        calibration=calibration,
        quantization=quantization,
        settings=settings,
        data_name=data.name,
        calibration_images=count(data.calibration_images),
        fp32=fp32.test,
        fp32_selection=fp32.selection,
        points=points,
        front=front,
        references=references,
        chosen=chosen,
        reason=reason,
        unmet=unmet,
        warnings=fp32.warnings,
        seconds=stages.seconds,
        equalization=equalized.method,
        ablation=steps,
        choices=tuple(choices),
    )


def _baseline(
    network: Network, data: ImageData, stages: Stages, workers: int | None
) -> evaluation.Baseline:
    """FP32, and what it says of network and data.

    First of the long work: what does not fit together is said as soon as it is known.
    """
    with stages.timed("FP32"):
        fp32 = evaluation.baseline(network, data, workers)
    for text in fp32.warnings:
        stages.progress(f"WARNING: {text}")
    return fp32


def _decided(
    front: Sequence[Plan], fp32: evaluation.Baseline, settings: Settings, sizer: sizing.Sizer
) -> tuple[Plan, str, str | None]:
    """The plan that is chosen, why, and what was asked for that it does not meet, if anything."""
    chosen, reason, enough = evaluation.choose(front, fp32.selection, settings)
    if over := candidates.exceeded(chosen, settings, sizer):
        reason = _does_not_fit(settings, over)
        return chosen, reason, reason
    return chosen, reason, None if enough or settings.min_accuracy is None else reason


def _does_not_fit(settings: Settings, over: str) -> str:
    """That even the smallest plan takes too much."""
    where = "within the limits" if settings.device is None else f"{settings.device}"
    return (
        f"no plan fits {where} at {settings.fps:g} images/s: this is the smallest, and takes "
        f"{over}; lower the frame rate, raise the clock or the limits"
    )


def _require_all(network: Network, data: ImageData, settings: Settings) -> None:
    """InputError for what can be refused before any work."""
    require_instance("settings", settings, Settings, "what optimizer.explore.settings returns")
    require_candidates(settings)
    require_fitting(network, data)
    candidates.require_arrays(network, settings)


def _positive(calibration: Calibration, settings: Settings) -> candidates.Positive:
    """The layers that get formats without sign."""
    return calibration.non_negative if settings.ptq.unsigned else candidates.NONE


def planned(
    network: Network,
    data: ImageData,
    settings: Settings,
    sizer: sizing.Sizer,
    stages: Stages,
    workers: int | None,
) -> tuple[Calibration, list[candidates.Choices], list[Plan]]:
    """All but the accuracies: the calibration, what could be chosen, and the search's front."""
    with stages.timed("calibration"):
        calibration = calibrate(
            network, data.calibration_images, settings.tried, workers, settings.ptq
        )
    positive = _positive(calibration, settings)
    with stages.timed("cost prediction"):
        priced = [
            candidates.price(network, settings, sizer, positive, worth)
            for worth in settings.dsp_worths
        ]
    with stages.timed("sensitivity"):
        damages = sensitivity.measure(
            network,
            sensitivity_images(data, settings),
            calibration,
            settings.tried,
            stages.progress,
            workers,
            candidates.activation_formats(network, settings, positive),
        )
    ways = [candidates.choices_of(network, settings, way, damages) for way in priced]
    with stages.timed("search"):
        plans = candidates.search(network, ways, settings, sizer, positive)
    # The nearest where none fits.
    plans = plans or [candidates.smallest(network, ways[0], settings, positive)]
    return calibration, ways[0], plans


def require_fitting(network: Network, data: ImageData) -> None:
    """InputError unless the network takes the images and has a class for every label."""
    require_instance("network", network, Network, "what optimizer.onnx_import.load returns")
    require_instance("data", data, ImageData, "what optimizer.data.load returns")
    network.require_images(data.calibration_images, "the calibration images")
    network.require_images(data.test_images, "the test images")
    classes = classes_of(network)
    if classes < 2:
        raise InputError(
            f"network {network.name} gives one number an image and no class scores: give one that "
            "has a score for each class"
        )
    highest = int(data.test_labels.max())
    if highest >= classes:
        raise InputError(
            f"the test labels go up to {highest} and network {network.name} has "
            f"{classes} classes (0 to {classes - 1}): give the data that it was trained for"
        )


def sensitivity_images(data: ImageData, settings: Settings) -> Inputs:
    """The calibration images that measure the sensitivities, (N, ...), drawn at random."""
    drawn = np.random.default_rng(SENSITIVITY_SEED).permutation(count(data.calibration_images))
    return taken(data.calibration_images, np.sort(drawn[: settings.sensitivity_images]))


def classes_of(network: Network) -> int:
    """How many classes the network tells apart."""
    return network.classes
