"""The cost query: measured if the store has it, else an estimate that says it is one."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import yosys_scripts
from cost_models import measurement, model
from cost_models.features import Features
from hwgen import store
from hwgen.fields import require_kind
from hwgen.spec import Spec
from hwgen.spec.base import require_spec

MEASURED, PREDICTED = "measured", "predicted"
RESOURCES = (*model.AREA, "fmax_mhz")
#: Answers that are kept, of the last designs that were asked for.
REMEMBERED = 4_000
#: Designs whose features are in memory together.
CHUNK = 2048


@dataclass(frozen=True)
class Quantity:
    """One figure with its interval and where it comes from.

    A measured value has ``low`` = ``high`` = ``value``; how sure the interval of a predicted one
    is, the ``basis`` of its `Cost` says. ``value`` is None where the target is not placed, or too
    few units were placed to predict it.
    """

    value: float | None
    low: float | None
    high: float | None
    source: str

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {"value": self.value, "low": self.low, "high": self.high, "source": self.source}


@dataclass(frozen=True)
class Cost:
    """Resources of a unit on a target: counts, and Fmax in MHz.

    ``basis`` says what the figures stand on, and ``does_not_fit`` why the unit has no room on the
    largest device, if so.
    """

    lut: Quantity
    carry: Quantity
    ff: Quantity
    dsp: Quantity
    fmax_mhz: Quantity
    basis: str
    does_not_fit: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            **{name: getattr(self, name).to_dict() for name in RESOURCES},
            "basis": self.basis,
            "does_not_fit": self.does_not_fit,
        }


def estimate(spec: Spec, target: str) -> Cost:
    """The measured cost if it is known, else the predicted one.

    Known is what the user's store or the shipped measurements have. Of a unit that was measured
    but not placed, Fmax alone is predicted, unless the target's devices are too small for it.
    InputError for an unknown target or mapping.
    """
    require_spec(spec)
    require_kind("target", target, ("str",))
    state = store.state()
    return _estimate(spec, target) if state is None else _remembered(spec, target, state)


@functools.lru_cache(maxsize=REMEMBERED)
def _remembered(spec: Spec, target: str, state: store.State) -> Cost:
    return _estimate(spec, target)


def _estimate(spec: Spec, target: str) -> Cost:
    measured = measurement.stored(spec, target)
    if measured is None:
        return predict(spec, target)
    cost = from_measurement(measured)
    if "too_large" in measured.result:
        return dataclasses.replace(cost, basis=f"{cost.basis}; {measured.result['too_large']}")
    if cost.fmax_mhz.value is not None or yosys_scripts.target(target).placer is None:
        return cost
    fmax_mhz = figures(Features([spec]), target)["fmax_mhz"][0]
    basis = f"{cost.basis}; not placed, clock period predicted {fmax_mhz.basis}"
    return dataclasses.replace(cost, fmax_mhz=_quantity(fmax_mhz, float), basis=basis)


def measure(spec: Spec, target: str, *, place: bool = True) -> Cost:
    """The measured cost; runs the tools unless the store has it.

    With ``place``, targets that have a placer are placed and routed for Fmax. InputError,
    ToolError as in ``yosys_scripts``.
    """
    require_spec(spec)
    require_kind("target", target, ("str",))
    require_kind("place", place, ("bool",))
    return from_measurement(measurement.measure(spec, target, place=place)[0])


def from_measurement(measured: measurement.Measurement) -> Cost:
    """A measurement as a cost; its Fmax is None if it was not placed."""
    values = {name: measured.result[name] for name in RESOURCES}
    quantities = {name: Quantity(v, v, v, MEASURED) for name, v in values.items()}
    tools = ", ".join(f"{tool} {version}" for tool, version in measured.tools.items())
    basis = f"measured on {measured.created} with {tools}"
    return _with_device(_cost(quantities, basis), measured.target)


@functools.lru_cache(maxsize=REMEMBERED)
def predict(spec: Spec, target: str) -> Cost:
    """The cost model's answer, whatever the store has.

    InputError for an unknown target, or a mapping that it lacks.
    """
    require_spec(spec)
    return next(_predictions([spec], target, keep=True))


def predict_each(specs: Sequence[Spec], target: str) -> Iterator[Cost]:
    """As ``predict``, of many specs in their order, which is quicker than one at a time."""
    for start in range(0, len(specs), CHUNK):
        yield from _predictions(specs[start : start + CHUNK], target, keep=False)


def _predictions(specs: Sequence[Spec], target: str, keep: bool) -> Iterator[Cost]:
    """The cost model's answers; ``keep``: as ``Features`` does."""
    told = figures(Features(specs, keep=keep), target)
    samples = model.of(target, "lut").samples
    for i in range(len(specs)):
        predicted = {name: p[i] for name, p in told.items()}
        quantities = {name: _quantity(predicted[name], int) for name in model.AREA}
        limits = [f"LUT {predicted['lut'].basis}"]
        if "fmax_mhz" in predicted:
            quantities["fmax_mhz"] = _quantity(predicted["fmax_mhz"], float)
            limits.append(f"clock period {predicted['fmax_mhz'].basis}")
        else:
            quantities["fmax_mhz"] = Quantity(None, None, None, PREDICTED)
        basis = f"predicted from {samples:,} shipped measurements; {'; '.join(limits)}"
        yield _with_device(_cost(quantities, basis), target)


