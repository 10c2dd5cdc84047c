"""``hwgen regress``: a matrix of cases, or one of them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hwgen.arguments import (
    Parser,
    changed_file,
    count,
    json_object,
    mode,
    names,
    output_file,
    output_folder,
)
from hwgen.cli.parser import (
    command,
    json_option,
    print_json,
    seed_option,
    vectors_option,
)
from hwgen.errors import InputError
from hwgen.progress import tell


def _exhaustive(given: Mapping[str, Any]) -> bool:
    return "spec" in given and given.get("check") == "exhaustive"


def _of(matrix: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda given: given.get("matrix") == matrix


_ONE = ("spec", "level", "check", "lint", "json")
_MANY = ("matrix", "unit", "level", "jobs", "again", "out", "json")
#: Every input is one case and needs no simulator of benches; the long matrix has its own vectors.
MODES = (
    mode("--page", lambda given: "page" in given, "page", "out", "json"),
    mode("--spec with --check exhaustive", _exhaustive, *_ONE),
    mode(
        *("--spec", lambda given: "spec" in given, *_ONE),
        *("coverage", "vectors", "seed", "simulator", "wave"),
    ),
    mode("random", _of("random"), *_MANY, "vectors", "seed", "simulator", "count"),
    mode("exhaustive", _of("exhaustive"), *_MANY),
    mode("long", _of("long"), *_MANY, "seed", "simulator"),
    mode("another matrix", lambda given: True, *_MANY, "vectors", "seed", "simulator"),
)
#: The most random cycles of a case, which has them in segments.
MOST_VECTORS = 10_000_000
#: The most specs of the random matrix, and processes.
MOST_SPECS, MOST_JOBS = 100_000, 1024


def add(sub: Parser) -> None:
    """Add the options of the command."""
    command(sub, run, MODES)
    sub.add_argument(
        "matrix",
        nargs="?",
        metavar="MATRIX",
        help="formats, random, levels, exhaustive, long (millions of vectors), or full: all",
    )
    sub.add_argument(
        "--spec", type=json_object, metavar="JSON", help="instead of a matrix: one unit's spec"
    )
    sub.add_argument(
        "--unit", type=names, metavar="LIST", help="only these units, separated by commas"
    )
    sub.add_argument(
        "--level",
        type=names,
        metavar="LIST",
        help="rtl, or a target, for its netlist; only these levels",
    )
    sub.add_argument("--check", default="bench", metavar="bench|exhaustive", help="of --spec")
    sub.add_argument("--lint", action="store_true", help="of --spec: also with two linters")
    sub.add_argument("--coverage", action="store_true", help="of --spec: every bin has to be hit")
    sub.add_argument(
        "--simulator",
        type=names,
        default=["verilator"],
        metavar="LIST",
        help="verilator, icarus, or both",
    )
    _run_options(sub)
    json_option(sub)


def _run_options(sub: Parser) -> None:
    """How much is run, by how many processes, and where results go."""
    vectors_option(sub, 200, "random cycles", MOST_VECTORS)
    seed_option(sub, "seed of all that is random")
    sub.add_argument(
        "--count", type=count(1, MOST_SPECS), default=1000, metavar="N", help="specs of 'random'"
    )
    sub.add_argument(
        "--jobs",
        type=count(0, MOST_JOBS),
        default=0,
        metavar="N",
        help="processes; 0: a core each",
    )
    sub.add_argument("--again", action="store_true", help="also what has passed before")
    sub.add_argument(
        "--wave", type=output_file, metavar="FILE", help="of --spec: waveform, .fst or .vcd"
    )
    sub.add_argument(
        "--out",
        type=output_folder,
        default=Path("regression"),
        metavar="FOLDER",
        help="results and reports",
    )
    sub.add_argument(
        "--page",
        type=changed_file,
        metavar="FILE",
        help="run nothing: put the table of results there",
    )


def run(options: argparse.Namespace) -> int:
    """Verify a matrix of cases, or one, or write the page of results; returns the exit code."""
    from sim import case_list, regression, report

    if options.page is not None:
        results = report.update_page(options.page, options.out)
        if options.json:
            print_json({"page": str(options.page), "results": results})
        else:
            print(f"{options.page}: table of {results} results")
        return 0
    if options.matrix is None and options.spec is None:
        raise InputError(f"regress needs a matrix, {', '.join(case_list.MATRICES)}, or --spec JSON")
    if options.spec is not None:
        return _regress_one(options)
    matrix = case_list.chosen(
        options.matrix,
        seed=options.seed,
        vectors=options.vectors,
        count=options.count,
        units=options.unit or (),
        levels=options.level or (),
        simulators=options.simulator,
    )
    folder = options.out
    live = sys.stderr.isatty()
    last_told = [0.0]
    reported: set[str] = set()

    def progress(summary: regression.Summary, seconds: float) -> None:
        for result in summary.results:
            if result.status != regression.PASSED and result.case.command not in reported:
                reported.add(result.case.command)
                print("\r\033[K" * live + report.trouble(result), file=sys.stderr, flush=True)
        if live:
            tell(f"\r\033[K{report.progress(summary)}", end="")
        elif seconds - last_told[0] > 10:
            last_told[0] = seconds
            tell(report.progress(summary))

    summary = regression.run(
        matrix.cases,
        folder,
        jobs=options.jobs,
        again=options.again,
        refused=matrix.refused,
        progress=progress,
    )
    if live:
        print(file=sys.stderr)
    files = report.write(summary, folder)
    if options.json:
        print_json(report.to_dict(summary))
    else:
        print(report.line(summary))
        print(f"written to {folder}: {', '.join(file.name for file in files)}")
    if summary.interrupted:
        print("the same command goes on from here", file=sys.stderr)
        return 130
    return 0 if summary.passed else 1


def _regress_one(options: argparse.Namespace) -> int:
    from sim import case_list, compiled, regression, report

    for name in ("level", "simulator"):
        if len(getattr(options, name) or ()) > 1:
            raise InputError(f"--{name}: a spec is examined at one: give one")
    case = case_list.case_of(
        {
            "spec": options.spec,
            "level": (options.level or [case_list.RTL])[0],
            "check": options.check,
            "vectors": options.vectors,
            "seed": options.seed,
            "simulator": options.simulator[0],
            "lint": options.lint,
            "coverage": options.coverage,
        }
    )
    if options.wave is not None:
        compiled.require_wave(options.wave, case.simulator)
        options.wave.parent.mkdir(parents=True, exist_ok=True)
    (result,) = regression.examine([case], wave=options.wave)
    if options.json:
        print_json(result.to_dict())
    elif result.status == regression.PASSED:
        print(f"{case.title}: {result.vectors} vectors checked, 0 mismatches")
    else:
        print(report.trouble(result))
    if options.wave is not None:
        what = (
            f"waveform: {options.wave}" if result.cycles else "no waveform: nothing was simulated"
        )
        print(what, file=sys.stderr)
    # A wrong result is found; that a tool failed is no result.
    return {regression.PASSED: 0, regression.FAILED: 1}.get(result.status, 2)
