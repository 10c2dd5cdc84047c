"""The table of proofs in docs/proof.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hwgen.files import require_between, write_between
from sim.formal import task_list
from sim.formal.solve import PROVED

BEGIN, END = "<!-- table of proofs: hwgen prove --all --page -->", "<!-- end of the table -->"


def table(rows: Iterable[Mapping[str, Any]]) -> str:
    """Markdown of proofs: of each group, property and target of ``sim.formal.task_list`` a line.

    It says how many of the group's tasks have one among the ``rows`` that says proved, and the
    longest time that one took.
    """
    known = {(row["name"], row["property"], row["target"]): row for row in rows}
    lines = [
        "| group | property | target | proved | longest, s |",
        "|---|---|---|--:|--:|",
    ]
    for group, tasks in task_list.groups().items():
        cells: dict[tuple[str, str | None], list[Mapping[str, Any] | None]] = {}
        for task in tasks:
            row = known.get((task.spec.name, task.property, task.target))
            cells.setdefault((task.property, task.target), []).append(row)
        for (name, target), task_rows in cells.items():
            proved = [row for row in task_rows if row is not None and row["result"] == PROVED]
            longest = max((row["seconds"] for row in proved), default=0.0)
            lines.append(
                f"| {group} | {name} | {target or ''} | {len(proved)} of {len(task_rows)} | "
                f"{longest:.1f} |"
            )
    return "\n".join(lines)


def require_place(path: Path) -> None:
    """InputError if the file has no place for the table: to be asked before the proofs."""
    require_between(path, BEGIN, END)


def update(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Puts the table between its marks in the file. InputError if there is no place for it."""
    write_between(path, BEGIN, END, table(rows))
