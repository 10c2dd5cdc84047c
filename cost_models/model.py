"""The cost model: features times fitted coefficients, corrected by the pair's measurements.

One model is fitted for each resource, target and mapping, on the shipped measurements: a
non-negative combination of the structural features (so that more hardware never costs less),
then a factor for each pair of formats that was measured, interpolated over the logarithm of
the lanes. Each prediction has an interval from errors on measurements that the fit did not
see.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from cost_models import features, store
from cost_models.measurement import SYNTHESIS
from hwgen.errors import InputError
from hwgen.spec import DotProduct, from_dict

AREA = ("lut", "carry", "ff", "dsp")
PERIOD = "period_ns"
#: Part of the held-out errors that lies within the interval.
COVERAGE = 0.9

Sample = tuple[DotProduct, float]
Pair = tuple[str, str]
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Prediction:
    """A value and an interval that held ``COVERAGE`` of the held-out measurements."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Model:
    """A fitted model of one resource.

    ``corrections``: for each measured pair, measured ÷ structural at its lane counts.
    ``error_known``, ``error_unknown``: relative error (of the larger to the smaller of
    prediction and measurement) that ``COVERAGE`` of held-out measurements kept within, for
    pairs that were measured at other lane counts, and for pairs that were not measured at all.
    ``samples``: measurements that it was fitted on.
    """

    features: Callable[[DotProduct], dict[str, float]]
    coefficients: Array
    corrections: dict[Pair, tuple[tuple[float, float], ...]]
    error_known: float
    error_unknown: float
    samples: int

    def predict(self, spec: DotProduct) -> Prediction:
        """The resource that ``spec`` takes."""
        structural = _row(self.features, spec) @ self.coefficients
        known = self.corrections.get(pair(spec))
        value = float(structural * _interpolate(known, spec.lanes))
        error = self.error_known if known else self.error_unknown
        return Prediction(value, value / (1 + error), value * (1 + error))


def pair(spec: DotProduct) -> Pair:
    """The two formats in a fixed order: a and b cost the same either way round."""
    first, second = sorted((str(spec.a), str(spec.b)))
    return first, second


def fit(
    samples: Sequence[Sample], make_features: Callable[[DotProduct], dict[str, float]]
) -> Model:
    """Fits a model on (spec, measured value) and measures its errors on what it did not see:
    every pair left out in turn, and every single measurement left out of its pair."""
    measured = np.array([value for _, value in samples])
    rows = np.array([_row(make_features, spec) for spec, _ in samples])
    coefficients = _coefficients(rows, measured)
    corrections = _corrections(samples, rows @ coefficients)

    pairs = [pair(spec) for spec, _ in samples]
    unseen, interpolated = [], []
    for left_out in dict.fromkeys(pairs):
        inside = np.array([p == left_out for p in pairs])
        if inside.all():
            continue
        without = rows[inside] @ _coefficients(rows[~inside], measured[~inside])
        unseen += _errors(without, measured[inside])
        members = [i for i, p in enumerate(pairs) if p == left_out]
        for index in members:
            others = [i for i in members if i != index]
            if others:
                known = _corrections([samples[i] for i in others], rows[others] @ coefficients)
                factor = _interpolate(known.get(left_out), samples[index][0].lanes)
                guess = rows[index : index + 1] @ coefficients * factor
                interpolated += _errors(guess, measured[index : index + 1])
    return Model(
        features=make_features,
        coefficients=coefficients,
        corrections=corrections,
        # With one lane count a pair there is nothing to interpolate from.
        error_known=_quantile(interpolated or unseen),
        error_unknown=_quantile(unseen),
        samples=len(samples),
    )


@functools.cache
def shipped(target: str, mapping: str, resource: str) -> Model:
    """The model of a resource (one of ``AREA``, or ``PERIOD``) from the shipped measurements.

    InputError if none were shipped for that target and mapping.
    """
    require_measurements(target, mapping, resource)
    samples = _samples(target, mapping, resource)
    return fit(samples, features.delay if resource == PERIOD else features.area)


@functools.cache
def ships(target: str, mapping: str, resource: str) -> bool:
    """Whether there are measurements to fit that model on."""
    return bool(_samples(target, mapping, resource))


def require_measurements(target: str, mapping: str, resource: str) -> None:
    """InputError if there are no measurements to fit that model on."""
    if not ships(target, mapping, resource):
        raise InputError(
            f"no measurements ship for target {target} with mapping {mapping}, so that nothing "
            f"can be predicted: measure the unit with 'hwgen synth --target {target}'"
        )


def _samples(target: str, mapping: str, resource: str) -> list[Sample]:
    samples: list[Sample] = []
    for m in store.shipped():
        if m.kind != SYNTHESIS or m.target != target or m.spec["mapping"] != mapping:
            continue
        if resource == PERIOD:
            fmax = m.result["fmax_mhz"]
            if fmax is not None:
                samples.append((_spec(m), 1000.0 / fmax))
        else:
            samples.append((_spec(m), float(m.result[resource])))
    return samples


def _spec(measurement: store.Measurement) -> DotProduct:
    spec = from_dict(measurement.spec)
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
    found: dict[Pair, dict[float, list[float]]] = {}
    for (spec, value), base in zip(samples, structural, strict=True):
        if base > 0:
            by_lanes = found.setdefault(pair(spec), {})
            by_lanes.setdefault(math.log2(spec.lanes), []).append(value / base)
    return {
        formats: tuple(sorted((lanes, float(np.mean(r))) for lanes, r in by_lanes.items()))
        for formats, by_lanes in found.items()
    }


def _interpolate(known: tuple[tuple[float, float], ...] | None, lanes: int) -> float:
    """The correction at a lane count; none (1) for a pair without any, or a resource that
    the pair does not take."""
    if known is None:
        return 1.0
    places, factors = zip(*known, strict=True)
    return float(np.interp(math.log2(lanes), places, factors))


def _errors(predicted: Array, measured: Array) -> list[float]:
    """Factor by which each prediction is wrong, minus 1; values below 1 count as 1."""
    ratios = np.maximum(predicted, 1.0) / np.maximum(measured, 1.0)
    return [float(error) for error in np.maximum(ratios, 1 / ratios) - 1]


def _quantile(errors: Sequence[float]) -> float:
    return float(np.quantile(errors, COVERAGE))
