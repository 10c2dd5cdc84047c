"""What goes with a unit's Verilog: a FuseSoC core, a datasheet, a template to instantiate it.

All of it is text made from the spec alone; the same spec gives the same bytes.
"""

from hwgen.package.core import core
from hwgen.package.datasheet import datasheet
from hwgen.package.template import template
from hwgen.package.timing import timing_diagram

__all__ = ["core", "datasheet", "template", "timing_diagram"]
