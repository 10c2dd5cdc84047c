"""Malformed command lines: none may end in a traceback, in a hang, or in success with nothing done.

    python tests/fuzz/command_lines.py --seed 1 --count 1000
    python tests/fuzz/command_lines.py --directed

Each line is a valid one with some mutations (``made_command_lines.py``). It runs in a process of
its own, in a folder of valid and damaged files, up to where a valid line would begin long work (a
simulation, a proof, a synthesis); from there on it is no malformed line. Judged are the exit code
(0 or 2), the words (one line that says what is wrong), what is left behind (nothing, if it was
refused), and that each option which was given has been read before a line is called good.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import resource
import select
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from command_line_files import write_files
from made_command_lines import directed, lines

#: Seconds of the clock and of the processor, and bytes, that a line may take.
WALL_S, CPU_S, MEMORY = 240, 60, 8 << 30
WORKED = 99


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a line.

    ``code``: the exit code, None if it took too long; ``unread``: the options that were given and
    not read; ``left``: what is in the folder that was not.
    """

    code: int | None
    out: str
    err: str
    unread: tuple[str, ...]
    left: tuple[str, ...]

    @property
    def wrong(self) -> str:
        """What is wrong with it, or nothing."""
        words = self.err.strip().splitlines()
        if self.code is None:
            return f"took longer than {WALL_S} s"
        if self.code not in (0, 2, WORKED):
            return f"exit code {self.code}"
        if "Traceback" in self.err:
            return "a traceback"
        if self.code == 2:
            if not words or not words[-1].startswith("hwgen: error: ") or self.err.count("\n") > 9:
                return "no line that says what is wrong"
            if self.left:
                return f"refused, and left {', '.join(self.left)}"
            return f"refused, and printed {self.out[:80]!r}" if self.out else ""
        if self.unread:
            return f"did not read {', '.join(self.unread)}"
        if self.code == 0 and not self.out and not self.left:
            return "did nothing"
        return ""


class Work(BaseException):
    """The line is valid, and long work would begin."""


def begin_work(*given: Any, **named: Any) -> Any:
    raise Work


def no_logits(network: Any, images: np.ndarray, workers: int | None) -> np.ndarray:
    """In place of FP32's results, for which a network takes a minute."""
    return np.zeros((len(images), network.shapes[network.output][-1]))


def stop_at_work() -> None:
    """In this process, long work ends at once."""
    import cost_models
    import sim
    from cost_models import sweep
    from optimizer import evaluation, explore
    from sim import formal, mutation, regression
    from studies import run

    for module, name in (
        *((sim, "verify"), (sim, "verify_stream"), (sweep, "run"), (explore, "calibrate")),
        *((cost_models, "synthesise"), (cost_models, "energy"), (formal, "prove_all")),
        *((mutation, "mutate_all"), (regression, "run"), (regression, "examine"), (run, "run")),
    ):
        assert hasattr(module, name)
        setattr(module, name, begin_work)
    assert hasattr(evaluation, "_fp32")
    evaluation._fp32 = no_logits


class Recorder(argparse.Namespace):
    """Options that remember which of them were read."""

    seen: ClassVar[set[str]] = set()

    def __getattribute__(self, name: str) -> Any:
        type(self).seen.add(name)
        return super().__getattribute__(name)


def record_reads() -> Callable[[], list[str]]:
    """In this process, commands read a ``Recorder``; the function tells what was not read."""
    from hwgen import cli

    complete, given = cli.complete, set()

    def recorded(parser: Any, options: argparse.Namespace) -> None:
        given.update(set(vars(options)) - {"command", "run", "parser", "arguments"})
        complete(parser, options)
        options.__class__ = Recorder

    cli.complete = recorded
    return lambda: sorted(given - Recorder.seen)


