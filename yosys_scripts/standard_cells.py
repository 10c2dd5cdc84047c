"""Area where there is no FPGA: in two-input gates, or in the cells of a library of the user's.

The field compares formats so: *FP8 versus INT8* (arXiv 2303.17951) counts two-input gates; *L-Mul*
(arXiv 2410.00907) an AND as 1 and an XOR as 4, so that a full adder is 11.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwgen.errors import InputError
from hwgen.processes import temporary_folder

from . import isolation
from .flow import tool_versions
from .targets import FOLDER, TECHMAPS, sections_of

SCRIPT = FOLDER / "standard_cells.ys"
#: What a specification calls the two ways: ``gates``, or ``liberty:`` and a file.
GATES, LIBERTY = "gates", "liberty:"
#: The gates that a design is mapped to, as Yosys calls their cells.
XOR_LIKE = ("$_XOR_", "$_XNOR_")
AND_LIKE = ("$_AND_", "$_OR_", "$_NAND_", "$_NOR_", "$_ANDNOT_", "$_ORNOT_")
INVERTER, FULL_ADDER, REGISTER = "$_NOT_", "$fa", "$_DFF_P_"
#: What L-Mul counts an XOR as, where an AND is one; a full adder is two XORs and three others.
XOR_WEIGHT, XORS_OF_ADDER, OTHERS_OF_ADDER = 4, 2, 3


@dataclass(frozen=True)
class Gates:
    """What a design takes.

    ``gates``: two-input gates, each one, of a full adder five; ``weighted``: XORs count as four, as
    L-Mul has it. Neither counts inverters or registers. ``registers``: flip-flops. With a library
    there are no gates: ``area`` is the sum of its cells', in the library's unit, and ``leakage`` of
    their ``cell_leakage_power``, in ``leakage_unit``; None where the library does not say.
    ``cells``: by type; ``tools``: versions.
    """

    gates: int | None
    weighted: int | None
    registers: int
    area: float | None
    leakage: float | None
    leakage_unit: str | None
    cells: dict[str, int]
    tools: dict[str, str]


@dataclass(frozen=True)
class Cell:
    """A cell of a library: its area, its leakage power, and whether it has a flip-flop."""

    area: float
    leakage: float | None
    is_register: bool


@dataclass(frozen=True)
class Library:
    """What a Liberty file says of its cells."""

    cells: Mapping[str, Cell]
    leakage_unit: str | None


def count(rtlil: str, top: str, *, library: Path | None = None, time_limit_s: float = 900) -> Gates:
    """Map module ``top`` of ``rtlil`` to two-input gates, or to the cells of a ``library``.

    InputError for a file that is no Liberty library, or has no flip-flop; ToolError if Yosys fails
    or ``time_limit_s`` seconds are over.
    """
    known = None if library is None else read(library)
    with temporary_folder() as folder:
        for file in TECHMAPS.iterdir():
            shutil.copy(file, folder)
        (folder / "design.il").write_text(rtlil)
        if library is not None:
            shutil.copy(library, folder / "cells.lib")
        sections = sections_of(SCRIPT.read_text())
        commands = [
            "read_rtlil design.il",
            f"hierarchy -check -top {top}",
            *sections["logic"].splitlines(),
            *sections["gates" if known is None else "library"].splitlines(),
            "write_json netlist.json",
        ]
        job: dict[str, Any] = {"kind": "yosys", "commands": commands, "top": top, "verify": False}
        cells = Counter(isolation.run("yosys", job, folder, time_limit_s=time_limit_s)["cells"])
    cells.pop("$scopeinfo", None)
    if known is not None:
        return _in_cells(cells, known)
    others = set(cells) - {*AND_LIKE, *XOR_LIKE, INVERTER, FULL_ADDER, REGISTER}
    assert not others, others
    ands, xors = (sum(cells[name] for name in names) for names in (AND_LIKE, XOR_LIKE))
    ands += OTHERS_OF_ADDER * cells[FULL_ADDER]
    xors += XORS_OF_ADDER * cells[FULL_ADDER]
    return Gates(
        gates=ands + xors,
        weighted=ands + XOR_WEIGHT * xors,
        registers=cells[REGISTER],
        area=None,
        leakage=None,
        leakage_unit=None,
        cells=dict(sorted(cells.items())),
        tools=tools(),
    )


def _in_cells(cells: Mapping[str, int], library: Library) -> Gates:
    missing = sorted(set(cells) - set(library.cells))
    if missing:
        raise InputError(
            f"the library has no cell for {', '.join(missing)}: it needs an inverter, a NAND or "
            "NOR, and a flip-flop with a rising clock"
        )
    used = [(library.cells[name], n) for name, n in cells.items()]
    leakages = [None if cell.leakage is None else cell.leakage * n for cell, n in used]
    known = [leakage for leakage in leakages if leakage is not None]
    return Gates(
        gates=None,
        weighted=None,
        registers=sum(n for cell, n in used if cell.is_register),
        area=sum(cell.area * n for cell, n in used),
        leakage=sum(known) if len(known) == len(leakages) else None,
        leakage_unit=library.leakage_unit,
        cells=dict(sorted(cells.items())),
        tools=tools(),
    )


def tools() -> dict[str, str]:
    """The version of Yosys."""
    return tool_versions("ecp5", False)


def read(file: Path) -> Library:
    """The cells of a Liberty file.

    Raises:
        InputError: it cannot be read, or is no library of cells with areas.

    """
    try:
        text = file.read_text("utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"{file}: no Liberty library: {error.strerror}") from error
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL)
    if not re.match(r"\s*library\s*\(", text):
        raise InputError(f"{file}: no Liberty library: one begins with 'library ('")
    unit = re.search(r'leakage_power_unit\s*:\s*"?\s*([^";]+?)\s*"?\s*;', text)
    cells = {}
    for match in re.finditer(r'\bcell\s*\(\s*"?([^")\s]+)"?\s*\)\s*\{', text):
        body = _group(text, match.end())
        own = _own(body)
        area = re.search(r"\barea\s*:\s*\"?([-+.\deE]+)", own)
        leakage = re.search(r"\bcell_leakage_power\s*:\s*\"?([-+.\deE]+)", own)
        if area is None:
            continue  # A cell that is not for mapping.
        cells[match[1]] = Cell(
            float(area[1]),
            float(leakage[1]) if leakage else None,
            re.search(r"\bff\s*\(", body) is not None,
        )
    if not cells:
        raise InputError(f"{file}: a library without a cell that has an area")
    return Library(cells, unit[1] if unit else None)


def _group(text: str, start: int) -> str:
    """What is between the brace before ``start`` and its partner."""
    depth = 1
    for match in re.compile(r"[{}]").finditer(text, start):
        depth += 1 if match[0] == "{" else -1
        if depth == 0:
            return text[start : match.start()]
    return text[start:]


def _own(body: str) -> str:
    """What stands in a group itself, and not in groups inside it."""
    depth, own = 0, []
    for part in re.split(r"([{}])", body):
        if part in "{}" and part:
            depth += 1 if part == "{" else -1
        elif depth == 0:
            own.append(part)
    return "".join(own)


def digest(library: Path | None) -> str:
    """SHA-256 of all that a count depends on beside the design."""
    content = hashlib.sha256()
    for file in (SCRIPT, *sorted(TECHMAPS.iterdir())):
        content.update(file.read_bytes())
    if library is not None:
        content.update(library.read_bytes())
    return content.hexdigest()
