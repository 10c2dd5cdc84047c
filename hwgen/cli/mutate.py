"""``hwgen mutate``: whether faults put into a unit are found."""

from __future__ import annotations

import argparse

from hwgen.arguments import Mode, Parser, count, kept_file, mode
from hwgen.cli.parser import (
    ALL,
    ONE,
    clock_target_option,
    json_option,
    print_json,
    seed_option,
    timeout_option,
    unit_command,
    unit_or_all,
    vectors_option,
)
from hwgen.cli.spec_options import spec_of, spec_options
from hwgen.errors import InputError
from hwgen.progress import tell

_BOTH = ("mutants", "vectors", "seed", "timeout", "json")


def _modes() -> tuple[Mode, ...]:
    return (
        mode(ALL, lambda given: "all" in given, "all", "store", *_BOTH),
        mode(ONE, lambda given: True, "unit", *spec_options(), "fmax_mhz", "target", *_BOTH),
    )


#: The most faults of a unit.
MOST_MUTANTS = 10_000


def add(sub: Parser) -> None:
    """Add the options of the command."""
    unit_command(sub, run, _modes())
    unit_or_all(sub)
    clock_target_option(sub)
    sub.add_argument(
        "--mutants",
        type=count(1, MOST_MUTANTS),
        default=100,
        metavar="N",
        help="faults of each unit",
    )
    vectors_option(sub, 2000, "random cycles")
    seed_option(sub, "seed of all that is random")
    timeout_option(sub, 60, "seconds for each survivor's proof")
    sub.add_argument(
        "--all", action="store_true", help="instead of a unit: a spec of each unit, resumably"
    )
    sub.add_argument(
        "--store",
        type=kept_file,
        metavar="FILE",
        help="with --all: keep scores here, a JSON object a line, and not in the store",
    )
    json_option(sub)


def run(options: argparse.Namespace) -> int:
    """Put faults into one unit, or one of each, and print the scores; returns the exit code."""
    from hwgen import store
    from sim import case_list, mutation

    if options.unit is None and not options.all:
        raise InputError("give either a unit or --all (see 'hwgen mutate --help')")
    specs = case_list.level_specs()[::3] if options.all else [spec_of(options)]
    scores = store.at(mutation.SCORE, options.store) if options.all else None
    rows = []
    for row in mutation.mutate_all(
        specs,
        scores,
        mutants=options.mutants,
        vectors=options.vectors,
        seed=options.seed,
        time_limit_s=options.timeout,
        progress=tell,
    ):
        rows.append(row)
        if not options.json:
            print(mutation.line(row), flush=True)
    if options.json:
        print_json({"scores": rows})
    return 0 if all(row["passed"] for row in rows) else 1
