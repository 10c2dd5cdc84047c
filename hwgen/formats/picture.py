"""The values of formats, drawn on number lines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hwgen.errors import InputError, ToolError
from hwgen.files import require_writable, whole_file
from hwgen.formats import Format, Scalar
from hwgen.installed import pip_install

#: Formats of up to this many bits have few enough values to be seen apart.
DRAWN_BITS = 8
#: Formats in one picture.
MOST = 12


def draw(formats: Sequence[Format], file: Path) -> Path:
    """Draw the values of ``formats`` on number lines, a row a format; returns ``file``.

    Of two panels one has all values over the format's largest, linear, and the other the binary
    logarithm of positive values; subnormal values are lighter. ``file`` ends in .png, .svg or .pdf;
    its folder is made.

    Raises:
        InputError: formats of more than 8 bits, more than 12 of them, or another ending.
        ToolError: there is no matplotlib.

    """
    if file.suffix not in (".png", ".svg", ".pdf"):
        raise InputError(f"{file}: a picture's name ends in .png, .svg or .pdf")
    drawn = [f for f in formats if isinstance(f, Scalar) and f.bits <= DRAWN_BITS]
    if len(drawn) != len(formats) or not 1 <= len(formats) <= MOST:
        left_out = ", ".join(str(f) for f in formats if f not in drawn)
        raise InputError(
            f"a picture shows 1 to {MOST} scalar formats of at most {DRAWN_BITS} bits, "
            f"such as e2m1 and int4{': not ' + left_out if left_out else ''}"
        )
    try:
        from matplotlib.figure import Figure  # Here, as it takes long to import.
    except ImportError as error:
        raise ToolError(
            f"pictures need matplotlib, which is not installed: {pip_install('optimize')}"
        ) from error

    figure = Figure(figsize=(11, 1.3 + 0.55 * len(drawn)), layout="constrained")
    linear, logarithmic = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    for row, number_format in enumerate(drawn):
        values = number_format.finite_values()
        normal = np.ones(len(values), np.bool_)
        if number_format.smallest_normal is not None:
            normal = np.abs(values) >= number_format.smallest_normal
        largest = np.abs(values).max()
        thickness = 1.2 if number_format.bits <= 6 else 0.6
        for chosen, colour in ((normal, "#1f4e9c"), (~normal, "#6fa8dc")):
            kind = values[chosen]
            linear.vlines(kind / largest, row - 0.35, row + 0.35, color=colour, linewidth=thickness)
            positive = np.log2(kind[kind > 0])
            logarithmic.vlines(positive, row - 0.35, row + 0.35, color=colour, linewidth=thickness)
    labels = [f"{f}\n{len(f.finite_values())} values, to {f.max:g}" for f in drawn]
    linear.set_yticks(range(len(drawn)), labels)
    linear.set_ylim(len(drawn) - 0.4, -0.6)
    linear.set_xlabel("value / largest value")
    logarithmic.set_xlabel("log2 of the positive values")
    linear.set_title("where the values are (light: subnormal)", fontsize=10)
    logarithmic.set_title("dynamic range", fontsize=10)
    for axes in (linear, logarithmic):
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", color="#e0e0e0", linewidth=0.6)
        axes.set_axisbelow(True)
    require_writable(file.parent)
    file.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(file) as new:
        figure.savefig(new, dpi=150)
    return file
