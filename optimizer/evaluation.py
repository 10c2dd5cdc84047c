"""Accuracies, really measured: of FP32 and of plans, and which plan they choose."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from optimizer import inference, sanity
from optimizer.calibration import Calibration
from optimizer.data import ImageData
from optimizer.inputs import Inputs, count, taken
from optimizer.network import Array, Network
from optimizer.parallel import in_parallel
from optimizer.plan import Accuracy, Plan
from optimizer.search import not_dominated


def baseline(
    network: Network, data: ImageData, workers: int | None = None
) -> tuple[Accuracy, tuple[str, ...]]:
    """Accuracy in FP32 on the test images, and what is wrong with network and data together.

    The texts are those of ``sanity.warnings``.
    """
    logits = _fp32(network, data.test_images, workers)
    warnings = sanity.warnings(network, data, logits)
    return Accuracy(inference.correct(logits, data.test_labels), len(logits)), warnings


def _fp32(network: Network, images: Inputs, workers: int | None) -> Array:
    """The FP32 logits of ``images``, in parts that are whole batches, on ``workers`` threads."""
    size = 16 * inference.BATCH * (network.batch or 1)
    starts = range(0, count(images), size)
    parts = in_parallel(
        lambda i: inference.run(network, taken(images, slice(i, i + size))), starts, workers
    )
    return np.concatenate(list(parts))


def evaluate(
    network: Network,
    calibration: Calibration,
    data: ImageData,
    plans: Sequence[Plan],
    progress: Callable[[str], None],
    workers: int | None,
) -> tuple[Plan, ...]:
    """Every plan with its accuracy on all test images."""
    measured = accuracies(network, calibration, data, plans, progress, workers)
    return tuple(
        dataclasses.replace(plan, accuracy=value)
        for plan, value in zip(plans, measured, strict=True)
    )


def accuracies(
    network: Network,
    calibration: Calibration,
    data: ImageData,
    plans: Sequence[Plan | None],
    progress: Callable[[str], None],
    workers: int | None,
) -> list[Accuracy]:
    """The accuracy of every plan, or of FP32 for None, on all test images of ``data``.

    Plans are computed with quantised operands and exact sums. ``progress`` gets lines of text;
    ``workers``: threads, default one a core.
    """

    def accuracy(plan: Plan | None) -> Accuracy:
        quantization = None if plan is None else calibration.quantization(plan.pairs)
        logits = inference.run(network, data.test_images, quantization)
        return Accuracy(inference.correct(logits, data.test_labels), len(logits))

    measured: list[Accuracy] = []
    for result in in_parallel(accuracy, plans, workers):
        measured.append(result)
        if len(measured) % 5 == 0 or len(measured) == len(plans):
            progress(f"evaluated {len(measured)} of {len(plans)} on {result.images} images")
    return measured


def accuracy_front(points: Sequence[Plan]) -> tuple[Plan, ...]:
    """The plans that no other beats in measured accuracy and predicted LUTs, by rising LUTs."""
    indices = not_dominated([(p.lut.value, -_correct(p)) for p in points])
    return tuple(points[i] for i in indices)


def _correct(plan: Plan) -> int:
    if plan.accuracy is None:
        raise ValueError("the plan has not been evaluated")
    return plan.accuracy.correct


def choose(front: Sequence[Plan], fp32: Accuracy, max_drop: float) -> tuple[Plan, str]:
    """The cheapest plan within ``max_drop`` points of FP32, or the most accurate; and why."""
    # Counted in images, so that a drop of exactly max_drop is within it.
    lost = max_drop / 100 * fp32.images + 1e-9
    allowed = [plan for plan in front if fp32.correct - _correct(plan) <= lost]
    if allowed:
        best = min(allowed, key=lambda plan: plan.lut.value)
        return best, f"the fewest LUTs within {max_drop:g} points of FP32's accuracy"
    best = max(front, key=lambda plan: (_correct(plan), -plan.lut.value))
    return best, (
        f"no plan is within {max_drop:g} points of FP32's accuracy: this is the most accurate; "
        "allow a larger drop or more formats"
    )
