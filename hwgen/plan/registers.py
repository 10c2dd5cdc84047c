"""Where registers stand: between which steps of a plan."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Sequence

from hwgen.plan.delay import millionths, model
from hwgen.plan.step import Loop, Step


def delays(steps: Sequence[Step], pipeline_target: str, input_bits: int) -> list[int]:
    """What each step takes, in a unit of ``input_bits`` input bits.

    In millionths of a level of LUTs or, with a ``pipeline_target``, in fs of that target.
    """
    if not pipeline_target:
        return [millionths(step.levels) for step in steps]
    times = model(pipeline_target)
    price = times.pricer(input_bits)
    return [price(step.path) for step in steps]


def boundaries_of(
    delays: Sequence[int], latency: int, state: int | None = None, loop: Loop | None = None
) -> frozenset[int]:
    """The places in ``delays`` of the steps that registers stand before.

    ``delays``: as of the function of that name. Registers of the step with a state, ``state``, and
    of the outputs are not among them. ``loop``: of partial sums, if there is one.
    """
    given = _behind_state(delays, state)
    return register_places(delays, latency - 1 - len(given), given, loop)


def fewest_stages(
    delays: Sequence[int], limit: int, state: int | None = None, loop: Loop | None = None
) -> int | None:
    """The fewest stages with no path above ``limit``.

    None where a step alone is longer, or a loop with all registers that it may have.

    ``delays``, ``state`` and ``loop`` as of ``boundaries_of``. Registers of the step with a state,
    ``state``, and of the outputs are among them.
    """
    after_state = _behind_state(delays, state)
    chosen = _fewest_places(delays, limit, after_state, loop)
    return None if chosen is None else len(chosen) + 1 + len(after_state)


def least_limit(delays: Sequence[int], loop: Loop | None) -> int:
    """The length of the longest path between registers, with as many stages as help."""
    if loop is None:
        return max(delays, default=0)
    return _shortest(delays, lambda limit: _fewest_places(delays, limit, (), loop) is not None)


def _behind_state(delays: Sequence[int], state: int | None) -> tuple[int, ...]:
    return () if state is None or state == len(delays) - 1 else (state + 1,)


def _fewest_places(
    delays: Sequence[int], limit: int, given: Sequence[int], loop: Loop | None
) -> list[int] | None:
    """The fewest places that keep ``limit``; None if there are none.

    A loop that the latest places divide too often is tried with a register in front: then its
    first path is as short as it can be.
    """
    if max(delays, default=0) > limit:
        return None
    chosen = _latest_places(delays, limit, given)
    if loop is None or _inside(chosen, loop) <= loop.most_inside:
        return chosen
    chosen = sorted([*_latest_places(delays, limit, (*given, loop.first)), loop.first])
    return chosen if _inside(chosen, loop) <= loop.most_inside else None


def _inside(places: Sequence[int], loop: Loop) -> int:
    return sum(loop.first < place <= loop.last for place in places)


def _latest_places(delays: Sequence[int], limit: int, given: Sequence[int]) -> list[int]:
    """The steps to have registers in front, each as late as it may: the fewest that keep ``limit``.

    Before the steps in ``given`` one stands already.
    """
    chosen: list[int] = []
    path = 0
    for place, delay in enumerate(delays):
        if place in given:
            path = 0
        if path > 0 and path + delay > limit:
            chosen.append(place)
            path = 0
        path += delay
    return chosen


def _shortest(delays: Sequence[int], fits: Callable[[int], bool]) -> int:
    """The shortest length of consecutive ``delays`` that fits."""
    behind = [0, *itertools.accumulate(delays)]
    lengths = sorted({end - start for start, end in itertools.combinations(behind, 2)})
    return lengths[bisect.bisect_left(lengths, True, key=fits)]


def register_places(
    delays: Sequence[int], count: int, given: Sequence[int] = (), loop: Loop | None = None
) -> frozenset[int]:
    """Before which steps ``count`` registers stand, so that the longest path is shortest.

    A path is between two registers; before the steps in ``given`` one stands already. ``loop``: of
    partial sums, which takes no more registers than it may have.

    Whole numbers: sums of floats depend on the order and, in ``sum``, on the version of Python, and
    of two paths of the same length neither may be the longer one.
    """

    def fits(limit: int) -> bool:
        places = _fewest_places(delays, limit, given, loop)
        return places is not None and len(places) <= count

    chosen = _fewest_places(delays, _shortest(delays, fits), given, loop)
    assert chosen is not None
    # Registers that would not shorten the longest path go in front, where they help placement.
    spare = [place for place in range(len(delays)) if place not in chosen and place not in given]
    if loop is not None:
        room = loop.most_inside - _inside(chosen, loop)
        inside = [place for place in spare if loop.first < place <= loop.last]
        spare = [place for place in spare if place not in inside[room:]]
    return frozenset([*chosen, *spare[: count - len(chosen)]])
