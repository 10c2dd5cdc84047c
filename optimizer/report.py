"""The result for people: a picture, a page, a table for the terminal; and ``plan.json``."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from hwgen.files import require_writable
from optimizer.explore import Exploration
from optimizer.plan import Plan

PICTURE, PLAN, PAGE = "pareto.png", "plan.json", "report.md"
FILES = (PICTURE, PLAN, PAGE)
#: Folder of the chosen plan's units.
VERILOG = "verilog"

#: Percentage points below FP32 that the picture shows; what lies lower is named at its edge.
SHOWN_DROP = 8.0


def write(
    exploration: Exploration,
    folder: str | Path,
    command: str | None = None,
    verilog: Mapping[str, str] | None = None,
) -> None:
    """Write ``FILES`` and the folder ``VERILOG`` into ``folder``: all, or none if a step fails.

    ``command``: the command line that made the result, for the page; ``verilog``: text by file
    name. Existing files of these names and the whole ``VERILOG`` folder are replaced, other
    files are left.
    """
    require_writable(folder)
    target = Path(folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    existed = target.exists()
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        _draw(exploration, draft / PICTURE)
        text = json.dumps(exploration.to_dict(), indent=2, allow_nan=False) + "\n"
        (draft / PLAN).write_text(text, encoding="utf-8")
        (draft / PAGE).write_text(page(exploration, command), encoding="utf-8")
        (draft / VERILOG).mkdir()
        for name, text in (verilog or {}).items():
            (draft / VERILOG / name).write_text(text, encoding="utf-8")
        target.mkdir(exist_ok=existed)
        shutil.rmtree(target / VERILOG, ignore_errors=True)
        for name in (*FILES, VERILOG):
            os.replace(draft / name, target / name)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


# --- text -------------------------------------------------------------------------------------


def _grid(head: Sequence[str], rows: Sequence[Sequence[str]], markdown: bool) -> str:
    """A table; the first column and the last are set left, the others right."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    last = len(head) - 1

    def line(row: Sequence[str]) -> str:
        cells = [
            cell.ljust(width) if i in (0, last) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "| " + " | ".join(cells) + " |" if markdown else "  ".join(cells).rstrip()

    if markdown:
        rule = ["-" * w if i in (0, last) else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
        return "\n".join([line(head), line(rule), *map(line, rows)])
    return "\n".join([line(head), "  ".join("-" * w for w in widths), *map(line, rows)])


def _plan_rows(exploration: Exploration) -> list[list[str]]:
    e = exploration
    rows = []
    named = [(str(i), plan) for i, plan in enumerate(e.front, start=1)]
    for name, plan in [*named, *e.references.items()]:
        assert plan.accuracy is not None
        difference = (plan.accuracy.correct - e.fp32.correct) / e.fp32.images
        mark = "  <- chosen" if plan is e.chosen else ""
        rows.append(
            [
                name,
                f"{plan.lut.value:,}",
                f"{plan.accuracy.percent:.2f}",
                f"{100 * difference:+.2f}",
                f"{plan.sensitivity:.4f}",
                plan.summary() + mark,
            ]
        )
    rows.append(["FP32", "", f"{e.fp32.percent:.2f}", "", "", ""])
    return rows


_PLAN_HEAD = ("point", "LUT", "accuracy %", "to FP32", "KL sum", "formats")
_LAYER_HEAD = (
    "layer", "K", "outputs", "lanes", "units", "cycles", "LUT predicted", "range",
    "LUT measured", "MHz", "KL", "activations / weights",
)  # fmt: skip


def _layer_rows(plan: Plan) -> list[list[str]]:
    rows = []
    shared = plan.style == "shared"
    for p in plan.layers:
        measured = "–" if p.measured_lut is None else f"{p.measured_lut:,}"
        # A shared array is counted once, in the last line.
        luts = [f"{p.lut.value:,}", f"{p.lut.low:,}–{p.lut.high:,}", measured]
        fmax = "–" if p.measured_fmax_mhz is None else f"{p.measured_fmax_mhz:.0f}"
        rows.append(
            [
                p.layer.name,
                str(p.layer.dot_length),
                f"{p.layer.outputs:,}",
                str(p.size.lanes),
                str(p.size.units),
                f"{p.cycles:,}",
                *(["", "", ""] if shared else luts),
                fmax,
                f"{p.sensitivity:.5f}",
                f"{p.spec.a} / {p.spec.b}",
            ]
        )
    total = plan.measured_lut
    rows.append(
        [
            "one array for all" if shared else "sum",
            "", "", "", "",
            f"{plan.cycles:,}",
            f"{plan.lut.value:,}",
            f"{plan.lut.low:,}–{plan.lut.high:,}",
            "–" if total is None else f"{total:,}",
            "",
            f"{plan.sensitivity:.5f}",
            "",
        ]
    )  # fmt: skip
    return rows


def _basis(e: Exploration) -> str:
    s = e.settings
    return (
        f"{e.network.name} on {e.data_name}, {s.target}, {s.fps:g} images/s at "
        f"{s.clock_mhz:g} MHz, {s.style} style; accuracy on {e.fp32.images:,} test images "
        f"(standard error {e.fp32.standard_error:.2f} points), calibration on "
        f"{e.calibration_images:,} others, sensitivities on {e.sensitivity_images:,} of those"
    )


def table(exploration: Exploration) -> str:
    """The front, the references and the chosen plan, for a terminal."""
    e = exploration
    return "\n".join(
        [
            _basis(e),
            "",
            *(f"WARNING: {text}\n" for text in e.warnings),
            _grid(_PLAN_HEAD, _plan_rows(e), markdown=False),
            "",
            f"chosen: {e.reason}",
            "",
            _grid(_LAYER_HEAD, _layer_rows(e.chosen), markdown=False),
            "",
            *_measured_lines(e),
        ]
    )


def _measured_lines(e: Exploration) -> list[str]:
    """Predicted against measured, the clock, and the simulation, of the chosen plan."""
    lines = []
    if e.chosen.measured_lut is not None:
        error = e.chosen.lut.value / e.chosen.measured_lut - 1
        lines.append(
            f"synthesised: {e.chosen.measured_lut:,} LUT, predicted {e.chosen.lut.value:,} "
            f"({100 * error:+.1f}%)"
        )
    slow = e.chosen.too_slow(e.settings.clock_mhz)
    if slow:
        lines.append(
            f"WARNING: {', '.join(p.layer.name for p in slow)} do not reach "
            f"{e.settings.clock_mhz:g} MHz: use a lower --clock-mhz"
        )
    if e.full_test is not None:
        t = e.full_test
        lines.append(
            f"on all {t.fp32.images:,} test images of {t.data_name}: FP32 {t.fp32.percent:.2f}%, "
            f"chosen plan {t.chosen.percent:.2f}% (standard error "
            f"{t.fp32.standard_error:.2f} points)"
        )
    lines += [
        f"simulated {c.layer}: {c.cycles:,} cycles of {c.module} on the network's own numbers, "
        f"{c.mismatches} mismatches; {c.outputs} sums against inference, {c.wrong_outputs} wrong"
        for c in e.checks
    ]
    return lines


def page(exploration: Exploration, command: str | None = None) -> str:
    """The whole report as Markdown."""
    e, s = exploration, exploration.settings
    names = ", ".join(map(str, s.formats))
    seconds = ", ".join(f"{name} {value:.1f} s" for name, value in e.seconds.items())
    parts = [
        f"# Accuracy against LUTs: {e.network.name} on {e.data_name}",
        _basis(e) + ".",
        *(f"> **WARNING**: {text}." for text in e.warnings),
        f"![Pareto front]({PICTURE})",
        "## Front",
        "Every point is evaluated on all test images with quantised weights and activations and "
        "the exact sums that the hardware accumulates. KL sum is the search's prediction of "
        "the damage. LUTs are predicted; points that another one beats in measured accuracy "
        f"and LUTs are left out ({len(e.points)} evaluated, {len(e.front)} left).",
        _grid(_PLAN_HEAD, _plan_rows(e), markdown=True),
        "## Chosen plan",
        f"{e.reason[0].upper()}{e.reason[1:]}.",
        _grid(_LAYER_HEAD, _layer_rows(e.chosen), markdown=True),
        *["\n".join(f"- {line}." for line in _measured_lines(e))],
        "A layer of K products for each output value runs on `units` dot-product units of "
        "`lanes` lanes; LUT figures are of all units, their range adds the units' ranges. "
        "`cycles` are between two images"
        f" and may be at most {int(s.clock_mhz * 1e6 / s.fps):,}.",
        "## What is counted",
        "- LUTs: the datapaths that multiply and accumulate, with their registers. **Not** "
        "memories for weights and activations, line buffers, control, scaling of the sums to "
        "the next layer's format, biases, activation functions, pooling.\n"
        "- Cycles: of the arithmetic, with operands that always arrive in time.\n"
        "- Accuracy: biases, scales and everything between the layers in float32 or float64. "
        "The plan was chosen by the accuracy on these test images, so its own figure is "
        "slightly favourable.\n"
        "- Standard errors are of one accuracy. All points are compared on the same images, "
        "which makes differences more certain than that.",
        "## How it was made",
        *([f"```\n{command}\n```"] if command else []),
        f"- Candidate formats of activations and weights, each layer, mixed pairs included: "
        f"{names}.\n"
        "- Weights: one scale an output channel; activations: one a layer; round to nearest "
        "even; ranges with the smallest squared error.\n"
        "- Search: integer programming (HiGHS), the whole front of summed KL divergence against "
        f"LUTs, in steps of {100 * s.resolution:g}% of the LUTs; points with a predicted KL sum "
        f"above {s.max_divergence:g} nats are not evaluated.\n"
        f"- Measured LUTs and MHz: one unit of each kind, synthesised (and, where the target has "
        "a placer, placed and routed) on its own; MHz are of one unit.\n"
        f"- Time: {seconds}.",
    ]
    return "\n\n".join(parts) + "\n"


# --- picture ----------------------------------------------------------------------------------


def _draw(e: Exploration, path: Path) -> None:
    def percent(plan: Plan) -> float:
        assert plan.accuracy is not None
        return plan.accuracy.percent

    figure = Figure(figsize=(11, 7), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.add_subplot()
    own = "one format pair" if e.settings.style == "shared" else "a format pair a layer"
    fp32, error = e.fp32.percent, e.fp32.standard_error
    shown = [p for p in (*e.points, *e.references.values()) if percent(p) >= fp32 - SHOWN_DROP]
    bottom = min([percent(p) for p in shown] + [fp32 - 1.5]) - 0.8
    top = max([percent(p) for p in shown] + [fp32 + error]) + 0.7
    blue, orange, grey = "#1f5fa8", "#c8501e", "#8a8a8a"

    axes.axhspan(fp32 - error, fp32 + error, color="black", alpha=0.06, lw=0)
    axes.axhline(fp32, color="black", lw=1, ls="--")
    axes.text(
        0.005, fp32, f"FP32 {fp32:.2f}%, band: ±1 standard error ({e.fp32.images:,} images)",
        transform=axes.get_yaxis_transform(), ha="left", va="bottom", fontsize=8.5,
    )  # fmt: skip
    beaten = [p for p in e.points if all(p is not q for q in e.front)]
    axes.plot(
        [p.lut.value for p in beaten], [percent(p) for p in beaten], "o", ms=4, color=grey,
        alpha=0.7, label="evaluated, beaten by another point",
    )  # fmt: skip
    front = [(i, p) for i, p in enumerate(e.front, start=1) if percent(p) >= bottom]
    axes.plot(
        [p.lut.value for _, p in front], [percent(p) for _, p in front], "-o", color=blue,
        ms=6, lw=1.2, drawstyle="steps-post", zorder=3,
        label=f"Pareto front, {own} (numbers: {PAGE})",
    )  # fmt: skip
    for i, plan in front:
        # Up and left of the rising staircase nothing else is drawn.
        axes.annotate(
            str(i), (plan.lut.value, percent(plan)), (-4, 4), textcoords="offset points",
            ha="right", va="bottom", fontsize=8, color=blue, zorder=5,
        )  # fmt: skip
    outside = []
    for name, plan in e.references.items():
        text = f"{name}\n{plan.lut.value:,} LUT, {percent(plan):.2f}%"
        if percent(plan) < bottom:
            outside.append(text.replace("\n", ": "))
            continue
        axes.plot(plan.lut.value, percent(plan), "s", ms=8, color=orange, zorder=4)
        axes.annotate(
            text, (plan.lut.value, percent(plan)), (0, -9), textcoords="offset points",
            ha="center", va="top", fontsize=8.5, color=orange, zorder=5,
            bbox={"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.75},
        )  # fmt: skip
    axes.plot([], [], "s", ms=8, color=orange, label="one format for everything")
    if percent(e.chosen) >= bottom:
        axes.plot(
            e.chosen.lut.value, percent(e.chosen), "*", ms=19, color="#e0a800", mec="black",
            mew=0.7, zorder=6, ls="none", label="chosen plan",
        )  # fmt: skip
        axes.annotate(
            f"chosen: {e.chosen.lut.value:,} LUT, {percent(e.chosen):.2f}%\n{e.chosen.summary()}",
            (e.chosen.lut.value, percent(e.chosen)), (28, -62), textcoords="offset points",
            ha="left", va="top", fontsize=9, zorder=7,
            arrowprops={"arrowstyle": "-", "color": "black", "lw": 0.7},
            bbox={"boxstyle": "round,pad=0.35", "fc": "white", "ec": "#e0a800"},
        )  # fmt: skip
    hidden = len(e.front) - len(front)
    if hidden:
        outside.append(f"{hidden} points of the front")
    if outside:
        axes.text(
            0.01, 0.01, "below the picture: " + "; ".join(outside), transform=axes.transAxes,
            fontsize=8, color=orange, va="bottom",
        )  # fmt: skip
    axes.set_ylim(bottom, top)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(10, subs=(1, 1.5, 2, 3, 4, 5, 7)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(x=0.09)
    axes.grid(True, which="major", color="#dddddd", lw=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel(
        f"predicted LUTs of the MAC datapaths, {e.settings.target}, "
        f"{e.settings.fps:g} images/s at {e.settings.clock_mhz:g} MHz (log scale)"
    )
    axes.set_ylabel(f"accuracy on {e.fp32.images:,} test images, %")
    axes.set_title(f"{e.network.name} on {e.data_name}, {e.settings.style} style")
    axes.legend(loc="lower right", fontsize=9, framealpha=0.95)
    # No date or version in the file: the same result gives the same bytes.
    figure.savefig(path, metadata={"Software": None})
