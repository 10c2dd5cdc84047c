"""What each method of post-training quantisation brings to a plan, one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hwgen.formats import Format
from optimizer import evaluation
from optimizer.calibration import Pairs, calibrate
from optimizer.data import ImageData
from optimizer.inference import Quantization
from optimizer.network import Network
from optimizer.parallel import in_parallel
from optimizer.plan import Accuracy, Plan
from optimizer.ptq.asymmetric import unsigned
from optimizer.ptq.methods import ASYMMETRIC, UNSIGNED, Recipe
from optimizer.selection import Equalized, Tuner, parts

PLAIN = "round to nearest"


@dataclass(frozen=True)
class Step:
    """A plan with one method more than in the step before; ``divergence``: nats an image.

    ``accuracy``: on the test images, which decided nothing; ``divergence``: on selection images.
    """

    method: str
    accuracy: Accuracy
    divergence: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "method": self.method,
            "accuracy": self.accuracy.to_dict(),
            "divergence": self.divergence,
        }


def ablation(
    network: Network,
    equalized: Equalized,
    tuner: Tuner,
    data: ImageData,
    plan: Plan,
    workers: int | None = None,
) -> tuple[Step, ...]:
    """The steps from rounding to nearest to what ``plan`` got.

    ``network``: as it was read; ``tuner``: of the network ``equalized``.
    """
    pairs, recipe = plan.pairs, plan.recipe
    assert recipe is not None
    signed = _signed(tuner, pairs)
    formats = list(dict.fromkeys(f for pair in (*signed.values(), *pairs.values()) for f in pair))
    original = tuner.calibration
    if equalized.method is not None:
        original = calibrate(network, data.calibration_images, formats, workers, tuner.methods)
    steps: list[tuple[str, Network, Quantization]] = [
        (PLAIN, network, original.quantization(signed))
    ]
    if signed != pairs:
        steps.append((UNSIGNED, network, original.quantization(pairs)))
    if equalized.method is not None:
        plain = tuner.calibration.quantization(pairs)
        steps.append((equalized.method, equalized.network, plain))
    recipes = [Recipe(bias=recipe.bias, ranges=recipe.ranges), replace(recipe, asymmetric=False)]
    for step in dict.fromkeys((*recipes, recipe)):
        if step != Recipe():
            name = step.rounding if step.rounding != "nearest" else step.names[-1]
            name = ASYMMETRIC if step.asymmetric else name
            quantization = tuner.quantization(pairs, step, workers)
            steps.append((name, equalized.network, quantization))
    test = parts(data)[1]

    def measured(step: tuple[str, Network, Quantization]) -> Step:
        name, which, quantization = step
        accuracy = evaluation.accuracy(which, test, quantization)
        return Step(name, accuracy, tuner.divergence(quantization, which))

    return tuple(in_parallel(measured, steps, workers))


def _signed(tuner: Tuner, pairs: Pairs) -> dict[str, tuple[Format, Format]]:
    """``pairs`` with the formats that ``unsigned`` made those without sign of."""
    origins: Mapping[tuple[str, Format], Format] = {
        (name, unsigned(f)): f
        for name, f in tuner.calibration.activation_scales
        if f.element.signed
    }
    return {
        name: (a if a.element.signed else origins.get((name, a), a), b)
        for name, (a, b) in pairs.items()
    }
