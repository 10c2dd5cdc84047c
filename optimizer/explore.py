"""From a trained network, data and a target to the accuracy-versus-area Pareto front."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import cost_models
import yosys_scripts
from cost_models import query
from hwgen import formats as number_formats
from hwgen.errors import InputError
from hwgen.fields import check_fields, require_choice, require_instance, shown
from hwgen.formats import Scalar
from hwgen.spec import DotProduct
from optimizer import inference, sanity, sensitivity, sizing
from optimizer.calibration import Calibration, calibrate
from optimizer.data import ImageData
from optimizer.network import Array, Layer, Network
from optimizer.parallel import in_parallel
from optimizer.plan import STYLES, Accuracy, LayerCheck, LayerPlan, Plan
from optimizer.search import not_dominated, pareto_front

#: One format for the whole network, as reference.
REFERENCES = {"all-INT8": "int8", "all-INT4": "int4", "all-E4M3": "e4m3"}

SENSITIVITY_SEED = 1


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What was asked for; written into the report. InputError for what cannot be.

    ``formats``: candidates for activations and weights of each layer; ``max_drop``: percentage
    points of accuracy that the chosen plan may lose against FP32.
    ``resolution``: relative step of the LUT budget along the front (0: every point).
    ``max_divergence``: predicted mean KL divergence, in nats, past which a point is not worth
    an evaluation: its predictions have little to do with the network's.
    ``sensitivity_images``: so many of the calibration images, drawn at random (seeded: the
    first ones may all be of one class), measure the sensitivities; 128 already rank plans as
    well as the notes in ``sensitivity`` say.
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


def settings(*, formats: Sequence[str | Scalar] | None = None, **others: Any) -> Settings:
    """``Settings`` with ``formats`` by name too, default all of ``hwgen.formats.NAMES``."""
    names = number_formats.NAMES if formats is None else formats
    if isinstance(names, str) or not isinstance(names, Sequence) or not names:
        raise InputError(f"formats={shown(names)}: give a list of formats, such as ['int4']")
    scalars = tuple(dict.fromkeys(map(number_formats.parse_scalar, names)))
    return Settings(formats=scalars, **others)


@dataclass(frozen=True, eq=False)
class Exploration:
    """The result. All accuracies are measured on the same test images.

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
        """Those that there were, at most as many as asked for."""
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


def full_test(found: Exploration, data: ImageData, workers: int | None = None) -> FullTest:
    """FP32 and the chosen plan of ``found`` on all test images of ``data``."""
    fp32, chosen = _accuracies(
        found.network, found.calibration, data, [None, found.chosen], lambda text: None, workers
    )
    return FullTest(data.name, fp32, chosen)


def default_predict(target: str) -> sizing.Predict:
    """The cost model of this project, for ``target``."""

    def predict(spec: Any) -> Any:
        return cost_models.predict(spec, target)

    return predict


def require_predictable(settings: Settings) -> None:
    """InputError for a candidate format that the project's cost model does not know."""
    for f in settings.formats:
        query.require_predictable(DotProduct(a=f, b=f, lanes=1), settings.target)


def arrays(network: Network, settings: Settings) -> list[tuple[sizing.Size, ...]]:
    """The arrays that are fast enough, of each datapath; InputError if there are none."""
    return [
        sizing.sizes(layers, settings.cycle_budget) for layers in _groups(network, settings.style)
    ]


