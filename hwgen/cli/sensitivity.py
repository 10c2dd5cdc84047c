"""``hwgen sensitivity``: which cheap predictions of damage rank plans as their accuracy does."""

from __future__ import annotations

import argparse
from pathlib import Path

from hwgen.arguments import Parser, count, input_file, input_path, names, output_folder
from hwgen.cli.parser import command
from hwgen.errors import ToolError
from hwgen.installed import pip_install
from hwgen.progress import tell

#: The most plans, and images, that are taken.
MOST_PLANS, MOST_IMAGES, MOST_PROBES = 10_000, 10**7, 10_000


def add(sub: Parser) -> None:
    """Add the options of the command."""
    command(sub, run)
    sub.add_argument("network", type=input_file, metavar="NETWORK", help="ONNX network")
    sub.add_argument(
        "data", type=input_path, metavar="DATA", help="labelled images, as optimize takes them"
    )
    sub.add_argument(
        "--formats",
        type=names,
        default=["int3", "int4", "int5", "int6"],
        metavar="LIST",
        help="what plans are drawn from, separated by commas",
    )
    for name, usual, most, words in (
        ("plans", 60, MOST_PLANS, "plans to draw and to measure"),
        ("images", 1000, MOST_IMAGES, "test images to measure them on, at most"),
        ("calibration-images", 128, MOST_IMAGES, "images to predict with, at most"),
        ("probes", 8, MOST_PROBES, "random vectors a layer and operand for the traces"),
    ):
        sub.add_argument(f"--{name}", type=count(1, most), default=usual, metavar="N", help=words)
    sub.add_argument(
        "--out",
        type=output_folder,
        default=Path("sensitivity"),
        metavar="FOLDER",
        help="where to",
    )


def run(options: argparse.Namespace) -> int:
    """Rank the proxies and write what was measured; returns the exit code."""
    try:
        from hwgen.files import require_writable
        from optimizer import optimize, ranking, ranking_report
    except ImportError as error:
        missing = (error.name or str(error)).partition(".")[0]
        raise ToolError(
            f"sensitivity needs {missing}, which is not installed: {pip_install('optimize')}"
        ) from error
    require_writable(options.out)
    network, images = optimize.load(options.network, options.data)
    asked = ranking.Asked(options.plans, options.images, options.calibration_images, options.probes)
    result = ranking.rank(
        network,
        images,
        options.formats,
        asked,
        progress=tell,
    )
    ranking_report.write(result, options.out)
    print(ranking_report.table(result))
    print(f"\nwritten to {options.out}: {', '.join(ranking_report.FILES)}")
    return 0
