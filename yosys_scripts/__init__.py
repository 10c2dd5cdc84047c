"""Synthesis and place-and-route of a generated design: measured area and Fmax on FPGA targets."""

from .flow import (
    Netlist,
    Synthesis,
    available,
    flow_digest,
    netlist,
    synthesise,
    tool_versions,
)
from .targets import TARGETS, Target, target

__all__ = [
    "TARGETS",
    "Netlist",
    "Synthesis",
    "Target",
    "available",
    "flow_digest",
    "netlist",
    "synthesise",
    "target",
    "tool_versions",
]
