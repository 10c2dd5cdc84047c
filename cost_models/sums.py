"""What several units take together: a network's layers, an array beside its quantizers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import yosys_scripts
from cost_models.model import AREA
from cost_models.query import MEASURED, PREDICTED, Cost, Quantity, estimate
from hwgen.errors import InputError
from hwgen.fields import require_choice, require_kind, shown
from hwgen.spec import Spec

#: How errors of different units go together: all the same way at once, or each its own.
TOGETHER, APART = "together", "apart"


def total(units: Iterable[tuple[Spec, int]], target: str, *, errors: str = TOGETHER) -> Cost:
    """What ``units``, each with how many of it there are, take side by side on ``target``.

    Counts are sums. Copies of a unit are the same hardware, so the error of all is that of one
    times their number. Of different units the errors are taken as ``errors`` says: ``"together"``,
    the sum's ends are the sums of the ends, which holds however they depend on each other wherever
    each unit's interval does; or ``"apart"``, independent of each other: the distances to the ends
    add as the root of their squares. Units of one model err the same way more often than not, so
    the first is the usual. Fmax, if all are on one clock, is the slowest unit's.

    Logic that connects the units is not in it.

    Raises:
        InputError: no unit, a number of copies that is no whole one above 0, another word for
            ``errors``, and as ``estimate``.

    """
    require_choice("errors", errors, (TOGETHER, APART))
    if not isinstance(units, Iterable) or isinstance(units, str | Spec):
        raise InputError(f"units={shown(units)}: give pairs of a spec and how many there are")
    counts: dict[Spec, int] = {}
    for pair in units:
        spec, count = _pair(pair)
        counts[spec] = counts.get(spec, 0) + count
    if not counts:
        raise InputError("units: there is none: give pairs of a spec and how many there are")
    costs = {spec: estimate(spec, target) for spec in counts}
    sums = {
        name: _sum([(getattr(costs[spec], name), n) for spec, n in counts.items()], errors)
        for name in AREA
    }
    measured = sum(cost.lut.source == MEASURED for cost in costs.values())
    how = "independent" if errors == APART else "all in one direction"
    basis = (
        f"sum of {sum(counts.values()):,} units of {len(counts)} kinds, {measured} of the kinds "
        f"measured; errors of different kinds taken as {how}"
    )
    return Cost(
        **sums,
        fmax_mhz=_slowest([cost.fmax_mhz for cost in costs.values()]),
        basis=basis,
        does_not_fit=yosys_scripts.does_not_fit({n: q.value for n, q in sums.items()}, target),
    )


def _pair(pair: Any) -> tuple[Spec, int]:
    if not isinstance(pair, tuple | list) or len(pair) != 2 or not isinstance(pair[0], Spec):
        raise InputError(f"units: {shown(pair)} is no pair of a spec and how many there are")
    count = require_kind("how many there are", pair[1], ("int",))
    if count < 1:
        raise InputError(f"{pair[0].name}: there are {shown(count)}: use a whole number above 0")
    return pair[0], count


def _source(quantities: Iterable[Quantity]) -> str:
    return MEASURED if all(q.source == MEASURED for q in quantities) else PREDICTED


def _sum(parts: list[tuple[Quantity, int]], errors: str) -> Quantity:
    """The sum of counts; None where one is not known."""
    source = _source(q for q, _ in parts)
    value, below, above = 0.0, [], []
    for q, count in parts:
        if q.value is None or q.low is None or q.high is None:
            return Quantity(None, None, None, source)
        value += count * q.value
        below.append(count * (q.value - q.low))
        above.append(count * (q.high - q.value))
    add = math.hypot if errors == APART else lambda *ends: sum(ends)
    return Quantity(
        round(value),
        max(math.floor(value - add(*below)), 0),
        math.ceil(value + add(*above)),
        source,
    )


def _slowest(clocks: list[Quantity]) -> Quantity:
    """Of units on one clock; each end is that of the unit which is slowest there."""
    source = _source(clocks)
    ends: list[float] = []
    for name in ("value", "low", "high"):
        found = [getattr(q, name) for q in clocks]
        if None in found:
            return Quantity(None, None, None, source)
        ends.append(min(found))
    value, low, high = ends
    return Quantity(value, low, high, source)
