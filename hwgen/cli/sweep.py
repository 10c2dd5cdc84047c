"""``hwgen sweep``: the measurements that ship."""

from __future__ import annotations

import argparse
import sys

from hwgen.arguments import output_file
from hwgen.cli.parser import Commands, command


def add(commands: Commands) -> None:
    """Add the command and its options."""
    sub = command(commands, "sweep", run, "measure the shipped set of units, resumably")
    sub.add_argument(
        "--export", type=output_file, metavar="FILE", help="then write all of them to FILE"
    )


def run(options: argparse.Namespace) -> int:
    """Measure the specs of the cost model; returns the exit code."""
    from cost_models import sweep

    sweep.run(progress=lambda line: print(line, file=sys.stderr, flush=True))
    if options.export is not None:
        count = sweep.export(options.export)
        print(f"{options.export}: {count} measurements")
    return 0
