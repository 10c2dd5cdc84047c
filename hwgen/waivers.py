"""Warnings of linters that do not count for the emitted Verilog, each with its reason.

Everything that is not listed here is a fault, truncation and undriven signals above all.
"""

from __future__ import annotations

#: Of ``verilator -Wall``; none of them is on by default. The files switch them off themselves.
VERILATOR: dict[str, str] = {
    "DECLFILENAME": "a module of a hierarchy shares the file of the top module",
    "UNUSEDSIGNAL": "a slice leaves bits of its signal unused, as TDATA's last byte does",
}

#: Of a netlist of a target's cells too.
NETLIST: dict[str, str] = {
    **VERILATOR,
    "PINMISSING": "cells leave pins open that they do not read, such as inputs of a small LUT",
    "UNUSEDPARAM": "a model takes all parameters that the tools give its cell",
}

#: Of slang, by the names of its diagnostics.
SLANG: dict[str, str] = {
    "ArithOpMismatch": "factors have their own widths: that of a product is both together",
    "BitwiseOpMismatch": "operands are of one width; whether they are signed makes no difference",
    "SignConversion": "the bits stay; only how they are read from there on changes",
}
