"""What each unit must answer: a module a unit, found by the unit's name.

A model computes from decoded numbers and exact arithmetic, never from bit fields.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from hwgen.spec import Spec

#: Patterns of the elements of each port, (cycles, count), unsigned.
Patterns = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Reach:
    """Bounds of the numbers that a unit rounds: the largest magnitude, the most significant bits,
    the exponent of what all are multiples of, and the smallest magnitude beside zero. A model's
    function ``reach(spec)`` gives them, if it has one."""

    largest: float = math.inf
    bits: float = math.inf
    lsb_exponent: float = -math.inf
    smallest: float = 0.0


class Model(Protocol):
    """The functions of a unit's module."""

    def expected(self, spec: Any, inputs: Patterns) -> Patterns:
        """The output ports' patterns for consecutive valid inputs, (cycles, count) each; of
        signed ports the numbers themselves."""
        ...

    def directed(self, spec: Any) -> Patterns:
        """Inputs at the extremes: bounds, ties, special codes."""
        ...

    def restrict(
        self, spec: Any, inputs: Patterns, counted: npt.NDArray[np.intp], rng: np.random.Generator
    ) -> None:
        """Changes random ``inputs`` in place to what the unit's contract allows; ``counted``:
        the cycles that count."""
        ...


def of(spec: Spec) -> Model:
    """The model of the spec's unit."""
    found: Any = import_module(f"sim.models.{spec.unit}")
    return found  # type: ignore[no-any-return]
