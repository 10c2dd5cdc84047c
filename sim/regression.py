"""Runs the cases of a matrix on all cores, keeps what each found, and goes on where it was.

Cases of one kind share a build. Results are lines of JSON in a file, written as each case ends:
whatever stops a run, the next one has them. A case that has passed is not run again unless
what decides it has changed: the unit's Verilog, the golden model, the bench, the tools.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import multiprocessing
import os
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import hwgen
import sim
import yosys_scripts
from hwgen import emit, processes, records, watcher
from hwgen.errors import InputError, ToolError
from hwgen.files import write_text
from sim import compiled, exhaustive, lint, saif
from sim.case_list import BENCH, EXHAUSTIVE, RTL, Case, Refused, case_of
from sim.compiled import Run
from sim.coverage import collect
from sim.verification import whole_stimulus
from yosys_scripts import cell_models

PASSED, FAILED, ERROR, NOT_RUN = "passed", "failed", "error", "not run"
#: Cases that one process takes, and Verilog that one build takes.
BATCH = {BENCH: 12, EXHAUSTIVE: 24}
BUILD_CHARACTERS = 1_500_000
#: Without a word from a process for so long its cases are taken to hang.
TIME_LIMIT_S = 1800.0
#: Two of these look at a case with ``lint``.
LINTERS = ("verilator", "slang", "yosys", "icarus")
RESULTS = "results.jsonl"
#: Where the toggles of netlists' nets are kept, beside the results.
TOGGLES = "toggles"
#: These decide no verdict: a change of them makes no result stale.
_BESIDE = (
    *("regression.py", "report.py", "case_list.py", "random_specs.py", "together.py", "vectors.py"),
    *("mutation.py", "mutation_bench.py", "quantizer_matrix.py", "matmul.py", "formal/"),
    *("draws.py", "operands.py"),
)


@dataclass(frozen=True)
class Result:
    """What became of a case. ``status``: ``passed``; ``failed`` (a wrong result, or a linter's
    finding); ``error`` (a tool or the generator failed, or took too long); ``not run`` (a tool is
    missing). ``vectors``: results compared with the golden model, ``cycles``: clock cycles.
    ``bins``: how many the cycles had to hit, all of them unless ``detail`` says which they missed.
    ``detail`` tells what is wrong, the first bad cycle before all. ``inputs`` and ``content``
    identify what was checked: by the sources, and by the Verilog made of them.
    """

    case: Case
    status: str
    vectors: int = 0
    cycles: int = 0
    mismatches: int = 0
    first_bad_cycle: int | None = None
    bins: int = 0
    #: Of all nets of a netlist but the clock's, in a cycle.
    toggles_per_cycle: float | None = None
    detail: str = ""
    seconds: float = 0.0
    tools: str = ""
    inputs: str = ""
    content: str = ""
    #: Known from an earlier run.
    reused: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, with the command that reproduces it."""
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "reused"}
        return {**plain, "case": self.case.to_dict(), "command": self.case.command}


def result_of(plain: dict[str, Any]) -> Result:
    """The result that ``to_dict`` described. ValueError, TypeError, KeyError if there is none."""
    records.require(plain, dict.fromkeys(("vectors", "cycles", "mismatches", "bins"), int))
    records.require(plain, dict.fromkeys(("status", "detail", "inputs", "content"), str))
    records.require(plain, {"seconds": (int, float), "case": dict})
    if plain["status"] not in (PASSED, FAILED, ERROR, NOT_RUN):
        raise ValueError(f"its status is {plain['status']!r}")
    if plain["status"] == PASSED and (plain["mismatches"] or not plain["vectors"]):
        raise ValueError("it passed, with mismatches or without anything compared")
    known = {k: v for k, v in plain.items() if k != "command"}
    return Result(**{**known, "case": case_of(plain["case"])})


@dataclass
class Summary:
    """Results of the cases of a run in their order, of those that ended."""

    results: list[Result]
    refused: Sequence[Refused] = ()
    seconds: float = 0.0
    wanted: int = 0
    interrupted: bool = False

    def count(self, status: str) -> int:
        """Cases of that status."""
        return sum(result.status == status for result in self.results)

    @property
    def vectors(self) -> int:
        """Results compared with the golden model, without any mismatch or with."""
        return sum(result.vectors for result in self.results)

    @property
    def passed(self) -> bool:
        """Every case was run and passed."""
        return len(self.results) == self.wanted == self.count(PASSED)


