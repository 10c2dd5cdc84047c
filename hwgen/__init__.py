"""Datapaths for FPGAs in any number format: Verilog, golden model, cost.

``parse`` reads a format's name; a spec such as ``DotProduct`` says what a unit computes and
everything else is derived from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwgen.public_names import on_demand

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

#: The public names, by the module that has them.
__getattr__ = on_demand(
    __name__,
    {
        "emit": ("verilog",),
        "errors": ("InputError", "ToolError"),
        "formats": ("Integer", "Logarithmic", "Minifloat", "Scalar", "parse"),
        "pipelining": ("pipelined",),
        "spec": (
            "AccumulatorToFloat",
            "Array",
            "BlockDot",
            "Convert",
            "DotProduct",
            "FixedDot",
            "FixedMatrix",
            "LMul",
            "MultiDot",
            "Multiply",
            "MultiplyAccumulate",
            "Quantizer",
            "Requantize",
            "Spec",
            "SumSquares",
        ),
        "units": ("component",),
    },
)

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
