"""Runs studies, and writes their pages."""

from __future__ import annotations

import json
from pathlib import Path

from hwgen.errors import InputError, ToolError
from hwgen.files import write_text
from hwgen.installed import missing, pip_install
from studies import page
from studies.bench import Bench
from studies.study import Result, Study


def run(study: Study, *, quick: bool = False) -> Result:
    """A study's numbers, those that are known from the store. ToolError if a package is missing."""
    require(study)
    return Result(study, study.measure(Bench(quick)), quick)


def require(study: Study) -> None:
    """ToolError if a package that the study needs is not installed."""
    absent = missing(study.needs)
    if absent:
        raise ToolError(
            f"the study {study.name} needs {', '.join(absent)}, which is not installed: "
            f"{pip_install('optimize')}"
        )


def require_pictures() -> None:
    """ToolError without what draws."""
    if missing(("matplotlib",)):
        raise ToolError(f"pictures need matplotlib: {pip_install('optimize')}")


def write(result: Result, folder: Path) -> tuple[Path, ...]:
    """Write a result's page, picture and numbers to ``folder``, which is there; returns all."""
    from studies import picture  # Here, as it takes long to import.

    name = result.study.name
    drawn, kept = folder / f"{name}.png", folder / f"{name}.json"
    picture.write(result, drawn)
    fields = {"study": name, "quick": result.quick, "data": result.data}
    write_text(kept, json.dumps(fields) + "\n")
    return write_text(folder / f"{name}.md", page.page(result, drawn.name)), drawn, kept


def read(folder: Path, study: Study) -> Result:
    """A result that was written to ``folder``. InputError if there is none."""
    file = folder / f"{study.name}.json"
    try:
        fields = json.loads(file.read_text("utf-8"))
        return Result(study, fields["data"], bool(fields["quick"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"'{file}' has no numbers of the study {study.name} ({error}): run hwgen reproduce "
            f"{study.name} --out {folder}"
        ) from error