def figures(features: Features, target: str) -> dict[str, model.Predictions]:
    """What the cost model says of units, rounded as it is told: counts, and MHz.

    Without ``fmax_mhz`` where the target is not placed. InputError for an unknown target, or a
    mapping that it lacks.
    """
    facts = yosys_scripts.target(target)
    for mapping in dict.fromkeys(spec.mapping for spec in features.specs):
        measurement.require_mapping(target, mapping)
    told = {}
    for name in model.AREA:
        p = model.of(target, name).predictions(features, target)
        value, low, high = (np.rint(part) for part in (p.value, p.low, p.high))
        told[name] = dataclasses.replace(p, value=value, low=low, high=high)
    if facts.placer is not None:
        p = model.of(target, model.PERIOD).predictions(features, target)
        value, low, high = (np.round(1000 / part, 1) for part in (p.value, p.high, p.low))
        told["fmax_mhz"] = dataclasses.replace(p, value=value, low=low, high=high)
    return told


def _quantity(p: model.Prediction, kind: Callable[[float], float]) -> Quantity:
    return Quantity(kind(p.value), kind(p.low), kind(p.high), PREDICTED)


def _cost(quantities: Mapping[str, Quantity], basis: str) -> Cost:
    lut, carry, ff, dsp, fmax_mhz = (quantities[name] for name in RESOURCES)
    return Cost(lut=lut, carry=carry, ff=ff, dsp=dsp, fmax_mhz=fmax_mhz, basis=basis)


def _with_device(cost: Cost, target: str) -> Cost:
    """The cost, and why no device of the target has room for it, if so."""
    counts = {name: getattr(cost, name).value for name in model.AREA}
    return dataclasses.replace(cost, does_not_fit=yosys_scripts.does_not_fit(counts, target))


def table(fields: dict[str, Any]) -> str:
    """Figures of ``Cost.to_dict`` (and energy, if there), and the ``target``, for a person."""
    lines = []
    for name in (*RESOURCES, "energy_pj", "energy_ratio"):
        if name not in fields:
            continue
        q = fields[name]
        if q["value"] is None:
            lines.append(f"  {name:10} {'–':>10}   not known: {_why_no_fmax(fields['target'])}")
            continue
        interval = "" if q["low"] == q["high"] else f" ({q['low']:g} to {q['high']:g})"
        operation = f" for {q['operation']}" if "operation" in q else ""
        value = round(q["value"], 1 if name == "fmax_mhz" else 3)
        lines.append(f"  {name:10} {value:>10g}   {q['source']}{interval}{operation}")
        if "basis" in q:
            lines.append(f"  {'':10} {q['basis']}")
    lines.append(f"  {fields['basis']}")
    if "device" in fields:
        lines.append(_device_line(fields["device"]))
    if fields["does_not_fit"] is not None:
        lines.append(f"  does not fit: {fields['does_not_fit']}")
    return "\n".join(lines)


def _device_line(taken: dict[str, Any]) -> str:
    """What a unit takes of a device (``Part.to_dict``)."""
    shares = [
        f"{name} {'–' if share is None else f'{share:.1f}%'} of {taken['capacity'][name]:,}"
        for name, share in taken["utilisation_percent"].items()
    ]
    many = f"{taken['copies']} fit side by side" if taken["copies"] else "none fits"
    return f"  of {taken['name']}: {', '.join(shares)}; {many}"


def _why_no_fmax(target: str) -> str:
    if yosys_scripts.target(target).placer is None:
        return "this target is not placed"
    return "not placed, and not predicted: hwgen synth places it"
