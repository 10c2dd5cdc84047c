"""Plans of sweeps: which units, of which formats and settings, are measured on which targets.

A plan is a TOML file of ``[[designs]]`` tables. Each has

``unit``
    The unit's name, as on the command line.
``targets``
    Names of targets, or one.
any field of the unit's spec
    One value, a list of values, or a range of whole numbers ``{from = 1, to = 256}``; a value that
    is a list itself, such as ``weights``, stands in a list. ``b`` may be ``"like a"``: of the same
    format as ``a``. In ``a`` and ``b``, ``"listed"`` stands for all listed scalar formats;
    ``weights = "random"`` for as many random numbers of ``b`` as there are ``lanes``, drawn from
    ``seed``.
``sample``
    ``grid`` (the default): every combination; of ranges every number. ``latin``: the first
    ``count`` combinations that have hardware of a Latin hypercube sample of four times as many
    (McKay, Beckman and Conover, Technometrics 21, 1979), drawn from ``seed``, ranges by their
    logarithm. ``unsure``: of 20 times as many such, ``count`` on each target on average, of which
    the cost model is the least sure.
``place``
    Whether they are placed and routed too where the target has a placer: true, false, or the share
    that is, drawn from ``seed``.

Combinations that no hardware has, or none on a target, are left out. An error are a table of
nothing else, one that has fewer than ``count``, and a value that is in no combination with hardware
(but for a listed format).
"""

from __future__ import annotations

import itertools
import math
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import yosys_scripts
from hwgen.errors import InputError
from hwgen.fields import shown
from hwgen.formats import NAMES, parse
from hwgen.spec import MAX_LANES, UNITS, Spec, from_dict
from hwgen.spec.base import spec_fields

GRID, LATIN, UNSURE = "grid", "latin", "unsure"
SAMPLES = (GRID, LATIN, UNSURE)
LISTED, LIKE_A, RANDOM = "listed", "like a", "random"
#: Of a table, beside the fields of its unit's spec.
SETTINGS = ("unit", "targets", "sample", "count", "seed", "place")
#: Drawn for each design that is kept: many combinations have no hardware.
_DRAWN, _POOL = 4, 20
#: The most designs that a table draws, and combinations of a grid; the largest number of a range.
MOST_DRAWN, MOST_COMBINATIONS, MOST = 10_000, 100_000, 2**53
#: So many combinations with a value are tried before it is said that none has hardware.
_TRIED = 200

#: How sure the cost model is of a design on a target: the width of its interval.
Width = Callable[[Spec, str], float]


@dataclass(frozen=True)
class Point:
    """One unit on one target, placed or only mapped."""

    spec: Spec
    target: str
    place: bool


@dataclass(frozen=True)
class Range:
    """Whole numbers, from and to."""

    low: int
    high: int

    def __len__(self) -> int:
        return self.high - self.low + 1

    def drawn(self, share: float) -> int:
        """The number that so much of the range lies below, by its logarithm."""
        low, high = math.log(self.low), math.log(self.high + 1)
        return min(max(int(np.exp(low + share * (high - low))), self.low), self.high)

    def all(self) -> Sequence[int]:
        """Every number."""
        return range(self.low, self.high + 1)


