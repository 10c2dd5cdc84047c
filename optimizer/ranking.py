"""How well cheap predictions rank plans: against the accuracy that is measured, by Kendall's tau.

Plans with formats drawn at random for every layer are really evaluated on labelled images, with
rounding to the nearest and the exact sums of the hardware; each proxy ranks the same plans. The
interval is that of a bootstrap over the plans: what other plans of the kind would give.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from hwgen.errors import InputError
from hwgen.formats import Format, Scalar
from optimizer import inference, selection, sensitivity, traces
from optimizer.calibration import Calibration, Pairs, calibrate
from optimizer.data import ImageData
from optimizer.explore import require_candidates, require_fitting, settings
from optimizer.inputs import count, taken
from optimizer.network import Network
from optimizer.parallel import in_parallel
from optimizer.proxies import PROXIES
from optimizer.ptq.methods import methods
from optimizer.stages import Progress, Stages

PLAN_SEED, BOOTSTRAP_SEED, IMAGE_SEED = 21, 22, 23
#: Resamples of the bootstrap; the interval holds the middle 90%.
RESAMPLES, CONFIDENCE = 1000, 0.9
#: Fewest plans whose ranks say something.
FEWEST_PLANS = 8
#: Ranges of operands, and formats without sign where nothing is negative.
METHODS = ("unsigned", "mse")

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Asked:
    """``plans`` to draw; ``images`` to measure them on, ``calibration`` images to predict with.

    ``probes``: random vectors a layer and operand for the traces.
    """

    plans: int = 60
    images: int = 1000
    calibration: int = 128
    probes: int = 8


@dataclass(frozen=True)
class Tau:
    """Kendall's tau-b of two rankings, -1 to 1, and the bootstrap's interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Ranked:
    """A proxy's agreement with the accuracy and with the divergence from FP32.

    ``passes``: of each calibration image from a layer to the scores; ``scores``: of each plan.
    """

    name: str
    accuracy: Tau
    divergence: Tau
    passes: int
    scores: tuple[float, ...]


@dataclass(frozen=True)
class Ranking:
    """The proxies, the best first, and the plans that rank them.

    ``plans``: formats by layer; ``accuracies`` in percent; ``divergences`` in nats; ``seconds`` by
    stage.
    """

    network: str
    data: str
    formats: tuple[str, ...]
    asked: Asked
    fp32: float
    plans: tuple[dict[str, tuple[str, str]], ...]
    accuracies: tuple[float, ...]
    divergences: tuple[float, ...]
    proxies: tuple[Ranked, ...]
    seconds: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


def rank(
    network: Network,
    data: ImageData,
    formats: Sequence[str | Scalar],
    asked: Asked,
    progress: Progress = lambda text: None,
    workers: int | None = None,
) -> Ranking:
    """Every proxy's agreement with what plans in ``formats`` really lose.

    InputError for data that do not fit the network, fewer than two formats and few plans.
    """
    require_fitting(network, data)
    scalars = _scalars(formats)
    if asked.plans < FEWEST_PLANS:
        raise InputError(f"plans={asked.plans}: draw {FEWEST_PLANS} or more")
    stages = Stages(progress)
    with stages.timed("calibration"):
        calibration = calibrate(
            network, data.calibration_images, scalars, workers, methods(METHODS)
        )
        plans = drawn(network, calibration, scalars, asked.plans)
    with stages.timed("proxies"):
        scores, passes = _scores(
            network, data, calibration, plans, scalars, asked, progress, workers
        )
    with stages.timed("measured plans"):
        fp32, accuracies, divergences = _measured(network, data, calibration, plans, asked, workers)
    if len(set(accuracies)) < 2:
        raise InputError(
            "all plans are equally accurate, so that nothing can rank them: give narrower formats"
        )
    ranked = [
        Ranked(
            name,
            tau(-of_plans, accuracies),
            tau(of_plans, divergences),
            passes[PROXIES[name].passes],
            tuple(of_plans.tolist()),
        )
        for name, of_plans in scores.items()
    ]
    ranked.sort(key=lambda one: -one.accuracy.value)
    return Ranking(
        network.name,
        data.name,
        tuple(map(str, scalars)),
        asked,
        fp32,
        tuple({name: (str(a), str(b)) for name, (a, b) in plan.items()} for plan in plans),
        tuple(accuracies.tolist()),
        tuple(divergences.tolist()),
        tuple(ranked),
        stages.seconds,
    )


