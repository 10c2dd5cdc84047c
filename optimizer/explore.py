"""From a trained network, data and a target to the accuracy-versus-area Pareto front."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import cost_models
import yosys_scripts
from hwgen import formats as number_formats
from hwgen.errors import InputError
from hwgen.fields import check_fields, require_choice, require_instance, shown
from hwgen.formats import Scalar
from hwgen.spec import DotProduct
from optimizer import evaluation, sensitivity, sizing
from optimizer.calibration import Calibration, calibrate
from optimizer.data import ImageData
from optimizer.inputs import Inputs, count, taken
from optimizer.network import Layer, Network
from optimizer.plan import STYLES, Accuracy, LayerCheck, LayerPlan, Plan
from optimizer.search import pareto_front
from optimizer.stages import Progress, Stages

#: One format for the whole network, as reference.
REFERENCES = {"all-INT8": "int8", "all-INT4": "int4", "all-E4M3": "e4m3"}

SENSITIVITY_SEED = 1
#: Bits of the widest candidates.
MOST_BITS = 16


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What was asked for; written into the report.

    ``target``: a name of ``yosys_scripts.TARGETS``; ``fps``: images a second at ``clock_mhz``;
    ``style``: one of ``plan.STYLES``, a datapath for each layer or one shared by all.
    ``formats``: candidates for activations and weights of each layer; ``max_drop``: percentage
    points of accuracy that the chosen plan may lose against FP32.
    ``resolution``: relative step of the LUT budget along the front (0: every point).
    ``max_divergence``: predicted mean KL divergence, in nats, past which a point is not worth
    an evaluation: its predictions have little to do with the network's.
    ``sensitivity_images``: so many of the calibration images, drawn at random (seeded: the
    first ones may all be of one class), measure the sensitivities; 128 already rank plans as
    well as the notes in ``sensitivity`` say. InputError for what cannot be.
    """

    target: str
    fps: float
    clock_mhz: float = 50.0
    style: str = "streaming"
    formats: tuple[Scalar, ...]
    max_drop: float = 0.5
    resolution: float = 0.05
    max_divergence: float = 0.15
    sensitivity_images: int = 256

    def __post_init__(self) -> None:
        check_fields(self)
        require_choice("style", self.style, STYLES)
        if not 0 <= self.max_drop <= 100:
            raise InputError(f"max_drop={self.max_drop}: use percentage points from 0 to 100")
        for name in ("resolution", "max_divergence"):
            if not 0 <= (value := getattr(self, name)) < math.inf:
                raise InputError(f"{name}={value}: use 0 or a number above")
        if self.sensitivity_images < 1:
            raise InputError(f"sensitivity_images={self.sensitivity_images}: use 1 or more")
        if not (isinstance(self.formats, tuple) and self.formats) or not all(
            isinstance(f, Scalar) for f in self.formats
        ):
            raise InputError(
                f"formats={shown(self.formats)}: give a tuple of formats, such as "
                "(hwgen.parse('int4'),), or names to explore.settings"
            )
        yosys_scripts.target(self.target)
        sizing.cycle_budget(self.clock_mhz, self.fps)

    @property
    def cycle_budget(self) -> int:
        """Cycles an image at the frame rate."""
        return sizing.cycle_budget(self.clock_mhz, self.fps)

    @property
    def tried(self) -> tuple[Scalar, ...]:
        """The candidates, and the references' formats."""
        return tuple(dict.fromkeys((*self.formats, *_references().values())))


def settings(*, formats: Sequence[str | Scalar] | None = None, **others: Any) -> Settings:
    """``Settings`` with ``formats`` by name too, default all of ``hwgen.formats.NAMES``.

    ``others``: the other fields of ``Settings``. InputError as theirs, and for a name that is no
    format.
    """
    names = number_formats.NAMES if formats is None else formats
    if isinstance(names, str) or not isinstance(names, Sequence) or not names:
        raise InputError(f"formats={shown(names)}: give a list of formats, such as ['int4']")
    scalars = tuple(dict.fromkeys(map(number_formats.parse_scalar, names)))
    return Settings(formats=scalars, **others)


