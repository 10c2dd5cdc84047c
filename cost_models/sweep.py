"""Measures the points of a plan, resumably, on all cores or on a cluster.

Every result goes to the store when it is finished; a sweep that was stopped goes on where it was,
and a second run measures nothing again. A point that a tool fails on, or takes too long for, is a
result too: it is stored with the reason, and not tried again unless that is asked for.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from cost_models import cluster, measurement, query
from cost_models.sweep_plan import Point
from hwgen import processes, store
from hwgen.errors import InputError, ToolError, fault
from hwgen.progress import Pace, doing
from hwgen.spec import Spec, from_dict

#: The most points at a time on this machine.
MOST_WORKERS = 1024


@dataclass(frozen=True)
class Outcome:
    """What came of a point: a measurement, or the reason why there is none; ``known`` before."""

    point: Point
    measurement: measurement.Measurement | None
    failure: str = ""
    known: bool = False


@dataclass(frozen=True)
class Failure:
    """Why a point has no measurement."""

    key: str
    reason: str
    created: str


FAILURES = store.Store(
    store.Kind("failure", lambda row: Failure(*(str(row[f]) for f in ("key", "reason", "created"))))
)


@dataclass(frozen=True)
class _Answer:
    """What a worker has of a point: a measurement as a row and its hardware, or a failure."""

    row: store.Row | None = None
    hardware: str = ""
    known: bool = False
    failure: str = ""


def run(
    points: Sequence[Point],
    progress: Callable[[str], None],
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    retry: bool = False,
    time_limit_s: float = measurement.TIME_LIMIT_S,
) -> list[Outcome]:
    """Measures every point that the store lacks; the outcomes, in the order of the points.

    On ``workers`` threads (default: one a core), or on the workers of the Dask ``scheduler``, such
    as ``tcp://host:8786``, on which this package is installed. ``progress`` gets a line for each
    point as it ends. ``retry``: those that failed before too.

    Raises:
        InputError: no scheduler answers, Dask is not installed, or a worker has another version of
            this package or of its tools; a store that cannot be written.
        ToolError: the scheduler has gone.

    """
    if workers is not None and scheduler is not None:
        raise InputError("workers: a scheduler has workers of its own: leave one of them out")
    if workers is not None and not 1 <= workers <= MOST_WORKERS:
        raise InputError(f"workers={workers}: use a whole number from 1 to {MOST_WORKERS}")
    store.require_writable()
    pace, outcomes = Pace(len(points)), dict[int, Outcome]()

    def ended(index: int, outcome: Outcome) -> None:
        outcomes[index] = outcome
        pace.part_done(known=outcome.known)
        if not outcome.known:
            progress(f"{pace}: {_line(outcome)}")

    # In no order, so that the time that is left can be told, and what is measured stands for all.
    shuffled = random.Random(len(points)).sample(range(len(points)), len(points))
    with (
        _executor(workers, scheduler) as executor,
        doing("measuring", detail=lambda: f"{pace.ended} of {pace.total} points"),
    ):
        running: dict[Future[_Answer], int] = {}
        for index in shuffled:
            point = points[index]
            known = _known(point, retry)
            if known is None:
                key = measurement.point_key(point.spec, point.target, point.place)
                fields = (point.spec.to_dict(), point.target, point.place, time_limit_s, key)
                running[executor.submit(_measured, *fields)] = index
            else:
                ended(index, known)
        for future in as_completed(running):
            index = running.pop(future)
            ended(index, _outcome(points[index], _answer(future, scheduler)))
    return [outcomes[index] for index in range(len(points))]


def _known(point: Point, retry: bool) -> Outcome | None:
    """What the store has of a point."""
    known = measurement.measured_before(point.spec, point.target, place=point.place)
    if known is not None:
        return Outcome(point, known, known=True)
    failed = None if retry else FAILURES.find(_failure_key(point))
    return None if failed is None else Outcome(point, None, failed.reason, known=True)


def _measured(
    spec: dict[str, object], target: str, place: bool, time_limit_s: float, key: str
) -> _Answer:
    """The measurement of a point, or why there is none; on a worker.

    ``key``: what the point is known by where it was sent from.

    Raises:
        InputError: it is known by another here; a store that cannot be written.
        OSError, MemoryError: the machine has too little of something.

    """
    try:
        unit = from_dict(spec)
        if measurement.point_key(unit, target, place) != key:
            raise InputError(
                "a worker has another version of hwgen, of its tools, or of what they need: "
                "install the same there as here"
            )
        measured, known = measurement.measure(unit, target, place=place, time_limit_s=time_limit_s)
        return _Answer(asdict(measured), measurement.hardware(unit) or "", known)
    except ToolError as error:
        return _Answer(failure=str(error))
    except InputError:
        raise
    except Exception as error:  # Of one unit: the others are measured all the same.
        if processes.ended_by() is not None or processes.outside(error):
            raise
        return _Answer(failure=fault(error))


def _answer(future: Future[_Answer], scheduler: str | None) -> _Answer:
    return future.result() if scheduler is None else cluster.result(future, scheduler, _Answer)


def _outcome(point: Point, answer: _Answer) -> Outcome:
    """What a worker answered, which is in the store of this machine from now on."""
    if answer.row is None:
        key = _failure_key(point)
        FAILURES.add({"key": key, "reason": answer.failure, "created": store.today()})
        return Outcome(point, None, answer.failure)
    # A worker elsewhere has another store.
    if answer.hardware:
        measurement.keep_hardware(point.spec, answer.hardware)
    if measurement.STORE.find(answer.row["key"]) is None:
        measurement.STORE.add(answer.row)
    return Outcome(point, measurement.checked(answer.row), known=answer.known)


def _failure_key(point: Point) -> str:
    return store.digest("failure", measurement.point_key(point.spec, point.target, point.place))


def _line(outcome: Outcome) -> str:
    name = f"{outcome.point.target} {outcome.point.spec.name}"
    if outcome.measurement is None:
        return f"{name}: failed: {outcome.failure}"
    result = outcome.measurement.result
    clock = "" if result["fmax_mhz"] is None else f", {result['fmax_mhz']:.0f} MHz"
    return f"{name}: {result['lut']} LUT{clock} in {result['seconds']:.1f} s"


@contextmanager
def _executor(workers: int | None, scheduler: str | None) -> Iterator[Executor]:
    """Where points are measured; those that wait are dropped when the block is left early."""
    if scheduler is not None:
        with cluster.executor(scheduler) as pool:
            yield pool
        return
    threads = ThreadPoolExecutor(workers or os.cpu_count() or 1)
    try:
        yield threads
    finally:
        threads.shutdown(cancel_futures=True)


def unsureness(spec: Spec, target: str) -> float:
    """How far the cost model's interval of the LUTs reaches, in parts of their number.

    Infinite for a unit unlike all that were measured.
    """
    try:
        lut = query.predict(spec, target).lut
    except InputError:
        return float("inf")
    if lut.value is None or lut.low is None or lut.high is None:
        return float("inf")
    return (lut.high - lut.low) / max(lut.value, 1)


def export(file: Path, outcomes: Sequence[Outcome]) -> int:
    """Writes the measurements of ``outcomes`` to ``file``; returns how many."""
    measured = [o.measurement for o in outcomes if o.measurement is not None]
    measurement.export(file, measured)
    return len(measured)
