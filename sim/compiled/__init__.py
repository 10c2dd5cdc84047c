"""Units side by side in one simulation without Python in its loop, cycle by cycle.

numpy makes the cycles and what the golden model expects of them, as rows of words; a harness
drives the rows and compares. It is compiled with the design (Verilator), or a Verilog bench
(Icarus). Every unit has its own pins and its own outcome; a build costs about the same
for one unit as for ten.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hwgen import processes
from hwgen.errors import InputError, ToolError
from hwgen.files import whole_file
from hwgen.spec import Spec
from sim.compiled import icarus, verilator
from sim.compiled.rows import GivenRun, Job, Run, instance, top
from sim.compiled.verilator import MANY
from sim.stimulus import Stimulus
from sim.verification import Mismatch, mismatch_at
from sim.words import WORD_BITS, Words, words_of

__all__ = [
    "MANY",
    "SIMULATORS",
    "Outcome",
    "Run",
    "Simulator",
    "check",
    "check_each",
    "instance",
    "require_wave",
]

#: Mismatches of a unit that are told one by one, as many as the harness prints.
SHOWN = 20


@dataclass(frozen=True)
class Outcome:
    """What a run saw of one unit.

    ``cycles``: those compared; ``vectors``: valid results among them; ``mismatches``: cycles with a
    wrong output, ``shown`` the first of them.
    """

    cycles: int
    vectors: int
    mismatches: int
    shown: tuple[Mismatch, ...] = ()
    #: Cycles are counted from the reset before this segment.
    segment: int = 0


@dataclass(frozen=True)
class Simulator:
    """A simulator of whole cycles.

    ``missing``: what has to be installed, or nothing. ``lines``: those of the harness, for the
    design's Verilog file in a folder with further sources and flags.
    """

    missing: Callable[[], str]
    version: Callable[[], str]
    lines: Callable[[Job], list[str]]


SIMULATORS = {
    "verilator": Simulator(verilator.missing, verilator.version, verilator.lines),
    "icarus": Simulator(icarus.missing, icarus.version, icarus.lines),
}


def check(
    runs: Sequence[Run],
    *,
    simulator: str = "verilator",
    sources: Sequence[Path] = (),
    flags: Sequence[str] = (),
    wave: Path | None = None,
) -> list[Outcome]:
    """The outcome of each of the ``runs``, all in one simulation.

    ``sources``: further Verilog files; ``flags``: Verilator's. With ``wave`` a waveform goes to
    that file (.vcd, or, with Verilator, .fst), or the toggles of every net (.saif, with Verilator).

    InputError for an unknown simulator or two units of one name, ToolError if the simulator is
    missing, or fails on what it is given.
    """
    if simulator not in SIMULATORS:
        raise InputError(f"simulator {simulator!r}: use one of {', '.join(SIMULATORS)}")
    if len({run.spec.name for run in runs}) != len(runs):
        raise InputError("give each spec once: their modules' names must differ")
    chosen = SIMULATORS[simulator]
    require_wave(wave, simulator)
    if missing := chosen.missing():
        raise ToolError(missing)
    with processes.temporary_folder() as folder:
        text = "\n".join([*(run.verilog for run in runs), top(runs)])
        (folder / "design.v").write_text(text)
        with contextlib.nullcontext() if wave is None else whole_file(wave.absolute()) as written:
            job = Job(folder, runs, sources, flags, written)
            lines = chosen.lines(job)
            if written is not None:
                # Not every writer of waveforms says that its disk was full.
                written.with_name("last").write_bytes(bytes(4096))
    return [_outcome(job, index, lines) for index in range(len(runs))]


def check_each(
    spec: Spec,
    verilog: str,
    stimuli: Sequence[Stimulus],
    *,
    sources: Sequence[Path] = (),
    flags: Sequence[str] = (),
    saifs: Sequence[Path],
) -> list[Outcome]:
    """The outcome of each stimulus, from reset, on one build of the ``verilog`` with Verilator.

    ``sources`` and ``flags`` as of ``check``. The toggles of every net go to ``saifs``, a file
    each. ToolError as there.
    """
    if missing := verilator.missing():
        raise ToolError(missing)
    with processes.temporary_folder() as folder:
        jobs = [
            Job(folder, [GivenRun(spec, verilog, given=stimulus)], sources, flags, saif.absolute())
            for stimulus, saif in zip(stimuli, saifs, strict=True)
        ]
        (folder / "design.v").write_text("\n".join([verilog, top(jobs[0].runs)]))
        lines = verilator.lines_each(jobs)
    return [_outcome(job, 0, of_job) for job, of_job in zip(jobs, lines, strict=True)]


def require_wave(wave: Path | None, simulator: str) -> None:
    """InputError unless the simulator writes files of this ending."""
    ends = (".vcd",) if simulator == "icarus" else (".vcd", ".fst", ".saif")
    if wave is not None and wave.suffix not in ends:
        raise InputError(f"{wave}: {simulator} writes waveforms to files {', '.join(ends)}")


def _outcome(job: Job, index: int, lines: Sequence[str]) -> Outcome:
    """What the harness's lines say of the unit of that number."""
    fields = [line.split() for line in lines]
    wrong = [f for f in fields if f[:2] == ["bad", str(index)]]
    (total,) = (int(f[2]) for f in fields if f[:2] == ["unit", str(index)])
    segment = int(wrong[0][2]) if wrong else 0
    shown = [f for f in wrong if int(f[2]) == segment][:SHOWN]
    mismatches = tuple(_mismatches(job.runs[index], segment, shown)) if shown else ()
    return Outcome(job.cycles[index], job.vectors[index], total, mismatches, segment)


def _mismatches(run: Run, segment: int, reports: Sequence[Sequence[str]]) -> Iterator[Mismatch]:
    stimulus = run.stimulus(segment)
    _, expected, counts = run.rows(stimulus)
    for _, _, _, row, *words in reports:
        cycle = int(row)
        wanted, counted = _ports(run, expected[cycle]), _ports(run, counts[cycle])
        yield mismatch_at(
            run.spec,
            stimulus,
            cycle,
            {name: number if counted[name] else None for name, number in wanted.items()},
            _ports(run, words),
        )


def _ports(run: Run, words: Words | Sequence[str]) -> dict[str, int | None]:
    """The output pins' patterns in a row of the unit's words; None for one with an unknown bit.

    ``words``: numbers, or hexadecimal digits.
    """
    digits = [word if isinstance(word, str) else f"{int(word):x}" for word in words]
    values: dict[str, int | None] = {}
    first = 0
    for name, count in [("valid_out", 1), *((p.name, words_of(p)) for p in run.spec.outputs)]:
        digits_of_port = "".join(
            f"{word:>0{WORD_BITS // 4}}" for word in digits[first : first + count][::-1]
        )
        values[name] = (
            int(digits_of_port, 16) if not set(digits_of_port.lower()) & {"x", "z"} else None
        )
        first += count
    return values
