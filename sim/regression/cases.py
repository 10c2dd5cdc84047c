"""One process's work: cases are made, built together and run, and each gets its result."""

from __future__ import annotations

import contextlib
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import yosys_scripts
from hwgen import emit, processes
from hwgen.errors import InputError, ToolError
from hwgen.files import write_text
from sim import compiled, exhaustive, lint, saif
from sim.case_list import BENCH, EXHAUSTIVE, RTL, Case
from sim.compiled import Run
from sim.coverage import collect
from sim.regression.results import ERROR, FAILED, NOT_RUN, PASSED, Result, content_digest
from sim.verification import whole_stimulus
from yosys_scripts import cell_models

#: Verilog that one build takes.
BUILD_CHARACTERS = 1_500_000
#: Two of these look at a case with ``lint``.
LINTERS = ("verilator", "slang", "yosys", "icarus")


@dataclass(frozen=True)
class _Prepared:
    """The Verilog of a case, and what a simulator needs beside it."""

    case: Case
    text: str
    content: str
    sources: tuple[Path, ...] = ()
    flags: tuple[str, ...] = ()


def missing_tool(case: Case) -> str:
    """What the case needs and is not installed, with the command that installs it, or nothing."""
    simulator = case.simulator if case.check == BENCH else "verilator"
    missing = compiled.SIMULATORS[simulator].missing()
    if not missing and case.level != RTL:
        packages = yosys_scripts.available(case.level, place=False)
        missing = f"netlists need {' '.join(packages)}: pip install {' '.join(packages)}"
        missing = missing if packages else ""
    if not missing and case.lint:
        installed = [name for name in LINTERS if name in lint.available()]
        if len(installed) < 2:
            missing = f"two linters of {', '.join(LINTERS)} are needed: pip install pyslang"
    return missing


def examine(
    cases: Sequence[Case],
    contents: dict[str, Result] | None = None,
    wave: Path | None = None,
    activity: Path | None = None,
) -> Iterator[Result]:
    """The result of each of the cases, which are of one level, check and simulator, in any order.

    Whatever a tool does ends in the result of its case. ``contents``: results that are known, by
    what was checked. With ``wave`` a waveform goes to that file; toggle counts of the nets of each
    netlist go to a file in the folder ``activity``.
    """
    prepared = []
    for case in cases:
        started = time.monotonic()
        try:
            missing = missing_tool(case)
            if missing:
                yield Result(case, NOT_RUN, detail=missing)
                continue
            text = emit.verilog(case.spec)
            content = content_digest(case, text)
            known = (contents or {}).get(content)
            if known is not None:
                yield replace(known, case=case, reused=True)
                continue
            findings = _linted(case, text)
            if findings:
                yield Result(case, FAILED, detail=findings, content=content)
                continue
            prepared.append(_prepared(case, text, content))
        except Exception as error:
            yield _failed(case, error, time.monotonic() - started)
    for group in _builds(prepared):
        yield from _checked(group, wave, activity)


def _linted(case: Case, text: str) -> str:
    if not case.lint:
        return ""
    tools = [name for name in LINTERS if name in lint.available()][:2]
    return "\n".join(map(str, lint.lint(text, case.spec.name, tools)))


def _prepared(case: Case, text: str, content: str) -> _Prepared:
    if case.level == RTL:
        return _Prepared(case, text, content)
    netlist = yosys_scripts.netlist(
        emit.rtlil(case.spec), case.spec.name, target=case.level, mapping=case.spec.mapping
    )
    return _Prepared(
        case, netlist.verilog, content, tuple(netlist.cell_models), tuple(netlist.verilator_flags)
    )


def _builds(prepared: Sequence[_Prepared]) -> Iterator[list[_Prepared]]:
    """In groups that one build can hold: not too large, and no name twice."""
    group: list[_Prepared] = []
    for item in prepared:
        size = sum(len(other.text) for other in group) + len(item.text)
        names = {other.case.spec.name for other in group}
        if group and (size > BUILD_CHARACTERS or item.case.spec.name in names):
            yield group
            group = []
        group.append(item)
    if group:
        yield group


