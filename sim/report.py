"""What a regression found, for people and programs: JUnit, JSON, HTML, and the table of a page."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from hwgen.errors import InputError
from hwgen.files import write_between, write_text
from hwgen.progress import time_left
from hwgen.spec import UNITS, Spec
from hwgen.templates import filled
from sim.case_list import EXHAUSTIVE, operands
from sim.formal.proofs import NOT_APPLICABLE, PROOF
from sim.formal.solve import PROVED
from sim.mutation import SCORE
from sim.regression import ERROR, FAILED, NOT_RUN, PASSED, Result, Summary, load

STATUSES = (PASSED, FAILED, ERROR, NOT_RUN)
BEGIN, END = "<!-- table of results: hwgen regress --page -->", "<!-- end of the table -->"


def write(summary: Summary, folder: Path) -> tuple[Path, ...]:
    """Writes ``junit.xml``, ``summary.json`` and ``results.html`` to the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return (
        write_text(folder / "junit.xml", junit(summary)),
        write_text(folder / "summary.json", json.dumps(to_dict(summary), indent=2) + "\n"),
        write_text(folder / "results.html", page(summary)),
    )


def line(summary: Summary) -> str:
    """What happened, in a line."""
    counts = ", ".join(
        f"{summary.count(status)} {status}"
        for status in STATUSES
        if summary.count(status) or status == PASSED
    )
    reused = sum(result.reused for result in summary.results)
    parts = [f"{len(summary.results)} of {summary.wanted} cases: {counts}"]
    parts += [f"{reused} known from earlier runs"] if reused else []
    parts += [f"{len(summary.refused)} named formats not taken"] if summary.refused else []
    parts += [f"{summary.vectors:,} vectors checked", f"{summary.seconds:.0f} s"]
    return "; ".join(parts) + (" (interrupted)" if summary.interrupted else "")


def progress(summary: Summary) -> str:
    """How far a run has come, and when it will end at this pace."""
    ended = len(summary.results)
    new = sum(not result.reused for result in summary.results)
    bad = ended - summary.count(PASSED)
    return (
        f"{ended}/{summary.wanted} cases, {bad} wrong, {summary.vectors / 1e6:.1f} M vectors"
        f"{time_left(summary.seconds, new, summary.wanted - ended)}"
    )


def trouble(result: Result) -> str:
    """What is wrong with a case, and the command that shows it again."""
    bad = "" if result.first_bad_cycle is None else f", first in cycle {result.first_bad_cycle}"
    many = f", {result.mismatches} mismatches{bad}" if result.mismatches else ""
    return (
        f"{result.status}: {result.case.title}{many}\n{result.detail}\n"
        f"reproduce: {result.case.command}"
    )


def cells(results: Iterable[Result]) -> list[dict[str, Any]]:
    """Numbers of each unit at each level by each kind of check: cases, vectors, statuses."""
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for result in results:
        case = result.case
        row = rows.setdefault(
            (case.spec.unit, case.level, _check(result)),
            {
                **{"unit": case.spec.unit, "level": case.level, "check": _check(result)},
                **{"cases": 0, "vectors": 0, **dict.fromkeys(STATUSES, 0)},
            },
        )
        row["cases"] += 1
        row["vectors"] += result.vectors
        row[result.status] += 1
    order = list(UNITS)
    return sorted(rows.values(), key=lambda row: (order.index(row["unit"]), row["level"] != "rtl"))


def to_dict(summary: Summary) -> dict[str, Any]:
    """The summary as plain JSON types; failures in full."""
    return {
        "passed": summary.passed,
        "interrupted": summary.interrupted,
        "cases": summary.wanted,
        "ended": len(summary.results),
        **{status.replace(" ", "_"): summary.count(status) for status in STATUSES},
        "reused": sum(result.reused for result in summary.results),
        "vectors": summary.vectors,
        "seconds": round(summary.seconds, 1),
        "units": cells(summary.results),
        "failures": [r.to_dict() for r in summary.results if r.status != PASSED],
        "refused": [r.__dict__ for r in summary.refused],
    }


def junit(summary: Summary) -> str:
    """JUnit's XML: a suite a unit, a test case a case."""
    root = ElementTree.Element("testsuites", name="hwgen regress")
    for unit in UNITS:
        results = [result for result in summary.results if result.case.spec.unit == unit]
        if not results:
            continue
        counts = {status: sum(r.status == status for r in results) for status in STATUSES}
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=unit,
            tests=str(len(results)),
            failures=str(counts[FAILED]),
            errors=str(counts[ERROR]),
            skipped=str(counts[NOT_RUN]),
            time=f"{sum(r.seconds for r in results):.3f}",
        )
        for result in results:
            test = ElementTree.SubElement(
                suite,
                "testcase",
                classname=f"hwgen.{unit}",
                name=result.case.title,
                time=f"{result.seconds:.3f}",
            )
            tags = {FAILED: "failure", ERROR: "error", NOT_RUN: "skipped"}
            if result.status != PASSED:
                first = result.detail.partition("\n")[0]
                tag = ElementTree.SubElement(test, tags[result.status], message=_legal(first))
                tag.text = _legal(trouble(result))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _legal(text: str) -> str:
    """Without the control characters that XML has no way to say; tools print colours."""
    return "".join(c for c in text if c in "\n\t" or c >= " ")


