"""Synthesis and place-and-route of a generated design: measured area and Fmax on FPGA targets."""

from hwgen.installed import require_own_packages

require_own_packages(__name__)

from .component import MappedUnit, component
from .emission import cells_of_open_tools, primitives
from .flow import (
    Netlist,
    Synthesis,
    Timing,
    TooLarge,
    available,
    does_not_fit,
    flow_digest,
    netlist,
    placing_digest,
    synthesise,
    timing,
    timings,
    tool_versions,
)
from .foreign import MappedDesign, Size, map_design
from .targets import TARGETS, Target, target

__all__ = [
    "TARGETS",
    "MappedDesign",
    "MappedUnit",
    "Netlist",
    "Size",
    "Synthesis",
    "Target",
    "Timing",
    "TooLarge",
    "available",
    "cells_of_open_tools",
    "component",
    "does_not_fit",
    "flow_digest",
    "map_design",
    "netlist",
    "placing_digest",
    "primitives",
    "synthesise",
    "target",
    "timing",
    "timings",
    "tool_versions",
]
