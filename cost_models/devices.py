"""What fits a device that is bought by name: parts of it, copies of a unit, lanes."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, TypeVar

import yosys_scripts
from cost_models.model import AREA
from cost_models.query import Cost, estimate
from hwgen.errors import InputError
from hwgen.fields import require_kind, shown, unknown
from hwgen.spec import MAX_LANES, DotProduct, Spec
from hwgen.spec.base import require_spec

#: The part of a device's LUTs and registers that is used at most, as placers get slow and fail.
FILL = 0.85

Sized = TypeVar("Sized", bound=DotProduct)


@dataclass(frozen=True)
class Part:
    """A device and its target; ``capacity``: of lut, carry, ff and dsp."""

    name: str
    target: str
    capacity: dict[str, int]

    def utilisation(self, cost: Cost, end: str = "value") -> dict[str, float]:
        """The part of each resource that ``cost`` takes; above 1 it does not fit.

        ``end``: of the interval, ``low`` or ``high``, or the ``value``.
        """
        taken = {name: getattr(getattr(cost, name), end) for name in AREA}
        return {
            name: (float(taken[name]) / has if has else (math.inf if taken[name] else 0.0))
            for name, has in self.capacity.items()
        }

    def does_not_fit(self, cost: Cost, end: str = "value") -> str | None:
        """Why a unit of this ``cost`` has no room; None if it may have. ``end``: as above."""
        over = [
            f"{self.capacity[name]:,} {name}, not {getattr(getattr(cost, name), end):,.0f}"
            for name, share in self.utilisation(cost, end).items()
            if share > 1
        ]
        return f"{self.name} has {', '.join(over)}" if over else None

    def to_dict(self, cost: Cost) -> dict[str, Any]:
        """What ``cost`` takes of it, in plain JSON types.

        ``utilisation_percent``: of each resource, None where it has none and some is needed.
        ``may_not_fit``: as ``does_not_fit``, at the high ends of the intervals.
        """
        return {
            **{"name": self.name, "target": self.target, "capacity": self.capacity},
            "utilisation_percent": {
                name: round(100 * share, 2) if math.isfinite(share) else None
                for name, share in self.utilisation(cost).items()
            },
            "copies": copies_that_fit(self, cost, FILL),
            "does_not_fit": self.does_not_fit(cost),
            "may_not_fit": self.does_not_fit(cost, "high"),
        }


def parts() -> dict[str, Part]:
    """The devices that are known, by name."""
    return {
        device.name: Part(device.name, target, device.capacity)
        for target in yosys_scripts.TARGETS
        for device in yosys_scripts.target(target).parts
    }


def part(name: str) -> Part:
    """The device of this name; InputError for one that is not known."""
    known = parts()
    for each in known.values():
        if isinstance(name, str) and each.name.lower() == name.lower():
            return each
    raise unknown("device", name, known)


def most_copies(spec: Spec, device: str, *, fill: float = FILL) -> int:
    """How many of a unit fit a device side by side, by their estimated costs.

    ``fill``: the part of its LUTs, carries and registers that is used; DSP blocks are used up.
    """
    require_spec(spec)
    chosen = part(device)
    return copies_that_fit(chosen, estimate(spec, chosen.target), require_fill(fill))


def most_lanes(spec: Sized, device: str, *, fill: float = FILL) -> Sized | None:
    """The unit with the most lanes that fits a device; None if not even one lane does.

    ``spec``: a unit with lanes, whose own number of them does not count; its stages, too, become
    the usual ones. InputError for a unit without lanes.
    """
    chosen, fill = part(device), require_fill(fill)

    def fits(lanes: int) -> Sized | None:
        made = with_lanes(spec, lanes)
        return made if copies_that_fit(chosen, estimate(made, chosen.target), fill) else None

    most, least = MAX_LANES, 0
    best: Sized | None = None
    while least < most:
        lanes = (least + most + 1) // 2
        found = fits(lanes)
        if found is None:
            most = lanes - 1
        else:
            best, least = found, lanes
    return best


def with_lanes(spec: Sized, lanes: int) -> Sized:
    """The unit with so many lanes, and the usual stages; InputError for one without lanes."""
    require_spec(spec)
    if not isinstance(spec, DotProduct) or spec.unit == "mac":
        raise InputError(f"{spec.name}: give a unit with lanes, such as dot")
    products = max(spec.max_products, lanes)
    return dataclasses.replace(
        spec, lanes=lanes, max_products=products, stages=0, pipeline_target=""
    )


def require_fill(fill: float) -> float:
    """InputError for a part of a device that is none."""
    require_kind("fill", fill, ("float", "int"))
    if not 0 < fill <= 1:
        raise InputError(f"fill={shown(fill)}: use a part of the device, above 0 and up to 1")
    return fill


def copies_that_fit(chosen: Part, cost: Cost, fill: float) -> int:
    """How many units of a cost have room, as of ``most_copies``."""
    counts = []
    for name, has in chosen.capacity.items():
        taken = getattr(cost, name).value
        if taken:
            counts.append(int(has * (1.0 if name == "dsp" else fill) // taken))
    return min(counts, default=0)
