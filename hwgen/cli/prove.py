"""``hwgen prove``: formal proofs."""

from __future__ import annotations

import argparse

from hwgen.arguments import Mode, Parser, changed_file, kept_file, mode
from hwgen.cli.parser import (
    ALL,
    ONE,
    json_option,
    print_json,
    timeout_option,
    unit_command,
    unit_or_all,
)
from hwgen.cli.spec_options import spec_of, spec_options
from hwgen.errors import InputError
from hwgen.progress import Pace, doing

_BOTH = ("property", "target", "timeout", "json")


def _modes() -> tuple[Mode, ...]:
    return (
        mode(
            "--all with --page",
            lambda given: {"all", "page"} <= set(given),
            "all",
            "store",
            "page",
            "timeout",
            "json",
        ),
        mode(ALL, lambda given: "all" in given, "all", "store", "page", *_BOTH),
        mode(ONE, lambda given: True, "unit", *spec_options(), "fmax_mhz", *_BOTH),
    )


def add(sub: Parser) -> None:
    """Add the options of the command."""
    unit_command(sub, run, _modes())
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
    timeout_option(sub, 300, "seconds for each property")
    sub.add_argument(
        "--all",
        action="store_true",
        help="instead of a unit: the list of what the package stands for, resumably",
    )
    sub.add_argument(
        "--store",
        type=kept_file,
        metavar="FILE",
        help="with --all: keep answers here, a JSON object a line, and not in the store",
    )
    sub.add_argument(
        "--page",
        type=changed_file,
        metavar="FILE",
        help="with --all: put the table of answers there",
    )
    json_option(sub)


def run(options: argparse.Namespace) -> int:
    """Prove what can be proved of one unit, or of one of each; returns the exit code."""
    from hwgen import store
    from sim import formal

    if options.unit is None and not options.all:
        raise InputError("give either a unit or --all (see 'hwgen prove --help')")
    if options.page is not None:
        formal.page.require_place(options.page)
    if options.all:
        tasks = formal.chosen(formal.task_list.tasks(), options.property, options.target)
    else:
        tasks = formal.tasks_of(spec_of(options), options.property, options.target)
    proofs = store.at(formal.PROOF, options.store) if options.all else None
    quiet = options.json
    rows, pace = [], Pace(len(tasks))
    with doing("proving", detail=pace.__str__):
        for row in formal.prove_all(tasks, proofs, timeout_s=options.timeout, pace=pace):
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
