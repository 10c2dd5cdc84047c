"""Costs of many designs at once, as columns: of a list, of a grid of fields, of a data frame.

Each figure is that of ``cost_models.estimate``, to the last digit. What takes the time is the step
plan of each design; it is made once for all targets, and nothing of it stays in memory.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

import yosys_scripts
from cost_models import measurement
from cost_models.features import Features
from cost_models.query import CHUNK, RESOURCES, Cost, estimate, figures
from hwgen.errors import InputError, ToolError
from hwgen.fields import shown
from hwgen.spec import UNITS, Spec
from hwgen.spec.base import require_spec, spec_fields

Column: TypeAlias = npt.NDArray[Any]
#: The most designs of a grid, each on all targets.
MOST = 10_000_000
#: The columns of figures: each resource, and the ends of its interval.
FIGURES = tuple(f"{name}{end}" for name in RESOURCES for end in ("", "_low", "_high"))


@dataclass(frozen=True, eq=False)
class Costs:
    """Costs of n designs, a row each: designs in their order, and of each its targets.

    ``fields``: what tells the rows apart, by name: of a grid its fields, of a list ``spec``, and
    ``target``. ``figures``: ``FIGURES``, NaN where a figure is not known. ``measured``: the figures
    are measured, not predicted (but for Fmax of what was not placed). ``fits``: some device of the
    target has room. ``left_out``: the combinations of a grid that no unit has, and why.
    """

    fields: Mapping[str, Column]
    figures: Mapping[str, npt.NDArray[np.float64]]
    measured: npt.NDArray[np.bool_]
    fits: npt.NDArray[np.bool_]
    left_out: tuple[tuple[dict[str, Any], str], ...] = ()

    def __len__(self) -> int:
        return len(self.measured)

    def spec(self, row: int) -> Spec:
        """The design of a row."""
        if "spec" in self.fields:
            spec: Spec = self.fields["spec"][row]
            return spec
        return _made({name: self.fields[name][row] for name in self.fields if name != "target"})

    def cost(self, row: int) -> Cost:
        """The whole answer of a row, with what it stands on."""
        return estimate(self.spec(row), str(self.fields["target"][row]))

    def columns(self) -> dict[str, Column]:
        """All columns by name, ``measured`` and ``fits`` with them; each has shape (n,)."""
        return {**self.fields, **self.figures, "measured": self.measured, "fits": self.fits}

    def to_frame(self) -> Any:
        """The columns as a ``pandas.DataFrame``; ToolError where there is no pandas."""
        try:
            import pandas
        except ImportError as error:
            raise ToolError(
                "data frames need pandas, which is not installed: pip install pandas"
            ) from error
        return pandas.DataFrame(self.columns())


def estimate_many(designs: Any, targets: str | Sequence[str] | None = None) -> Any:
    """What many designs cost, as ``estimate`` says of each.

    ``designs``: specs; a grid, which has for ``unit`` and for fields of specs a value or several
    (all combinations; those that no unit has are in ``Costs.left_out``); or a ``pandas.DataFrame``
    with such columns, ``unit`` among them, where an empty cell is the field's usual value.
    ``targets``: a target or several, each for all designs; of a frame its column ``target`` has
    them, or there is one. Returns ``Costs``, of a frame the frame with the columns of figures.

    Raises:
        InputError: no design, target or value; a field that no spec has; a spec of a list or frame
            that cannot be, by its place; an unknown target or mapping.

    """
    if type(designs).__module__.partition(".")[0] == "pandas" and hasattr(designs, "columns"):
        return _of_frame(designs, targets)
    names = _targets(targets)
    if isinstance(designs, Mapping):
        return _of_grid(designs, names)
    if isinstance(designs, str | Spec) or not isinstance(designs, Iterable):
        raise InputError(f"designs={shown(designs)}: give a list of specs, a grid or a data frame")
    specs = list(designs)
    if not specs:
        raise InputError("designs: there is none: give one or more")
    for spec in specs:
        require_spec(spec)
    fields = {"spec": np.empty(len(specs), dtype=object)}
    fields["spec"][:] = specs
    return _costs(fields, iter(specs), names, ())


def _targets(targets: Any) -> list[str]:
    names = [targets] if isinstance(targets, str) else targets
    if not isinstance(names, Sequence) or not names:
        raise InputError(f"targets={shown(targets)}: give a target, or a list such as ['ecp5']")
    for name in names:
        yosys_scripts.target(name)
    return list(names)


def _made(fields: Mapping[str, Any]) -> Spec:
    """The spec of these fields; InputError if there is none."""
    given = dict(fields)
    unit = given.pop("unit", None)
    if unit not in UNITS:
        raise InputError(f"unit={shown(unit)}: use one of {', '.join(UNITS)}")
    has = {field.name: field for field in spec_fields(UNITS[unit])}
    for name in given:
        if name not in has:
            raise InputError(f"unit {unit} has no field {name!r}: use {', '.join(has)}")
    missing = [n for n, f in has.items() if f.default is dataclasses.MISSING and n not in given]
    if missing:
        raise InputError(f"unit {unit} needs {', '.join(missing)}")
    return UNITS[unit](**given)


def _known_fields() -> tuple[str, ...]:
    return tuple(
        dict.fromkeys(["unit", *(f.name for kind in UNITS.values() for f in spec_fields(kind))])
    )


def _of_grid(grid: Mapping[str, Any], targets: list[str]) -> Costs:
    for name in grid:
        if name not in _known_fields():
            raise InputError(
                f"{shown(name)} is no field of a unit: use {', '.join(_known_fields())}"
            )
    axes = {name: _values(name, value) for name, value in grid.items()}
    count = math.prod(map(len, axes.values()))
    if count > MOST:
        raise InputError(f"{count:,} designs: use up to {MOST:,}")
    kept: list[int] = []
    left_out: list[tuple[dict[str, Any], str]] = []

    def specs() -> Iterator[Spec]:
        for index, values in enumerate(itertools.product(*axes.values())):
            fields = dict(zip(axes, values, strict=True))
            try:
                spec = _made(fields)
            except InputError as problem:
                left_out.append((fields, str(problem)))
                continue
            kept.append(index)
            yield spec

    told = _told(specs(), targets)
    if not kept:
        raise InputError(left_out[0][1])
    places = np.unravel_index(np.array(kept), [len(values) for values in axes.values()])
    fields = {}
    for (name, values), place in zip(axes.items(), places, strict=True):
        axis = np.empty(len(values), dtype=object)
        axis[:] = values
        if all(type(value) is int for value in values):
            axis = axis.astype(np.int64)
        fields[name] = axis[place]
    return _rows(fields, told, targets, tuple(left_out))


def _values(name: str, given: Any) -> list[Any]:
    several = isinstance(given, Iterable) and not isinstance(given, str | Mapping)
    values = list(given) if several else [given]
    if not values:
        raise InputError(f"{name}={shown(given)}: give at least one value")
    for value in values:
        if isinstance(value, float | np.floating) and not math.isfinite(value):
            raise InputError(f"{name}={shown(value)}: give finite numbers")
    return [value.item() if isinstance(value, np.generic) else value for value in values]


def _costs(
    fields: Mapping[str, Column],
    specs: Iterator[Spec],
    targets: list[str],
    left_out: tuple[tuple[dict[str, Any], str], ...],
) -> Costs:
    return _rows(fields, _told(specs, targets), targets, left_out)


def _rows(
    fields: Mapping[str, Column],
    told: Mapping[str, Column],
    targets: list[str],
    left_out: tuple[tuple[dict[str, Any], str], ...],
) -> Costs:
    """Columns of designs, and of shape (designs, targets), as rows."""
    designs = len(told["measured"])
    repeated = {name: column.repeat(len(targets)) for name, column in fields.items()}
    repeated["target"] = np.tile(np.array(targets, dtype=object), designs)
    flat = {name: column.reshape(-1) for name, column in told.items()}
    measured, fits = (flat.pop(name).astype(np.bool_) for name in ("measured", "fits"))
    return Costs(repeated, flat, measured, fits, left_out)


def _told(specs: Iterator[Spec], targets: list[str]) -> dict[str, Column]:
    """All columns that are no fields, each of shape (designs, targets)."""
    may_be_known = measurement.rough_designs()
    parts: dict[str, list[Column]] = {name: [] for name in (*FIGURES, "measured", "fits")}
    while chunk := list(itertools.islice(specs, CHUNK)):
        features = Features(chunk, keep=False)
        known = [i for i, s in enumerate(chunk) if measurement.rough_design(s) in may_be_known]
        of_targets = [_of_target(features, target, known) for target in targets]
        for name, column in parts.items():
            column.append(np.column_stack([columns[name] for columns in of_targets]))
    empty = np.empty((0, len(targets)))
    return {name: np.concatenate([empty, *column]) for name, column in parts.items()}


def _of_target(features: Features, target: str, known: Iterable[int]) -> dict[str, Column]:
    """The columns of a chunk on a target; ``known``: the rows that may be measured."""
    columns: dict[str, Column] = {name: np.full(len(features), np.nan) for name in FIGURES}
    for name, p in figures(features, target).items():
        columns[name], columns[f"{name}_low"], columns[f"{name}_high"] = p.value, p.low, p.high
    columns["measured"] = np.zeros(len(features), dtype=np.bool_)
    for row in known:
        spec = features.specs[row]
        if measurement.stored(spec, target) is None:  # Which is quicker than a prediction.
            continue
        cost = estimate(spec, target)
        columns["measured"][row] = True
        for name in RESOURCES:
            q = getattr(cost, name)
            for end, value in (("", q.value), ("_low", q.low), ("_high", q.high)):
                columns[f"{name}{end}"][row] = np.nan if value is None else value
    columns["fits"] = np.zeros(len(features), dtype=np.bool_)
    devices = yosys_scripts.target(target).devices
    for device in devices:
        room = [columns[name] <= has for name, has in device.capacity.items() if name in columns]
        columns["fits"] |= np.logical_and.reduce(room)
    if not devices:
        columns["fits"][:] = True
    return columns


def _of_frame(frame: Any, targets: Any) -> Any:
    """The frame with the columns of figures."""
    names = [*_known_fields(), "target"]
    for name in frame.columns:
        if name not in names:
            raise InputError(f"column {shown(name)} is no field of a unit: use {', '.join(names)}")
    if not len(frame):
        raise InputError("the data frame has no row: give one or more")
    if ("target" in frame.columns) == (targets is not None):
        raise InputError("give the targets once: as the column 'target', or as one name in targets")
    if targets is not None and not isinstance(targets, str):
        raise InputError(f"targets={shown(targets)}: of a data frame give one name, or a column")
    specs = [_in_row(index, _of_row, row) for index, row in _records(frame)]
    of_rows = frame["target"].tolist() if targets is None else [targets] * len(specs)
    for (index, _), target in zip(_records(frame), of_rows, strict=True):
        _in_row(index, _targets, [target])
    columns: dict[str, Column] = {}
    for target in dict.fromkeys(of_rows):
        rows = [row for row, name in enumerate(of_rows) if name == target]
        for name, column in _told(iter([specs[row] for row in rows]), [target]).items():
            kind = np.bool_ if name in ("measured", "fits") else np.float64
            columns.setdefault(name, np.empty(len(specs), dtype=kind))[rows] = column[:, 0]
    return frame.assign(**columns)


def _records(frame: Any) -> Iterator[tuple[Any, dict[str, Any]]]:
    columns = {str(name): frame[name].tolist() for name in frame.columns}
    for place, index in enumerate(frame.index.tolist()):
        yield index, {name: column[place] for name, column in columns.items()}


def _in_row(index: Any, make: Callable[[Any], Any], given: Any) -> Any:
    try:
        return make(given)
    except InputError as problem:
        raise InputError(f"row {shown(index)}: {problem}") from problem


def _of_row(row: Mapping[str, Any]) -> Spec:
    fields = {}
    for name, value in row.items():
        if name == "target" or value is None or value != value:  # NaN: an empty cell.
            continue
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # A column with empty cells has floats.
        fields[name] = value
    return _made(fields)
