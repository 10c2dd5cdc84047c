"""What a unit takes on a chip that is no FPGA, from the store if it is known."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from cost_models import combinational as without_registers
from cost_models.measurement import rtlil_digest
from hwgen import emit, store
from hwgen.errors import InputError
from hwgen.fields import shown
from hwgen.spec import Spec
from hwgen.spec.base import require_spec
from yosys_scripts import standard_cells
from yosys_scripts.standard_cells import GATES, LIBERTY, Gates

COUNTS = store.Store(store.Kind("gates", lambda row: Gates(**row["result"])))


def is_chip(technology: str) -> bool:
    """Whether this is no FPGA: ``gates``, or ``liberty:`` and a file."""
    return technology == GATES or technology.startswith(LIBERTY)


def gates(spec: Spec, technology: str = GATES, *, combinational: bool = False) -> Gates:
    """The area of ``spec`` in two-input gates, or in the cells of a library.

    ``technology``: ``gates``, or ``liberty:FILE``. ``combinational``: of the unit's arithmetic
    alone, as published counts are (``cost_models.combinational``).

    Raises:
        InputError: another technology, a file that is no library, or an array without registers.
        ToolError: as ``yosys_scripts.standard_cells.count``.

    """
    require_spec(spec)
    given: object = technology
    if not isinstance(given, str):
        raise InputError(f"technology={shown(given)}: use text")
    if not is_chip(technology):
        raise InputError(
            f"technology={technology!r}: use {GATES!r}, or {LIBERTY!r} and a Liberty file"
        )
    library = Path(technology.removeprefix(LIBERTY)) if technology != GATES else None
    if library is not None:
        standard_cells.read(library)  # Refused before the hardware is made.
    if combinational:
        rtlil, top = without_registers.combinational_rtlil(spec), without_registers.TOP
    else:
        rtlil, top = emit.rtlil(spec), spec.name
    tools = standard_cells.tools()
    key = store.digest("gates", rtlil_digest(rtlil), top, standard_cells.digest(library), tools)

    def counted() -> dict[str, Any]:
        result = asdict(standard_cells.count(rtlil, top, library=library))
        return {"spec": spec.to_dict(), "result": result, "created": store.today()}

    return COUNTS.once(key, counted)[0]


def line(spec: Spec, technology: str, found: Gates, *, combinational: bool) -> str:
    """A count for people."""
    design = f"{spec.name}, without registers," if combinational else spec.name
    tools = ", ".join(f"{tool} {version}" for tool, version in found.tools.items())
    if found.gates is not None:
        area = f"{found.gates:,} two-input gates (XORs as four: {found.weighted:,})"
    else:
        area = f"area {found.area:,.6g}"
        if found.leakage is not None:
            area += f", leakage {found.leakage:.6g} x {found.leakage_unit or 'the unit'}"
    return f"{design} in {technology}: {area}, {found.registers:,} registers ({tools})"
