"""Fits the cost model to the measurements that ship: ``python -m cost_models.fit``.

It writes ``model.npz``: numbers alone, no pickle. The errors in it are those of designs left out:
each fifth of the designs by a fit without it, each fifth of the families (the designs of the
same formats and settings) by a fit without them, and each fifth of the units likewise.
"""

from __future__ import annotations

import functools
import hashlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

import yosys_scripts
from cost_models import measurement, model
from cost_models.features import Features
from cost_models.measurement import Measurement
from cost_models.model import (
    COUNTED,
    COVERAGE,
    FILE,
    NUGGET,
    PERIOD,
    RESOURCES,
    Local,
    Model,
    Stratum,
    nearness,
    rows_of_trees,
    structural_rows,
)
from cost_models.structure import Inputs, inputs
from cost_models.trees import NONE, Floats, grow
from hwgen.arguments import Parser, parsed, run_module
from hwgen.errors import InputError
from hwgen.spec import Spec, from_dict

#: Parts that are left out in turn.
FOLDS = 5
#: LUTs, or the like, below which an error is counted as of so many.
FEW = 20.0
#: Measurements of a kind of unit, all equal to the plan's count, from which it is taken as exact.
ENOUGH = 5


@dataclass(frozen=True)
class Sample:
    """One measured figure of a unit."""

    spec: Spec
    value: float


def samples(measured: Iterable[Measurement], target: str, resource: str) -> list[Sample]:
    """What was measured of a resource by the same commands as the target's."""
    found: dict[Spec, float] = {}
    for m in measured:
        spec = from_dict(m.spec)
        value = m.result["fmax_mhz" if resource == PERIOD else resource]
        if value is None or not _alike(m.target, target, spec.mapping, resource):
            continue
        found[spec] = 1000 / value if resource == PERIOD else float(value)
    return [Sample(spec, value) for spec, value in found.items()]


@functools.cache
def _alike(measured_on: str, target: str, mapping: str, resource: str) -> bool:
    """Whether a figure of the one target is one of the other: mapped by the same commands."""
    if resource == PERIOD or measured_on == target:
        return measured_on == target
    try:
        first, second = (yosys_scripts.target(t).script(mapping) for t in (measured_on, target))
    except InputError:  # One lacks the mapping.
        return False
    return first == second


#: Measurements of a resource, by target.
Data = Mapping[str, Sequence[Sample]]


def fit(data: Data, resource: str) -> dict[str, Model]:
    """The models of a resource by target, with the errors on what was left out."""
    specs = sorted({s.spec for of_target in data.values() for s in of_target}, key=lambda s: s.name)
    families = [inputs(spec).family for spec in specs]
    rng = np.random.default_rng(len(specs))
    by_spec = dict(zip(specs, rng.permutation(len(specs)) % FOLDS, strict=True))
    names = sorted(set(families))
    fold_of = dict(zip(names, rng.permutation(len(names)) % FOLDS, strict=True))
    units = sorted({spec.unit for spec in specs})
    fold_of_unit = dict(zip(units, rng.permutation(len(units)) % FOLDS, strict=True))
    by_family = {spec: fold_of[family] for spec, family in zip(specs, families, strict=True)}
    errors: dict[tuple[str, str], list[float]] = {}
    by_unit = {spec: fold_of_unit[spec.unit] for spec in specs}
    for folds in (by_spec, by_family, by_unit):
        for fold in range(FOLDS):
            outside = {t: [s for s in d if folds[s.spec] != fold] for t, d in data.items()}
            for target, part in fitted({t: d for t, d in outside.items() if d}, resource).items():
                inside = [s for s in data[target] if folds[s.spec] == fold]
                _add_errors(errors, part, inside, target)
    strata: dict[str, dict[str, Stratum]] = {target: {} for target in data}
    for (target, name), found in errors.items():
        strata[target][name] = Stratum(conformal_quantile(found), len(found))
    whole = fitted(data, resource)
    return {target: replace(model, strata=strata[target]) for target, model in whole.items()}


def _add_errors(
    errors: dict[tuple[str, str], list[float]], part: Model, data: Sequence[Sample], target: str
) -> None:
    predicted = part.predict_many([sample.spec for sample in data], target) if data else []
    for sample, guess in zip(data, predicted, strict=True):
        one = inputs(sample.spec)
        if part.is_exact(one):
            continue
        ratio = (sample.value + part.offset) / (guess.value + part.offset)
        name = part.stratum_name(one, one.family in part.local)
        errors.setdefault((target, name), []).append(max(ratio, 1 / ratio) - 1)


def conformal_quantile(errors: Sequence[float]) -> float:
    """The conformal quantile; infinite for fewer than enough."""
    rank = int(np.ceil((len(errors) + 1) * COVERAGE))
    return float(np.sort(errors)[rank - 1]) if rank <= len(errors) else float("inf")


