"""Logic in parts, between which registers may stand.

A function in parts is a generator. After each part of its logic it yields all values that it
needs later, and goes on with what it is sent: those values, or registers of them. Behind the last
part there is only wiring. ``whole`` sends everything straight back: then it is one piece of logic.

The parts of a function are told by the widths of its operands alone: beside each stands a function
of these that says what its parts are made of (``hwgen.plan.step.Segment``), without making them.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Part:
    """Logic since the part before, and the ``values`` (signals, or dataclasses, lists and
    dictionaries of them) behind it."""

    name: str
    values: Any


Parts = Generator[Part, Any, T]


def last(name: str, values: T) -> Parts[T]:
    """The part behind which a function returns the values."""
    sent: T = yield Part(name, values)
    return sent


def whole(parts: Parts[T]) -> T:
    """What the function returns, with no registers inside."""
    return ended(parts, None)


def ended(parts: Parts[T], values: Any) -> T:
    """The same of one that has begun, and is sent these values."""
    try:
        while True:
            values = parts.send(values).values
    except StopIteration as end:
        found: T = end.value
        return found


def beside(parts: Parts[T], others: Any) -> Parts[tuple[T, Any]]:
    """A function in parts, and values that pass by its registers."""
    try:
        part = next(parts)
        while True:
            sent, others = yield replace(part, values=[part.values, others])
            part = parts.send(sent)
    except StopIteration as end:
        return end.value, others


def abreast(each: Sequence[Parts[T]], *, fine: bool) -> Parts[list[T]]:
    """Functions of the same parts side by side; unless ``fine``, each whole, one after the
    other."""
    if not fine:
        return [whole(one) for one in each]
    sent: list[Any] = [None] * len(each)
    while True:
        parts: list[Part] = []
        ended: list[T] = []
        for one, values in zip(each, sent, strict=True):
            try:
                parts.append(one.send(values))
            except StopIteration as end:
                ended.append(end.value)
        if ended:
            assert not parts, f"only some have the part {parts[0].name}"
            return ended
        sent = yield Part(parts[0].name, [part.values for part in parts])