@dataclass(frozen=True, eq=False)
class Exploration:
    """The result of an exploration; all accuracies are measured on the same test images.

    ``points``: every evaluated plan: the search's front by falling LUTs, then those of the
    ``references``, plans with one format, that the candidates allow; ``front``: those that none
    of them beats in measured accuracy and LUTs; ``chosen``: the cheapest of the front within
    the allowed drop, or else the most accurate, as ``reason`` says. ``warnings``: signs that
    network and data do not belong together. ``seconds``: by stage.
    ``checks``: of the chosen plan's Verilog. ``full_test``: FP32 and the chosen plan on a larger
    test set.
    """

    network: Network
    calibration: Calibration
    settings: Settings
    data_name: str
    calibration_images: int
    fp32: Accuracy
    points: tuple[Plan, ...]
    front: tuple[Plan, ...]
    references: Mapping[str, Plan]
    chosen: Plan
    reason: str
    warnings: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    checks: tuple[LayerCheck, ...] = ()
    full_test: FullTest | None = None

    @property
    def sensitivity_images(self) -> int:
        """How many images measured the sensitivities: at most as many as were asked for."""
        return min(self.settings.sensitivity_images, self.calibration_images)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types: what ``plan.json`` holds."""
        settings = dataclasses.asdict(self.settings)
        settings["sensitivity_images"] = self.sensitivity_images
        settings["formats"] = [str(f) for f in self.settings.formats]
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
            "chosen": self.chosen.to_dict(),
            "reason": self.reason,
            "front": [plan.to_dict() for plan in self.front],
            "references": {name: plan.to_dict() for name, plan in self.references.items()},
            "checks": [dataclasses.asdict(check) for check in self.checks],
            "full_test": self.full_test.to_dict() if self.full_test else None,
            "seconds": dict(self.seconds),
        }


@dataclass(frozen=True)
class FullTest:
    """FP32 and the chosen plan on another, larger set of test images called ``data_name``."""

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


def full_test(e: Exploration, data: ImageData, workers: int | None = None) -> FullTest:
    """FP32 and the chosen plan of an exploration on all test images of ``data``."""
    fp32, chosen = evaluation.accuracies(
        e.network, e.calibration, data, [None, e.chosen], lambda text: None, workers
    )
    return FullTest(data.name, fp32, chosen)


def default_predict(target: str) -> sizing.Predict:
    """The cost model of this project, for ``target``."""

    def predict(spec: Any) -> Any:
        return cost_models.predict(spec, target)

    return predict


def require_candidates(settings: Settings) -> None:
    """InputError for a candidate format that no layer can be quantized to here.

    Operands of both signs are saturated to its finite values.
    """
    for f in settings.formats:
        if not (f.signed and f.has_hardware) or f.has_nan or f.bits > MOST_BITS:
            raise InputError(
                f"formats: {f} is no candidate for a layer: use signed integers and minifloats "
                f"without NaN, of up to {MOST_BITS} bits"
            )
        DotProduct(a=f, b=f, lanes=1)  # InputError where no hardware multiplies it.


def arrays(network: Network, settings: Settings) -> list[tuple[sizing.Size, ...]]:
    """The arrays that are fast enough, of each datapath; InputError if there are none."""
    return [
        sizing.sizes(layers, settings.cycle_budget) for layers in _groups(network, settings.style)
    ]


#: A datapath in one pair of formats, activations and weights: its array, units and LUTs.
Priced = Mapping[tuple[Scalar, Scalar], tuple[sizing.Size, DotProduct, sizing.LutRange]]
#: Its layers in that pair, by the pair.
Choices = Mapping[tuple[Scalar, Scalar], tuple[LayerPlan, ...]]


def explore(
    network: Network,
    data: ImageData,
    settings: Settings,
    *,
    predict: sizing.Predict | None = None,
    progress: Progress = lambda text: None,
    workers: int | None = None,
) -> Exploration:
    """The front of accuracy against LUTs, every point really evaluated on the test images.

    The stages are functions of this module, ``calibration`` and ``evaluation``, and can be called
    one by one.

    ``predict``: LUTs of a spec, default the project's cost model for the target; ``progress``
    gets lines of text; ``workers``: threads, default one a core. InputError for what cannot be
    used.
    """
    require_instance("settings", settings, Settings, "what optimizer.explore.settings returns")
    require_candidates(settings)
    require_fitting(network, data)
    arrays(network, settings)
    if predict is None:
        predict = default_predict(settings.target)
    stages, sizer = Stages(progress), sizing.Sizer(predict)
    # First of the long work: what does not fit together is said as soon as it is known.
    with stages.timed("FP32"):
        fp32, warnings = evaluation.baseline(network, data, workers)
    for text in warnings:
        progress(f"WARNING: {text}")
    calibration, plans, uniform = planned(network, data, settings, sizer, stages, workers)
    progress(f"{sizer.predictions} units predicted; front of {len(plans)} points to be evaluated")
    with stages.timed("evaluation"):
        evaluated = evaluation.evaluate(
            network, calibration, data, [*plans, *uniform.values()], progress, workers
        )
    references = dict(zip(uniform, evaluated[len(plans) :], strict=True))
    points = (*evaluated[: len(plans)], *allowed(references, settings))
    front = evaluation.accuracy_front(points)
    chosen, reason = evaluation.choose(front, fp32, settings.max_drop)
    return Exploration(
        network,
        calibration,
        settings,
        data.name,
        count(data.calibration_images),
        fp32,
        points,
        front,
        references,
        chosen,
        reason,
        warnings,
        stages.seconds,
    )


def planned(
    network: Network,
    data: ImageData,
    settings: Settings,
    sizer: sizing.Sizer,
    stages: Stages,
    workers: int | None,
) -> tuple[Calibration, list[Plan], dict[str, Plan]]:
    """All but the accuracies: the calibration, the search's front, the references by name."""
    with stages.timed("cost prediction"):
        priced = price(network, settings, sizer)
    with stages.timed("calibration"):
        calibration = calibrate(network, data.calibration_images, settings.tried, workers)
    with stages.timed("sensitivity"):
        images = sensitivity_images(data, settings)
        damages = sensitivity.measure(
            network, images, calibration, settings.tried, stages.progress, workers
        )
    choices = choices_of(network, settings, priced, damages)
    with stages.timed("integer programming"):
        plans = search(choices, settings)
    return calibration, plans, uniform_plans(choices, settings)


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


