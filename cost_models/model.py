"""The cost model: features times fitted coefficients, corrected by the pair's measurements.

One model is fitted for each resource, target and mapping, on the shipped measurements: a
non-negative combination of the structural features (so that more hardware never costs less),
then a factor for each pair of formats that was measured, interpolated over the logarithm of
the lanes.

Each prediction has an interval from errors on measurements that its fit did not see, of designs
like the one that is asked for (`Group`): one lane, few, as many as were measured, more. Where no
such measurements ship, the interval says that it was not checked. The width is a conformal quantile
(Vovk et al., Algorithmic Learning in a Random World, 2005): of n errors the ⌈0.9 (n + 1)⌉-th.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

import yosys_scripts
from cost_models import features, holdout, measurement
from cost_models.measurement import SYNTHESIS
from hwgen.errors import InputError
from hwgen.spec import DotProduct, from_dict

AREA = ("lut", "carry", "ff", "dsp")
PERIOD = "period_ns"
#: Part of the designs like the one that is asked for that the interval holds.
COVERAGE = 0.9
#: Errors that are enough to state it.
FEWEST = math.ceil(COVERAGE / (1 - COVERAGE) - 1e-9)
#: The class of lane counts that were fitted, or lie between.
MEASURED_LANES = "measured lanes"
#: The most lanes of designs that the errors are known of.
MOST_CHECKED = holdout.BEYOND[1]

Sample = tuple[DotProduct, float]
Pair = tuple[str, str]
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Group:
    """Designs that are like each other, and the errors on those that were measured and not fitted.

    ``factor``: the median of measured ÷ predicted, by which a prediction is corrected. ``error``:
    how far (larger ÷ smaller, minus 1) measurements lay from predictions so corrected, by the
    conformal quantile of ``COVERAGE``; each was judged without its part in the correction.
    ``count`` of them were held out, and ``held_out`` says which.
    """

    factor: float
    error: float
    count: int
    held_out: str


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
class Model:
    """A fitted model of one resource.

    ``corrections``: for each measured pair, measured ÷ structural at its lane counts.
    ``groups``: by `lane_class` for pairs that were measured; ``unmeasured`` for those that were
    not, at the lane counts of the others. ``lanes``: the fewest and most that were fitted;
    ``products``: the ``max_products`` that were. ``samples``: measurements that it was fitted on.
    """

    features: Callable[[DotProduct], dict[str, float]]
    coefficients: Array
    corrections: dict[Pair, tuple[tuple[float, float], ...]]
    groups: dict[str, Group]
    unmeasured: Group
    lanes: tuple[int, int]
    products: frozenset[int]
    samples: int

    def predict(self, spec: DotProduct) -> Prediction:
        """The resource that ``spec`` takes: a count, or ns for ``PERIOD``."""
        known = self.corrections.get(pair(spec))
        lanes = lane_class(spec.lanes, self.lanes)
        of_lanes = self.groups.get(lanes)
        unchecked = []
        if of_lanes is None or (known is None and lanes != MEASURED_LANES):
            pairs = "pairs that were not measured " * (known is None)
            unchecked.append(f"for {pairs}at {spec.lanes} lanes")
        if spec.max_products not in self.products:
            unchecked.append(f"for accumulators of {spec.max_products} products")
        group = of_lanes or self.groups[MEASURED_LANES]
        value = self._uncorrected(spec) * group.factor
        if known is None and self.unmeasured.error > group.error:
            group = self.unmeasured
        error = group.error
        basis = f"within {error:.1%}"
        if unchecked:
            basis += (
                f" by {group.count} {group.held_out}, but not checked {' and '.join(unchecked)}"
            )
        else:
            basis += f", as {COVERAGE:.0%} of {group.count} {group.held_out}"
        return Prediction(value, value / (1 + error), value * (1 + error), not unchecked, basis)

    def _uncorrected(self, spec: DotProduct) -> float:
        """The prediction by features and the pair's correction alone."""
        structural = _row(self.features, spec) @ self.coefficients
        return float(structural * _interpolate(self.corrections.get(pair(spec)), spec.lanes))


def lane_class(lanes: int, measured: tuple[int, int]) -> str:
    """What kind of lane count ``lanes`` is, where ``measured``, from and to, were fitted.

    Of "many lanes" nothing was checked.
    """
    if lanes == 1:
        return "one lane"
    if lanes < measured[0]:
        return "few lanes"
    if lanes <= measured[1]:
        return MEASURED_LANES
    return "more lanes" if lanes <= MOST_CHECKED else "many lanes"


