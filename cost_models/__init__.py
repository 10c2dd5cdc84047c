"""What a datapath costs: measurements, estimates, energy."""

from __future__ import annotations

from hwgen.installed import require_own_packages

require_own_packages(__name__)

from typing import TYPE_CHECKING

from hwgen.public_names import on_demand

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
__getattr__ = on_demand(
    __name__,
    {
        "cost_models.accelergy": ("accelergy_tables",),
        "cost_models.chip": ("gates",),
        "cost_models.choices": ("Choice", "cheapest_pairs", "qsnr_db"),
        "cost_models.comparison": ("Comparison", "compare"),
        "cost_models.devices": ("Part", "most_copies", "most_lanes", "part", "parts"),
        "cost_models.energy_query": ("Energy", "energy"),
        "cost_models.json_schemas": ("json_schema",),
        "cost_models.many": ("Costs", "estimate_many"),
        "cost_models.measurement": ("synthesise",),
        "cost_models.query": (
            *("Cost", "Quantity", "estimate", "measure", "predict", "predict_each", "table"),
        ),
        "cost_models.sums": ("total",),
        "cost_models.throughput": ("Sizing", "lanes_for"),
    },
)

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
