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


def fewest_stages(delays: Sequence[int], limit: int, state: int | None = None) -> int | None:
    """The fewest stages with no path above ``limit``; None where a step alone is longer.

    ``delays`` and ``state`` as of ``boundaries_of``. Registers of the step with a state, ``state``,
    and of the outputs are among them.
    """
    if max(delays, default=0) > limit:
        return None
    after_state = () if state is None or state == len(delays) - 1 else (state + 1,)
    return len(_latest_places(delays, limit, after_state)) + 1 + len(after_state)


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


def register_places(delays: Sequence[int], count: int, given: Sequence[int] = ()) -> frozenset[int]:
    """Before which steps ``count`` registers stand, so that the longest path is shortest.

    A path is between two registers; before the steps in ``given`` one stands already.

    Whole numbers: sums of floats depend on the order and, in ``sum``, on the version of Python, and
    of two paths of the same length neither may be the longer one.
    """
    longest_step = max(delays, default=0)

    def fits(limit: int) -> bool:
        return longest_step <= limit and len(_latest_places(delays, limit, given)) <= count

    behind = [0, *itertools.accumulate(delays)]
    lengths = sorted({end - start for start, end in itertools.combinations(behind, 2)})
    shortest = bisect.bisect_left(lengths, True, key=fits)
    chosen = _latest_places(delays, lengths[shortest], given)
    # Registers that would not shorten the longest path go in front, where they help placement.
    spare = [place for place in range(len(delays)) if place not in chosen and place not in given]
    return frozenset([*chosen, *spare[: count - len(chosen)]])