def pair(spec: DotProduct) -> Pair:
    """The two formats in a fixed order: exchanging a and b does not change the cost."""
    first, second = sorted((str(spec.a), str(spec.b)))
    return first, second


def fit(
    samples: Sequence[Sample],
    make_features: Callable[[DotProduct], dict[str, float]],
    calibration: Sequence[Sample] = (),
) -> Model:
    """Fits a model on (spec, measured value) and measures its errors on what it did not see.

    That is each pair left out whole, each measurement left out of its pair, and the
    ``calibration``, of lane counts that were not fitted.
    """
    measured = np.array([value for _, value in samples])
    rows = np.array([_row(make_features, spec) for spec, _ in samples])
    counts = [spec.lanes for spec, _ in samples]
    lanes = (min(counts), max(counts))
    pair_ratios = _without_pair(samples, rows, measured)
    sample_ratios = _without_sample(samples, rows, measured)
    range_of = f"from {lanes[0]} to {lanes[1]} lanes" if len(set(counts)) > 1 else f"of {lanes[0]}"
    unmeasured = _group(
        pair_ratios, f"measurements {range_of}, left out with their pair of formats"
    )
    # With one lane count a pair there is nothing to interpolate from.
    measured_lanes = (
        _group(
            sample_ratios,
            f"measurements {range_of}, each left out with its lane count of the pair",
        )
        if sample_ratios
        else unmeasured
    )
    model = Model(
        features=make_features,
        coefficients=_coefficients(rows, measured),
        corrections={},
        groups={MEASURED_LANES: measured_lanes},
        unmeasured=unmeasured,
        lanes=lanes,
        products=frozenset(spec.max_products for spec, _ in samples),
        samples=len(samples),
    )
    model = replace(model, corrections=_corrections(samples, rows @ model.coefficients))
    return replace(model, groups={**_calibrated(model, calibration), **model.groups})


def _calibrated(model: Model, calibration: Sequence[Sample]) -> dict[str, Group]:
    """The groups of ``calibration`` by `lane_class`."""
    ratios: dict[str, list[float]] = {}
    lanes: dict[str, set[int]] = {}
    for spec, value in calibration:
        name = lane_class(spec.lanes, model.lanes)
        ratios.setdefault(name, []).append(_ratio(value, model._uncorrected(spec)))
        lanes.setdefault(name, set()).add(spec.lanes)
    return {
        name: _group(
            ratios[name],
            f"measurements of {name} ({min(lanes[name])} to {max(lanes[name])}) "
            "that were not fitted",
        )
        for name in ratios
    }


def _without_pair(samples: Sequence[Sample], rows: Array, measured: Array) -> list[float]:
    """Measured ÷ predicted, of each pair by a fit without it."""
    pairs = [pair(spec) for spec, _ in samples]
    ratios: list[float] = []
    for left_out in dict.fromkeys(pairs):
        inside = np.array([p == left_out for p in pairs])
        if not inside.all():
            guesses = rows[inside] @ _coefficients(rows[~inside], measured[~inside])
            ratios += map(_ratio, measured[inside], guesses)
    return ratios


def _without_sample(samples: Sequence[Sample], rows: Array, measured: Array) -> list[float]:
    """Measured ÷ predicted, of each measurement by a fit without it.

    Its correction is from the other lane counts of its pair; without any it is left out.
    """
    members: dict[Pair, list[int]] = {}
    for index, (spec, _) in enumerate(samples):
        members.setdefault(pair(spec), []).append(index)
    ratios = []
    for formats, indices in members.items():
        for index in indices:
            others = [i for i in indices if samples[i][0].lanes != samples[index][0].lanes]
            if not others:
                continue
            fitted = np.arange(len(samples)) != index
            coefficients = _coefficients(rows[fitted], measured[fitted])
            known = _corrections([samples[i] for i in others], rows[others] @ coefficients)
            factor = _interpolate(known.get(formats), samples[index][0].lanes)
            ratios.append(_ratio(measured[index], float(rows[index] @ coefficients) * factor))
    return ratios


def _group(ratios: Sequence[float], held_out: str) -> Group:
    """The group whose ratios of measured to predicted values are ``ratios``."""
    logs = np.log(ratios)
    others = [np.delete(logs, i) for i in range(len(logs))]
    centres = [np.median(o) if len(o) else 0.0 for o in others]
    error = _quantile(list(np.exp(np.abs(logs - centres)) - 1))
    return Group(float(np.exp(np.median(logs))), error, len(ratios), held_out)


