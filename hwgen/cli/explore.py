"""``hwgen explore``: costs of many units as a page for a browser."""

from __future__ import annotations

import argparse
from pathlib import Path

from hwgen.arguments import Parser, output_file
from hwgen.cli import compare
from hwgen.errors import ToolError
from hwgen.installed import pip_install
from hwgen.progress import doing

#: What is shown of dot products where nothing is asked for.
LANES = "1,2,4,8,16,32,64"


def add(sub: Parser) -> None:
    """Add the options of the command."""
    compare.units_command(sub, run)
    sub.add_argument(
        "--out",
        type=output_file,
        default=Path("explore.html"),
        metavar="FILE",
        help="the page, which needs no network",
    )


def run(options: argparse.Namespace) -> int:
    """Write the page; returns the exit code."""
    import cost_models
    from yosys_scripts import TARGETS

    try:  # Before the work.
        from cost_models import explorer
    except ImportError as error:
        raise ToolError(
            f"pages need plotly, which is not installed: {pip_install('optimize')}"
        ) from error
    explorer.require_page(options.out)
    if options.unit is None:
        from hwgen.formats import NAMES

        usual = {"a": ",".join(NAMES), "b": compare.LIKE_A, "lanes": LANES}
        options.unit = "dot"
        for name, value in usual.items():
            if getattr(options, name) is None:
                setattr(options, name, value)
    specs, left_out = compare.specs_of(options)
    targets = options.target.split(",") if options.target is not None else list(TARGETS)
    with doing("asking for the costs", detail=lambda: f"of {len(specs)} units"):
        table = cost_models.compare(specs, targets)
    file = explorer.write(table, options.out, " ".join(["hwgen", *options.arguments]))
    print(f"{file}: {len(table.rows)} units")
    compare.tell_left_out(left_out)
    return 0