def price(network: Network, settings: Settings, sizer: sizing.Sizer) -> list[Priced]:
    """The cheapest array of each datapath in every pair of formats that is asked about.

    That is every pair of candidates, and each reference's format for both operands.
    """
    candidates = settings.formats
    pairs = [(a, b) for a in candidates for b in candidates]
    pairs += [(f, f) for f in _references().values()]
    return [
        {(a, b): sizer.best(sizes, a, b) for a, b in dict.fromkeys(pairs)}
        for sizes in arrays(network, settings)
    ]


def sensitivity_images(data: ImageData, settings: Settings) -> Inputs:
    """The calibration images that measure the sensitivities, (N, ...), drawn at random."""
    drawn = np.random.default_rng(SENSITIVITY_SEED).permutation(count(data.calibration_images))
    return taken(data.calibration_images, np.sort(drawn[: settings.sensitivity_images]))


def choices_of(
    network: Network,
    settings: Settings,
    priced: Sequence[Priced],
    damages: sensitivity.Sensitivities,
) -> list[Choices]:
    """The layers of each datapath as planned in each pair of formats that was priced."""
    return [
        {
            (a, b): tuple(
                LayerPlan(
                    layer,
                    spec,
                    size,
                    sizing.cycles([layer], size.lanes, size.units),
                    lut,
                    damages.pair(layer.name, a, b),
                )
                for layer in layers
            )
            for (a, b), (size, spec, lut) in of_pair.items()
        }
        for layers, of_pair in zip(_groups(network, settings.style), priced, strict=True)
    ]


def search(choices: Sequence[Choices], settings: Settings) -> list[Plan]:
    """The plans on the front of LUTs against added damages, by falling LUTs."""
    candidates = settings.formats
    options = [[choice[a, b] for a in candidates for b in candidates] for choice in choices]
    solutions = pareto_front(
        [
            [(layers[0].lut.value, math.fsum(p.sensitivity for p in layers)) for layers in group]
            for group in options
        ],
        settings.resolution,
    )
    plans = [
        Plan(
            settings.style,
            tuple(p for group, i in zip(options, solution.choice, strict=True) for p in group[i]),
        )
        for solution in solutions
    ]
    # The first point is kept whatever its damage, so that there is always one.
    return [p for i, p in enumerate(plans) if i == 0 or p.sensitivity <= settings.max_divergence]


def _references() -> dict[str, Scalar]:
    return {name: number_formats.parse_scalar(text) for name, text in REFERENCES.items()}


def uniform_plans(choices: Sequence[Choices], settings: Settings) -> dict[str, Plan]:
    """The references' plans by name: one format for all operands of all layers."""
    return {
        name: Plan(settings.style, tuple(layer for choice in choices for layer in choice[f, f]))
        for name, f in _references().items()
    }


def allowed(references: Mapping[str, Plan], settings: Settings) -> list[Plan]:
    """The references whose format is a candidate: they may belong to the front as any plan."""
    formats = _references()
    return [plan for name, plan in references.items() if formats[name] in settings.formats]


def classes_of(network: Network) -> int:
    """How many classes the network tells apart."""
    return network.classes


def _groups(network: Network, style: str) -> list[tuple[Layer, ...]]:
    """The layers that share a datapath."""
    return [network.layers] if style == "shared" else [(layer,) for layer in network.layers]