@functools.cache
def shipped(target: str, mapping: str, resource: str) -> Model:
    """The model of a resource (one of ``AREA``, or ``PERIOD``) from the shipped measurements.

    InputError if none were shipped for that target and mapping.
    """
    require_measurements(target, mapping, resource)
    samples = _samples(target, mapping, resource)
    if resource == PERIOD:
        return fit(samples, features.delay)
    return fit(samples, features.area, _calibration(target, mapping, resource))


def _calibration(target: str, mapping: str, resource: str) -> list[Sample]:
    """Measurements at other lane counts, which are not fitted.

    A target that has none gets those of one that is mapped by the same commands.
    """
    script = yosys_scripts.target(target).script(mapping)
    rows = [m for m in holdout.shipped("calibration") if m.spec["mapping"] == mapping]
    alike = {m.target for m in rows if yosys_scripts.target(m.target).script(mapping) == script}
    targets = {target} if target in alike else alike
    return [(_spec(m), float(m.result[resource])) for m in rows if m.target in targets]


@functools.cache
def ships(target: str, mapping: str, resource: str) -> bool:
    """Whether there are measurements to fit that model on, and to tell its errors."""
    samples = _samples(target, mapping, resource)
    return len({pair(spec) for spec, _ in samples}) >= FEWEST


def require_measurements(target: str, mapping: str, resource: str) -> None:
    """InputError if there are no measurements to fit that model on."""
    if not ships(target, mapping, resource):
        raise InputError(
            f"no measurements ship for target {target} with mapping {mapping}, so that nothing "
            f"can be predicted: 'hwgen synth UNIT … --target {target}' measures one"
        )


def _samples(target: str, mapping: str, resource: str) -> list[Sample]:
    samples: list[Sample] = []
    for m in measurement.shipped():
        if m.kind != SYNTHESIS or m.target != target or m.spec["mapping"] != mapping:
            continue
        if resource == PERIOD:
            fmax = m.result["fmax_mhz"]
            if fmax is not None:
                samples.append((_spec(m), 1000.0 / fmax))
        else:
            samples.append((_spec(m), float(m.result[resource])))
    return samples


def _spec(measured: measurement.Measurement) -> DotProduct:
    spec = from_dict(measured.spec)
    assert isinstance(spec, DotProduct)  # Of other units none ship.
    return spec


def _row(make_features: Callable[[DotProduct], dict[str, float]], spec: DotProduct) -> Array:
    return np.array(list(make_features(spec).values()), dtype=np.float64)


def _coefficients(rows: Array, measured: Array) -> Array:
    # Relative errors count: a unit of 100 LUTs as much as one of 10,000.
    weight = 1.0 / np.maximum(measured, 1.0)
    solution, _ = nnls(rows * weight[:, None], measured * weight)
    return np.asarray(solution)


def _corrections(
    samples: Sequence[Sample], structural: Array
) -> dict[Pair, tuple[tuple[float, float], ...]]:
    ratios: dict[Pair, dict[float, list[float]]] = {}
    for (spec, value), base in zip(samples, structural, strict=True):
        if base > 0:
            by_lanes = ratios.setdefault(pair(spec), {})
            by_lanes.setdefault(math.log2(spec.lanes), []).append(value / base)
    return {
        formats: tuple(sorted((lanes, float(np.mean(r))) for lanes, r in by_lanes.items()))
        for formats, by_lanes in ratios.items()
    }


def _interpolate(known: tuple[tuple[float, float], ...] | None, lanes: int) -> float:
    """The correction at a lane count, from (log2 of the lanes, factor) in rising order.

    It is 1 for a pair without any, or a resource that the pair does not take.
    """
    if known is None:
        return 1.0
    log_lanes, factors = zip(*known, strict=True)
    return float(np.interp(math.log2(lanes), log_lanes, factors))


def _ratio(measured: float, predicted: float) -> float:
    """Measured ÷ predicted; values below 1 count as 1."""
    return max(float(measured), 1.0) / max(float(predicted), 1.0)


def _quantile(errors: Sequence[float]) -> float:
    """The conformal quantile; infinite for fewer than ``FEWEST``."""
    rank = math.ceil((len(errors) + 1) * COVERAGE)
    return float(np.sort(errors)[rank - 1]) if rank <= len(errors) else math.inf