def _scalars(formats: Sequence[str | Scalar]) -> list[Scalar]:
    """The formats by themselves; InputError for one in blocks, and for fewer than two."""
    tried = settings(formats=formats, target="ecp5", fps=1.0)
    require_candidates(tried)
    scalars = [f for f in tried.formats if isinstance(f, Scalar)]
    if len(scalars) < len(tried.formats):
        raise InputError("formats: give formats of single numbers, none in blocks")
    if len(scalars) < 2:
        raise InputError("formats: give two or more, for plans that differ")
    return scalars


def drawn(
    network: Network, calibration: Calibration, formats: Sequence[Scalar], plans: int
) -> list[Pairs]:
    """Plans with formats for each operand of each layer at random, without sign where possible."""
    rng = np.random.default_rng(PLAN_SEED)
    result: list[Pairs] = []
    for _ in range(plans):
        which = rng.integers(0, len(formats), (len(network.nodes), 2))
        pairs = {
            node.name: (formats[a], formats[b])
            for node, (a, b) in zip(network.nodes, which, strict=True)
        }
        result.append(selection.with_unsigned(calibration, pairs))
    return result


def tau(first: Floats, second: Floats) -> Tau:
    """Kendall's tau-b with the interval of a bootstrap over the pairs of numbers."""
    value = stats.kendalltau(first, second).statistic
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    # The signs of all pairs: what tau-b counts, and a resample only picks among them.
    signs = [np.sign(v[:, None] - v[None, :]) for v in (first, second)]
    found = []
    for _ in range(RESAMPLES):
        at = rng.integers(0, len(first), len(first))
        a, b = (s[np.ix_(at, at)] for s in signs)
        ties = float(np.abs(a).sum()) * float(np.abs(b).sum())
        found.append(float((a * b).sum()) / ties**0.5 if ties else 0.0)
    low, high = np.quantile(found, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Tau(0.0 if np.isnan(value) else float(value), float(low), float(high))


def _scores(
    network: Network,
    data: ImageData,
    calibration: Calibration,
    plans: Sequence[Pairs],
    formats: Sequence[Scalar],
    asked: Asked,
    progress: Progress,
    workers: int | None,
) -> tuple[dict[str, Floats], dict[str, int]]:
    """Each proxy's number for each plan, and the passes that each kind of proxy takes."""
    known = count(data.calibration_images)
    at = np.random.default_rng(IMAGE_SEED).permutation(known)[: asked.calibration]
    images = taken(data.calibration_images, np.sort(at))
    tried = {
        name: (_distinct(plan[name][0] for plan in plans), _distinct(p[name][1] for p in plans))
        for name in network.layer_nodes
    }
    activations = {name: firsts for name, (firsts, _) in tried.items()}
    damages = sensitivity.measure(
        network, images, calibration, formats, progress, workers, activations
    )
    found = traces.traits(network, images, calibration, tried, asked.probes, workers)
    scores = {
        name: np.array(
            [
                math.fsum(proxy.score(t, damages, *_pair(plan, t.name)) for t in found)
                for plan in plans
            ]
        )
        for name, proxy in PROXIES.items()
    }
    probes = 4 * asked.probes * len(network.nodes)
    trials = sum(len(firsts) + len(formats) for firsts, _ in tried.values())
    return scores, {"none": 0, "one": 1, "formats": trials, "probes": probes}


def _pair(plan: Pairs, name: str) -> tuple[Scalar, Scalar]:
    a, b = plan[name]
    assert isinstance(a, Scalar) and isinstance(b, Scalar)
    return a, b


def _distinct(formats: Iterable[Format]) -> tuple[Scalar, ...]:
    return tuple(dict.fromkeys(f for f in formats if isinstance(f, Scalar)))


def _measured(
    network: Network,
    data: ImageData,
    calibration: Calibration,
    plans: Sequence[Pairs],
    asked: Asked,
    workers: int | None,
) -> tuple[float, Floats, Floats]:
    """FP32's accuracy in percent; of each plan accuracy, and divergence from FP32 in nats."""
    known = count(data.test_images)
    at = np.sort(np.random.default_rng(IMAGE_SEED).permutation(known)[: asked.images])
    images, labels = taken(data.test_images, at), data.test_labels[at]
    fp32 = inference.run(network, images)
    reference = sensitivity.log_softmax(fp32)

    def measured(plan: Pairs) -> tuple[float, float]:
        logits = inference.run(network, images, calibration.quantization(plan))
        loss = float(sensitivity.divergence(reference, logits).mean())
        return 100 * inference.correct(logits, labels) / len(labels), loss

    both = np.array(list(in_parallel(measured, plans, workers)))
    return 100 * inference.correct(fp32, labels) / len(labels), both[:, 0], both[:, 1]
