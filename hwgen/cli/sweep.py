"""``hwgen sweep``: the measurements of a plan."""

from __future__ import annotations

import argparse

from hwgen.arguments import Parser, count, input_file, mode, output_file
from hwgen.cli.parser import command, timeout_option
from hwgen.errors import InputError
from hwgen.progress import doing, tell

#: Failures that are listed.
SHOWN = 10
_ALL = ("plan", "export", "retry", "timeout")
#: A cluster has as many workers as it has.
MODES = (
    mode("--scheduler", lambda given: "scheduler" in given, "scheduler", *_ALL),
    mode("this machine", lambda given: True, "workers", *_ALL),
)


def add(sub: Parser) -> None:
    """Add the options of the command."""
    command(sub, run, MODES)
    sub.add_argument("plan", type=input_file, metavar="PLAN", help="a TOML file")
    sub.add_argument("--export", type=output_file, metavar="FILE", help="write them to FILE")
    sub.add_argument(
        "--workers", type=count(1, 1024), metavar="N", help="at a time; by default one a core"
    )
    sub.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster that measures")
    sub.add_argument("--retry", action="store_true", help="try again what failed before")
    timeout_option(sub, 900, "seconds that a unit may take on a target")


def run(options: argparse.Namespace) -> int:
    """Measure the plan's units; returns the exit code."""
    from cost_models import sweep, sweep_plan

    if options.export is not None and options.export.resolve() == options.plan.resolve():
        raise InputError(f"--export {options.export}: it is the plan: name another file")
    with doing("reading the plan"):
        points = sweep_plan.points(sweep_plan.read(options.plan), sweep.unsureness)
    outcomes = sweep.run(
        points,
        progress=tell,
        workers=options.workers,
        scheduler=options.scheduler,
        retry=options.retry,
        time_limit_s=options.timeout,
    )
    failed = [outcome for outcome in outcomes if outcome.measurement is None]
    print(f"{len(outcomes) - len(failed)} of {len(outcomes)} points are measured")
    for outcome in failed[:SHOWN]:
        point = outcome.point
        print(f"  failed: {point.target} {point.spec.name}: {outcome.failure}")
    if failed[SHOWN:]:
        print(f"  and {len(failed) - SHOWN} more")
    if failed:
        print("  --retry tries them again, --timeout S gives them more time")
    if len(failed) == len(outcomes):
        return 1
    if options.export is not None:
        print(f"{options.export}: {sweep.export(options.export, outcomes)} measurements")
    return 0
