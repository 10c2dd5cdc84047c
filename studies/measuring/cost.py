"""What units cost: gates as papers count them, LUTs, energy. Plain JSON types."""

from __future__ import annotations

from typing import Any, TypeAlias

import cost_models
from cost_models import chip
from hwgen.spec import Spec

#: ``value``, ``low``, ``high``, ``source`` of a figure, and ``lanes`` that it is of.
Cost: TypeAlias = dict[str, Any]


def gates(spec: Spec) -> int:
    """Two-input gates of a unit without registers; an XOR is one. From the store if known."""
    found = chip.gates(spec, combinational=True).gates
    assert found is not None  # A library's cells would have an area instead.
    return found


def luts(spec: Spec, target: str, *, measured: bool = False) -> Cost:
    """LUTs of a unit, by the cost model; ``measured``: by Yosys, unless the store has it."""
    if measured:
        quantity = cost_models.measure(spec, target, place=False).lut
    else:
        quantity = cost_models.predict(spec, target).lut
    return quantity.to_dict()


def energy(spec: Spec, target: str, operands: str = "uniform") -> Cost:
    """Energy of one operation of one lane in pJ, by the model; both operands are alike."""
    found = cost_models.energy(spec, target, a=operands, b=operands)
    return {"value": found.value, "low": found.low, "high": found.high, "source": found.source}


def ratio(own: Cost, base: Cost, factor: float = 1.0) -> dict[str, Any]:
    """Fields of a ``Figure``: ``factor`` times own over base, and its interval.

    The interval is that of the one whose own is wider: both are off in the same direction, as units
    of one kind are.
    """
    value = factor * own["value"] / base["value"]
    spans = [
        (c["low"] / c["value"], c["high"] / c["value"]) for c in (own, base) if c["low"] is not None
    ]
    low, high = min(span[0] for span in spans), max(span[1] for span in spans)
    source = own["source"] if own["source"] == base["source"] else "predicted"
    interval = {} if low == high else {"low": value * low, "high": value * high}
    return {"ours": value, "source": source, **interval}
