"""``hwgen mutate``: are faults found?"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hwgen.cli.parser import Commands, json_option, print_json, unit_command, unit_or_all
from hwgen.cli.spec_options import spec_of, whole
from hwgen.errors import InputError


def add(commands: Commands) -> None:
    sub = unit_command(
        commands, "mutate", run, "put faults into a unit's RTL: does the bench find them?"
    )
    unit_or_all(sub)
    sub.add_argument("--mutants", type=whole, default=100, metavar="N", help="faults of each unit")
    sub.add_argument("--vectors", type=whole, default=2000, metavar="N", help="random cycles")
    sub.add_argument(
        "--seed", type=whole, default=1, metavar="S", help="seed of all that is random"
    )
    sub.add_argument(
        "--timeout", type=whole, default=60, metavar="S", help="seconds for each survivor's proof"
    )
    sub.add_argument(
        "--all", action="store_true", help="instead of a unit: a spec of each unit, resumably"
    )
    sub.add_argument(
        "--store",
        type=Path,
        metavar="FILE",
        help="with --all: where scores are kept, a JSON object a line",
    )
    json_option(sub)


def run(options: argparse.Namespace) -> int:
    from sim import formal, matrix, mutation

    if options.all == (options.unit is not None):
        raise InputError("give either a unit or --all (see 'hwgen mutate --help')")
    if options.store is not None and not options.all:
        raise InputError("--store goes with --all")
    if options.timeout < 1:
        raise InputError(f"--timeout {options.timeout}: use a number of seconds from 1 on")
    specs = matrix.level_specs()[::3] if options.all else [spec_of(options)]
    store = formal.Store((options.store or mutation.default_store()) if options.all else None)
    rows = []
    for row in mutation.mutate_all(
        specs,
        store,
        mutants=options.mutants,
        vectors=options.vectors,
        seed=options.seed,
        time_limit_s=options.timeout,
        progress=lambda line: print(line, file=sys.stderr, flush=True),
    ):
        rows.append(row)
        if not options.json:
            print(mutation.line(row), flush=True)
    if options.json:
        print_json({"scores": rows})
    return 0 if all(row["passed"] for row in rows) else 1
