"""The cost query: measured if the store has it, else an estimate that says it is one."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yosys_scripts
from cost_models import features, measurement, model
from hwgen.errors import InputError
from hwgen.fields import require_kind
from hwgen.spec import DotProduct, Spec
from hwgen.spec.base import require_spec

MEASURED, PREDICTED = "measured", "predicted"
RESOURCES = (*model.AREA, "fmax_mhz")


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
    InputError for an unknown target or mapping, and where nothing can be predicted.
    """
    require_spec(spec)
    require_kind("target", target, ("str",))
    measured = measurement.stored(spec, target)
    if measured is None:
        return predict(spec, target)
    cost = from_measurement(measured)
    if "too_large" in measured.result:
        return dataclasses.replace(cost, basis=f"{cost.basis}; {measured.result['too_large']}")
    if cost.fmax_mhz.value is not None or yosys_scripts.target(target).placer is None:
        return cost
    basis = f"{cost.basis}; not placed"
    # Of units that the model does not know the area is measured all the same.
    if features.covers(spec) and model.ships(target, spec.mapping, model.PERIOD):
        period = model.shipped(target, spec.mapping, model.PERIOD).predict(spec)
        basis = f"{basis}, clock period predicted {period.basis}"
        cost = dataclasses.replace(cost, fmax_mhz=_fmax(period))
    return dataclasses.replace(cost, basis=basis)


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


def require_predictable(spec: Spec, target: str) -> DotProduct:
    """The spec, if the cost model answers for it.

    InputError for an unknown target, a mapping without measurements there, or a unit unlike those
    measured. Quick: nothing is fitted.
    """
    facts = yosys_scripts.target(target)
    facts.script(spec.mapping)
    if not features.covers(spec):
        raise InputError(
            f"the cost model has no measurements like {spec.name}: {features.uncovered(spec)}; "
            f"what one unit takes, 'hwgen synth {spec.unit} … --target {target}' measures"
        )
    model.require_measurements(target, spec.mapping, "lut")
    return spec


@functools.lru_cache(maxsize=100_000)
def predict(spec: Spec, target: str) -> Cost:
    """The cost model's answer, whatever the store has.

    InputError for an unknown target, or where no measurements ship for the mapping.
    """
    spec = require_predictable(spec, target)
    facts = yosys_scripts.target(target)
    quantities: dict[str, Quantity] = {}
    limits = []
    for resource in model.AREA:
        p = model.shipped(target, spec.mapping, resource).predict(spec)
        quantities[resource] = Quantity(round(p.value), round(p.low), round(p.high), PREDICTED)
        if resource == "lut":
            limits.append(f"LUT {p.basis}")
    if facts.placer is None or not model.ships(target, spec.mapping, model.PERIOD):
        quantities["fmax_mhz"] = Quantity(None, None, None, PREDICTED)
    else:
        p = model.shipped(target, spec.mapping, model.PERIOD).predict(spec)
        quantities["fmax_mhz"] = _fmax(p)
        limits.append(f"clock period {p.basis}")
    samples = model.shipped(target, spec.mapping, "lut").samples
    basis = f"predicted from {samples} shipped measurements; {'; '.join(limits)}"
    return _with_device(_cost(quantities, basis), target)


def _cost(quantities: Mapping[str, Quantity], basis: str) -> Cost:
    lut, carry, ff, dsp, fmax_mhz = (quantities[name] for name in RESOURCES)
    return Cost(lut=lut, carry=carry, ff=ff, dsp=dsp, fmax_mhz=fmax_mhz, basis=basis)


def _fmax(period: model.Prediction) -> Quantity:
    value, low, high = (round(1000 / p, 1) for p in (period.value, period.high, period.low))
    return Quantity(value, low, high, PREDICTED)


def _with_device(cost: Cost, target: str) -> Cost:
    """The cost, and why no device of the target has room for it, if so."""
    counts = {name: getattr(cost, name).value for name in model.AREA}
    return dataclasses.replace(cost, does_not_fit=yosys_scripts.does_not_fit(counts, target))


def table(fields: dict[str, Any]) -> str:
    """Figures of ``Cost.to_dict`` (and energy, if there), and the ``target``, for a person."""
    lines = []
    for name in (*RESOURCES, "energy_pj"):
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
    if fields["does_not_fit"] is not None:
        lines.append(f"  does not fit: {fields['does_not_fit']}")
    return "\n".join(lines)


def _why_no_fmax(target: str) -> str:
    if yosys_scripts.target(target).placer is None:
        return "this target is not placed"
    return "not placed, and not predicted: hwgen synth places it"
