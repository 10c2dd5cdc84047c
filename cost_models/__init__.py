"""What a datapath costs: measurements, estimates, energy."""

from __future__ import annotations

from hwgen.installed import require_own_packages

require_own_packages(__name__)

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cost_models.accelergy import accelergy_tables
    from cost_models.chip import gates
    from cost_models.choices import Choice, cheapest_pairs, qsnr_db
    from cost_models.comparison import Comparison, compare
    from cost_models.devices import Part, most_copies, most_lanes, part, parts
    from cost_models.energy_query import Energy, energy
    from cost_models.json_schemas import json_schema
    from cost_models.many import Costs, estimate_many
    from cost_models.measurement import synthesise
    from cost_models.query import Cost, Quantity, estimate, measure, predict, predict_each, table
    from cost_models.sums import total
    from cost_models.throughput import Sizing, lanes_for

#: The public names, by the module that has them.
_PLACES = {
    "accelergy": ("accelergy_tables",),
    "chip": ("gates",),
    "choices": ("Choice", "cheapest_pairs", "qsnr_db"),
    "comparison": ("Comparison", "compare"),
    "devices": ("Part", "most_copies", "most_lanes", "part", "parts"),
    "energy_query": ("Energy", "energy"),
    "json_schemas": ("json_schema",),
    "many": ("Costs", "estimate_many"),
    "measurement": ("synthesise",),
    "query": ("Cost", "Quantity", "estimate", "measure", "predict", "predict_each", "table"),
    "sums": ("total",),
    "throughput": ("Sizing", "lanes_for"),
}

__all__ = [
    "Choice",
    "Comparison",
    "Cost",
    "Costs",
    "Energy",
    "Part",
    "Quantity",
    "Sizing",
    "accelergy_tables",
    "cheapest_pairs",
    "compare",
    "energy",
    "estimate",
    "estimate_many",
    "gates",
    "json_schema",
    "lanes_for",
    "measure",
    "most_copies",
    "most_lanes",
    "part",
    "parts",
    "predict",
    "predict_each",
    "qsnr_db",
    "synthesise",
    "table",
    "total",
]


def __getattr__(name: str) -> Any:
    """A public name, imported when it is first used, so that a query starts in a moment."""
    for module, names in _PLACES.items():
        if name in names:
            value = getattr(import_module(f"cost_models.{module}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'cost_models' has no attribute {name!r}")
