"""The cost model: what any unit takes on any target, from its step plan alone.

For each target and resource, in this order:

1. *structural*: a non-negative combination of the amounts of logic and of registers
   (``cost_models.structure``), so that more hardware never costs less; of registers and DSP blocks
   the plan's own counts, of the clock period the delay model's;
2. *learned*: boosted trees on what a measurement is of that (``cost_models.trees``), the same for
   all targets, so that each learns from the others; of kinds of units whose measurements all are
   the plan's count exactly, that count stays;
3. *local*: what is left at measured designs of the same formats and settings, nearer ones more
   (kriging over the lanes and the places of the registers; Matheron, Economic Geology 58, 1963).

Each prediction has an interval from errors on designs that its fit did not see, of designs like it
(`Stratum`), by conformal prediction (Vovk et al., Algorithmic Learning in a Random World, 2005): of
n errors the ⌈0.9 (n + 1)⌉-th. ``python -m cost_models.fit`` makes ``model.npz`` of the shipped
measurements.
"""

from __future__ import annotations

import functools
import io
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import yosys_scripts
from cost_models.features import Codes, Features
from cost_models.structure import Inputs
from cost_models.trees import Bools, Floats, Trees
from hwgen.errors import InputError
from hwgen.files import whole_file
from hwgen.spec import Spec

AREA = ("lut", "carry", "ff", "dsp")
PERIOD = "period_ns"
#: What the plan of a unit says itself.
COUNTED = ("ff", "dsp")
RESOURCES = (*AREA, PERIOD)
FILE = "model.npz"
#: Part of the designs like the one that is asked for that the interval holds.
COVERAGE = 0.9
#: Errors that are enough to state it.
FEWEST = math.ceil(COVERAGE / (1 - COVERAGE) - 1e-9)
#: How much wider an interval is, in logarithm, where nothing as large or small was measured.
BEYOND = 2.0
#: Of the local correction, by cross-validation: at which distances, in the logarithm of the lanes
#: and in shares of the steps, two designs have little to do with each other; what all of a family
#: have in common, and which part of a measurement is chance, in parts of what distance takes away.
REACH, COMMON, NUGGET = np.array([8.0, 0.6, 0.6, 0.6]), 0.5, 0.02

MEASURED_FAMILY, NEW_FAMILY = "formats that were measured", "formats that were not measured"
NEW_UNIT = "units of which none was measured"


@dataclass(frozen=True)
class Stratum:
    """Designs that are like each other, and errors on those that were measured and not fitted.

    ``error``: how far (larger ÷ smaller, minus 1) 90% of the ``count`` measurements lay from
    predictions by fits without them, at most; infinite for fewer than ``FEWEST``.
    """

    error: float
    count: int


#: Of designs that none was held out of.
UNKNOWN = Stratum(math.inf, 0)


@dataclass(frozen=True)
class Prediction:
    """A value and its interval.

    ``checked``: whether the interval was, on designs like this one, as ``basis`` says.
    """

    value: float
    low: float
    high: float
    checked: bool
    basis: str


@dataclass(frozen=True)
class Predictions:
    """Predictions of n units, as arrays of shape (n,).

    ``why``: which of ``reasons`` each has: whether its interval was checked, and the basis.
    """

    value: Floats
    low: Floats
    high: Floats
    why: Codes
    reasons: tuple[tuple[bool, str], ...]

    def __getitem__(self, row: int) -> Prediction:
        checked, basis = self.reasons[self.why[row]]
        value, low, high = (float(part[row]) for part in (self.value, self.low, self.high))
        return Prediction(value, low, high, checked, basis)


@dataclass(frozen=True)
class Local:
    """What the trees left at the measured designs of one family."""

    places: Floats
    weights: Floats

    def at(self, places: Floats) -> Floats:
        """The logarithms of the correction at places, of shape (n, parts); shape (n,)."""
        return np.asarray((nearness(places, self.places) * self.weights).sum(axis=1))


def nearness(first: Floats, second: Floats) -> Floats:
    """How much designs have to do with each other; shape (first, second).

    The covariance of Matérn with ν = 3/2, whose functions have one derivative (Rasmussen and
    Williams, Gaussian Processes for Machine Learning, 2006, equation 4.17), and what is common.
    """
    apart = np.sqrt(3 * (((first[:, None, :] - second[None, :, :]) / REACH) ** 2).sum(axis=2))
    return np.asarray((1 + apart) * np.exp(-apart) + COMMON)


