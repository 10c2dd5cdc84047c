"""Costs as tables for Accelergy, and through it Timeloop.

The layout is that of Accelergy's table-based plug-in (Wu, Emer and Sze, Accelergy, ICCAD 2019;
github.com/Accelergy-Project/accelergy-table-based-plug-ins): a file ``….table.yaml`` that names a
set of tables, its technology, how accurate it is in percent, and the folder of the tables; in that
folder a file ``CLASS.csv`` for each class of component, whose columns are attributes, ``action``,
``energy`` and ``area``.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable
from pathlib import Path

from cost_models.comparison import Comparison, compare
from cost_models.model import AREA
from cost_models.query import RESOURCES, Cost
from hwgen.fields import require_choice, require_path
from hwgen.files import write_text, writing
from hwgen.spec import Spec

#: What the plug-in believes of the tables, in percent: it takes the set that claims the most.
ACCURACY = 80
#: No query asks for it: the tables have no energy, and another plug-in is asked for that.
NO_ACTION = "area_only"


def accelergy_tables(
    specs: Iterable[Spec], target: str, folder: str | os.PathLike[str], *, area: str = "lut"
) -> tuple[Path, ...]:
    """Writes what ``specs`` cost on ``target`` as a set of Accelergy's tables; returns the files.

    The set's ``technology`` is the target. A class is ``hwgen_`` and the unit, such as
    ``hwgen_dot``; its attributes are the fields of the spec, as ``hwgen cost --json`` has them, and
    a query that leaves one out gets the first row with the rest. FPGAs have no µm²: the column
    ``area`` counts cells of the kind that the argument ``area`` names (``lut``, ``carry``, ``ff``
    or ``dsp``), so that what Accelergy prints as µm² are so many of those. Other figures are
    columns of their own, which Accelergy passes over. There is no energy: the only ``action`` is
    one that nobody asks for.

    Raises:
        InputError: no spec, another ``area``, an unknown target, a folder that cannot be written.

    """
    require_choice("area", area, AREA)
    where = require_path("folder", folder)
    costs: Comparison = compare(specs, [target])
    units: dict[str, list[tuple[Spec, Cost]]] = {}
    for spec, _, cost in costs.rows:
        units.setdefault(spec.unit, []).append((spec, cost))
    data = where / target
    with writing(data):
        data.mkdir(parents=True, exist_ok=True)
    identifier = where / f"hwgen_{target}.table.yaml"
    lines = {
        **{"name": f"hwgen_{target}_{area}", "technology": target, "accuracy": ACCURACY},
        "path_to_data_dir": f"./{target}",
    }
    head = f"# hwgen: the area is a number of {area} cells, not um^2; there is no energy.\n"
    # A JSON value is a YAML value.
    body = "".join(f"{name}: {json.dumps(value)}\n" for name, value in lines.items())
    write_text(identifier, head + body)
    files = [identifier]
    for unit, rows in units.items():
        files.append(data / f"hwgen_{unit}.csv")
        write_text(files[-1], _table(rows, target, area))
    return tuple(files)


def _table(rows: list[tuple[Spec, Cost]], target: str, area: str) -> str:
    lines = []
    for spec, cost in rows:
        fields = {name: value for name, value in spec.to_dict().items() if name != "unit"}
        figures = {name: getattr(cost, name).value for name in RESOURCES}
        ends = {f"{area}_low": getattr(cost, area).low, f"{area}_high": getattr(cost, area).high}
        told = {"action": NO_ACTION, "energy": 0, "area": getattr(cost, area).value}
        lines.append({"technology": target, **fields, **figures, **ends, **told})
    text = io.StringIO()
    writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()