def explore(
    network: Network,
    data: ImageData,
    settings: Settings,
    *,
    predict: sizing.Predict | None = None,
    progress: Callable[[str], None] = lambda text: None,
    workers: int | None = None,
) -> Exploration:
    """The front of accuracy against LUTs, every point really evaluated on the test images.

    ``predict``: LUTs of a spec, default the project's cost model for the target; ``workers``:
    threads, default one a core. InputError for what cannot be used.
    """
    seconds: dict[str, float] = {}

    @contextmanager
    def stage(name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        seconds[name] = time.perf_counter() - start
        progress(f"{name}: {seconds[name]:.1f} s")

    require_instance("network", network, Network, "what optimizer.onnx_import.load returns")
    require_instance("data", data, ImageData, "what optimizer.data.load returns")
    require_instance("settings", settings, Settings, "what optimizer.explore.settings returns")
    network.require_images(data.calibration_images, "the calibration images")
    network.require_images(data.test_images, "the test images")
    classes = classes_of(network)
    highest = int(data.test_labels.max())
    if highest >= classes:
        raise InputError(
            f"the test labels go up to {highest} and network {network.name} has "
            f"{classes} classes (0 to {classes - 1}): give the data that it was trained for"
        )
    candidates, style = settings.formats, settings.style
    groups = _groups(network, style)
    sizes = arrays(network, settings)
    if predict is None:
        require_predictable(settings)
        predict = default_predict(settings.target)

    # First of the long work: what does not fit together is said as soon as it is known.
    with stage("FP32"):
        logits = _fp32(network, data.test_images, workers)
        warnings = sanity.warnings(data, logits)
        fp32 = Accuracy(inference.correct(logits, data.test_labels), len(logits))
    for text in warnings:
        progress(f"WARNING: {text}")

    sizer = sizing.Sizer(predict)
    with stage("cost prediction"):
        pairs = [(a, b) for a in candidates for b in candidates]
        pairs += [(f, f) for f in map(number_formats.parse_scalar, REFERENCES.values())]
        sized = {
            (group, a, b): sizer.best(sizes[group], a, b)
            for group in range(len(groups))
            for a, b in dict.fromkeys(pairs)
        }

    every = tuple(
        dict.fromkeys((*candidates, *map(number_formats.parse_scalar, REFERENCES.values())))
    )
    with stage("calibration"):
        calibration = calibrate(network, data.calibration_images, every, workers)
    with stage("sensitivity"):
        drawn = np.random.default_rng(SENSITIVITY_SEED).permutation(len(data.calibration_images))
        images = data.calibration_images[np.sort(drawn[: settings.sensitivity_images])]
        damages = sensitivity.measure(network, images, calibration, every, progress, workers)

    def assign(group: int, a_format: Scalar, b_format: Scalar) -> tuple[LayerPlan, ...]:
        size, spec, lut = sized[group, a_format, b_format]
        return tuple(
            LayerPlan(
                layer,
                spec,
                size,
                sizing.cycles([layer], size.lanes, size.units),
                lut,
                damages.pair(layer.name, a_format, b_format),
            )
            for layer in groups[group]
        )

    options = [
        [assign(group, a, b) for a in candidates for b in candidates]
        for group in range(len(groups))
    ]
    with stage("integer programming"):
        solutions = pareto_front(
            [
                [
                    (layers[0].lut.value, math.fsum(p.sensitivity for p in layers))
                    for layers in group
                ]
                for group in options
            ],
            settings.resolution,
        )
    plans = [
        Plan(
            style,
            tuple(p for g, i in zip(options, solution.choice, strict=True) for p in g[i]),
        )
        for solution in solutions
    ]
    # The first point is kept whatever its damage, so that there is always one.
    plans = [p for i, p in enumerate(plans) if i == 0 or p.sensitivity <= settings.max_divergence]
    progress(
        f"{sizer.predictions} units predicted; front of {len(solutions)} points, "
        f"{len(plans)} to be evaluated"
    )
    formats_of = {name: number_formats.parse_scalar(text) for name, text in REFERENCES.items()}
    for f in formats_of.values():
        plans.append(Plan(style, tuple(p for g in range(len(groups)) for p in assign(g, f, f))))
    with stage("evaluation"):
        evaluated = _evaluate(network, calibration, data, plans, progress, workers)
    references = dict(zip(REFERENCES, evaluated[-len(REFERENCES) :], strict=True))
    # A plan with one allowed format is a plan like any other: it may belong to the front.
    allowed = [p for name, p in references.items() if formats_of[name] in candidates]
    points = (*evaluated[: -len(REFERENCES)], *allowed)
    front = accuracy_front(points)
    chosen, reason = choose(front, fp32, settings.max_drop)
    return Exploration(
        network,
        calibration,
        settings,
        data.name,
        len(data.calibration_images),
        fp32,
        points,
        front,
        references,
        chosen,
        reason,
        warnings,
        seconds,
    )


def _fp32(network: Network, images: Array, workers: int | None) -> Array:
    """Logits, on all cores: in parts that are whole batches."""
    size = 16 * inference.BATCH
    starts = range(0, len(images), size)
    parts = in_parallel(lambda i: inference.run(network, images[i : i + size]), starts, workers)
    return np.concatenate(list(parts))


def classes_of(network: Network) -> int:
    """How many classes the network tells apart."""
    return network.shapes[network.output][-1]


def _groups(network: Network, style: str) -> list[tuple[Layer, ...]]:
    """The layers that share a datapath."""
    return [network.layers] if style == "shared" else [(layer,) for layer in network.layers]


def _evaluate(
    network: Network,
    calibration: Calibration,
    data: ImageData,
    plans: Sequence[Plan],
    progress: Callable[[str], None],
    workers: int | None,
) -> tuple[Plan, ...]:
    """Every plan with its accuracy."""
    found = _accuracies(network, calibration, data, plans, progress, workers)
    return tuple(
        dataclasses.replace(plan, accuracy=value) for plan, value in zip(plans, found, strict=True)
    )


def _accuracies(
    network: Network,
    calibration: Calibration,
    data: ImageData,
    plans: Sequence[Plan | None],
    progress: Callable[[str], None],
    workers: int | None,
) -> list[Accuracy]:
    """Of every plan, or FP32 for None, on all test images: quantised operands, exact sums."""

    def accuracy(plan: Plan | None) -> Accuracy:
        quantization = None if plan is None else calibration.network(plan.pairs)
        logits = inference.run(network, data.test_images, quantization)
        return Accuracy(inference.correct(logits, data.test_labels), len(logits))

    found: list[Accuracy] = []
    for result in in_parallel(accuracy, plans, workers):
        found.append(result)
        if len(found) % 5 == 0 or len(found) == len(plans):
            progress(f"evaluated {len(found)} of {len(plans)} on {result.images} images")
    return found


def accuracy_front(points: Sequence[Plan]) -> tuple[Plan, ...]:
    """The plans that no other beats in measured accuracy and predicted LUTs, by rising LUTs."""
    kept = not_dominated([(p.lut.value, -_correct(p)) for p in points])
    return tuple(points[i] for i in kept)


def _correct(plan: Plan) -> int:
    if plan.accuracy is None:
        raise ValueError("the plan has not been evaluated")
    return plan.accuracy.correct


def choose(front: Sequence[Plan], fp32: Accuracy, max_drop: float) -> tuple[Plan, str]:
    """The cheapest plan within ``max_drop`` points of FP32, or the most accurate; and why."""
    # Counted in images, so that a drop of exactly max_drop is within it.
    lost = max_drop / 100 * fp32.images + 1e-9
    good = [plan for plan in front if fp32.correct - _correct(plan) <= lost]
    if good:
        best = min(good, key=lambda plan: plan.lut.value)
        return best, f"the fewest LUTs within {max_drop:g} points of FP32's accuracy"
    best = max(front, key=lambda plan: (_correct(plan), -plan.lut.value))
    return best, (
        f"no plan is within {max_drop:g} points of FP32's accuracy: this is the most accurate; "
        "allow a larger drop or more formats"
    )
