"""A ranking of proxies for people: a table, a picture; and ``ranking.json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hwgen.files import require_writable, writing
from optimizer.proxies import PROXIES
from optimizer.ranking import CONFIDENCE, RESAMPLES, Ranking, Tau
from optimizer.text import grid, printable

PICTURE, DATA = "ranking.png", "ranking.json"
FILES = (PICTURE, DATA)
BLUE, ORANGE = "#1f5fa8", "#c8501e"

_HEAD = ("proxy", "tau, accuracy", "interval", "tau, KL", "interval", "passes", "what it is")


def write(ranking: Ranking, folder: Path) -> None:
    """Write ``FILES`` into ``folder``."""
    require_writable(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with writing(folder):
        text = json.dumps(ranking.to_dict(), indent=1, allow_nan=False) + "\n"
        (folder / DATA).write_text(text, encoding="utf-8")
        # No date or version in the file.
        draw(ranking).savefig(folder / PICTURE, metadata={"Software": None})


def table(ranking: Ranking) -> str:
    """The proxies, the best first, for a terminal."""
    rows = [
        [
            r.name,
            f"{r.accuracy.value:.2f}",
            _interval(r.accuracy),
            f"{r.divergence.value:.2f}",
            _interval(r.divergence),
            f"{r.passes:,}",
            PROXIES[r.name].summary,
        ]
        for r in ranking.proxies
    ]
    return f"{_basis(ranking)}\n\n{grid(_HEAD, rows, markdown_table=False)}"


def _interval(tau: Tau) -> str:
    return f"{tau.low:.2f} to {tau.high:.2f}"


def _basis(r: Ranking) -> str:
    low, high, asked = min(r.accuracies), max(r.accuracies), r.asked
    return (
        f"{_title(r)}: {len(r.plans)} plans of {', '.join(r.formats)} at random, {low:.1f} to "
        f"{high:.1f}% on {asked.images:,} test images, FP32 {r.fp32:.1f}%; proxies from "
        f"{asked.calibration:,} calibration images, {asked.probes} probes; Kendall's tau-b with "
        f"measured accuracy and KL divergence, intervals {100 * CONFIDENCE:g}% of {RESAMPLES:,} "
        "bootstrap samples of the plans; passes: of each image from a layer to the scores"
    )


def _title(r: Ranking) -> str:
    return f"{printable(r.network, 40)} on {printable(r.data, 40)}"


def draw(r: Ranking) -> Figure:
    """Each proxy's tau with its interval, the best on top."""
    figure = Figure(figsize=(9, 0.5 + 0.5 * len(r.proxies) + 0.8), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.add_subplot()
    for place, one in enumerate(reversed(r.proxies)):
        for tau, colour, label, offset in (
            (one.accuracy, BLUE, "accuracy", 0.13),
            (one.divergence, ORANGE, "KL divergence from FP32", -0.13),
        ):
            axes.plot([tau.low, tau.high], [place + offset] * 2, color=colour, lw=1.5, alpha=0.6)
            name = None if place else label
            axes.plot(tau.value, place + offset, "o", color=colour, ms=6, label=name)
    axes.axvline(0, color="black", lw=0.8)
    axes.set_yticks(range(len(r.proxies)), [one.name for one in reversed(r.proxies)])
    axes.set_xlim(min(-0.2, axes.get_xlim()[0]), 1.0)
    axes.set_xlabel(f"Kendall's tau with what {len(r.plans)} plans measured (bars: 90% interval)")
    axes.set_title(_title(r), parse_math=False)
    axes.legend(loc="lower right")
    axes.grid(axis="x", alpha=0.3)
    return figure
