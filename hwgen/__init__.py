"""Datapaths for FPGAs in any number format: Verilog, golden model, cost.

``parse`` reads a format's name; a spec such as ``DotProduct`` says what a unit computes and
everything else is derived from it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
    "parse",
    "pipelined",
    "verilog",
]


def __getattr__(name: str) -> Any:
    """A public name, imported when it is first used.

    So the command line starts in a moment, and can be interrupted from the first.
    """
    if name in __all__:
        for module in ("errors", "formats", "spec", "pipelining", "units", "emit"):
            value = getattr(import_module(f"hwgen.{module}"), name, None)
            if value is not None:
                globals()[name] = value
                return value
    raise AttributeError(f"module 'hwgen' has no attribute {name!r}")
