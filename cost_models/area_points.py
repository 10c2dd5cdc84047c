"""Designs that tables of areas compare, and what was measured of each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cost_models import baseline, measurement
from hwgen import emit
from hwgen.errors import InputError, ToolError
from hwgen.progress import Pace
from hwgen.spec import DotProduct, FixedDot, Spec

#: What is measured: the unit, the exact sum alone as the unit makes it, and by plain operators,
#: which is also mapped by Yosys' own script for the target, as is the unit's sum in its style.
UNIT, SUM, PLAIN, VENDOR, STYLED, TIED = (
    measurement.SYNTHESIS,
    "exact sum",
    "plain sum",
    "plain sum, Yosys' script",
    "styled sum, Yosys' script",
    "dot with constants at port b",
)
#: The style of Verilog for a target's own script: by the inputs of its LUTs.
STYLES = {"ecp5": "lut4", "xc7": "lut6", "ice40": "lut4"}


@dataclass(frozen=True)
class Point:
    """One design on one target."""

    kind: str
    spec: Spec
    target: str
    place: bool

    def measure(self) -> dict[str, Any]:
        """Its counts and Fmax, as a row of the store has them.

        InputError for a spec or a mapping that the target lacks, ToolError as a synthesis.
        """
        if self.kind == UNIT:
            rtlil, top = emit.rtlil(self.spec), self.spec.name
        elif self.kind == TIED:
            assert isinstance(self.spec, FixedDot)
            rtlil, top = baseline.tied_rtlil(self.spec), baseline.TOP
        else:
            assert isinstance(self.spec, DotProduct)
            top = baseline.TOP
            if self.kind == STYLED:
                rtlil = baseline.styled_rtlil(self.spec, STYLES[self.target])
            else:
                make = baseline.unit_rtlil if self.kind == SUM else baseline.baseline_rtlil
                rtlil = make(self.spec)
        return measurement.measure_design(
            self.kind,
            rtlil,
            top,
            self.spec,
            self.target,
            place=self.place,
            mapping="vendor" if self.kind in (VENDOR, STYLED) else None,
        )[0].result


#: The counts of each point, or why there are none.
Results = dict[Point, dict[str, Any] | str]


def run(
    points: Iterable[Point], progress: Callable[[str], None], workers: int | None = None
) -> Results:
    """Measures the points, on ``workers`` threads (default: one a core).

    ``progress`` gets a line for each point as it ends. A point that cannot be measured has the
    reason as its result.
    """

    def measured(point: Point) -> dict[str, Any] | str:
        try:
            return point.measure()
        except (InputError, ToolError) as error:
            return str(error)

    wanted = list(dict.fromkeys(points))
    results: Results = {}
    pace = Pace(len(wanted))
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        try:
            for point, result in zip(wanted, pool.map(measured, wanted), strict=True):
                results[point] = result
                counts = result if isinstance(result, str) else f"{result['lut']} LUT"
                pace.part_done()
                progress(f"{pace}: {point.kind} {point.spec.name} on {point.target}: {counts}")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return results


def count(results: Results, point: Point, name: str) -> Any:
    """A count of a point; None where it was not measured."""
    result = results[point]
    return None if isinstance(result, str) else result[name]


def text(value: Any) -> str:
    """A figure as text; a dash where there is none."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if isinstance(value, float) else f"{value:,}"


def ratio(large: int | None, small: int | None) -> str:
    """How many times as large; a dash where one is not known."""
    return f"{large / small:.2f}" if large and small else "–"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; columns of numbers stand to the right."""
    rule = ["---" if name in ("format", "target", "mapping", "unit") else "--:" for name in head]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *rows))


@dataclass(frozen=True)
class Table:
    """A table of a page: its designs, and its Markdown when they are measured."""

    page: Path
    points: Callable[[], Iterator[Point]]
    markdown: Callable[[Results], str]
