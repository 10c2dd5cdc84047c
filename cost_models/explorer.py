"""A page for a browser that shows what units cost: choose, compare, export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import plotly  # noqa: F401  # So that it is missed before the work and not behind it.

from cost_models.comparison import Comparison
from cost_models.query import RESOURCES
from hwgen.errors import InputError
from hwgen.files import require_writable, write_text
from hwgen.spec import Spec
from hwgen.templates import filled, plotly_script

#: What a line of the picture may run along.
AXES = ("lanes", "stages", "bits")
#: How many values of a field are shown at first.
FIRST = {"target": 1, "a": 6, "b": 1000}
#: The most units of a page: it has all of them in it.
MOST = 50_000


def require_page(file: Path) -> None:
    """InputError, before the work, for a file that no page can be written to."""
    if file.suffix != ".html":
        raise InputError(f"{file}: the name of a page ends in .html")
    require_writable(file.parent)


def write(comparison: Comparison, file: Path, command: str) -> Path:
    """Write the page of a comparison; ``command``: what made it. ``file`` ends in .html.

    Raises:
        InputError: another ending, too many units, a place that cannot be written.
        ImportError: Plotly is not installed.

    """
    require_page(file)
    if len(comparison.rows) > MOST:
        raise InputError(f"{len(comparison.rows):,} units: a page has up to {MOST:,}")
    rows = [
        {**record, **_fields(spec)}
        for record, (spec, _, _) in zip(comparison.records, comparison.rows, strict=True)
    ]
    names = list(dict.fromkeys(name for row in rows for name in row))
    fields = {"target": sorted({row["target"] for row in rows})}
    fields |= {
        name: list(dict.fromkeys(str(row[name]) for row in rows if name in row))
        for name in names[names.index("does_not_fit") + 1 :]
        if name not in AXES
    }
    fields = {n: v for n, v in fields.items() if len(v) > 1 or n == "target"}
    axes = [name for name in AXES if any(row.get(name) is not None for row in rows)]
    if not axes:
        raise InputError("these units have neither lanes nor stages to draw their costs against")
    measured = sum(row["source"] == "measured" for row in rows)
    page = filled(
        "cost_models",
        "explorer.html.j2",
        title="What units cost",
        basis=f"{measured} measured, {len(rows) - measured} predicted by the cost model",
        rows=[{name: row.get(name) for name in names} for row in rows],
        fields=fields,
        first=dict.fromkeys(fields, 1000) | FIRST,
        axes=axes,
        resources=list(RESOURCES),
        command=command,
        plotly=plotly_script(),
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    return write_text(file, page)


def _fields(spec: Spec) -> dict[str, Any]:
    """The spec's fields, and how wide its operands are."""
    fields = spec.to_dict()
    widths = [getattr(spec, name).bits for name in ("a", "b") if hasattr(spec, name)]
    return {**fields, "bits": max(widths, default=None)}
