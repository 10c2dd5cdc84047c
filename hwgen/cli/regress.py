"""``hwgen regress``: a matrix of cases, or one of them."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from hwgen.cli.parser import Commands, comma_list, command, json_option, print_json
from hwgen.cli.spec_options import whole
from hwgen.errors import InputError
from hwgen.files import require_writable


def add(commands: Commands) -> None:
    sub = command(commands, "regress", run, "verify a whole matrix of units, formats and settings")
    sub.add_argument(
        "matrix",
        nargs="?",
        metavar="MATRIX",
        help="formats, random, levels, exhaustive, long (millions of vectors), or full: all",
    )
    sub.add_argument("--spec", metavar="JSON", help="instead of a matrix: one unit's spec")
    sub.add_argument("--unit", metavar="LIST", help="only these units, separated by commas")
    sub.add_argument(
        "--level", metavar="LIST", help="rtl, or a target, for its netlist; only these levels"
    )
    sub.add_argument("--check", default="bench", metavar="bench|exhaustive", help="of --spec")
    sub.add_argument("--lint", action="store_true", help="of --spec: also with two linters")
    sub.add_argument("--coverage", action="store_true", help="of --spec: every bin has to be hit")
    sub.add_argument(
        "--simulator", default="verilator", metavar="LIST", help="verilator, icarus, or both"
    )
    sub.add_argument("--vectors", type=whole, default=200, metavar="N", help="random cycles")
    sub.add_argument(
        "--seed", type=whole, default=1, metavar="S", help="seed of all that is random"
    )
    sub.add_argument("--count", type=whole, default=1000, metavar="N", help="specs of 'random'")
    sub.add_argument("--jobs", type=whole, default=0, metavar="N", help="processes; 0: a core each")
    sub.add_argument("--again", action="store_true", help="also what has passed before")
    sub.add_argument("--wave", type=Path, metavar="FILE", help="of --spec: waveform, .fst or .vcd")
    sub.add_argument(
        "--out", type=Path, default=Path("regression"), metavar="FOLDER", help="results and reports"
    )
    sub.add_argument(
        "--page", type=Path, metavar="FILE", help="run nothing: put the table of results there"
    )
    json_option(sub)


def run(options: argparse.Namespace) -> int:
    from sim import matrix, regression, report

    if options.page is not None:
        count = report.update_page(options.page, options.out)
        print(f"{options.page}: table of {count} results")
        return 0
    if (options.matrix is None) == (options.spec is None):
        raise InputError(f"regress needs a matrix, {', '.join(matrix.MATRICES)}, or --spec JSON")
    if options.spec is not None:
        return _regress_one(options)
    if options.wave is not None:
        raise InputError("--wave is of one case: give its --spec (a failure prints it)")
    wanted = matrix.chosen(
        options.matrix,
        seed=options.seed,
        vectors=options.vectors,
        count=options.count,
        units=comma_list(options.unit),
        levels=comma_list(options.level),
        simulators=comma_list(options.simulator),
    )
    folder = require_writable(options.out)
    live = sys.stderr.isatty()
    said = [0.0]
    told: set[str] = set()

    def progress(summary: regression.Summary, seconds: float) -> None:
        for result in summary.results:
            if result.status != regression.PASSED and result.case.command not in told:
                told.add(result.case.command)
                print("\r\033[K" * live + report.trouble(result), file=sys.stderr, flush=True)
        if live:
            print(f"\r\033[K{report.progress(summary)}", end="", file=sys.stderr, flush=True)
        elif seconds - said[0] > 10:
            said[0] = seconds
            print(report.progress(summary), file=sys.stderr, flush=True)

    found = regression.run(
        wanted.cases,
        folder,
        jobs=options.jobs,
        again=options.again,
        refused=wanted.refused,
        progress=progress,
    )
    if live:
        print(file=sys.stderr)
    files = report.write(found, folder)
    if options.json:
        print_json(report.to_dict(found))
    else:
        print(report.line(found))
        print(f"written to {folder}: {', '.join(file.name for file in files)}")
    if found.interrupted:
        print("the same command goes on from here", file=sys.stderr)
        return 130
    return 0 if found.passed else 1


def _regress_one(options: argparse.Namespace) -> int:
    from sim import matrix, regression, report

    try:
        fields = json.loads(options.spec)
    except ValueError as error:
        raise InputError(f"--spec is no JSON ({error}): {options.spec!r}") from error
    case = matrix.case_of(
        {
            "spec": fields,
            "level": options.level or matrix.RTL,
            "check": options.check,
            "vectors": options.vectors,
            "seed": options.seed,
            "simulator": options.simulator,
            "lint": options.lint,
            "coverage": options.coverage,
        }
    )
    (result,) = regression.examine([case], wave=options.wave)
    if options.json:
        print_json(result.to_dict())
    elif result.status == regression.PASSED:
        print(f"{case.title}: {result.vectors} vectors checked, 0 mismatches")
    else:
        print(report.trouble(result))
    if options.wave is not None and options.wave.exists():
        print(f"waveform: {options.wave}", file=sys.stderr)
    return 0 if result.status == regression.PASSED else 1
