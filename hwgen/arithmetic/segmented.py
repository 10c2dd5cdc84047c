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

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Boundary:
    """A place where registers may stand: the ``values`` (signals, or dataclasses, lists and
    dictionaries of them) behind the segment of that name.
    """

    name: str
    values: Any


Segmented = Generator[Boundary, Any, T]


def last(name: str, values: T) -> Segmented[T]:
    """The boundary behind which a function returns the values."""
    sent: T = yield Boundary(name, values)
    return sent


def whole(parts: Segmented[T]) -> T:
    """What the function returns, with no registers inside."""
    return ended(parts, None)


def ended(parts: Segmented[T], values: Any) -> T:
    """The same of one that has begun, and is sent these values."""
    try:
        while True:
            values = parts.send(values).values
    except StopIteration as end:
        found: T = end.value
        return found


def carry_along(parts: Segmented[T], others: Any) -> Segmented[tuple[T, Any]]:
    """A function in segments, and values that its registers carry along."""
    try:
        part = next(parts)
        while True:
            sent, others = yield replace(part, values=[part.values, others])
            part = parts.send(sent)
    except StopIteration as end:
        return end.value, others


def lockstep(each: Sequence[Segmented[T]], *, split: bool) -> Segmented[list[T]]:
    """Functions of the same segments side by side; unless ``split``, each whole, one after the
    other.
    """
    if not split:
        return [whole(one) for one in each]
    sent: list[Any] = [None] * len(each)
    while True:
        parts: list[Boundary] = []
        ended: list[T] = []
        for one, values in zip(each, sent, strict=True):
            try:
                parts.append(one.send(values))
            except StopIteration as end:
                ended.append(end.value)
        if ended:
            assert not parts, f"only some have the part {parts[0].name}"
            return ended
        sent = yield Boundary(parts[0].name, [part.values for part in parts])