@dataclass(frozen=True)
class Model:
    """A fitted model of one resource on one target.

    ``columns`` and ``coefficients``: of the structural part. ``settings``: the other columns of the
    trees; ``targets``: those that they tell apart. ``exact``: the kinds of units whose count is the
    plan's. ``local``: by family. ``units``: those that were measured. ``sizes``: the least and the
    greatest structural figure of those. ``samples``: how many there were.
    """

    resource: str
    columns: tuple[str, ...]
    coefficients: Floats
    settings: tuple[str, ...]
    trees: Trees
    exact: frozenset[str]
    local: Mapping[str, Local]
    strata: Mapping[str, Stratum]
    units: frozenset[str]
    targets: tuple[str, ...]
    sizes: tuple[float, float]
    samples: int

    def predict(self, spec: Spec, target: str) -> Prediction:
        """The resource that ``spec`` takes: a count, or ns for ``PERIOD``."""
        return self.predict_many([spec], target)[0]

    def predict_many(self, specs: Sequence[Spec], target: str) -> list[Prediction]:
        """The same of many at once."""
        predicted = self.predictions(Features(specs), target)
        return [predicted[row] for row in range(len(specs))]

    def predictions(self, features: Features, target: str) -> Predictions:
        """The same as arrays: each is to the last bit that of its unit alone."""
        base = structural(self.resource, self.columns, self.coefficients, features, target)
        exact = np.zeros(len(features), dtype=np.bool_)
        for kind, rows in features.kinds.get(self.resource, {}).items():
            exact[rows] = kind in self.exact
        measured = np.zeros(len(features), dtype=np.bool_)
        value = base.copy()
        if not exact.all():
            logs = self.trees.predict(rows_of_trees(self, target, features, base))
            for family, rows in features.families.items():
                if (local := self.local.get(family)) is not None:
                    measured[rows] = True
                    logs[rows] += local.at(features.places[rows])
            learned = np.maximum((base + self.offset) * np.exp(logs) - self.offset, 0.0)
            plan = exact | (self._are_new(features) if self.resource in COUNTED else False)
            value = np.where(plan, base, learned)
        return self._with_intervals(features, base, value, exact, measured)

    def _are_new(self, features: Features) -> Bools:
        """The units of which none like it was measured: what the trees say of others is not so."""
        units, likeness = features.likeness
        return np.array([one.unit not in self.units for one in units])[likeness]

    @property
    def offset(self) -> float:
        """What is added before figures are compared: of counts one, so that none is zero."""
        return 0.0 if self.resource == PERIOD else 1.0

    def is_exact(self, one: Inputs) -> bool:
        """All that was measured of units of its kind is the plan's count."""
        return one.kinds.get(self.resource) in self.exact

    def _with_intervals(
        self, features: Features, base: Floats, value: Floats, exact: Bools, measured: Bools
    ) -> Predictions:
        units, likeness = features.likeness
        least, most = self.sizes
        side = np.where(base > most, 2, np.where(base < least, 1, 0))
        cases = np.where(exact, -1, (likeness * 2 + measured) * 3 + side)
        different, why = _different(cases)
        reasons, errors = [], []
        for case in different.tolist():
            if case < 0:
                error, checked, basis = 0.0, True, "counted in the plan of the unit"
            else:
                like, beyond = units[case // 6], ("", "smaller", "larger")[case % 3]
                error, checked, basis = self._error(like, case // 3 % 2 == 1, beyond)
            errors.append(error)
            reasons.append((checked, basis))
        wider = 1 + np.array(errors)[why]
        low = np.maximum((value + self.offset) / wider - self.offset, 0.0)
        high = (value + self.offset) * wider - self.offset
        low, high = np.where(exact, value, low), np.where(exact, value, high)
        return Predictions(value, low, high, why, tuple(reasons))

    def stratum_name(self, one: Inputs, measured: bool) -> str:
        """The stratum of a unit of whose family some were measured, or none."""
        if one.unit not in self.units:
            return NEW_UNIT
        return f"{one.group}, {MEASURED_FAMILY if measured else NEW_FAMILY}"

    def _error(self, one: Inputs, measured: bool, size: str) -> tuple[float, bool, str]:
        """How far a design like ``one`` may be off, whether that was checked, and why.

        ``measured``: of its family some were; ``size``: if not empty, how it differs from all that
        were measured.
        """
        name = self.stratum_name(one, measured)
        stratum = self.strata.get(name, UNKNOWN)
        beyond = f"it is {size} than all that was measured" if size else ""
        error = stratum.error
        if not math.isfinite(error):
            known = [s.error for s in self.strata.values() if math.isfinite(s.error)]
            beyond = beyond or f"too few were measured of {name}"
            error = max(known, default=1.0)
        if beyond:
            error = (1 + error) ** BEYOND - 1
            return error, False, f"within {error:.1%}, a guess: {beyond}"
        share = f"{COVERAGE:.0%} of {stratum.count} that were left out"
        return error, True, f"within {error:.1%}, as {share} ({name})"


def _different(cases: Codes) -> tuple[Codes, Codes]:
    """The cases that there are, and which of them each row has."""
    if len(cases) == 1:  # Where ``np.unique`` takes longer than all else.
        return cases, np.zeros(1, dtype=np.intp)
    different, why = np.unique(cases, return_inverse=True)
    return different, why


def structural(
    resource: str, columns: Sequence[str], coefficients: Floats, features: Features, target: str
) -> Floats:
    """The structural figures of units, shape (n,)."""
    if resource in COUNTED:
        return features.plan(resource, target)
    # Not ``@``, whose order of sums depends on how many rows there are.
    rows = structural_rows(resource, columns, features, target) * coefficients
    return np.asarray(rows.sum(axis=1))


def structural_rows(
    resource: str, columns: Sequence[str], features: Features, target: str
) -> Floats:
    """What the coefficients multiply, shape (n, columns)."""
    return features.paths_ns(target) if resource == PERIOD else features.amounts(tuple(columns))


def rows_of_trees(model: Model, target: str, features: Features, base: Floats) -> Floats:
    """What the trees ask of: shares of the amounts in the whole, settings, size and target."""
    amounts = features.amounts(model.columns)
    shares = [amounts]
    if len(model.coefficients) == len(model.columns):
        shares.append(amounts * model.coefficients)
    parts = [s / np.maximum(s.sum(axis=1, keepdims=True), 1.0) for s in shares]
    here = np.array([[float(name == target) for name in model.targets]])
    parts += [features.settings(model.settings), np.log(base + 1)[:, None]]
    return np.concatenate([*parts, here.repeat(len(features), axis=0)], axis=1)


def shipped() -> dict[tuple[str, str], Model]:
    """The models that ship, by target and resource."""
    return {key: _read(*key) for key in _about()}


def of(target: str, resource: str) -> Model:
    """The model of a resource on a target, which has a placer if it is of the clock period.

    InputError for an unknown target, or one that was not measured.
    """
    yosys_scripts.target(target)
    if (target, resource) not in _about():
        known = ", ".join(dict.fromkeys(name for name, of in _about() if of == resource))
        raise InputError(
            f"no {resource} of target {target!r} was measured, and none can be predicted: use one "
            f"of {known}, 'hwgen synth' for one unit, or measure some ('hwgen sweep') for "
            "'python -m cost_models.fit'"
        )
    return _read(target, resource)


def write(file: Path, models: Mapping[tuple[str, str], Model], data: str) -> None:
    """Writes models, and the digest of the ``data`` that they were fitted to, as numbers alone."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    about = []
    for (target, resource), model in models.items():
        name = f"{target}_{resource}"
        families = sorted(model.local)
        about.append(
            {
                **{"target": target, "resource": resource, "columns": model.columns},
                **{"settings": model.settings, "exact": sorted(model.exact)},
                "strata": {n: [s.error, s.count] for n, s in model.strata.items()},
                **{"sizes": model.sizes, "samples": model.samples, "families": families},
                **{"units": sorted(model.units), "targets": model.targets},
                "members": [len(model.local[family].weights) for family in families],
            }
        )
        arrays[f"{name}_coefficients"] = model.coefficients
        for part in ("feature", "threshold", "leaf"):
            arrays[f"{resource}_{part}"] = getattr(model.trees, part)
        for part in ("places", "weights"):
            arrays[f"{name}_{part}"] = np.concatenate(
                [getattr(model.local[family], part) for family in families]
            ).astype(np.float32)
    arrays["about"] = np.array(json.dumps({"data": data, "models": about}))
    with whole_file(file) as new:
        np.savez_compressed(new, allow_pickle=False, **arrays)


@functools.cache
def _arrays() -> Any:
    """What the file of the shipped models holds, of which each array is read when it is used."""
    content = resources.files("cost_models").joinpath(FILE).read_bytes()
    return np.load(io.BytesIO(content), allow_pickle=False)


@functools.cache
def _about() -> dict[tuple[str, str], dict[str, Any]]:
    """The fields of each shipped model that are no arrays, by target and resource."""
    models = json.loads(str(_arrays()["about"]))["models"]
    return {(fields["target"], fields["resource"]): fields for fields in models}


@functools.cache
def _trees(resource: str) -> Trees:
    return Trees(*(_arrays()[f"{resource}_{part}"] for part in ("feature", "threshold", "leaf")))


@functools.cache
def _read(target: str, resource: str) -> Model:
    """One of the models that ``write`` wrote."""
    arrays, fields, name = _arrays(), _about()[target, resource], f"{target}_{resource}"
    places, weights = (arrays[f"{name}_{part}"] for part in ("places", "weights"))
    spans = itertools.pairwise([0, *np.cumsum(fields["members"]).tolist()])
    return Model(
        resource=resource,
        columns=tuple(fields["columns"]),
        coefficients=arrays[f"{name}_coefficients"],
        settings=tuple(fields["settings"]),
        trees=_trees(resource),
        exact=frozenset(fields["exact"]),
        local={
            family: Local(places[start:end], weights[start:end])
            for family, (start, end) in zip(fields["families"], spans, strict=True)
        },
        strata={n: Stratum(*figures) for n, figures in fields["strata"].items()},
        units=frozenset(fields["units"]),
        targets=tuple(fields["targets"]),
        sizes=(fields["sizes"][0], fields["sizes"][1]),
        samples=fields["samples"],
    )


def fitted_to() -> str:
    """The digest of the measurements that the shipped models were fitted to."""
    return str(json.loads(str(_arrays()["about"]))["data"])
