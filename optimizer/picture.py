"""The picture of a result: accuracy against LUTs.

Text stands beside the axes, in the legend, where nothing can be under it. Inside are only the
numbers of the front's points, each where it covers no line, point or other number. A number
without such a place is left out: the report's table has all, and the legend the chosen point's.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.transforms import Bbox

from optimizer.explore import Exploration
from optimizer.plan import Plan
from optimizer.text import printable

#: Percentage points below FP32 that the picture shows; what lies lower is named in the legend.
SHOWN_DROP = 8.0
#: Characters of a line of the legend, and of the title.
LEGEND_WIDTH, TITLE_WIDTH = 36, 90
#: The axis of LUTs goes at least over this factor, so that it has two labels.
LEAST_SPAN = 2.5
BLUE, ORANGE, GOLD = "#1f5fa8", "#c8501e", "#e0a800"
REFERENCE_MARKERS = "sD^vP"
#: Where a point's number is tried: direction, and the sides of the text that are nearest.
DIRECTIONS = (
    ((-0.7, 0.7), "right", "bottom"),
    ((0, 1), "center", "bottom"),
    ((0.7, -0.7), "left", "top"),
    ((-1, 0), "right", "center"),
    ((1, 0), "left", "center"),
    ((0, -1), "center", "top"),
)
#: How far from the point, in typographic points.
DISTANCES = (6, 9)
#: Labels of the axis of LUTs in a decade, by the factor that the axis goes over.
TICKS = ((12, (1, 1.5, 2, 3, 4, 5, 7)), (10_000, (1, 2, 5)), (float("inf"), (1,)))


@dataclass(frozen=True, eq=False)
class Picture:
    """A drawn figure, its axes, its legend, and the numbers inside."""

    figure: Figure
    axes: Any
    legend: Any
    numbers: tuple[Any, ...]


def write(exploration: Exploration, path: Path) -> None:
    """Draws an exploration into the PNG file ``path``; the same result gives the same bytes."""
    # No date or version in the file.
    draw(exploration).figure.savefig(path, metadata={"Software": None})


def percent(plan: Plan) -> float:
    """The accuracy of an evaluated ``plan`` in percent of the test images."""
    assert plan.accuracy is not None
    return plan.accuracy.percent


def draw(e: Exploration) -> Picture:
    """The picture of an exploration, laid out but not yet written."""
    figure = Figure(figsize=(12, 6.6), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.add_subplot()
    bottom, top = _accuracy_limits(e)
    front = [(i, p) for i, p in enumerate(e.front, start=1) if percent(p) >= bottom]
    handles = _draw_points(axes, e, front, bottom)
    _set_axes(axes, e, bottom, top)
    legend = axes.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0,
        fontsize=9, framealpha=1, labelspacing=0.8, alignment="left",
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)
    figure.canvas.draw()  # places are known only when the layout is
    return Picture(figure, axes, legend, _draw_numbers(axes, e, front))


def _accuracy_limits(e: Exploration) -> tuple[float, float]:
    fp32, error = e.fp32.percent, e.fp32.standard_error
    shown = [p for p in (*e.front, *e.references.values()) if percent(p) >= fp32 - SHOWN_DROP]
    values = [percent(p) for p in (*shown, e.chosen)]
    bottom = min([*values, fp32 - 1.5]) - 0.8
    top = max([*values, fp32 + error]) + 0.7
    return max(bottom, -1.0), min(top, 101.0)


def _label(text: str) -> str:
    """``text`` in lines of the legend's width."""
    lines = [textwrap.wrap(line, LEGEND_WIDTH) or [""] for line in text.split("\n")]
    return "\n".join(part for line in lines for part in line)


