"""The rows of a step plan."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from hwgen.plan.logic import Logic, Path, Series, path_of, times


@dataclass(frozen=True)
class Segment:
    """Logic of a step up to a place where a register may stand inside it.

    ``hwgen.arithmetic.segmented`` makes it.
    """

    name: str
    logic: Series = ()

    @property
    def path(self) -> Path:
        """The longest path through it."""
        return path_of(self.logic)


Segments = tuple[Segment, ...]


@dataclass(frozen=True)
class Step:
    """Logic between two places where a register may stand.

    ``logic``: primitives one behind the other. ``build``: the name of the unit's method that makes
    it, with its ``arguments``. ``levels``: about how many levels of LUTs it takes, by which
    registers are placed that are tuned for no target. ``bits``: what a register in front of it
    holds, beside controls and flags of special numbers; None where that has not been worked out.
    ``has_state``: it has a state, which a valid input sets, and which is what comes after it.
    ``segment``: its place among those that the method makes, one a step, of which these are the
    names.
    """

    name: str
    build: str
    logic: Series
    levels: float = 0.0
    arguments: tuple[Any, ...] = ()
    bits: int | None = None
    has_state: bool = False
    segment: int = 0
    segments: tuple[str, ...] = ()

    @cached_property
    def path(self) -> Path:
        """The longest path through it, which the delay model of a target prices."""
        return path_of(self.logic)

    @property
    def primitives(self) -> tuple[Logic, ...]:
        """All that it is made of."""
        return tuple(primitive for logic in self.logic for primitive in logic.primitives())


Steps = tuple[Step, ...]


def in_segments(
    name: str,
    build: str,
    segments: Sequence[Segment],
    levels: float,
    *,
    apart: bool,
    arguments: tuple[Any, ...] = (),
    bits: int | None = None,
    has_state: bool = False,
) -> Steps:
    """A step whose logic has places for registers inside.

    Each of its segments is a step of its own where they are wanted ``apart`` and there are any; a
    loop stays whole.
    """
    if not apart or has_state or not segments:
        logic = tuple(primitive for segment in segments for primitive in segment.logic)
        return (Step(name, build, logic, levels, arguments, bits, has_state),)
    names = tuple(segment.name for segment in segments)
    assert len(set(names)) == len(names), f"two segments of {name} have one name"
    steps = [
        Step(f"{name}_{s.name}", build, s.logic, 0.0, arguments, segment=i, segments=names)
        for i, s in enumerate(segments)
    ]
    return (replace(steps[0], bits=bits), *steps[1:])


def lockstep(segments: Iterable[Segment], count: int) -> Segments:
    """``count`` of the same segments side by side."""
    return tuple(replace(s, logic=times(s.logic, count)) for s in segments)


def named(name: str, segments: Iterable[Segment]) -> Segments:
    """The segments with ``name`` in front of their names, to tell them from others."""
    return tuple(replace(s, name=f"{name}_{s.name}") for s in segments)


def state_step(steps: Sequence[Step]) -> int | None:
    """The place of the step that has a state; None if none has."""
    return next((index for index, step in enumerate(steps) if step.has_state), None)
