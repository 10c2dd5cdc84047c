"""``hwgen reproduce``: claims of the literature, measured here."""

from __future__ import annotations

import argparse

from hwgen.arguments import Parser, mode, output_folder
from hwgen.cli.parser import command


def add(sub: Parser) -> None:
    """Add the options of the command."""
    modes = (
        mode("--list", lambda given: "list" in given, "list"),
        mode("studies", lambda given: True, "names", "quick", "out"),
    )
    command(sub, run, modes)
    sub.add_argument("names", nargs="*", metavar="NAME", help="studies (default: all)")
    sub.add_argument("--list", action="store_true", help="name the studies, and run none")
    sub.add_argument("--quick", action="store_true", help="a cheaper form: fewer samples and sizes")
    sub.add_argument(
        "--out",
        type=output_folder,
        metavar="FOLDER",
        help="also write a page of Markdown, a picture and the numbers of each there",
    )


def run(options: argparse.Namespace) -> int:
    """Run studies and print their figures and verdicts; returns the exit code."""
    from studies import page, registry
    from studies import run as running

    chosen = registry.chosen(options.names or ())
    if options.list:
        for study in chosen:
            print(f"{study.name:18} {study.title}")
        return 0
    for study in chosen:
        running.require(study)
    if options.out is not None:
        running.require_pictures()
        options.out.mkdir(parents=True, exist_ok=True)
    results = []
    for study in chosen:
        results.append(running.run(study, quick=options.quick))
        print(page.text(results[-1]), end="\n\n", flush=True)
        if options.out is not None:
            running.write(results[-1], options.out)
    print(page.table(results))
    if options.out is not None:
        print(f"\nwritten to {options.out}")
    return 0
