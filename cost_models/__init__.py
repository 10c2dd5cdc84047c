"""What a datapath costs: measurements, estimates, energy."""

from hwgen.installed import require_own_packages

require_own_packages(__name__)

from cost_models.measurement import synthesise
from cost_models.query import Cost, Quantity, estimate, measure, predict, table
from cost_models.toggle_energy import energy

__all__ = [
    "Cost",
    "Quantity",
    "energy",
    "estimate",
    "measure",
    "predict",
    "synthesise",
    "table",
]