def _draw_points(
    axes: Any, e: Exploration, front: Sequence[tuple[int, Plan]], bottom: float
) -> list[Any]:
    """Everything but the numbers; returns what the legend explains."""
    fp32, error = e.fp32.percent, e.fp32.standard_error
    axes.axhspan(fp32 - error, fp32 + error, color="black", alpha=0.06, lw=0)
    axes.axhline(fp32, color="black", lw=1, ls="--")
    handles: list[Any] = [
        Line2D([], [], color="black", lw=1, ls="--", label=f"FP32: {fp32:.2f}%"),
        Patch(color="black", alpha=0.06, label=_label(f"FP32 ± one standard error ({error:.2f})")),
    ]
    number = next(i for i, plan in enumerate(e.front, start=1) if plan is e.chosen)
    handles += axes.plot(
        e.chosen.lut.value, percent(e.chosen), "*", ms=19, color=GOLD, mec="black", mew=0.7,
        zorder=6, ls="none",
        label=_label(f"chosen, {number}: {_figures(e.chosen)}\n{e.chosen.summary()}"),
    )  # fmt: skip
    pairs = "one format pair" if e.settings.style == "shared" else "a format pair a layer"
    hidden = len(e.front) - len(front)
    below = f"; {hidden} more below the picture" if hidden else ""
    handles += axes.plot(
        [p.lut.value for _, p in front], [percent(p) for _, p in front], "-o", color=BLUE,
        ms=6, lw=0.8, zorder=3,
        label=_label(
            f"Pareto front, {pairs}, of the selection images: on the test images it need not rise "
            f"(numbers: report.md{below})"
        ),
    )  # fmt: skip
    for (name, plan), marker in zip(e.references.items(), REFERENCE_MARKERS, strict=False):
        low = percent(plan) < bottom
        label = _label(f"{name}: {_figures(plan)}" + (", below the picture" if low else ""))
        handle = Line2D([], [], ls="none", marker=marker, ms=8, color=ORANGE, label=label)
        if not low:
            axes.plot(plan.lut.value, percent(plan), marker, ms=8, color=ORANGE, zorder=4)
        handles.append(handle)
    return handles


def _figures(plan: Plan) -> str:
    return f"{plan.lut.value:,} LUT, {percent(plan):.2f}%"


def _set_axes(axes: Any, e: Exploration, bottom: float, top: float) -> None:
    axes.set_ylim(bottom, top)
    axes.set_xscale("log")
    shown = [p.lut.value for p in (*e.front, *e.references.values()) if percent(p) >= bottom]
    low, high = max(1, min(shown)) / 1.12, max(1, *shown) * 1.12
    middle = (low * high) ** 0.5
    half = max(high / low, LEAST_SPAN) ** 0.5
    axes.set_xlim(middle / half, middle * half)
    ticks = next(subs for span, subs in TICKS if half**2 <= span)
    axes.xaxis.set_major_locator(LogLocator(10, subs=ticks))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(True, which="major", color="#dddddd", lw=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel(
        f"predicted LUTs of the MAC datapaths, {e.settings.target}, "
        f"{e.settings.fps:g} images/s at {e.settings.clock_mhz:g} MHz (log scale)"
    )
    axes.set_ylabel(f"accuracy on {e.fp32.images:,} test images, %")
    names = [printable(name.strip(), TITLE_WIDTH // 2) for name in (e.network.name, e.data_name)]
    axes.set_title(
        f"{names[0]} on {names[1]}, {e.settings.style} style", fontsize=11, parse_math=False
    )


def _draw_numbers(axes: Any, e: Exploration, front: Sequence[tuple[int, Plan]]) -> tuple[Any, ...]:
    """The numbers of the front's points, where there is room for them."""
    taken = obstacles(axes)
    inside = axes.get_window_extent()
    placed = []
    # The ends first: they are the ones that are looked for.
    for i, plan in dict.fromkeys([*front[:1], *front[-1:], *front]):
        if plan is e.chosen:
            continue
        for distance, ((x, y), horizontal, vertical) in product(DISTANCES, DIRECTIONS):
            text = axes.annotate(
                str(i), (plan.lut.value, percent(plan)), (x * distance, y * distance),
                textcoords="offset points",
                ha=horizontal, va=vertical, fontsize=8, color=BLUE, zorder=5,
            )  # fmt: skip
            box = text.get_window_extent()
            free = not any(box.overlaps(other) for other in taken)
            if free and inside.x0 < box.x0 and box.x1 < inside.x1 and box.y1 < inside.y1:
                taken.append(box)
                placed.append(text)
                break
            text.remove()
    return tuple(placed)


def obstacles(axes: Any) -> list[Bbox]:
    """Boxes, in pixels, of every line's segments and every marker inside the axes."""
    boxes = []
    per_point = axes.figure.dpi / 72

    def box(start: Any, end: Any, margin: float) -> Bbox:
        low, high = np.minimum(start, end) - margin, np.maximum(start, end) + margin
        return Bbox([low, high])

    for line in axes.lines:
        transform = line.get_transform()
        if line.get_linestyle() != "None":
            corners = transform.transform(line.get_path().vertices)
            margin = line.get_linewidth() * per_point / 2 + 1
            boxes += [box(start, end, margin) for start, end in pairwise(corners)]
        if line.get_marker() not in ("None", None):
            margin = line.get_markersize() * per_point / 2**0.5  # of a diamond's corners
            boxes += [box(xy, xy, margin) for xy in transform.transform(line.get_xydata())]
    return boxes
