"""Datapaths for FPGAs in any number format: Verilog, golden model, cost.

``parse`` reads a format's name; a spec such as ``DotProduct`` says what a unit computes and
everything else is derived from it: ``verilog``, what ``verify`` simulates against the golden model,
what ``estimate`` and ``measure`` say that it costs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hwgen.public_names import on_demand

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

#: The public names, by the module that has them.
_public: Callable[[str], Any] = on_demand(
    __name__,
    {
        "hwgen.emit": ("verilog",),
        "hwgen.errors": ("InputError", "ToolError"),
        "hwgen.formats": ("Integer", "Logarithmic", "Minifloat", "Scalar", "parse"),
        "hwgen.pipelining": ("pipelined",),
        "hwgen.spec": (
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
        "hwgen.units": ("component",),
        "cost_models": ("estimate", "measure"),
        "sim": ("verify",),
    },
)


def __getattr__(name: str) -> Any:
    """A public name, or ``__version__``."""
    if name == "__version__":
        from importlib.metadata import version  # Slow to import.

        return version("hwgen")
    return _public(name)


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
