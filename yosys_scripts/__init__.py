"""Synthesis and place-and-route of a generated design: measured area and Fmax on FPGA targets."""

from __future__ import annotations

from hwgen.installed import require_own_packages

require_own_packages(__name__)

from typing import TYPE_CHECKING

from hwgen.public_names import on_demand

if TYPE_CHECKING:
    from yosys_scripts.emission import cells_of_open_tools, primitives
    from yosys_scripts.flow import (
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
    from yosys_scripts.foreign import MappedDesign, Size, map_design
    from yosys_scripts.mapped_unit import MappedUnit, component
    from yosys_scripts.targets import TARGETS, Target, target

#: The public names, by the module that has them.
__getattr__ = on_demand(
    __name__,
    {
        "yosys_scripts.mapped_unit": (
            "MappedUnit",
            "component",
        ),
        "yosys_scripts.emission": (
            "cells_of_open_tools",
            "primitives",
        ),
        "yosys_scripts.flow": (
            "Netlist",
            "Synthesis",
            "Timing",
            "TooLarge",
            "available",
            "does_not_fit",
            "flow_digest",
            "netlist",
            "placing_digest",
            "synthesise",
            "timing",
            "timings",
            "tool_versions",
        ),
        "yosys_scripts.foreign": (
            "MappedDesign",
            "Size",
            "map_design",
        ),
        "yosys_scripts.targets": (
            "TARGETS",
            "Target",
            "target",
        ),
    },
)

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
