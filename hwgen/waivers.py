"""Warnings of linters that do not count for the emitted Verilog, each with its reason.

The Verilog is written by Yosys from Amaranth's netlist. Everything that is not listed here is a
fault, truncation and undriven signals above all.
"""

from __future__ import annotations

_EXTENDS = "Amaranth gives operands their own widths and relies on the language to extend them"

#: Of ``verilator --lint-only -Wall``.
VERILATOR: dict[str, str] = {
    "DECLFILENAME": "a module of a hierarchy shares the file of the top module",
    "UNUSEDSIGNAL": "a slice leaves bits of its signal unused, as TDATA's last byte does",
    "PROCASSINIT": "registers have a power-up value, which FPGAs load",
    "WIDTHEXPAND": _EXTENDS,
    "UNSIGNED": "a bound that the formats at hand cannot pass is still written as a comparison",
}

#: Of slang, by the names of its diagnostics.
SLANG: dict[str, str] = {
    "ArithOpMismatch": _EXTENDS,
    "WidthExpand": _EXTENDS,
    "SignConversion": "the bits stay; only how they are read from there on changes",
}
