"""``hwgen prove``: formal proofs."""

from __future__ import annotations

import argparse
from pathlib import Path

from hwgen.cli.parser import Commands, json_option, print_json, unit_command, unit_or_all
from hwgen.cli.spec_options import spec_of, whole
from hwgen.errors import InputError


def add(commands: Commands) -> None:
    sub = unit_command(commands, "prove", run, "prove properties of a unit, formally")
    unit_or_all(sub)
    sub.add_argument(
        "--property",
        metavar="NAME",
        help="reference, netlist, pipeline, accumulator or stream (default: all of them)",
    )
    sub.add_argument(
        "--target",
        metavar="NAME",
        help="FPGA family of the property netlist (default: every one)",
    )
    sub.add_argument(
        "--timeout", type=whole, default=300, metavar="S", help="seconds for each property"
    )
    sub.add_argument(
        "--all",
        action="store_true",
        help="instead of a unit: the list of what the package stands for, resumably",
    )
    sub.add_argument(
        "--store",
        type=Path,
        metavar="FILE",
        help="with --all: where answers are kept, a JSON object a line",
    )
    sub.add_argument(
        "--page", type=Path, metavar="FILE", help="with --all: put the table of answers there"
    )
    json_option(sub)


def run(options: argparse.Namespace) -> int:
    from sim import formal

    if options.timeout < 1:
        raise InputError(f"--timeout {options.timeout}: use a number of seconds from 1 on")
    if options.all == (options.unit is not None):
        raise InputError("give either a unit or --all (see 'hwgen prove --help')")
    if not options.all and (options.store is not None or options.page is not None):
        raise InputError("--store and --page go with --all")
    if options.page is not None and (options.property or options.target):
        raise InputError("--page is of all proofs: leave out --property and --target")
    tasks = (
        formal.matrix.tasks()
        if options.all
        else formal.tasks_of(spec_of(options), options.property, options.target)
    )
    if options.all:
        tasks = [
            task
            for task in tasks
            if options.property in (None, task.property) and options.target in (None, task.target)
        ]
    store = formal.Store((options.store or formal.default_store()) if options.all else None)
    quiet = options.json
    rows = []
    for row in formal.prove_all(tasks, store, timeout_s=options.timeout):
        rows.append(row)
        if quiet:
            continue
        print(formal.line(row), flush=True)
        if row["counterexample"] is not None:
            for text in formal.counterexample_lines(row["counterexample"]):
                print(f"  {text}", flush=True)
    counts = {result: sum(row["result"] == result for row in rows) for result in formal.RESULTS}
    if options.page is not None:
        formal.page.update(options.page, rows)
    if quiet:
        print_json({"proofs": rows, "counts": counts})
    elif len(rows) > 1:
        print(", ".join(f"{n} {result}" for result, n in counts.items()))
    return 1 if counts[formal.DISPROVED] or counts[formal.NOT_PROVED] else 0