def child(line: list[str], folder: Path, answer: int) -> None:
    """Runs a line in this process, which then ends."""
    code, unread = 255, []
    try:
        os.setsid()
        os.chdir(folder)
        for number, name in ((1, "out"), (2, "err")):
            file = os.open(folder.parent / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(file, number)
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
        tempfile.tempdir = str(folder.parent / "temporary")
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        from hwgen.cli import main

        stop_at_work()
        unread_options = record_reads()
        try:
            code = main(line)
        except SystemExit as end:
            code = int(end.code or 0)
        except Work:
            code = WORKED
        unread = unread_options()
        if code == WORKED:  # These are read when there are results.
            unread = [name for name in unread if name not in ("json", "export")]
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os.write(answer, json.dumps([code, unread]).encode())
        os._exit(0)


def run_line(line: list[str], scratch: Path) -> Outcome:
    """What becomes of the line, in a new folder of files inside of ``scratch``."""
    folder = scratch / "files"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(scratch / "fresh", folder, symlinks=True)
    before = contents(folder)
    read_end, write_end = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(read_end)
        child(line, folder, write_end)
    os.close(write_end)
    ready, _, _ = select.select([read_end], [], [], WALL_S)
    answer = os.read(read_end, 1 << 16) if ready else b""
    os.close(read_end)
    if not answer:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    code, unread = json.loads(answer) if answer else (None, [])
    if ready and not answer:
        code = -os.WTERMSIG(status)
    texts = [(scratch / n).read_text("utf-8", errors="replace") for n in ("out", "err")]
    after = contents(folder)
    left = [name for name in after if after[name] != before.get(name)]
    left += [f"no {name}" for name in before if name not in after]
    return Outcome(code, *texts, tuple(unread), tuple(left))


def contents(folder: Path) -> dict[str, tuple[int, int]]:
    """Sizes and times of all that is in the folder."""
    return {
        str(path.relative_to(folder)): (0, 0)
        if path.is_dir()
        else (path.lstat().st_size, path.lstat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
    }


def run(name: str, tried: list[list[str]], tell: Callable[[str], None]) -> int:
    """Runs the lines, which are called ``name``; returns how many were wrong."""
    import cost_models  # noqa: F401
    import sim.case_list
    import sim.formal  # noqa: F401
    from optimizer import optimize  # noqa: F401

    wrong, codes, started = 0, dict.fromkeys((0, 2, WORKED), 0), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hwgen-fuzz-") as folder:
        scratch = Path(folder)
        (scratch / "fresh").mkdir()
        (scratch / "home").mkdir()
        (scratch / "temporary").mkdir()
        write_files(scratch / "fresh")
        os.environ |= {"HOME": str(scratch / "home"), "XDG_DATA_HOME": str(scratch / "home")}
        os.environ |= {"HWGEN_STORE": str(scratch / "home" / "store.sqlite")}
        for number, line in enumerate(tried, 1):
            outcome = run_line(line, scratch)
            if outcome.code in codes:
                codes[outcome.code] += 1
            if outcome.wrong:
                wrong += 1
                shown = shlex.join(word if len(word) < 200 else word[:60] + "…" for word in line)
                message = outcome.err.strip().splitlines()[-1:] or [""]
                tell(f"{outcome.wrong}: line {number}: hwgen {shown!r}\n    {message[0][:300]}")
                for file in sorted((scratch / "temporary").glob("hwgen-fault-*")):
                    tell("".join(f"    {text}\n" for text in file.read_text().splitlines()[-7:]))
            for file in (scratch / "temporary").glob("hwgen-fault-*"):
                file.unlink()
        tell(
            f"{name}: {len(tried)} lines, {codes[2]} refused, {codes[WORKED]} valid up to long "
            f"work, {codes[0]} done, {wrong} wrong ({time.monotonic() - started:.0f} s)"
        )
    return wrong


def main(arguments: list[str]) -> int:
    """Exit code 1 if a line was wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--directed", action="store_true", help="one wrong value at a time instead")
    given = parser.parse_args(arguments)
    name = "directed" if given.directed else f"seed {given.seed}"
    tried = list(directed() if given.directed else lines(given.seed, given.count))
    return 1 if run(name, tried, lambda text: print(text, flush=True)) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