# -- what decides a verdict ----------------------------------------------------------------


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


def _text(package: Any, beside: Sequence[str] = ()) -> str:
    root = Path(package.__file__).parent
    files = sorted(f for end in ("py", "cpp") for f in root.rglob(f"*.{end}"))
    named = {f.relative_to(root).as_posix(): f for f in files}
    return "\0".join(
        f"{name}\0{f.read_text()}"
        for name, f in named.items()
        if not name.startswith(tuple(beside))
    )


@cache
def _generator_digest() -> str:
    """Of all that makes Verilog of a spec."""
    return _digest(_text(hwgen), version("amaranth"))


@cache
def _verdict_digest(simulator: str, level: str) -> str:
    """Of the golden model, the formats that it decodes, the benches and the tools."""
    tools = [compiled.SIMULATORS[simulator].version(), version("numpy")]
    for package in ("pyslang", "pyosys"):
        with contextlib.suppress(PackageNotFoundError):
            tools.append(f"{package} {version(package)}")
    flow = "" if level == RTL else yosys_scripts.flow_digest(level)
    formats = Path(hwgen.__file__).parent / "formats"
    texts = [f.read_text() for f in sorted(formats.glob("*.py"))]
    return _digest(_text(sim, _BESIDE), *texts, *tools, flow)


def _inputs_digest(case: Case) -> str:
    """Of all that the case depends on, known without making its Verilog."""
    return _digest(
        json.dumps(case.to_dict(), sort_keys=True),
        _generator_digest(),
        _verdict_digest(case.simulator, case.level),
    )


def _content_digest(case: Case, text: str) -> str:
    """Of the hardware and of how it is checked."""
    options = {**case.to_dict(), "spec": None}
    return _digest(
        text, json.dumps(options, sort_keys=True), _verdict_digest(case.simulator, case.level)
    )


# -- what is known -------------------------------------------------------------------------


def load(folder: Path) -> list[Result]:
    """The results that earlier runs left in the folder, the oldest first."""
    return records.read(folder / RESULTS, result_of)


