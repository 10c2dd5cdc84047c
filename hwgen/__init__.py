"""Datapaths for FPGAs in any number format: Verilog, golden model, cost.

``parse`` reads a format's name; a spec such as ``DotProduct`` says what a unit computes and
everything else is derived from it.
"""

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
    LMul,
    MultiDot,
    Multiply,
    MultiplyAccumulate,
    Quantizer,
    Requantize,
    Spec,
    SumSquares,
)

__all__ = [
    "AccumulatorToFloat",
    "Array",
    "BlockDot",
    "Convert",
    "DotProduct",
    "FixedDot",
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
    "parse",
    "pipelined",
]
