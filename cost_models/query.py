"""The cost query: measured if the store has it, else an estimate that says it is one."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from typing import Any

import yosys_scripts
from cost_models import features, measurement, model, store
from hwgen.errors import InputError
from hwgen.fields import require_kind
from hwgen.spec import DotProduct, Spec
from hwgen.spec.base import require_spec

MEASURED, PREDICTED = "measured", "predicted"
RESOURCES = (*model.AREA, "fmax_mhz")


@dataclass(frozen=True)
class Quantity:
    """One figure with its interval and where it comes from.

    A measured value has ``low`` = ``high`` = ``value``; the interval of a predicted one held
    90% of held-out measurements. ``value`` is None where the target is not placed.
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
    """Resources of a unit on a target; ``basis`` says what the figures stand on."""

    lut: Quantity
    carry: Quantity
    ff: Quantity
    dsp: Quantity
    fmax_mhz: Quantity
    basis: str

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            **{name: getattr(self, name).to_dict() for name in RESOURCES},
            "basis": self.basis,
        }


def estimate(spec: Spec, target: str) -> Cost:
    """The measured cost if the user's store or the shipped measurements have it, else the
    predicted one; of a unit that was measured but not placed, Fmax alone is predicted, unless
    the target's devices are too small for it.
    InputError for an unknown target or mapping."""
    require_spec(spec)
    require_kind("target", target, ("str",))
    found = measurement.stored(spec, target)
    if found is None:
        return predict(spec, target)
    cost = from_measurement(found)
    if "too_large" in found.result:
        return dataclasses.replace(cost, basis=f"{cost.basis}; {found.result['too_large']}")
    if cost.fmax_mhz.value is None and yosys_scripts.target(target).placer is not None:
        guess = predict(spec, target)
        basis = f"{cost.basis}; not placed, Fmax {guess.basis}"
        return dataclasses.replace(cost, fmax_mhz=guess.fmax_mhz, basis=basis)
    return cost


def measure(spec: Spec, target: str, *, place: bool = True) -> Cost:
    """The measured cost; runs the tools unless the store has it."""
    require_spec(spec)
    require_kind("target", target, ("str",))
    require_kind("place", place, ("bool",))
    return from_measurement(measurement.measure(spec, target, place=place)[0])


def from_measurement(found: store.Measurement) -> Cost:
    """A measurement as a cost. Its Fmax is None if it was not placed."""
    values = {name: found.result[name] for name in RESOURCES}
    quantities = {name: Quantity(v, v, v, MEASURED) for name, v in values.items()}
    tools = ", ".join(f"{tool} {version}" for tool, version in found.tools.items())
    return Cost(**quantities, basis=f"measured on {found.created} with {tools}")


def require_predictable(spec: Spec, target: str) -> DotProduct:
    """The spec, if the cost model answers for it; InputError for an unknown target, a mapping
    without measurements there, or a unit unlike those measured. Quick: nothing is fitted."""
    facts = yosys_scripts.target(target)
    facts.script(spec.mapping)
    problem = features.uncovered(spec)
    if problem is not None:
        raise InputError(
            f"the cost model has no measurements like {spec.name}: {problem}; measure this one "
            f"with 'hwgen synth {spec.unit} … --target {target}'"
        )
    assert isinstance(spec, DotProduct)
    model.require_measurements(target, spec.mapping, "lut")
    return spec


@functools.lru_cache(maxsize=100_000)
def predict(spec: Spec, target: str) -> Cost:
    """The cost model's answer, whatever the store has.

    InputError for an unknown target, or where no measurements ship for the mapping.
    """
    spec = require_predictable(spec, target)
    facts = yosys_scripts.target(target)
    quantities = {}
    for resource in model.AREA:
        p = model.shipped(target, spec.mapping, resource).predict(spec)
        quantities[resource] = Quantity(round(p.value), round(p.low), round(p.high), PREDICTED)
    if facts.placer is None or not model.ships(target, spec.mapping, model.PERIOD):
        quantities["fmax_mhz"] = Quantity(None, None, None, PREDICTED)
    else:
        p = model.shipped(target, spec.mapping, model.PERIOD).predict(spec)
        value, low, high = (round(1000 / period, 1) for period in (p.value, p.high, p.low))
        quantities["fmax_mhz"] = Quantity(value, low, high, PREDICTED)
    lut = model.shipped(target, spec.mapping, "lut")
    seen = model.pair(spec) in lut.corrections
    error = lut.error_known if seen else lut.error_unknown
    return Cost(
        **quantities,
        basis=(
            f"predicted from {lut.samples} shipped measurements; intervals held "
            f"{model.COVERAGE:.0%} of held-out ones ({'this' if seen else 'an unmeasured'} pair "
            f"of formats: LUT within {error:.1%})"
        ),
    )


def table(fields: dict[str, Any]) -> str:
    """Figures of ``Cost.to_dict`` (and energy, if there) for a person to read."""
    lines = []
    for name in (*RESOURCES, "energy_pj"):
        if name not in fields:
            continue
        q = fields[name]
        if q["value"] is None:
            lines.append(f"  {name:10} {'–':>10}   not placed on this target")
            continue
        interval = "" if q["low"] == q["high"] else f" ({q['low']:g} to {q['high']:g})"
        each = f" for {q['operation']}" if "operation" in q else ""
        value = round(q["value"], 1 if name == "fmax_mhz" else 3)
        lines.append(f"  {name:10} {value:>10g}   {q['source']}{interval}{each}")
        if "basis" in q:
            lines.append(f"  {'':10} {q['basis']}")
    return "\n".join([*lines, f"  {fields['basis']}"])
