"""Fits the model of energy to the simulations that ship: ``python -m cost_models.energy_fit``.

It writes ``energy.npz``. The errors in it are those of designs left out: each fifth of the designs
by a fit without it.
"""

from __future__ import annotations

import hashlib
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

from cost_models import energy_model, energy_sweep, measurement
from cost_models.energy_model import (
    FILE,
    OFFSET,
    EnergyModel,
    Part,
    counted_as,
    likeness,
    products,
    sizes,
    tree_row,
)
from cost_models.energy_terms import PARTS, Activity, terms
from cost_models.fit import FOLDS, conformal_quantile
from cost_models.model import Stratum
from cost_models.operand_words import Words, words
from cost_models.structure import inputs
from cost_models.trees import NONE, SETTINGS, Floats, grow, together
from hwgen.arguments import Parser, parsed, run_module
from hwgen.spec import Spec, from_dict
from yosys_scripts import TARGETS

FITTED, HELD_OUT = "cost_models/energy.jsonl", "cost_models/energy_holdout.jsonl"
#: Toggles a cycle below which an error is counted as of so many.
FEW = 10.0
#: How trees are grown, of which those of several seeds are taken together.
TREES = {**SETTINGS, "n_estimators": 150, "max_depth": 3, "min_samples_leaf": 8}
TREE_SEEDS = (1, 2, 3)
#: How much a target's coefficients are held to those of all, in units of one sample's error.
NEARNESS = 4.0


@dataclass(frozen=True)
class Sample:
    """A simulation: a unit on a target, the words of its operands, and what was counted."""

    spec: Spec
    target: str
    operands: str
    words: Words
    activity: Activity

    @property
    def energy(self) -> float:
        """A cycle's, by the target's terms: pJ, or what stands in for it."""
        return terms(self.target).energy(self.activity)


def samples(file: str) -> list[Sample]:
    """The simulations of a file that ships; none if it is not there."""
    return [sample(m) for m in measurement.KIND.read(file).values()]


def to_fit() -> list[Sample]:
    """The simulations that ship, without those of designs that are held out."""
    unseen = {(s.spec, s.target) for s in samples(HELD_OUT)}
    return [s for s in samples(FITTED) if (s.spec, s.target) not in unseen]


def sample(m: measurement.Measurement) -> Sample:
    """A simulation of a plan's as it was stored."""
    spec, text = from_dict(m.spec), str(m.result["operands"])
    given = energy_sweep.pair(text, spec, int(m.result["seed"]))
    target = counted_as(m.target, spec.mapping)
    return Sample(spec, target, text, words(spec, given), Activity.of_row(m.result))


def fitted(data: Sequence[Sample]) -> EnergyModel:
    """A model of all parts; of what it has not seen it knows nothing."""
    settings = tuple(inputs(data[0].spec).settings)
    return EnergyModel(
        parts={part: _part(part, data, settings) for part in PARTS},
        settings=settings,
        strata={},
        units=frozenset(inputs(s.spec).unit for s in data),
        targets=tuple(TARGETS),
        samples=len(data),
    )


def _part(part: str, data: Sequence[Sample], settings: Sequence[str]) -> Part:
    found = [products(part, s.spec, sizes(s.spec, s.target), s.words) for s in data]
    columns = tuple(sorted({name for one in found for name in one}))
    rows = np.array([[one.get(name, 0.0) for name in columns] for one in found])
    if not columns:
        return Part(columns, {target: np.zeros(0) for target in TARGETS}, NONE)
    values = np.array([s.activity.to_dict()[part] for s in data])
    if part == "clocked":
        coefficients = {target: np.ones(1) for target in TARGETS}
    else:
        coefficients = _structural(rows, values, [s.target for s in data])
    base = np.array([row @ coefficients[s.target] for row, s in zip(rows, data, strict=True)])
    there = base > 0
    if part == "clocked" or not there.any():
        return Part(columns, coefficients, NONE)
    asked = np.array(
        [
            [
                *tree_row(inputs(s.spec), sizes(s.spec, s.target), s.words, b, settings),
                *(float(name == s.target) for name in TARGETS),
            ]
            for s, b in zip(data, base.tolist(), strict=True)
        ]
    )
    left = np.log((values + OFFSET) / (base + OFFSET))
    grown = [
        grow(asked[there], left[there], {**TREES, "random_state": seed}) for seed in TREE_SEEDS
    ]
    return Part(columns, coefficients, together(grown))


def _structural(rows: Floats, values: Floats, targets: Sequence[str]) -> dict[str, Floats]:
    """Coefficients of each target: near those of all together, times what the target takes."""
    # Relative errors count: a unit of 100 toggles as much as one of 10,000.
    weight = 1.0 / np.maximum(values, FEW)
    rows, wanted = rows * weight[:, None], values * weight
    common, _ = nnls(rows, wanted)
    size = np.sqrt((rows**2).mean(axis=0))
    found = {}
    for target in TARGETS:
        here = np.array([name == target for name in targets])
        base = rows[here] @ common
        # Of a target that nothing was simulated of, what the others take.
        there = base > 0
        near = common * (float(np.median(wanted[here][there] / base[there])) if there.any() else 1)
        held = np.diag(size * NEARNESS)
        found[target], _ = nnls(
            np.vstack([rows[here], held]), np.concatenate([wanted[here], held @ near])
        )
    return found


def fit(data: Sequence[Sample]) -> EnergyModel:
    """The model, with the errors on designs that were left out."""
    designs = sorted({s.spec.name for s in data})
    order = np.random.default_rng(len(designs)).permutation(len(designs)) % FOLDS
    folds = dict(zip(designs, order.tolist(), strict=True))
    errors: Mapping[tuple[str, str], list[float]] = defaultdict(list)
    for fold in range(FOLDS):
        part = fitted([s for s in data if folds[s.spec.name] != fold])
        for s in data:
            if folds[s.spec.name] == fold:
                errors[s.target, likeness(inputs(s.spec))].append(error(part, s))
    strata = {key: Stratum(conformal_quantile(found), len(found)) for key, found in errors.items()}
    return replace(fitted(data), strata=strata)


def error(model: EnergyModel, s: Sample) -> float:
    """How far the energy of a sample is predicted wrongly: larger ÷ smaller, minus 1."""
    predicted = model.predict(s.spec, s.target, s.words).activity
    ratio = terms(s.target).energy(predicted) / s.energy
    return max(ratio, 1 / ratio) - 1


def data_digest() -> str:
    """SHA-256 of the simulations that ship, which the model tells that it was made with."""
    digest = hashlib.sha256()
    for file in (FITTED, HELD_OUT):
        digest.update(resources.files("cost_models").joinpath(file.partition("/")[2]).read_bytes())
    return digest.hexdigest()


def main(arguments: Sequence[str]) -> None:
    """Fits the model of energy to the simulations that ship, and writes it; it has no options."""
    parsed(Parser(prog="python -m cost_models.energy_fit", description=main.__doc__), arguments)
    file = Path(str(resources.files("cost_models").joinpath(FILE)))
    energy_model.write(file, fit(to_fit()), data_digest())


if __name__ == "__main__":
    sys.exit(run_module(main))