def _checked(
    group: Sequence[_Prepared], wave: Path | None, activity: Path | None
) -> Iterator[Result]:
    """The results of one build; if it fails, of two halves of it, until the case is found."""
    started = time.monotonic()
    first = group[0].case
    try:
        if first.check == EXHAUSTIVE:
            results = list(_exhaustive(group))
        else:
            results = list(_bench(group, wave, activity))
    except Exception as error:
        if len(group) == 1:
            yield _failed(first, error, time.monotonic() - started, group[0].content)
            return
        half = len(group) // 2
        yield from _checked(group[:half], wave, activity)
        yield from _checked(group[half:], wave, activity)
        return
    seconds = round((time.monotonic() - started) / len(group), 3)
    for item, result in zip(group, results, strict=True):
        tools = compiled.SIMULATORS[item.case.simulator].version()
        yield replace(result, seconds=seconds, content=item.content, tools=tools)


def _bench(
    group: Sequence[_Prepared], wave: Path | None, activity: Path | None
) -> Iterator[Result]:
    cases = [item.case for item in group]
    counted = None
    if activity is not None and cases[0].level != RTL and cases[0].simulator == "verilator":
        counted = wave = activity / f"{group[0].content}.all.saif"
        activity.mkdir(parents=True, exist_ok=True)
    with _sources(group) as sources:
        outcomes = compiled.check(
            [Run(i.case.spec, i.text, i.case.vectors, i.case.seed) for i in group],
            simulator=cases[0].simulator,
            sources=sources,
            flags=list(group[0].flags),
            wave=wave,
        )
    toggles = [None] * len(group) if counted is None else _activity(group, outcomes, counted)
    for case, outcome, per_cycle in zip(cases, outcomes, toggles, strict=True):
        passed = outcome.mismatches == 0 and outcome.vectors > 0
        covered = None
        if case.coverage:
            covered = collect(case.spec, whole_stimulus(case.spec, case.vectors, case.seed))
        detail, first_bad_cycle = "", None
        if outcome.shown:
            first_bad_cycle = outcome.shown[0].cycle
            where = f"segment {outcome.segment}, " if outcome.segment else ""
            detail = where + "\n".join(map(str, outcome.shown[:3]))
        elif not passed:
            detail = "no valid result was compared"
        elif covered is not None and not covered.complete:
            passed, detail = False, f"coverage: {covered}"
        yield Result(
            case,
            PASSED if passed else FAILED,
            bins=0 if covered is None else len(covered.bins),
            vectors=outcome.vectors,
            cycles=outcome.cycles,
            mismatches=outcome.mismatches,
            first_bad_cycle=first_bad_cycle,
            toggles_per_cycle=per_cycle,
            detail=detail,
        )


@contextlib.contextmanager
def _sources(group: Sequence[_Prepared]) -> Iterator[list[Path]]:
    """Files with the models of the cells of the netlists: the vendor's others take long to read."""
    files = list(dict.fromkeys(source for item in group for source in item.sources))
    if not files:
        yield []
        return
    with processes.temporary_folder() as folder:
        file = folder / "cells.v"
        file.write_text(cell_models.used(files, "".join(item.text for item in group)))
        yield [file]


def _activity(
    group: Sequence[_Prepared], outcomes: Sequence[compiled.Outcome], counted: Path
) -> Iterator[float]:
    """Toggles a cycle of each netlist; those of its nets go to a file of its own."""
    text = counted.read_text()
    counted.unlink()
    for index, (item, outcome) in enumerate(zip(group, outcomes, strict=True)):
        case = item.case
        own = saif.of_instance(text, compiled.instance(index), case.spec.name)
        write_text(counted.parent / f"{case.spec.name}_{case.level}.saif", own)
        yield round(saif.toggles(own) / outcome.cycles, 2)


def _exhaustive(group: Sequence[_Prepared]) -> Iterator[Result]:
    cases = [exhaustive.Case(item.case.spec) for item in group]
    for item, case, wrong in zip(group, cases, exhaustive.check(cases), strict=True):
        yield Result(
            item.case,
            FAILED if wrong else PASSED,
            vectors=1 << case.input_bits,
            mismatches=len(wrong),
            detail="\n".join(map(str, wrong[:3])),
        )


def _failed(case: Case, error: Exception, seconds: float, content: str = "") -> Result:
    if isinstance(error, InputError | ToolError):
        detail = str(error)
    elif (detail := processes.outside(error) or "") == "":
        detail = "".join(traceback.format_exception(error)[-4:])
    return Result(case, ERROR, detail=detail, seconds=round(seconds, 3), content=content)