@dataclass(frozen=True)
class _Design:
    """What came of a combination: a spec on the targets that have it, or why there is none."""

    fields: Mapping[str, Any]
    spec: Spec | None = None
    targets: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Designs:
    """One table of a plan; ``where`` names it in messages."""

    where: str
    unit: str
    targets: tuple[str, ...]
    axes: Mapping[str, tuple[Any, ...] | Range]
    sample: str = GRID
    count: int = 0
    seed: int = 0
    place: float = 0.0

    def points(self, width: Width | None = None) -> list[Point]:
        """The designs on each of the targets that has them, in their order.

        ``width`` is asked where ``sample`` is ``unsure``.

        Raises:
            InputError: too few combinations have hardware, or none with one of the values.

        """
        rng = np.random.default_rng(self.seed)
        designs = self._chosen(rng)
        points = [
            Point(design.spec, target, bool(rng.random() < self.place))
            for design in designs
            if design.spec is not None
            for target in design.targets
        ]
        if self.sample != UNSURE:
            return points
        if width is None:
            raise InputError(f"{self.where}: sample={UNSURE!r}: say how sure the cost model is")
        points.sort(key=lambda point: -width(point.spec, point.target))
        return points[: self.count * len(self.targets)]

    def _chosen(self, rng: np.random.Generator) -> list[_Design]:
        """The different designs that have hardware, as many as are wanted."""
        wanted = self.count * (_POOL if self.sample == UNSURE else 1)
        grid = self.sample == GRID
        combinations = self._grid() if grid else self._latin(wanted * _DRAWN, rng)
        chosen: dict[Spec, _Design] = {}
        tried, first_problem = 0, ""
        for design in map(self._made, combinations):
            tried += 1
            if design.spec is not None:
                chosen.setdefault(design.spec, design)
                if len(chosen) == wanted:
                    break
            first_problem = first_problem or design.problem
        if not chosen:
            raise InputError(
                f"{self.where}: no combination has hardware; the first: {first_problem}"
            )
        self._require_use([design.fields for design in chosen.values()])
        if len(chosen) < self.count:
            why = f"; the first of the others: {first_problem}" if first_problem else ""
            raise InputError(
                f"{self.where}: count={self.count}: of {tried} combinations that were drawn "
                f"{len(chosen)} differ and have hardware: lower it, or give more values{why}"
            )
        return list(chosen.values())

    def _require_use(self, chosen: Sequence[Mapping[str, Any]]) -> None:
        """InputError for a value, other than a listed format, that no hardware has."""
        for name, values in self.axes.items():
            used = {repr(fields[name]) for fields in chosen}
            for value in () if isinstance(values, Range) else values:
                if repr(value) in used or (name in ("a", "b") and value in NAMES):
                    continue
                problem = self._why_unused(name, value)
                if problem is not None:
                    raise InputError(
                        f"{self.where}: {name}={shown(value)}: no combination with it has "
                        f"hardware; one of them: {problem}"
                    )

    def _why_unused(self, name: str, value: Any) -> str | None:
        """Why a combination with the value has no hardware; None if there is one that has."""
        rng, problem = np.random.default_rng(self.seed), ""
        for fields in self._latin(_TRIED, rng):
            design = self._made({**fields, name: value})
            if design.spec is not None:
                return None
            problem = problem or design.problem
        return problem

    def _grid(self) -> Iterator[dict[str, Any]]:
        combinations = math.prod(map(len, self.axes.values()))
        if combinations > MOST_COMBINATIONS:
            raise InputError(
                f"{self.where}: it has {combinations:,} combinations: give at most "
                f"{MOST_COMBINATIONS:,}, or draw some with sample={LATIN!r} and count"
            )
        values = [v.all() if isinstance(v, Range) else v for v in self.axes.values()]
        for combination in itertools.product(*values):
            yield dict(zip(self.axes, combination, strict=True))

    def _latin(self, count: int, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
        shares = {name: (rng.permutation(count) + rng.random(count)) / count for name in self.axes}
        for i in range(count):
            yield {
                name: v.drawn(shares[name][i])
                if isinstance(v, Range)
                else v[int(shares[name][i] * len(v))]
                for name, v in self.axes.items()
            }

    def _made(self, combination: Mapping[str, Any]) -> _Design:
        fields = dict(combination)
        if fields.get("b") == LIKE_A:
            fields["b"] = fields["a"]
        try:
            if fields.get("weights") == RANDOM:
                fields["weights"] = _weights(fields["b"], fields["lanes"], self.seed)
            spec = from_dict({"unit": self.unit, **fields})
        except InputError as problem:
            return _Design(combination, problem=str(problem))
        targets, problems = [], []
        for target in self.targets:
            try:
                yosys_scripts.target(target).script(spec.mapping)
                targets.append(target)
            except InputError as problem:
                problems.append(str(problem))
        if not targets:
            return _Design(combination, problem=problems[0])
        return _Design(combination, spec, tuple(targets))


def _weights(name: str, count: Any, seed: int) -> list[float]:
    """Random numbers of a format."""
    f = parse(name).element
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MAX_LANES:
        raise InputError(f"lanes={shown(count)}: use a whole number from 1 to {MAX_LANES}")
    rng = np.random.default_rng([seed, count])
    codes = rng.integers(0, 1 << f.bits, count)
    while not (finite := np.isfinite(f.decode(codes))).all():
        codes[~finite] = rng.integers(0, 1 << f.bits, np.count_nonzero(~finite))
    return [float(value) for value in f.decode(codes)]


def read(file: Path) -> list[Designs]:
    """The tables of a plan.

    Raises:
        InputError: the file cannot be read or is no plan; the message says where.

    """
    return [designs(f"{file}, table {i} of designs", t) for i, t in enumerate(tables(file), 1)]


def tables(file: Path) -> list[Any]:
    """The ``[[designs]]`` of a TOML file as they are written.

    Raises:
        InputError: the file cannot be read or has something else.

    """
    try:
        content = tomllib.loads(file.read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as problem:
        raise InputError(f"{file}: no plan of a sweep: {problem}") from problem
    found = content.pop("designs", [])
    if content or not isinstance(found, list) or not found:
        given = ", ".join(map(shown, content)) if content else shown(found)
        raise InputError(f"{file}: a plan has [[designs]] tables and nothing else, not {given}")
    return found


def points(of: Sequence[Designs], width: Width | None = None) -> list[Point]:
    """All points of a plan, each once: placed where any table places it."""
    placed: dict[tuple[Spec, str], bool] = {}
    for table in of:
        for point in table.points(width):
            known = placed.get((point.spec, point.target), False)
            placed[point.spec, point.target] = known or point.place
    return [Point(spec, target, place) for (spec, target), place in placed.items()]


def designs(where: str, table: Any) -> Designs:
    """A table of a plan, called ``where`` in messages; InputError if it is none."""
    if not isinstance(table, dict):
        raise InputError(f"{where}: {shown(table)} is no table")
    unit = table.get("unit")
    if not isinstance(unit, str) or unit not in UNITS:
        raise InputError(f"{where}: unit={shown(unit)}: use one of {', '.join(UNITS)}")
    fields = [f.name for f in spec_fields(UNITS[unit])]
    unknown = [key for key in table if key not in SETTINGS and key not in fields]
    if unknown:
        raise InputError(
            f"{where}: it has no {shown(unknown[0])}: a table has {', '.join(SETTINGS)} and the "
            f"unit's {', '.join(fields)}"
        )
    sample = table.get("sample", GRID)
    if sample not in SAMPLES:
        raise InputError(f"{where}: sample={shown(sample)}: use one of {', '.join(SAMPLES)}")
    count = _whole(where, "count", table.get("count", 0), 0, MOST_DRAWN)
    if (sample == GRID) != (count == 0):
        raise InputError(
            f"{where}: count={count}: how many are drawn; give it with sample={LATIN!r} or "
            f"{UNSURE!r}, and with no other"
        )
    place = table.get("place", False)
    if not isinstance(place, bool | int | float) or not 0 <= place <= 1:
        raise InputError(f"{where}: place={shown(place)}: use true, false or a share from 0 to 1")
    axes = {name: _axis(where, name, table[name]) for name in fields if name in table}
    _require_others(where, axes)
    if "seed" in table and sample == GRID and place in (0, 1) and not _draws_weights(axes):
        raise InputError(f"{where}: seed: nothing is drawn from it: leave it out")
    return Designs(
        where=where,
        unit=unit,
        targets=_targets(where, table.get("targets")),
        axes=axes,
        sample=sample,
        count=count,
        seed=_whole(where, "seed", table.get("seed", 0), 0, MOST),
        place=float(place),
    )


def _targets(where: str, given: Any) -> tuple[str, ...]:
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        raise InputError(
            f"{where}: targets={shown(given)}: give names out of {', '.join(yosys_scripts.TARGETS)}"
        )
    for name in names:
        try:
            yosys_scripts.target(name)
        except InputError as problem:
            raise InputError(f"{where}: {problem}") from problem
    return tuple(dict.fromkeys(names))


def _whole(where: str, name: str, value: Any, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InputError(
            f"{where}: {name}={shown(value)}: use a whole number from {least} to {most}"
        )
    return value


def _axis(where: str, name: str, value: Any) -> tuple[Any, ...] | Range:
    """The values of a field: one, several, or a range."""
    if isinstance(value, dict):
        if set(value) != {"from", "to"}:
            raise InputError(f"{where}: {name}={shown(value)}: a range has from and to")
        low = _whole(where, f"{name}.from", value["from"], 1, MOST)
        return Range(low, _whole(where, f"{name}.to", value["to"], low, MOST))
    given = value if isinstance(value, list) else [value]
    if not given:
        raise InputError(f"{where}: {name}=[]: give at least one value")
    values: list[Any] = []
    for one in given:
        if not isinstance(one, str | bool | int | float | list):
            raise InputError(
                f"{where}: {name}={shown(value)}: use a value, a list of values, or a range "
                "{from = 1, to = 8}"
            )
        values += NAMES if one == LISTED and name in ("a", "b") else [one]
    return tuple(values)


def _draws_weights(axes: Mapping[str, tuple[Any, ...] | Range]) -> bool:
    values = axes.get("weights", ())
    return not isinstance(values, Range) and RANDOM in values


def _require_others(where: str, axes: Mapping[str, tuple[Any, ...] | Range]) -> None:
    """InputError if a value stands for others of the same combination, which are not given."""
    b = axes.get("b", ())
    if not isinstance(b, Range) and LIKE_A in b and "a" not in axes:
        raise InputError(f"{where}: b={LIKE_A!r}: there is no a: give it, or name a format")
    if _draws_weights(axes) and not {"b", "lanes"} <= set(axes):
        raise InputError(f"{where}: weights={RANDOM!r}: give their format b and how many, lanes")
