"""How many lanes a network needs for a frame rate: the cost query the other way round."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

import yosys_scripts
from cost_models.devices import FILL, copies_that_fit, part, require_fill, with_lanes
from cost_models.many import estimate_many
from cost_models.query import Cost
from hwgen.errors import InputError
from hwgen.fields import require_kind, shown
from hwgen.spec import MAX_LANES, DotProduct

#: The most multiply-accumulates a frame, and frames a second, that are taken.
MOST = 1e18


@dataclass(frozen=True)
class Sizing:
    """Units that do a frame rate.

    ``units`` of ``spec`` side by side, each of which costs ``cost``, at ``fmax_mhz`` do
    ``frames_per_second``, at least as many as were asked for.
    """

    spec: DotProduct
    units: int
    cost: Cost
    fmax_mhz: float
    frames_per_second: float


def lanes_for(
    spec: DotProduct,
    *,
    macs_per_frame: float,
    frames_per_second: float,
    target: str | None = None,
    device: str | None = None,
    busy: float = 1.0,
    sure: bool = False,
    fill: float = FILL,
) -> Sizing:
    """The fewest lanes of ``spec`` that do a network's frames at their estimated clock.

    ``spec``: a unit with lanes, whose own number of them does not count; its stages, too, become
    the usual ones. Each lane does a multiply-accumulate a cycle, in the part of the cycles that
    ``busy`` says. Where one unit of up to ``MAX_LANES`` lanes is not enough it is the fewest units,
    and of those the fewest lanes each. The clock is Fmax as estimated, with ``sure`` the low end of
    its interval. Give a ``target``, or a ``device``, on which they also have to fit (``fill`` as in
    ``most_copies``).

    Raises:
        InputError: a unit without lanes, numbers that are not above 0, a target that is not placed
            and so has no clock, both or none of target and device, and a device that is too small:
            the message has the most frames that it does.

    """
    _require_positive("macs_per_frame", macs_per_frame, MOST)
    _require_positive("frames_per_second", frames_per_second, MOST)
    _require_positive("busy", busy, 1.0)
    require_kind("sure", sure, ("bool",))
    chosen = None if device is None else part(device)
    if (target is None) == (chosen is None):
        raise InputError("give a target or a device, and not both")
    place = target if chosen is None else chosen.target
    _require_placed(str(place))
    specs = [with_lanes(spec, lanes) for lanes in range(1, MAX_LANES + 1)]
    costs = estimate_many(specs, place)
    clock = costs.figures["fmax_mhz_low" if sure else "fmax_mhz"]
    a_unit = np.array([one.lanes for one in specs]) * np.nan_to_num(clock) * 1e6 * busy
    a_unit /= macs_per_frame
    units = np.ceil(frames_per_second / np.maximum(a_unit, 1e-300))
    room = np.full(len(specs), math.inf)
    if chosen is not None:
        require_fill(fill)
        every = (costs.cost(row) for row in range(len(specs)))
        room = np.array([copies_that_fit(chosen, cost, fill) for cost in every])
    fit = np.flatnonzero(units <= room)
    if not len(fit):
        most = float((a_unit * np.where(np.isfinite(room), room, 0)).max())
        raise InputError(
            f"frames_per_second={frames_per_second:g}: {chosen and chosen.name} has room for "
            f"units that do {most:.3g}: use a larger device, or ask for less"
        )
    row = int(fit[np.argmin(units[fit])])
    rate = float(a_unit[row] * units[row])
    return Sizing(specs[row], int(units[row]), costs.cost(row), float(clock[row]), rate)


def _require_placed(target: str) -> None:
    if yosys_scripts.target(target).placer is None:
        placed = [n for n in yosys_scripts.TARGETS if yosys_scripts.target(n).placer is not None]
        raise InputError(
            f"target {target} is not placed, so that no clock of it is known: use one of "
            f"{', '.join(placed)}"
        )


def _require_positive(name: str, value: Any, most: float) -> None:
    require_kind(name, value, ("float", "int"))
    if not 0 < value <= most:
        raise InputError(f"{name}={shown(value)}: use a number above 0 and up to {most:g}")