def page(summary: Summary) -> str:
    """One HTML file with everything in it: what is wrong first, then numbers, then every case."""
    columns = ("unit", "level", "check", "cases", "vectors", *STATUSES)
    cases = [
        (
            r.case.spec.name,
            r.case.level,
            _check(r),
            r.status,
            r.vectors,
            r.cycles,
            round(r.seconds, 2),
        )
        for r in summary.results
    ]
    return filled(
        "sim",
        "results.html.j2",
        statuses=STATUSES,
        line=line(summary),
        troubles=[trouble(result) for result in summary.results if result.status != PASSED],
        columns=columns,
        units=[[row[name] for name in columns] for row in cells(summary.results)],
        cases=cases,
        refused=[(r.unit, r.operand, r.format, r.reason) for r in summary.refused],
    )


def _check(result: Result) -> str:
    """What checked the case: all inputs, or a simulator's bench."""
    return EXHAUSTIVE if result.case.check == EXHAUSTIVE else result.case.simulator


# -- the table of a page -------------------------------------------------------------------


def markdown(results: Sequence[Result], extra: Mapping[str, Mapping[str, str]]) -> str:
    """Units × levels with their formats and vectors, from one result of each case.

    ``extra``: further columns by their heads, texts by unit.
    """
    rows = cells(results)
    head = ["unit", "level", "check", "cases", "formats", "vectors", "wrong", "not run", *extra]
    lines = [_row(head), _row(["---"] * 3 + ["--:"] * 5 + ["---"] * len(extra))]
    total = 0
    for row in rows:
        specs = [
            result.case.spec
            for result in results
            if (result.case.spec.unit, result.case.level) == (row["unit"], row["level"])
            and row["check"] in (result.case.check, result.case.simulator)
        ]
        total += row["vectors"]
        lines.append(
            _row(
                [
                    *(f"`{row['unit']}`", row["level"], row["check"], f"{row['cases']:,}"),
                    *(str(len(_formats(specs))), f"{row['vectors']:,}"),
                    *(str(row[FAILED] + row[ERROR]), str(row[NOT_RUN])),
                    *(texts.get(row["unit"], "–") for texts in extra.values()),
                ]
            )
        )
    lines.append(
        _row(["all", "", "", f"{len(results):,}", "", f"{total:,}", "", *[""] * len(extra), ""])
    )
    return "\n".join(lines)


def _row(fields: Sequence[str]) -> str:
    return "| " + " | ".join(fields) + " |"


def _formats(specs: Iterable[Spec]) -> set[str]:
    """The operands' formats."""
    return {str(getattr(spec, name)) for spec in specs for name in operands(type(spec))}


def update_page(path: Path, folder: Path) -> int:
    """Puts the table of the results in ``folder`` between its marks in the file at ``path``.

    Returns how many results there were. InputError if there is no place for it, or nothing to put
    there.
    """
    # A case that ran again counts once.
    results = list({result.case.command: result for result in load(folder)}.values())
    if not results:
        raise InputError(
            f"{folder} has no results: run 'hwgen regress formats --out {folder}' first"
        )
    extra = {
        "coverage": _coverage(results),
        "proofs": _proofs(PROOF.shipped.values()),
        "mutants": _mutants(SCORE.shipped.values()),
    }
    write_between(path, BEGIN, END, markdown(results, extra))
    return len(results)


def _by_unit(rows: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Rows by the unit whose name theirs begins with."""
    by_unit: dict[str, list[dict[str, Any]]] = {}
    longest_first = sorted(UNITS, key=len, reverse=True)
    for row in rows:
        unit = next(unit for unit in longest_first if row["name"].startswith(f"{unit}_"))
        by_unit.setdefault(unit, []).append(row)
    return by_unit


def _coverage(results: Iterable[Result]) -> dict[str, str]:
    bins: dict[str, int] = {}
    for result in results:
        if result.case.coverage and result.status == PASSED:
            unit = result.case.spec.unit
            bins[unit] = bins.get(unit, 0) + result.bins
    return {unit: f"all of {count:,} bins" for unit, count in bins.items()}


def _proofs(rows: Iterable[dict[str, Any]]) -> dict[str, str]:
    texts = {}
    for unit, unit_rows in _by_unit(rows).items():
        results = [row["result"] for row in unit_rows if row["result"] != NOT_APPLICABLE]
        proved = results.count(PROVED)
        texts[unit] = f"{proved:,}" + (f" of {len(results):,}" if proved < len(results) else "")
    return texts


def _mutants(rows: Iterable[dict[str, Any]]) -> dict[str, str]:
    texts = {}
    for unit, unit_rows in _by_unit(rows).items():
        total, killed, equal, open_ = (
            sum(row[name] for row in unit_rows)
            for name in ("mutants", "killed", "equal", "not_proved")
        )
        texts[unit] = f"{killed} of {total} killed, {equal} equal"
        texts[unit] += f", {open_} open" if open_ else ""
    return texts
