"""Logic in segments, between which registers may stand.

A function in segments is a generator. After each segment of its logic it yields a ``Boundary``,
with all values that it needs later, and goes on with what it is sent: those values, or registers
of them. Behind the last boundary there is only wiring. ``whole`` sends everything straight back:
then it is one piece of logic.

The segments of a function are told by the widths of its operands alone: next to each stands a
function of these that says what its segments are made of (``hwgen.plan.step.Segment``), without
making them.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from amaranth.hdl import Const

T = TypeVar("T")


@dataclass(frozen=True)
class Boundary:
    """A place where registers may stand, behind the segment of that name.

    ``values``: signals, or dataclasses, lists and dictionaries of them, that are needed later.
    """

    name: str
    values: Any


Segmented = Generator[Boundary, Any, T]


def last(name: str, values: T) -> Segmented[T]:
    """The boundary behind which a function returns the values."""
    sent: T = yield Boundary(name, values)
    return sent


def whole(segmented: Segmented[T]) -> T:
    """What ``segmented`` returns, with no registers inside."""
    return ended(segmented, None)


def ended(segmented: Segmented[T], values: Any) -> T:
    """What ``segmented`` returns, which has begun and is sent ``values``."""
    try:
        while True:
            values = segmented.send(values).values
    except StopIteration as end:
        result: T = end.value
        return result


def carry_along(segmented: Segmented[T], carried: Any) -> Segmented[tuple[T, Any]]:
    """What ``segmented`` returns, and the values ``carried`` along by its registers."""
    try:
        boundary = next(segmented)
        while True:
            sent, carried = yield replace(boundary, values=[boundary.values, carried])
            boundary = segmented.send(sent)
    except StopIteration as end:
        return end.value, carried


def cut(name: str, values: list[Any]) -> Segmented[list[Any]]:
    """The ``values`` behind a boundary of that name, where constants stay what they are.

    They may be in lists.
    """
    sent = yield Boundary(name, list(_variables(values)))
    return _restored(values, iter(sent))


def along(segmented: Segmented[T], values: list[Any]) -> Segmented[tuple[T, list[Any]]]:
    """As ``carry_along``, of ``values`` in which constants stay what they are."""
    made, sent = yield from carry_along(segmented, list(_variables(values)))
    return made, _restored(values, iter(sent))


def _variables(values: list[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list):
            yield from _variables(value)
        elif not isinstance(value, Const):
            yield value


def _restored(values: list[Any], sent: Iterator[Any]) -> list[Any]:
    """The ``values``, with what was ``sent`` in place of those that are no constants."""
    return [
        _restored(value, sent)
        if isinstance(value, list)
        else value
        if isinstance(value, Const)
        else next(sent)
        for value in values
    ]


def lockstep(functions: Sequence[Segmented[T]], *, split: bool) -> Segmented[list[T]]:
    """What ``functions`` of the same segments return, which run side by side.

    Unless ``split``, each is whole, one after the other.
    """
    if not split:
        return [whole(function) for function in functions]
    sent: list[Any] = [None] * len(functions)
    while True:
        boundaries: list[Boundary] = []
        results: list[T] = []
        for function, values in zip(functions, sent, strict=True):
            try:
                boundaries.append(function.send(values))
            except StopIteration as end:
                results.append(end.value)
        if results:
            assert not boundaries, f"only some have the segment {boundaries[0].name}"
            return results
        sent = yield Boundary(boundaries[0].name, [boundary.values for boundary in boundaries])
