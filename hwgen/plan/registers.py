"""Where registers stand: between which steps of a plan."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence

from hwgen.plan.delay import millionths, model
from hwgen.plan.step import Step


def delays(steps: Sequence[Step], pipeline_target: str, input_bits: int) -> list[int]:
    """What each step takes, in a unit of ``input_bits`` input bits.

    In millionths of a level of LUTs or, with a ``pipeline_target``, in fs of that target.
    """
    if not pipeline_target:
        return [millionths(step.levels) for step in steps]
    times = model(pipeline_target)
    return [times.price_fs(step.path, input_bits) for step in steps]


def boundaries_of(delays: Sequence[int], latency: int, state: int | None = None) -> frozenset[int]:
    """The places in ``delays`` of the steps that registers stand before.

    ``delays``: as of the function of that name. Registers of the step with a state, ``state``, and
    of the outputs are not among them.
    """
    if state is None:
        return register_places(delays, latency - 1)
    ends = state == len(delays) - 1
    return register_places(delays, latency - (1 if ends else 2), () if ends else (state + 1,))


def register_places(delays: Sequence[int], count: int, given: Sequence[int] = ()) -> frozenset[int]:
    """Before which steps ``count`` registers stand, so that the longest path is shortest.

    A path is between two registers; before the steps in ``given`` one stands already.

    Whole numbers: sums of floats depend on the order and, in ``sum``, on the version of Python, and
    of two paths of the same length neither may be the longer one.
    """
    places = range(len(delays))

    def within(limit: int) -> list[int] | None:
        """The latest places that keep every path within ``limit``, or None."""
        chosen: list[int] = []
        path = 0
        for place in places:
            if place in given:
                path = 0
            if path > 0 and path + delays[place] > limit:
                chosen.append(place)
                path = 0
            path += delays[place]
            if path > limit:
                return None
        return chosen if len(chosen) <= count else None

    behind = [0, *itertools.accumulate(delays)]
    lengths = sorted({end - start for start, end in itertools.combinations(behind, 2)})
    shortest = bisect.bisect_left(lengths, True, key=lambda path: within(path) is not None)
    chosen = within(lengths[shortest])
    assert chosen is not None
    # Registers that would not shorten the longest path go in front, where they help placement.
    spare = [place for place in places if place not in chosen and place not in given]
    return frozenset([*chosen, *spare[: count - len(chosen)]])