def fitted(data: Data, resource: str) -> dict[str, Model]:
    """The models of a resource by target; of what they have not seen they know nothing."""
    columns = sorted({n for d in data.values() for s in d for n in inputs(s.spec).amounts})
    structural = {t: _structural(d, columns, t, resource) for t, d in data.items()}
    rows, left = [], []
    for target, (plain, base, values) in structural.items():
        features = Features([sample.spec for sample in data[target]])
        learned = np.array([not plain.is_exact(one) for one in features.read])
        rows.append(rows_of_trees(plain, target, features, base)[learned])
        left.append(_ratios(plain, base, values)[learned])
    trees = grow(np.vstack(rows), np.concatenate(left)) if any(map(len, left)) else NONE
    models = {}
    for target, (plain, base, values) in structural.items():
        features = Features([sample.spec for sample in data[target]])
        errors = _ratios(plain, base, values)
        errors -= trees.predict(rows_of_trees(plain, target, features, base))
        models[target] = replace(plain, trees=trees, local=_local(features.read, errors))
    return models


def _ratios(plain: Model, base: Floats, values: Floats) -> Floats:
    """The logarithms of measured ÷ structural."""
    return np.log((values + plain.offset) / (base + plain.offset))


def _structural(
    data: Sequence[Sample], columns: Sequence[str], target: str, resource: str
) -> tuple[Model, Floats, Floats]:
    """A model without trees, its figures, and those that were measured."""
    features, values = Features([s.spec for s in data]), np.array([s.value for s in data])
    read, coefficients = features.read, np.zeros(0)
    if resource in COUNTED:
        base = features.plan(resource, target)
    else:
        rows = structural_rows(resource, columns, features, target)
        # Relative errors count: a unit of 100 LUTs as much as one of 10,000.
        weight = 1.0 / np.maximum(values, FEW)
        coefficients, _ = nnls(rows * weight[:, None], values * weight)
        base = rows @ coefficients
    model = Model(
        resource=resource,
        columns=tuple(columns),
        coefficients=coefficients,
        settings=tuple(read[0].settings),
        trees=NONE,
        exact=_exact(resource, read, base, values),
        local={},
        strata={},
        units=frozenset(one.unit for one in read),
        targets=tuple(yosys_scripts.TARGETS),
        sizes=(float(base.min()), float(base.max())),
        samples=len(data),
    )
    return model, base, values


def _exact(resource: str, read: Sequence[Inputs], base: Floats, values: Floats) -> frozenset[str]:
    """The kinds of units whose measurements all are the plan's count."""
    same: dict[str, list[bool]] = {}
    for one, count, value in zip(read, base, values, strict=True):
        if resource in one.kinds:
            same.setdefault(one.kinds[resource], []).append(bool(count == value))
    return frozenset(kind for kind, all_of in same.items() if all(all_of) and len(all_of) >= ENOUGH)


def _local(read: Sequence[Inputs], left: Floats) -> dict[str, Local]:
    members: dict[str, list[int]] = {}
    for index, one in enumerate(read):
        members.setdefault(one.family, []).append(index)
    found = {}
    for family, indices in members.items():
        places = np.array([read[i].place for i in indices])
        covariance = nearness(places, places) + NUGGET * np.eye(len(indices))
        weights = np.linalg.solve(covariance, left[indices]).astype(np.float64)
        found[family] = Local(places, weights)
    return found


def data_digest() -> str:
    """SHA-256 of the measurements that ship, which the models tell that they are fitted to."""
    content = resources.files("cost_models").joinpath("measurements.jsonl").read_bytes()
    return hashlib.sha256(content).hexdigest()


def fit_all(measured: Iterable[Measurement]) -> dict[tuple[str, str], Model]:
    """A model for each target and resource that enough was measured of; a line each on stderr."""
    unseen = {(from_dict(m.spec), m.target) for m in measurement.held_out()}
    fitted_on = [m for m in measured if (from_dict(m.spec), m.target) not in unseen]
    models = {}
    for resource in RESOURCES:
        data = {t: samples(fitted_on, t, resource) for t in yosys_scripts.TARGETS}
        of_targets = fit({t: d for t, d in data.items() if len(d) >= FOLDS}, resource)
        for target, of_target in of_targets.items():
            models[target, resource] = of_target
            print(f"{resource} {target}: {of_target.samples}", file=sys.stderr, flush=True)
    return models


def main(arguments: Sequence[str]) -> None:
    """Fits the cost model to the measurements that ship, and writes it; it has no options."""
    parsed(Parser(prog="python -m cost_models.fit", description=main.__doc__), arguments)
    file = Path(str(resources.files("cost_models").joinpath(FILE)))
    model.write(file, fit_all(measurement.shipped()), data_digest())


if __name__ == "__main__":
    sys.exit(run_module(main))
