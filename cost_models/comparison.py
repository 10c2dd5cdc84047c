"""Costs of many units on many targets, as one table."""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cost_models.query import RESOURCES, Cost, estimate
from hwgen.errors import InputError, ToolError
from hwgen.fields import shown
from hwgen.files import require_writable, whole_file
from hwgen.installed import pip_install
from hwgen.spec import Spec
from hwgen.spec.base import require_spec

#: What tells a row of the table from the others.
NAMED = ("name", "target", "source")


@dataclass(frozen=True)
class Comparison:
    """Costs of units on targets, a row each: the first row of a target is what others compare with.

    ``str`` is a table for people; notebooks show it as one. ``records`` are plain rows, which
    ``pandas.DataFrame(comparison.records)`` takes.
    """

    rows: tuple[tuple[Spec, str, Cost], ...]

    @property
    def records(self) -> list[dict[str, Any]]:
        """A flat row each.

        ``name``, ``target``, ``source`` of the LUTs; each resource, ``_low`` and ``_high`` of it
        and ``_ratio`` to the first row on the target; ``does_not_fit``. None where a figure is not
        known.
        """
        first: dict[str, Cost] = {}
        records = []
        for spec, target, cost in self.rows:
            base = first.setdefault(target, cost)
            record: dict[str, Any] = {
                **{"name": spec.name, "target": target, "source": cost.lut.source}
            }
            for resource in RESOURCES:
                one, other = getattr(cost, resource), getattr(base, resource)
                record[resource] = one.value
                record[f"{resource}_low"], record[f"{resource}_high"] = one.low, one.high
                comparable = one.value is not None and other.value
                record[f"{resource}_ratio"] = one.value / other.value if comparable else None
            record["does_not_fit"] = cost.does_not_fit
            records.append(record)
        return records

    def to_csv(self) -> str:
        """The records as CSV (RFC 4180), with a heading."""
        text = io.StringIO()
        records = self.records
        writer = csv.DictWriter(text, list(records[0]))
        writer.writeheader()
        writer.writerows(records)
        return text.getvalue()

    def to_json(self) -> str:
        """The records as a JSON list."""
        return json.dumps(self.records, indent=1)

    def draw(self, file: Path) -> Path:
        """Draws LUTs against the lanes, a line a target and kind of unit, with their intervals.

        ``file`` ends in .png, .svg or .pdf; its folder is made.

        Raises:
            InputError: another ending, or units without lanes.
            ToolError: there is no matplotlib.

        """
        if file.suffix not in (".png", ".svg", ".pdf"):
            raise InputError(f"{file}: a picture's name ends in .png, .svg or .pdf")
        lines: dict[str, list[tuple[int, Cost]]] = {}
        for spec, target, cost in self.rows:
            lanes = getattr(spec, "lanes", None)
            if not lanes:
                raise InputError(f"{spec.name}: a picture is of units with lanes, such as dot")
            kind = ", ".join(str(getattr(spec, name)) for name in ("a", "b") if hasattr(spec, name))
            lines.setdefault(f"{target}: {spec.unit} {kind}", []).append((lanes, cost))
        try:
            from matplotlib.figure import Figure
        except ImportError as error:
            raise ToolError(
                f"pictures need matplotlib, which is not installed: {pip_install('optimize')}"
            ) from error
        figure = Figure(figsize=(8, 5), layout="constrained")
        axes = figure.add_subplot()
        for name, points in lines.items():
            points.sort(key=lambda point: point[0])
            lanes_of = [lanes for lanes, _ in points]
            low, value, high = (
                [getattr(cost.lut, part) for _, cost in points] for part in ("low", "value", "high")
            )
            (line,) = axes.plot(lanes_of, value, ".-", linewidth=1, label=name)
            axes.fill_between(lanes_of, low, high, alpha=0.2, color=line.get_color(), linewidth=0)
        axes.set_xlabel("lanes")
        axes.set_ylabel("LUT (bands: 90% intervals of what is predicted)")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
        require_writable(file.parent)
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(file) as new:
            figure.savefig(new, dpi=110)
        return file

    def __str__(self) -> str:
        lines = [list(_HEAD), *self._cells()]
        widths = [max(len(line[i]) for line in lines) for i in range(len(_HEAD))]
        return "\n".join(
            "  ".join(
                cell.ljust(width) if i < len(NAMED) else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        )

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{cell}</th>" for cell in _HEAD)
        body = "".join(
            f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in line)}</tr>"
            for line in self._cells()
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def _cells(self) -> list[list[str]]:
        lines = []
        for record in self.records:
            cells = [str(record[name]) for name in NAMED]
            for resource in RESOURCES:
                cells.append(_figure(record, resource))
            ratio = record["lut_ratio"]
            lines.append([*cells, "–" if ratio is None else f"{ratio:.2f}"])
        return lines


_HEAD = (*NAMED, *RESOURCES, "lut ratio")


def _figure(record: dict[str, Any], resource: str) -> str:
    value, low, high = (record[f"{resource}{end}"] for end in ("", "_low", "_high"))
    if value is None:
        return "–"
    return f"{value:g}" if low == high else f"{value:g} ({low:g}–{high:g})"


def compare(specs: Iterable[Spec], targets: Sequence[str]) -> Comparison:
    """What each of ``specs`` costs on each of ``targets``, as ``estimate`` says.

    InputError for no spec or target, for something else than those, and as ``estimate``.
    """
    units = list(specs)
    if isinstance(targets, str) or not isinstance(targets, Sequence) or not targets:
        raise InputError(f"targets={shown(targets)}: give a list of targets, such as ['ecp5']")
    if not units:
        raise InputError("specs: there is none to compare: give one or more")
    for spec in units:
        require_spec(spec)
    return Comparison(
        tuple((spec, target, estimate(spec, target)) for target in targets for spec in units)
    )
