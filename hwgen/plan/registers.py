"""Where registers stand: between which steps of a plan."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence

from hwgen.plan.delay import millionths, model
from hwgen.plan.step import Step


def delays(steps: Sequence[Step], tuned_for: str, input_bits: int) -> list[int]:
    """What each step takes: in millionths of a level of LUTs, or in fs of the target that it is
    ``tuned_for``, in a unit of so many input bits."""
    if not tuned_for:
        return [millionths(step.levels) for step in steps]
    times = model(tuned_for)
    return [times.price_fs(step.path, input_bits) for step in steps]


def cuts_of(delays: Sequence[int], latency: int, state: int | None = None) -> frozenset[int]:
    """Before which steps registers stand, beside those of the step with a state, ``state``, and
    of the outputs; ``delays`` as of the function of that name."""
    if state is None:
        return register_places(delays, latency - 1)
    ends = state == len(delays) - 1
    return register_places(delays, latency - (1 if ends else 2), () if ends else (state + 1,))


def register_places(delays: Sequence[int], count: int, given: Sequence[int] = ()) -> frozenset[int]:
    """Before which steps ``count`` registers stand, so that the longest way between two is
    shortest; before the steps in ``given`` one stands already.

    Whole numbers: sums of floats depend on the order and, in ``sum``, on the version of Python,
    and of two ways of the same length neither may be the longer one.
    """
    places = range(len(delays))

    def within(limit: int) -> list[int] | None:
        """The latest places that keep every way within ``limit``, or None."""
        chosen: list[int] = []
        way = 0
        for place in places:
            if place in given:
                way = 0
            if way > 0 and way + delays[place] > limit:
                chosen.append(place)
                way = 0
            way += delays[place]
            if way > limit:
                return None
        return chosen if len(chosen) <= count else None

    behind = [0, *itertools.accumulate(delays)]
    ways = sorted({end - start for start, end in itertools.combinations(behind, 2)})
    shortest = bisect.bisect_left(ways, True, key=lambda way: within(way) is not None)
    chosen = within(ways[shortest])
    assert chosen is not None
    # Registers that would not shorten the longest way go in front, where they help placement.
    spare = [place for place in places if place not in chosen and place not in given]
    return frozenset([*chosen, *spare[: count - len(chosen)]])
