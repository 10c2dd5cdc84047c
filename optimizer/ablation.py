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
from optimizer.selection import Tuner, parts

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
    changed: Mapping[str, Network],
    tuner: Tuner,
    data: ImageData,
    plan: Plan,
    workers: int | None = None,
) -> tuple[Step, ...]:
    """The steps from rounding to nearest to what ``plan`` got.

    ``network``: as it was read; ``changed``: the networks that it became, by the method, in their
    order; ``tuner``: of the last of them.
    """
    pairs, recipe = plan.pairs, plan.recipe
    assert recipe is not None
    signed = _signed(tuner, pairs)
    formats = list(dict.fromkeys(f for pair in (*signed.values(), *pairs.values()) for f in pair))
    networks = [network, *changed.values()]
    calibrations = [
        calibrate(each, data.calibration_images, formats, workers, tuner.methods)
        for each in networks[:-1]
    ]
    calibrations.append(tuner.calibration)
    steps: list[tuple[str, Network, Quantization]] = [
        (PLAIN, network, calibrations[0].quantization(signed))
    ]
    if signed != pairs:
        steps.append((UNSIGNED, network, calibrations[0].quantization(pairs)))
    for name, each, made in zip(changed, networks[1:], calibrations[1:], strict=True):
        steps.append((name, each, made.quantization(pairs)))
    recipes = [Recipe(bias=recipe.bias, ranges=recipe.ranges), replace(recipe, asymmetric=False)]
    for step in dict.fromkeys((*recipes, recipe)):
        if step != Recipe():
            name = step.rounding if step.rounding != "nearest" else step.names[-1]
            name = ASYMMETRIC if step.asymmetric else name
            quantization = tuner.quantization(pairs, step, workers)
            steps.append((name, networks[-1], quantization))
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
