"""The picture of a study: matplotlib's, the same bytes for the same numbers."""

from __future__ import annotations

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hwgen.files import whole_file
from studies.study import Result


def write(result: Result, path: Path) -> None:
    """Draw a result into the PNG file ``path``."""
    figure = Figure(figsize=(11, 4.6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    result.study.draw(figure, result.data)
    for axes in figure.axes:
        axes.set_axisbelow(True)
        axes.grid(True, color="#dddddd", lw=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    with whole_file(path) as new:
        figure.savefig(new, metadata={"Software": None})  # No date or version in the file.
