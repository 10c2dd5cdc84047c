"""The measurements that ship with the package, and the command that makes them.

Every result goes to the store when it is finished; a sweep that was stopped goes on where it
was, and a second run measures nothing again.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from cost_models import measurement
from hwgen.errors import ToolError
from hwgen.formats import NAMES
from hwgen.progress import Pace
from hwgen.spec import DotProduct


@dataclass(frozen=True)
class Point:
    """One unit on one target, placed or only mapped."""

    spec: DotProduct
    target: str
    place: bool


def shipped_set() -> Iterator[Point]:
    """The shipped points, the most useful first.

    ECP5 in LUTs: every unordered pair of the listed formats at three lane counts; at 8 lanes
    each format with itself and with INT4 and INT8 is placed too, at 24 with itself, for Fmax.
    Others: every pair at two lane counts; on iCE40 each format with itself, and at 4 lanes with
    INT8, is placed. With DSP blocks, but on iCE40: each format with itself and with INT8.
    """
    pairs = list(itertools.combinations_with_replacement(NAMES, 2))
    alike_or_int8 = [(a, b) for a, b in pairs if a == b or "int8" in (a, b)]
    alike_or_int4_int8 = [(a, b) for a, b in pairs if a == b or {"int4", "int8"} & {a, b}]

    def dot(a: str, b: str, lanes: int, mapping: str = "lut") -> DotProduct:
        return DotProduct(a=a, b=b, lanes=lanes, mapping=mapping)

    placed = {(a, b, 8) for a, b in alike_or_int4_int8} | {(a, b, 24) for a, b in pairs if a == b}
    for lanes in (8, 24, 3):
        for a, b in pairs:
            yield Point(dot(a, b, lanes), "ecp5", (a, b, lanes) in placed)
    for target, lanes in itertools.product(("xc7", "ice40", "xcup"), (4, 16)):
        for a, b in pairs:
            place = target == "ice40" and (a == b or (lanes == 4 and "int8" in (a, b)))
            yield Point(dot(a, b, lanes), target, place)
    with_dsp = ("ecp5", "xc7", "xcup")
    for target, mapping, lanes in itertools.product(with_dsp, ("dsp", "auto"), (4, 16)):
        for a, b in alike_or_int8:
            yield Point(dot(a, b, lanes, mapping), target, lanes == 4 and target == "ecp5")


def run(progress: Callable[[str], None], workers: int | None = None) -> None:
    """Measures every point that the store lacks, on ``workers`` threads (default: one a core).

    ``progress`` gets a line for each as it ends. ToolError at the end if a point failed; the others
    are measured all the same.
    """
    points = list(shipped_set())
    pace, failures = Pace(len(points)), []
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        running = {
            pool.submit(measurement.measure, p.spec, p.target, place=p.place): p for p in points
        }
        try:
            for future in as_completed(running):
                point = running[future]
                try:
                    measured, known = future.result()
                except ToolError as error:
                    failures.append(f"{point.spec.name} on {point.target}: {error}")
                    pace.part_done()
                    progress(f"{pace}: {failures[-1]}")
                    continue
                pace.part_done(known=known)
                if not known:
                    progress(
                        f"{pace}: {point.target} {point.spec.name}: "
                        f"{measured.result['lut']} LUT in {measured.result['seconds']:.1f} s"
                    )
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    if failures:
        raise ToolError(f"{len(failures)} of {len(points)} points failed, first: {failures[0]}")
    progress(f"{len(points)} points are in the store")


def export(file: Path) -> int:
    """Writes the shipped points that the store has to ``file``; returns how many."""
    stored = [measurement.stored(point.spec, point.target) for point in shipped_set()]
    known = [m for m in stored if m is not None]
    measurement.export(file, known)
    return len(known)
