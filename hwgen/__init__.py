"""Datapaths for FPGAs in any number format: Verilog, golden model, cost.

``parse`` reads a format's name; a spec such as ``DotProduct`` says what a unit computes and
everything else is derived from it: ``verilog``, what ``verify`` simulates against the golden model,
what ``estimate`` and ``measure`` say that it costs.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cost_models import estimate, measure
    from hwgen.emit import verilog
    from hwgen.errors import InputError, ToolError
    from hwgen.formats import Integer, Logarithmic, Minifloat, Scalar, parse
    from hwgen.pipelining import pipelined
    from hwgen.spec import (
        AccumulatorToFloat,
        Array,
        BlockDot,
        Convert,
        DotProduct,
        FixedDot,
        FixedMatrix,
        LMul,
        MultiDot,
        Multiply,
        MultiplyAccumulate,
        Quantizer,
        Requantize,
        Spec,
        SumSquares,
    )
    from hwgen.units import component
    from sim import verify

__all__ = [
    "AccumulatorToFloat",
    "Array",
    "BlockDot",
    "Convert",
    "DotProduct",
    "FixedDot",
    "FixedMatrix",
    "InputError",
    "Integer",
    "LMul",
    "Logarithmic",
    "Minifloat",
    "MultiDot",
    "Multiply",
    "MultiplyAccumulate",
    "Quantizer",
    "Requantize",
    "Scalar",
    "Spec",
    "SumSquares",
    "ToolError",
    "component",
    "estimate",
    "measure",
    "parse",
    "pipelined",
    "verify",
    "verilog",
]


#: The public names, by the module that has them.
_PLACES = {
    "hwgen.errors": ("InputError", "ToolError"),
    "hwgen.formats": ("Integer", "Logarithmic", "Minifloat", "Scalar", "parse"),
    "hwgen.pipelining": ("pipelined",),
    "hwgen.units": ("component",),
    "hwgen.emit": ("verilog",),
    "sim": ("verify",),
    "cost_models": ("estimate", "measure"),
}


def __getattr__(name: str) -> Any:
    """A public name, imported when it is first used; the others are those of ``hwgen.spec``.

    So the command line starts in a moment, and can be interrupted from the first.
    """
    if name == "__version__":
        return version("hwgen")
    if name in __all__:
        place = next((place for place, names in _PLACES.items() if name in names), "hwgen.spec")
        value = getattr(import_module(place), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'hwgen' has no attribute {name!r}")
