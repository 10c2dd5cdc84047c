"""What the cost model reads of many units, as arrays, made once for all targets and resources."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from cost_models.structure import Inputs, counted, inputs, paths_ns, read
from hwgen.spec import Spec

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]


class Features:
    """The inputs of ``specs``, n units, by rows.

    A model asks for the columns that it was fitted to; those are kept for the next one.
    """

    def __init__(self, specs: Sequence[Spec], *, keep: bool = True) -> None:
        """``keep``: what is read of each spec stays in memory for the next time."""
        self.specs = specs
        self.read = [inputs(spec) if keep else read(spec) for spec in specs]
        self._kept: dict[object, Floats] = {}

    def __len__(self) -> int:
        return len(self.read)

    def _once(self, key: object, make: Callable[[], list[list[float]]]) -> Floats:
        if key not in self._kept:
            self._kept[key] = np.array(make(), dtype=np.float64)
        return self._kept[key]

    def amounts(self, columns: tuple[str, ...]) -> Floats:
        """Amounts of logic and registers, 0 where there is none; shape (n, columns)."""
        return self._once(
            ("amounts", columns),
            lambda: [[one.amounts.get(name, 0.0) for name in columns] for one in self.read],
        )

    def settings(self, names: tuple[str, ...]) -> Floats:
        """Formats, choices, and where registers stand; shape (n, names)."""
        return self._once(
            ("settings", names),
            lambda: [[one.settings[name] for name in names] for one in self.read],
        )

    def paths_ns(self, target: str) -> Floats:
        """The slowest path by the delay model of a target, in ns, and a column of ones."""
        key = ("paths", target)
        if key not in self._kept:
            slowest = paths_ns(self.read, target)
            self._kept[key] = np.column_stack([slowest, np.ones(len(self))])
        return self._kept[key]

    def plan(self, resource: str, target: str) -> Floats:
        """What the plan itself says of a resource on a target; shape (n,)."""
        return np.array([counted(one, resource, target) for one in self.read], dtype=np.float64)

    @cached_property
    def places(self) -> Floats:
        """What tells designs of a family from each other; shape (n, places)."""
        return np.array([one.place for one in self.read])

    @cached_property
    def families(self) -> dict[str, Codes]:
        """The rows of each family."""
        return _rows_of(self.read, lambda one: one.family)

    @cached_property
    def kinds(self) -> dict[str, dict[str, Codes]]:
        """The rows of each kind of unit, by resource; see ``Inputs``."""

        def of(resource: str) -> dict[str, Codes]:
            return _rows_of(self.read, lambda one: one.kinds[resource])

        return {resource: of(resource) for resource in self.read[0].kinds}

    @cached_property
    def likeness(self) -> tuple[list[Inputs], Codes]:
        """A unit of each group and mapping, and which of those each row is as."""
        first: dict[tuple[str, str], int] = {}
        units: list[Inputs] = []
        which = np.empty(len(self), dtype=np.intp)
        for row, one in enumerate(self.read):
            index = first.setdefault((one.group, one.unit), len(units))
            if index == len(units):
                units.append(one)
            which[row] = index
        return units, which


def _rows_of(units: Sequence[Inputs], key: Callable[[Inputs], str]) -> dict[str, Codes]:
    rows: dict[str, list[int]] = {}
    for row, one in enumerate(units):
        rows.setdefault(key(one), []).append(row)
    return {name: np.array(indices, dtype=np.intp) for name, indices in rows.items()}
