"""Simulation models of the cells that a netlist has, without the rest of their files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

_INCLUDE = re.compile(r'^\s*`include\s+"([^"]+)"', re.MULTILINE)
_MODULE = re.compile(r"^[ \t]*module\s+(\w+).*?^[ \t]*endmodule\b", re.MULTILINE | re.DOTALL)
#: The same on one line.
_SHORT_MODULE = re.compile(r"^[ \t]*module\s+(\w+)[^\n]*\bendmodule\b", re.MULTILINE)
#: Default values of ports, which Icarus Verilog lacks; a netlist connects what it needs.
_WITHOUT_DEFAULTS = "`define NO_ICE40_DEFAULT_ASSIGNMENTS"
_NAME = re.compile(r"\b\w+\b")


def used(models: Sequence[Path], netlist: str) -> str:
    """The text of the modules of ``models`` that ``netlist``, or another of them, names, each once.

    Yosys reads files that define a module twice, and skips what it need not understand; Icarus
    Verilog does neither.
    """
    text = "\n".join(_whole(model) for model in models)
    bodies: dict[str, str] = {}
    for pattern in (_SHORT_MODULE, _MODULE):
        for match in pattern.finditer(text):
            bodies.setdefault(match[1], match[0])
        text = pattern.sub("", text)
    wanted: dict[str, str] = {}
    waiting = [netlist]
    while waiting:
        for name in sorted(set(_NAME.findall(waiting.pop())) & (bodies.keys() - wanted.keys())):
            wanted[name] = bodies[name]
            waiting.append(bodies[name])
    # What stands outside of modules: macros and time scales, which come first.
    return "\n".join([_WITHOUT_DEFAULTS, text, *wanted.values(), ""])


def _whole(path: Path) -> str:
    """The file with what it includes from its own folder."""
    return _INCLUDE.sub(lambda m: _whole(path.parent / m[1]), path.read_text())