class _Store:
    """Appends results to the file; a line is written at once."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / RESULTS
        known = [result for result in load(folder) if result.status == PASSED]
        self.by_inputs = {result.inputs: result for result in known}
        self.contents = {result.content: result for result in known if result.content}

    def add(self, result: Result) -> None:
        records.append(self._path, result.to_dict())


# -- one process's work --------------------------------------------------------------------


@dataclass(frozen=True)
class _Made:
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
        there = [name for name in LINTERS if name in lint.available()]
        if len(there) < 2:
            missing = f"two linters of {', '.join(LINTERS)} are needed: pip install pyslang"
    return missing


def examine(
    cases: Sequence[Case],
    contents: dict[str, Result] | None = None,
    wave: Path | None = None,
    activity: Path | None = None,
) -> Iterator[Result]:
    """The result of each of the cases, which are of one level, check and simulator, in any
    order; whatever a tool does ends in the result of its case. With ``wave`` a waveform goes to
    that file; toggle counts of the nets of each netlist go to a file in the folder ``activity``.
    """
    made = []
    for case in cases:
        started = time.monotonic()
        try:
            missing = missing_tool(case)
            if missing:
                yield Result(case, NOT_RUN, detail=missing)
                continue
            text = case.spec.verilog()
            content = _content_digest(case, text)
            known = (contents or {}).get(content)
            if known is not None:
                yield _again(known, case)
                continue
            found = _linted(case, text)
            if found:
                yield Result(case, FAILED, detail=found, content=content)
                continue
            made.append(_made(case, text, content))
        except Exception as error:
            yield _failed(case, error, time.monotonic() - started)
    for group in _builds(made):
        yield from _checked(group, wave, activity)


def _again(known: Result, case: Case) -> Result:
    """The result of an earlier case of the same content."""
    beside = {"case": case, "inputs": _inputs_digest(case), "reused": True}
    return Result(**{**known.__dict__, **beside})


def _linted(case: Case, text: str) -> str:
    if not case.lint:
        return ""
    tools = [name for name in LINTERS if name in lint.available()][:2]
    return "\n".join(map(str, lint.lint(text, case.spec.name, tools)))


def _made(case: Case, text: str, content: str) -> _Made:
    if case.level == RTL:
        return _Made(case, text, content)
    netlist = yosys_scripts.netlist(
        emit.rtlil(case.spec), case.spec.name, target=case.level, mapping=case.spec.mapping
    )
    return _Made(
        case, netlist.verilog, content, tuple(netlist.cell_models), tuple(netlist.verilator_flags)
    )


def _builds(made: Sequence[_Made]) -> Iterator[list[_Made]]:
    """In groups that one build can hold: not too large, and no name twice."""
    group: list[_Made] = []
    for item in made:
        size = sum(len(other.text) for other in group) + len(item.text)
        names = {other.case.spec.name for other in group}
        if group and (size > BUILD_CHARACTERS or item.case.spec.name in names):
            yield group
            group = []
        group.append(item)
    if group:
        yield group


def _checked(group: Sequence[_Made], wave: Path | None, activity: Path | None) -> Iterator[Result]:
    """The results of one build; if it fails, of two halves of it, until the case is found."""
    started = time.monotonic()
    first = group[0].case
    try:
        if first.check == EXHAUSTIVE:
            found = list(_exhaustive(group))
        else:
            found = list(_bench(group, wave, activity))
    except Exception as error:
        if len(group) == 1:
            yield _failed(first, error, time.monotonic() - started, group[0].content)
            return
        half = len(group) // 2
        yield from _checked(group[:half], wave, activity)
        yield from _checked(group[half:], wave, activity)
        return
    seconds = round((time.monotonic() - started) / len(group), 3)
    for item, result in zip(group, found, strict=True):
        beside = {
            "seconds": seconds,
            "content": item.content,
            "inputs": _inputs_digest(item.case),
            "tools": compiled.SIMULATORS[item.case.simulator].version(),
        }
        yield Result(**{**result.__dict__, **beside})


def _bench(group: Sequence[_Made], wave: Path | None, activity: Path | None) -> Iterator[Result]:
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
        right = outcome.mismatches == 0 and outcome.vectors > 0
        covered = None
        if case.coverage:
            covered = collect(case.spec, whole_stimulus(case.spec, case.vectors, case.seed))
        detail, first = "", None
        if outcome.shown:
            first = outcome.shown[0].cycle
            where = f"segment {outcome.segment}, " if outcome.segment else ""
            detail = where + "\n".join(map(str, outcome.shown[:3]))
        elif not right:
            detail = "no valid result was compared"
        elif covered is not None and not covered.complete:
            right, detail = False, f"coverage: {covered}"
        yield Result(
            case,
            PASSED if right else FAILED,
            bins=0 if covered is None else len(covered.bins),
            vectors=outcome.vectors,
            cycles=outcome.cycles,
            mismatches=outcome.mismatches,
            first_bad_cycle=first,
            toggles_per_cycle=per_cycle,
            detail=detail,
        )


@contextlib.contextmanager
def _sources(group: Sequence[_Made]) -> Iterator[list[Path]]:
    """Files with the models of the cells of the netlists."""
    files = list(dict.fromkeys(source for item in group for source in item.sources))
    if not files or group[0].case.simulator != "icarus":
        yield files
        return
    with processes.temporary_folder() as folder:
        file = folder / "cells.v"
        file.write_text(cell_models.used(files, "".join(item.text for item in group)))
        yield [file]


def _activity(
    group: Sequence[_Made], outcomes: Sequence[compiled.Outcome], counted: Path
) -> Iterator[float]:
    """Toggles a cycle of each netlist; those of its nets go to a file of its own."""
    whole = counted.read_text()
    counted.unlink()
    for index, (item, outcome) in enumerate(zip(group, outcomes, strict=True)):
        case = item.case
        own = saif.of_instance(whole, compiled.instance(index), case.spec.name)
        write_text(counted.parent / f"{case.spec.name}_{case.level}.saif", own)
        yield round(saif.toggles(own) / outcome.cycles, 2)


def _exhaustive(group: Sequence[_Made]) -> Iterator[Result]:
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
    else:
        detail = "".join(traceback.format_exception(error)[-4:])
    return Result(case, ERROR, detail=detail, seconds=round(seconds, 3), content=content)


# -- all processes -------------------------------------------------------------------------


@dataclass
class _Worker:
    """A process with its cases, and those that it has not yet answered."""

    process: Any
    connection: Connection
    left: dict[str, Case]
    batch: int
    heard: float = field(default_factory=time.monotonic)

    def end(self) -> None:
        """Ends the process and all that it started."""
        watcher.end_group(self.process.pid)
        self.process.kill()
        self.process.join()
        processes.forget_group(self.process.pid)
        self.connection.close()


def _work(
    connection: Connection,
    cases: Sequence[Case],
    contents: dict[str, Result],
    folder: str,
    activity: Path,
) -> None:
    """The life of a process: a result for each case. What it leaves behind is in ``folder``."""
    os.setsid()  # Ctrl-C is the parent's, which ends this process; its watcher, its children.
    for number in processes.SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    tempfile.tempdir = folder
    parent = multiprocessing.parent_process()
    for result in examine(cases, contents, activity=activity):
        if parent is not None and not parent.is_alive():
            return
        connection.send(result)
    connection.close()


def run(
    cases: Sequence[Case],
    folder: Path,
    *,
    jobs: int = 0,
    again: bool = False,
    refused: Sequence[Refused] = (),
    progress: Callable[[Summary, float], None] = lambda summary, seconds: None,
) -> Summary:
    """The results of the cases, by ``jobs`` processes (default: the cores); each goes to
    ``folder``/results.jsonl when it is there, and toggle counts of netlists to SAIF files in
    ``folder``/toggles. With ``again`` cases that passed before run once
    more. ``progress`` is called with what is known after each change, and every second.
    """
    store = _Store(folder)
    started = time.monotonic()
    done: dict[str, Result] = {}
    waiting = []
    for case in cases:
        known = None if again else store.by_inputs.get(_inputs_digest(case))
        if known is not None:
            done[case.command] = Result(**{**known.__dict__, "reused": True})
        else:
            waiting.append(case)
    contents = {} if again else store.contents
    summary = Summary([], refused, wanted=len(cases))
    queue = _batches(waiting, jobs or os.cpu_count() or 1)

    def tell() -> None:
        summary.results = [done[case.command] for case in cases if case.command in done]
        summary.seconds = time.monotonic() - started
        progress(summary, summary.seconds)

    def keep(result: Result) -> None:
        store.add(result)
        done[result.case.command] = result

    workers: list[_Worker] = []
    with processes.temporary_folder() as scratch:
        try:
            while queue or workers:
                while queue and len(workers) < (jobs or os.cpu_count() or 1):
                    workers.append(_start(queue.pop(0), contents, str(scratch), folder / TOGGLES))
                ready = wait([worker.connection for worker in workers], timeout=1)
                for worker in list(workers):
                    ended = False
                    if worker.connection in ready:
                        worker.heard = time.monotonic()
                        try:
                            result = worker.connection.recv()
                            worker.left.pop(result.case.command)
                            keep(result)
                        except (EOFError, OSError):
                            ended = True
                    hangs = time.monotonic() - worker.heard > TIME_LIMIT_S
                    if ended or hangs:
                        workers.remove(worker)
                        if ended:
                            worker.process.join(10)
                        code = worker.process.exitcode
                        worker.end()
                        left = list(worker.left.values())
                        if len(left) == 1 and worker.batch == 1:
                            why = f"took longer than {TIME_LIMIT_S:.0f} s"
                            if ended:
                                why = f"ended its process with exit code {code}"
                            keep(Result(left[0], ERROR, detail=f"the case {why}"))
                        else:  # One of them did it: each by itself.
                            queue = [[case] for case in left] + queue
                tell()
        except KeyboardInterrupt:
            summary.interrupted = True
        finally:
            for worker in workers:
                worker.end()
    tell()
    return summary


def _start(cases: list[Case], contents: dict[str, Result], folder: str, activity: Path) -> _Worker:
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("fork" if "fork" in methods else "spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(  # type: ignore[attr-defined]
        target=_work, args=(there, cases, contents, folder, activity), daemon=True
    )
    process.start()
    processes.watch_group(process.pid)
    there.close()
    return _Worker(process, here, {case.command: case for case in cases}, len(cases))


def _batches(cases: Sequence[Case], jobs: int) -> list[list[Case]]:
    """Cases that can share a build, long ones alone and first; small enough for all processes
    to have some."""
    alone = [[case] for case in cases if case.vectors >= compiled.MANY and case.check == BENCH]
    kinds: dict[tuple[str, str, str], list[Case]] = {}
    for case in cases:
        if case.vectors < compiled.MANY or case.check != BENCH:
            kinds.setdefault((case.check, case.level, case.simulator), []).append(case)
    for (check, _, _), found in kinds.items():
        size = max(1, min(BATCH[check], -(-len(found) // jobs)))
        alone += [found[i : i + size] for i in range(0, len(found), size)]
    return alone
