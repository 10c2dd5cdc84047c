"""The pages of all studies and the table of docs/reproduce.md: ``python -m studies.table``.

It runs what the store does not know, which takes up to an hour and a half.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from hwgen.arguments import Parser, parsed, run_module
from hwgen.files import require_between, write_between
from studies import page, registry, run

PAGE, FOLDER = Path("docs") / "reproduce.md", Path("docs") / "studies"
BEGIN, END = "<!-- python -m studies.table -->", "<!-- end of studies.table -->"


def main(arguments: Sequence[str]) -> None:
    """Run all studies and write their pages and the table."""
    parsed(Parser(prog="python -m studies.table", description=__doc__), arguments)
    require_between(PAGE, BEGIN, END)
    run.require_pictures()
    FOLDER.mkdir(exist_ok=True)
    results = []
    for study in registry.chosen(()):
        results.append(run.run(study))
        run.write(results[-1], FOLDER)
        print(f"{study.name}: {results[-1].verdict}", flush=True)
    write_between(PAGE, BEGIN, END, page.table(results, markdown_table=True))


if __name__ == "__main__":
    sys.exit(run_module(main))
