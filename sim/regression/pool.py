"""All processes of a regression: each takes cases that share a build and tells results one by one.

A process that ends or hangs is ended with all that it started; the cases that it had not answered
get a process each, so that the one that did it is found and is named.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from hwgen import processes, watcher
from sim import compiled
from sim.case_list import BENCH, EXHAUSTIVE, Case, Refused
from sim.regression.cases import examine
from sim.regression.results import ERROR, PASSED, Result, Summary, inputs_digest, stored

#: Cases that one process takes.
BATCH = {BENCH: 12, EXHAUSTIVE: 24}
#: Without a word from a process for so long its cases are taken to hang.
TIME_LIMIT_S = 1800.0
#: Where the toggles of netlists' nets are kept, beside the results.
TOGGLES = "toggles"


@dataclass
class _Worker:
    """A process with its cases, and those that it has not yet answered."""

    process: Any
    connection: Connection
    left: dict[str, Case]
    batch: int
    heard: float = field(default_factory=time.monotonic)

    def answer(self) -> Result | None:
        """The next result, which is there; None if the process has ended."""
        self.heard = time.monotonic()
        try:
            result: Result = self.connection.recv()
        except (EOFError, OSError):
            return None
        del self.left[result.case.command]
        return result

    @property
    def hangs(self) -> bool:
        """It was silent for too long."""
        return time.monotonic() - self.heard > TIME_LIMIT_S

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


def _start(
    cases: Sequence[Case], contents: Mapping[str, Result], folder: Path, activity: Path
) -> _Worker:
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("fork" if "fork" in methods else "spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(  # type: ignore[attr-defined]
        target=_work, args=(sender, cases, contents, str(folder), activity), daemon=True
    )
    process.start()
    processes.watch_group(process.pid)
    sender.close()
    return _Worker(process, receiver, {case.command: case for case in cases}, len(cases))


def _answers(
    queue: list[Sequence[Case]], jobs: int, start: Callable[[Sequence[Case]], _Worker]
) -> Generator[Result | None]:
    """Results of the batches in the ``queue`` as they come.

    None comes after each look for them, a second apart at most. All processes end with it.
    """
    workers: list[_Worker] = []
    try:
        while queue or workers:
            while queue and len(workers) < jobs:
                workers.append(start(queue.pop(0)))
            ready = wait([worker.connection for worker in workers], timeout=1)
            for worker in list(workers):
                has_answer = worker.connection in ready
                result = worker.answer() if has_answer else None
                if result is not None:
                    yield result
                elif has_answer or worker.hangs:
                    workers.remove(worker)
                    if has_answer:
                        worker.process.join(10)
                    code = worker.process.exitcode
                    worker.end()
                    unanswered = list(worker.left.values())
                    if len(unanswered) == 1 and worker.batch == 1:
                        why = f"took longer than {TIME_LIMIT_S:.0f} s"
                        if has_answer:
                            why = f"ended its process with exit code {code}"
                        yield Result(unanswered[0], ERROR, detail=f"the case {why}")
                    else:  # One of them did it: each by itself.
                        queue[:0] = [[case] for case in unanswered]
            yield None
    finally:
        for worker in workers:
            worker.end()


def run(
    cases: Sequence[Case],
    folder: Path,
    *,
    jobs: int = 0,
    again: bool = False,
    refused: Sequence[Refused] = (),
    progress: Callable[[Summary, float], None] = lambda summary, seconds: None,
) -> Summary:
    """The results of the cases, by ``jobs`` processes (default: the cores).

    Each goes to ``folder``/results.jsonl when it is there, and toggle counts of netlists to SAIF
    files in ``folder``/toggles. With ``again`` cases that passed before run once more. ``progress``
    is called with what is known after each change, and every second.
    """
    started = time.monotonic()
    store = stored(folder)
    jobs = jobs or os.cpu_count() or 1
    done: dict[str, Result] = {}
    contents: dict[str, Result] = {}
    if not again:
        earlier = {case.command: store.find(inputs_digest(case)) for case in cases}
        done = {command: replace(r, reused=True) for command, r in earlier.items() if r is not None}
        contents = {r.content: r for r in store.results.values() if r.status == PASSED}
    summary = Summary([], refused, wanted=len(cases))

    def tell() -> None:
        summary.results = [done[case.command] for case in cases if case.command in done]
        summary.seconds = time.monotonic() - started
        progress(summary, summary.seconds)

    with processes.temporary_folder() as scratch:
        queue = _batches([case for case in cases if case.command not in done], jobs)
        answers = _answers(
            queue, jobs, lambda batch: _start(batch, contents, scratch, folder / TOGGLES)
        )
        with contextlib.closing(answers):
            try:
                for result in answers:
                    if result is None:
                        tell()
                    else:
                        store.add(result.to_dict())
                        done[result.case.command] = result
            except KeyboardInterrupt:
                summary.interrupted = True
    tell()
    return summary


def _batches(cases: Sequence[Case], jobs: int) -> list[Sequence[Case]]:
    """Cases that can share a build, long ones alone and first.

    They are small enough for all processes to have some.
    """
    batches: list[Sequence[Case]] = []
    kinds: dict[tuple[str, str, str], list[Case]] = {}
    for case in cases:
        if case.vectors >= compiled.MANY and case.check == BENCH:
            batches.append([case])
        else:
            kinds.setdefault((case.check, case.level, case.simulator), []).append(case)
    for (check, _, _), same_kind in kinds.items():
        size = max(1, min(BATCH[check], -(-len(same_kind) // jobs)))
        batches += [same_kind[i : i + size] for i in range(0, len(same_kind), size)]
    return batches
