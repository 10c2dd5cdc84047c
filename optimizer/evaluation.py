"""Accuracies, really measured: of FP32 and of plans, and which plan they choose."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from optimizer import inference, sanity, selection
from optimizer.data import ImageData
from optimizer.inference import Quantization
from optimizer.inputs import Inputs, count, taken
from optimizer.network import Array, Network
from optimizer.parallel import in_parallel
from optimizer.plan import Accuracy, Plan
from optimizer.search import not_dominated
from optimizer.selection import Part, Tuner
from optimizer.settings import Settings


@dataclass(frozen=True)
class Baseline:
    """FP32 on the selection and on the test images, and what is wrong with network and data.

    ``warnings``: the texts of ``sanity.warnings``.
    """

    selection: Accuracy
    test: Accuracy
    warnings: tuple[str, ...]


def baseline(network: Network, data: ImageData, workers: int | None = None) -> Baseline:
    """FP32 on all labelled images."""
    logits = _fp32(network, data.test_images, workers)
    warnings = sanity.warnings(network, data, logits)
    chosen, others = selection.split(len(logits))
    of_selection, of_test = (
        Accuracy(inference.correct(logits[index], data.test_labels[index]), len(index))
        for index in (chosen, others)
    )
    return Baseline(of_selection, of_test, warnings)


def _fp32(network: Network, images: Inputs, workers: int | None) -> Array:
    """The FP32 logits of ``images``, in parts that are whole batches, on ``workers`` threads."""
    size = 16 * inference.BATCH * (network.batch or 1)
    starts = range(0, count(images), size)
    parts = in_parallel(
        lambda i: inference.run(network, taken(images, slice(i, i + size))), starts, workers
    )
    return np.concatenate(list(parts))


def evaluate(
    tuner: Tuner,
    data: ImageData,
    plans: Sequence[Plan],
    progress: Callable[[str], None],
    workers: int | None,
    always: Iterable[int] = (),
    before: Iterable[Plan] = (),
) -> tuple[Plan, ...]:
    """Every plan with the methods that suit it best, and its accuracies.

    Plans are computed with quantised operands and exact sums. Of those whose place in ``plans`` is
    in ``always``, and of the others those that no other beats in selection accuracy and LUTs, the
    accuracy on the test images too, as far as ``before``, plans that were evaluated already, and
    the threads' order let that be known. ``progress`` gets lines of text; ``workers``: threads,
    default one a core.
    """
    chosen, others = selection.parts(data)
    known = list(before)
    tested = set(always)

    def evaluated(place: int) -> Plan:
        plan = plans[place]
        tuned, quantization = tuner.tuned(plan.pairs, 1)
        plan = dataclasses.replace(
            plan,
            selection=accuracy(tuner.network, chosen, quantization),
            recipe=tuned.recipe,
            divergences=tuple(tuned.divergences.items()),
        )
        if place not in tested:
            if any(_beats(other, plan) for other in list(known)):
                return plan
            known.append(plan)
        return dataclasses.replace(plan, accuracy=accuracy(tuner.network, others, quantization))

    # The smallest first, as it is from these that the test images of others can be saved.
    order = sorted(range(len(plans)), key=lambda place: plans[place].lut.value)
    measured: list[Plan] = []
    for plan in in_parallel(evaluated, order, workers):
        measured.append(plan)
        if len(measured) % 5 == 0 or len(measured) == len(plans):
            progress(
                f"evaluated {len(measured)} of {len(plans)} on {len(chosen.labels)} selection and "
                f"{len(others.labels)} test images"
            )
    of_place = dict(zip(order, measured, strict=True))
    return tuple(of_place[place] for place in range(len(plans)))


def evaluate_front(
    tuner: Tuner,
    data: ImageData,
    plans: Sequence[Plan],
    references: Mapping[str, Plan],
    settings: Settings,
    fp32: Accuracy,
    progress: Callable[[str], None],
    workers: int | None,
) -> tuple[tuple[Plan, ...], dict[str, Plan]]:
    """Plans of the search's front, by falling LUTs, and all ``references``, evaluated.

    Every second plan, and then those beside the one that is chosen of these, until both of its
    neighbours are known; with a ``resolution`` of 0 every plan.
    """
    wanted = set(range(0, len(plans), 2 if settings.resolution else 1)) | {len(plans) - 1}
    found: dict[int, Plan] = {}
    named: dict[str, Plan] = {}
    while new := sorted(wanted - found.keys()):
        tried = [*(plans[i] for i in new), *(() if named else references.values())]
        always = range(len(new), len(tried))
        measured = evaluate(tuner, data, tried, progress, workers, always, found.values())
        found.update(zip(new, measured, strict=False))
        named = named or dict(zip(references, measured[len(new) :], strict=True))
        chosen, *_ = choose(accuracy_front(list(found.values())), fp32, settings)
        place = next(i for i, plan in found.items() if plan is chosen)
        wanted = {i for i in (place - 1, place + 1) if 0 <= i < len(plans)}
    return tuple(found[i] for i in sorted(found)), named


def _beats(other: Plan, plan: Plan) -> bool:
    """Whether a plan is no larger and classifies more, or is smaller and classifies as many."""
    found, least = (_correct(other), -other.lut.value), (_correct(plan), -plan.lut.value)
    return found != least and found[0] >= least[0] and found[1] >= least[1]


def accuracy(network: Network, part: Part, quantization: Quantization | None) -> Accuracy:
    """The accuracy on all images of ``part``, in FP32 without ``quantization``."""
    logits = inference.run(network, part.images, quantization)
    return Accuracy(inference.correct(logits, part.labels), len(logits))


def accuracy_front(points: Sequence[Plan]) -> tuple[Plan, ...]:
    """The plans that no other beats in selection accuracy and predicted LUTs, by rising LUTs."""
    indices = not_dominated([(p.lut.value, -_correct(p)) for p in points])
    return tuple(points[i] for i in indices)


def _correct(plan: Plan) -> int:
    if plan.selection is None:
        raise ValueError("the plan has not been evaluated")
    return plan.selection.correct


def accurate(front: Sequence[Plan], fp32: Accuracy, settings: Settings) -> list[Plan]:
    """The plans that are as accurate as was asked for."""
    # Counted in images, so that a drop of exactly max_drop is within it.
    if settings.min_accuracy is None:
        least = fp32.correct - settings.max_drop / 100 * fp32.images - 1e-9
    else:
        least = settings.min_accuracy / 100 * fp32.images - 1e-9
    return [plan for plan in front if _correct(plan) >= least]


def choose(front: Sequence[Plan], fp32: Accuracy, settings: Settings) -> tuple[Plan, str, bool]:
    """The cheapest plan that is accurate enough, or the most accurate; why; whether it is enough.

    That is within ``max_drop`` points of FP32, or has ``min_accuracy``. Both by the selection
    images, of which ``fp32`` is too.
    """
    wanted, advice = (
        f"within {settings.max_drop:g} points of FP32's accuracy",
        "allow a larger drop",
    )
    if settings.min_accuracy is not None:
        wanted, advice = f"{settings.min_accuracy:g}% accurate", "ask for less"
    if allowed := accurate(front, fp32, settings):
        best = min(allowed, key=lambda plan: plan.lut.value)
        return best, f"the fewest LUTs {wanted}", True
    best = max(front, key=lambda plan: (_correct(plan), -plan.lut.value))
    return (
        best,
        (f"no plan is {wanted}: this is the most accurate; {advice} or more formats"),
        False,
    )
