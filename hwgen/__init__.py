"""Datapaths for FPGAs in any number format: Verilog, golden model, cost.

``parse`` reads a format's name; a spec such as ``DotProduct`` says what a unit computes and
everything else is derived from it.
"""

from hwgen.errors import InputError, ToolError
from hwgen.formats import Integer, Logarithmic, Minifloat, Scalar, parse
from hwgen.spec import Convert, DotProduct, MultiplyAccumulate, Spec

__all__ = [
    "Convert",
    "DotProduct",
    "InputError",
    "Integer",
    "Logarithmic",
    "Minifloat",
    "MultiplyAccumulate",
    "Scalar",
    "Spec",
    "ToolError",
    "parse",
]
