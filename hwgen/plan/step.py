"""The rows of a step plan."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from hwgen.fields import changed
from hwgen.plan.logic import Logic, Path, Series, path_of, times


@dataclass(frozen=True)
class Segment:
    """Logic of a step up to a place where a register may stand inside it.

    ``hwgen.arithmetic.segmented`` makes it. ``bits``: of all values at that place, which are what a
    register there would hold.
    """

    name: str
    logic: Series = ()
    bits: int | None = None

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
    holds, controls and flags with it, but for the valid bit; behind a step with a state that is the
    state too. In an array that is one element's, behind the operands of all, or one column's.
    ``data_bits``: of these about what is data, as the area model has it. ``has_state``: it has a
    state, which a valid input sets, and which is what comes after it. ``segment``: its place among
    those that the method makes, one a step, of which these are the names. ``copies``: how many of
    it the unit has, of which all but these fields tell of one. ``partial_sums``: it is, with the
    steps beside it that say so, a loop of so many sums (``Loop``); 0 if it is none. ``held_bits``:
    what all registers in front of it hold, where that is not ``bits`` times ``copies``.
    """

    name: str
    build: str
    logic: Series
    levels: float = 0.0
    arguments: tuple[Any, ...] = ()
    bits: int | None = None
    data_bits: int | None = None
    has_state: bool = False
    segment: int = 0
    segments: tuple[str, ...] = ()
    copies: int = 1
    partial_sums: int = 0
    held_bits: int | None = None

    @property
    def register_bits(self) -> int:
        """Bits of all registers in front of it, if such stand there."""
        return (self.bits or 0) * self.copies if self.held_bits is None else self.held_bits

    @cached_property
    def path(self) -> Path:
        """The longest path through it, which the delay model of a target prices."""
        return path_of(self.logic)

    @property
    def primitives(self) -> tuple[Logic, ...]:
        """All that it is made of."""
        return tuple(primitive for logic in self.logic for primitive in logic.primitives())


Steps = tuple[Step, ...]


@dataclass(frozen=True)
class Loop:
    """The steps from ``first`` to ``last``, between whose input and output are partial sums.

    Registers stand behind it, and ``most_inside`` of them at most between its steps: each of these
    holds a sum that is being made, and there is one sum more in front of the first step.
    """

    first: int
    last: int
    partial_sums: int

    @property
    def most_inside(self) -> int:
        """Registers that may stand between its steps."""
        return min(self.partial_sums - 1, self.last - self.first)


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
        return (Step(name, build, logic, levels, arguments, bits, has_state=has_state),)
    names = tuple(segment.name for segment in segments)
    assert len(set(names)) == len(names), f"two segments of {name} have one name"
    before = (bits, *(segment.bits for segment in segments))
    return tuple(
        Step(f"{name}_{s.name}", build, s.logic, 0.0, arguments, before[i], None, False, i, names)
        for i, s in enumerate(segments)
    )


def lockstep(segments: Iterable[Segment], count: int) -> Segments:
    """``count`` of the same segments side by side."""
    return tuple(
        Segment(s.name, times(s.logic, count), None if s.bits is None else count * s.bits)
        for s in segments
    )


def passed_by(segments: Iterable[Segment], bits: int) -> Segments:
    """The segments with so many more bits, which pass them by."""
    return tuple(
        s if s.bits is None or not bits else Segment(s.name, s.logic, s.bits + bits)
        for s in segments
    )


def with_bits(steps: Iterable[Step], bits: Iterable[int]) -> Steps:
    """The steps with so many bits in front of each."""
    return tuple(changed(step, bits=n) for step, n in zip(steps, bits, strict=True))


def copied(steps: Iterable[Step], copies: int) -> Steps:
    """The steps of what the unit has so many of."""
    return tuple(changed(step, copies=copies) for step in steps)


def named(name: str, segments: Iterable[Segment]) -> Segments:
    """The segments with ``name`` in front of their names, to tell them from others."""
    return tuple(replace(s, name=f"{name}_{s.name}") for s in segments)


def state_step(steps: Sequence[Step]) -> int | None:
    """The place of the step that has a state; None if none has."""
    return next((index for index, step in enumerate(steps) if step.has_state), None)


def loop_of(steps: Sequence[Step]) -> Loop | None:
    """The loop of partial sums; None if there is none."""
    places = [index for index, step in enumerate(steps) if step.partial_sums]
    return Loop(places[0], places[-1], steps[places[0]].partial_sums) if places else None
