"""Units side by side in one simulation without Python in its loop, cycle by cycle.

numpy makes the cycles and what the golden model expects of them, as rows of words; a harness
drives the rows and compares. It is compiled with the design (Verilator), or a Verilog bench
(Icarus). Every unit has its own pins and its own outcome; a build costs about the same
for one unit as for ten.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

import numpy as np

from hwgen import processes
from hwgen.errors import InputError, ToolError
from hwgen.files import whole_file
from hwgen.pins import pins
from hwgen.spec import Spec
from sim import golden, tools
from sim import stimulus as stimuli
from sim.stimulus import Stimulus
from sim.verification import (
    WORK_AMONG,
    Mismatch,
    busiest,
    mismatch_at,
    require_counts,
    whole_stimulus,
)
from sim.words import WORD_BITS, Words, to_integer, to_words, words_of

TOP = "bench"
CLOCK = ("clk", "rst")
#: Random cycles of a segment; more of them are driven in several, each from reset.
SEGMENT = 1 << 16
#: From this many cycles on a build with the compiler's optimisation is paid back.
MANY = 1 << 18
#: Verilator gives ports of more than two words the type that the harness reads.
LEAST_WORDS = 3
#: Mismatches of a unit that are told one by one, as many as the harness prints.
SHOWN = 20


@dataclass(frozen=True)
class Run:
    """A unit, the Verilog that is to be it (a netlist of it, say), and what is driven:
    directed extremes and ``vectors`` random cycles from ``seed``."""

    spec: Spec
    verilog: str
    vectors: int
    seed: int = 1

    def __post_init__(self) -> None:
        require_counts(self.vectors, self.seed)

    @property
    def segments(self) -> int:
        """Each begins with a reset."""
        return -(-self.vectors // SEGMENT)

    def stimulus(self, segment: int) -> Stimulus:
        """The cycles of a segment; the first has the directed ones."""
        cycles = min(self.vectors - segment * SEGMENT, SEGMENT)
        if segment == 0:
            return whole_stimulus(self.spec, cycles, self.seed)
        # Far from other seeds that a user may choose.
        seed = (self.seed << 32) + segment
        return stimuli.concatenate(
            stimuli.random(self.spec, cycles, seed), stimuli.flush(self.spec)
        )

    @cached_property
    def input_words(self) -> int:
        """A word for ``enable`` and ``valid_in``, then whole words for each port."""
        return 1 + sum(map(words_of, self.spec.inputs))

    @cached_property
    def output_words(self) -> int:
        """A word for ``valid_out``, then whole words for each port."""
        return 1 + sum(map(words_of, self.spec.outputs))

    def rows(self, stimulus: Stimulus) -> tuple[Words, Words, Words]:
        """Words of inputs, of what is expected, and of the bits of that which count, a row a
        cycle."""
        spec = self.spec
        enable, valid_in = (v.astype(np.uint32) for v in (stimulus.enable, stimulus.valid))
        driven: list[Words] = [(enable | valid_in << np.uint32(1))[:, None]]
        driven += [to_words(stimulus.inputs[port.name], port) for port in spec.inputs]
        valid, held = golden.trace(spec, stimulus)
        shown = np.ones(len(valid), np.bool_) if spec.keeps_outputs else valid
        expected, counts = [valid.astype(np.uint32)[:, None]], [np.ones((len(valid), 1), np.uint32)]
        for port in spec.outputs:
            expected.append(to_words(_integers(held[port.name], port.width), port))
            ones = ((1 << port.width) - 1).to_bytes(4 * words_of(port), "little")
            counts.append(np.where(shown[:, None], np.frombuffer(ones, "<u4"), np.uint32(0)))
        return (
            np.concatenate(driven, axis=1),
            np.concatenate(expected, axis=1),
            np.concatenate(counts, axis=1),
        )


def _integers(numbers: Any, width: int) -> Any:
    """Python's integers as numpy's where those hold them: they are faster."""
    return numbers.astype(np.int64) if numbers.dtype == object and width < 63 else numbers


@dataclass(frozen=True)
class Outcome:
    """What a run found: ``cycles`` compared, ``vectors`` results among them (valid outputs),
    ``mismatches`` cycles with a wrong output, ``shown`` the first of them."""

    cycles: int
    vectors: int
    mismatches: int
    shown: tuple[Mismatch, ...] = ()
    #: Cycles are counted from the reset before this segment.
    segment: int = 0


@dataclass(frozen=True)
class Simulator:
    """``missing``: what has to be installed, or nothing. ``run``: the lines of the harness, for
    the design's Verilog file in a folder with further sources and flags."""

    missing: Callable[[], str]
    version: Callable[[], str]
    run: Callable[[_Job], list[str]]


@dataclass(frozen=True)
class _Job:
    folder: Path
    runs: Sequence[Run]
    sources: Sequence[Path]
    flags: Sequence[str]
    wave: Path | None
    #: Cycles and valid results of each unit in the segments made so far.
    cycles: list[int] = field(default_factory=list)
    vectors: list[int] = field(default_factory=list)

    def widths(self) -> tuple[int, int]:
        """Words of all inputs and of all results."""
        inputs = sum(run.input_words for run in self.runs)
        return max(inputs, LEAST_WORDS), max(self.starts()[-1], LEAST_WORDS)

    def starts(self) -> list[int]:
        """Where each unit's words of results begin, and where the last's end."""
        return [0, *np.cumsum([run.output_words for run in self.runs]).tolist()]

    def segments(self) -> Iterator[tuple[Words, tuple[int, int]]]:
        """The rows of each segment, and which of them go before its reset. A unit that is done
        stands still, and nobody looks at it."""
        in_words, out_words = self.widths()
        self.cycles[:] = self.vectors[:] = [0] * len(self.runs)
        for segment in range(max(run.segments for run in self.runs)):
            parts: list[tuple[Words, Words, Words] | None] = []
            busy = np.ones(WORK_AMONG, np.bool_)
            for index, run in enumerate(self.runs):
                if segment >= run.segments:
                    parts.append(None)
                    continue
                stimulus = run.stimulus(segment)
                parts.append(run.rows(stimulus))
                self.cycles[index] += len(stimulus)
                counted = stimulus.valid & stimulus.enable
                self.vectors[index] += int(counted.sum())
                busy = busy[: len(counted)] & counted[: len(busy)]
            longest = max(len(part[0]) for part in parts if part is not None)
            rows = np.zeros((longest, in_words + 2 * out_words), "<u4")
            first, start = 0, in_words
            for run, part in zip(self.runs, parts, strict=True):
                if part is not None:
                    driven, expected, counts = part
                    cycles = len(driven)
                    rows[:cycles, first : first + run.input_words] = driven
                    rows[:cycles, start : start + run.output_words] = expected
                    behind = start + out_words
                    rows[:cycles, behind : behind + run.output_words] = counts
                first, start = first + run.input_words, start + run.output_words
            yield rows, busiest(busy)


def check(
    runs: Sequence[Run],
    *,
    simulator: str = "verilator",
    sources: Sequence[Path] = (),
    flags: Sequence[str] = (),
    wave: Path | None = None,
) -> list[Outcome]:
    """What each of the runs found, all in one simulation with the further ``sources`` and
    Verilator's ``flags``; with ``wave`` a waveform goes to that file (.vcd, or, with
    Verilator, .fst), or the toggles of every net (.saif, with Verilator).

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
        text = "\n".join([*(run.verilog for run in runs), _top(runs)])
        (folder / "design.v").write_text(text)
        with contextlib.nullcontext() if wave is None else whole_file(wave.absolute()) as written:
            job = _Job(folder, runs, sources, flags, written)
            lines = chosen.run(job)
            if written is not None:
                # Not every writer of waveforms says that its disk was full.
                written.with_name("last").write_bytes(bytes(4096))
    return [_outcome(job, index, lines) for index in range(len(runs))]


def require_wave(wave: Path | None, simulator: str) -> None:
    """InputError unless the simulator writes files of this ending."""
    ends = (".vcd",) if simulator == "icarus" else (".vcd", ".fst", ".saif")
    if wave is not None and wave.suffix not in ends:
        raise InputError(f"{wave}: {simulator} writes waveforms to files {', '.join(ends)}")


def _top(runs: Sequence[Run]) -> str:
    """A module with all units' inputs in one port and all results in another, each in words."""
    job = _Job(Path(), runs, (), (), None)
    in_words, out_words = job.widths()
    lines = [
        f"module {TOP}(input clk, input rst, input [{in_words * WORD_BITS - 1}:0] inputs, "
        f"output [{out_words * WORD_BITS - 1}:0] results);"
    ]
    first = 0
    for index, (run, start) in enumerate(zip(runs, job.starts(), strict=False)):
        place = {"enable": (first * WORD_BITS, 1), "valid_in": (first * WORD_BITS + 1, 1)}
        word = first + 1
        for port in run.spec.inputs:
            place[port.name] = (word * WORD_BITS, port.width)
            word += words_of(port)
        first = word
        place["valid_out"] = (start * WORD_BITS, 1)
        word = start + 1
        for port in run.spec.outputs:
            place[port.name] = (word * WORD_BITS, port.width)
            word += words_of(port)
        for name in ("valid_out", *(port.name for port in run.spec.outputs)):
            end = sum(place[name])
            if end % WORD_BITS:
                last = end - end % WORD_BITS + WORD_BITS - 1
                lines.append(f"  assign results[{last}:{end}] = 0;")
        wires = [f".{name}({name})" for name in CLOCK]
        for pin in pins(run.spec):
            if pin.name not in CLOCK:
                low, width = place[pin.name]
                vector = "results" if pin.output else "inputs"
                wires.append(f".{pin.name}({vector}[{low + width - 1}:{low}])")
        lines.append(f"  {run.spec.name} {instance(index)} ({', '.join(wires)});")
    return "\n".join([*lines, "endmodule", ""])


def instance(index: int) -> str:
    """The name of the unit of that number in the bench."""
    return f"u{index}"


def _outcome(job: _Job, index: int, lines: Sequence[str]) -> Outcome:
    """What the harness's lines say of the unit of that number."""
    fields = [line.split() for line in lines]
    wrong = [f for f in fields if f[:2] == ["bad", str(index)]]
    (total,) = (int(f[2]) for f in fields if f[:2] == ["unit", str(index)])
    segment = int(wrong[0][2]) if wrong else 0
    shown = [f for f in wrong if int(f[2]) == segment][:SHOWN]
    mismatches = tuple(_mismatches(job.runs[index], segment, shown)) if shown else ()
    return Outcome(job.cycles[index], job.vectors[index], total, mismatches, segment)


def _mismatches(run: Run, segment: int, found: Sequence[Sequence[str]]) -> Iterator[Mismatch]:
    stimulus = run.stimulus(segment)
    _, expected, counts = run.rows(stimulus)
    for _, _, _, row, *words in found:
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
    """The output pins' patterns in a row of the unit's words, numbers or hexadecimal digits;
    None for one with an unknown bit."""
    digits = [word if isinstance(word, str) else f"{int(word):x}" for word in words]
    found: dict[str, int | None] = {}
    first = 0
    for name, count in [("valid_out", 1), *((p.name, words_of(p)) for p in run.spec.outputs)]:
        whole = "".join(
            f"{word:>0{WORD_BITS // 4}}" for word in digits[first : first + count][::-1]
        )
        found[name] = int(whole, 16) if not set(whole.lower()) & {"x", "z"} else None
        first += count
    return found


# -- Verilator -----------------------------------------------------------------------------


def _verilator_missing() -> str:
    try:
        tools.require_tools()
    except ToolError as error:
        return str(error)
    return ""


def _verilator(job: _Job) -> list[str]:
    harness = resources.files("sim").joinpath("harness.cpp")
    kind = job.wave.suffix[1:] if job.wave is not None else ""
    trace = [f"--trace-{kind}", "-CFLAGS", f"-DHWGEN_{kind.upper()}=1"] if kind else []
    # The runtime's own, at a full disk, writes what is left once more, and waits for ever.
    trace += ["-CFLAGS", "-DVL_USER_FATAL"]
    if kind == "saif":
        # Of the units' nets; what is inside of the vendor's cells is not wanted.
        cells = [f'tracing_off -file "{source}"\n' for source in job.sources]
        (job.folder / "nets.vlt").write_text("`verilator_config\n" + "".join(cells))
        trace += ["--trace-underscore", "nets.vlt"]
    many = sum(run.vectors for run in job.runs) >= MANY
    speed = ["-O3", "--x-assign", "fast", "-MAKEFLAGS", "OPT_FAST=-O2"] if many else []
    build = job.folder / "build"
    with resources.as_file(harness) as main:
        command = [
            *("verilator", "--cc", "--exe", "--build", "--no-timing", "--top-module", TOP),
            *("--prefix", f"V{TOP}", "-Mdir", str(build), "-o", "harness", *tools.BUILD_FLAGS),
            *(*trace, *speed, *job.flags, "design.v", *map(str, job.sources), str(main)),
        ]
        try:
            with tools.shared_runtime(build, [TOP, kind, str(many), "fatal"]):
                tools.run(command, job.folder)
        except ToolError as error:
            if kind == "fst" and ("lz4" in str(error) or "zlib" in str(error)):
                raise ToolError(
                    "FST waveforms need the headers of lz4 and zlib: install them "
                    "with your system's packages (Debian, Ubuntu: apt install liblz4-dev "
                    "zlib1g-dev), or give a .vcd file"
                ) from error
            raise
        starts = map(str, job.starts())
        wave = str(job.wave) if job.wave is not None else "-"
        command = [str(build / "harness"), *starts, wave]
        kept_in = (job.folder if job.wave is None else job.wave.parent).parent
        return _feed(command, job.folder, job.segments(), kept_in)


def _feed(
    command: Sequence[str],
    folder: Path,
    segments: Iterator[tuple[Words, tuple[int, int]]],
    kept_in: Path,
) -> list[str]:
    """The lines of the compiled harness, which reads the segments while the next are made; its
    files are in ``kept_in``."""
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
            if short := processes.shortage(text, kept_in):
                raise ToolError(f"the simulation failed: {short}")
            how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
            raise ToolError(f"the simulation {how}: {text[-1000:]}".rstrip(": "))
    return output.read_text().splitlines()


def _write(pipe: IO[bytes], segments: Iterator[tuple[Words, tuple[int, int]]]) -> None:
    for rows, work in segments:
        pipe.write(np.array([len(rows), *work], "<u8").tobytes())
        pipe.write(rows.data.cast("B"))
    pipe.close()


# -- Icarus Verilog ------------------------------------------------------------------------


def _icarus_missing() -> str:
    if shutil.which("iverilog") and shutil.which("vvp"):
        return ""
    return (
        "Icarus Verilog is not installed: install it with your system's packages "
        "(Debian, Ubuntu: apt install iverilog; macOS: brew install icarus-verilog)"
    )


def _icarus_version() -> str:
    if _icarus_missing():
        return "icarus, which is not installed"
    _, lines = processes.run(["iverilog", "-V"], Path("/"), tools.TIME_LIMIT_S)
    return "icarus " + " ".join(lines[0].split()[3:4])


#: Reads lines of a mark (1: reset), inputs, expected results and bits that count.
_ICARUS_BENCH = """
module {top}_icarus;
  reg clk = 0, rst = 0;
  reg [{inputs}:0] inputs = 0;
  reg [{results}:0] expected, counts;
  wire [{results}:0] results;
  integer file, found, mark, row = 0;
  {top} dut(.clk(clk), .rst(rst), .inputs(inputs), .results(results));
  initial begin
{wave}    file = $fopen("rows.txt", "r");
    found = $fscanf(file, "%d %h %h %h", mark, inputs, expected, counts);
    while (found == 4) begin
      rst = mark;
      #1 clk = 1;
      #1 if ((results & counts) !== (expected & counts)) $display("%0d %h", row, results);
      clk = 0;
      row = row + 1;
      found = $fscanf(file, "%d %h %h %h", mark, inputs, expected, counts);
    end
    $display("end %0d", row);
    $finish;
  end
endmodule
"""


def _icarus(job: _Job) -> list[str]:
    in_words, out_words = job.widths()
    wave = ""
    if job.wave is not None:
        quoted = str(job.wave).replace("\\", "\\\\").replace('"', '\\"')
        wave = f'    $dumpfile("{quoted}");\n    $dumpvars;\n'
    bench = job.folder / "bench.v"
    bench.write_text(
        _ICARUS_BENCH.format(
            top=TOP,
            inputs=in_words * WORD_BITS - 1,
            results=out_words * WORD_BITS - 1,
            wave=wave,
        )
    )
    places: list[tuple[int, int]] = []
    tables = []
    with (job.folder / "rows.txt").open("w") as file:
        for segment, (rows, (start, stop)) in enumerate(job.segments()):
            before = [f"{to_integer(row[:in_words]):x} 0 0\n" for row in rows[start:stop]]
            last = before[-1] if before else "0 0 0\n"
            file.writelines([*(f"0 {line}" for line in before), f"1 {last}"])
            places += [(-1, 0)] * (len(before) + 1)
            places += [(segment, row) for row in range(len(rows))]
            tables.append(rows)
            for row in rows:
                parts = np.split(row, [in_words, in_words + out_words])
                file.write("0 " + " ".join(f"{to_integer(part):x}" for part in parts) + "\n")
    includes = [flag for flag in job.flags if flag.startswith("-I")]
    tools.run(
        [
            *("iverilog", "-g2012", "-gno-specify", "-o", "bench.vvp", "-s", f"{TOP}_icarus"),
            *(*includes, "design.v", "bench.v", *map(str, job.sources)),
        ],
        job.folder,
    )
    said = tools.run(["vvp", "-n", "bench.vvp"], job.folder)
    lines = [line for line in said if not line.startswith("VCD ")]
    if not lines or lines[-1] != f"end {len(places)}":
        raise ToolError("the simulation ended early:\n" + "\n".join(lines[-5:]))
    wrong = [0] * len(job.runs)
    found = []
    digits = WORD_BITS // 4
    for line in lines[:-1]:
        row_text, _, got = line.partition(" ")
        segment, row = places[int(row_text)]
        words = [got[i : i + digits] for i in range(0, len(got), digits)][::-1]
        expected, counts = (tables[segment][row, in_words + k * out_words :] for k in (0, 1))
        for unit, (start, end) in enumerate(zip(job.starts(), job.starts()[1:], strict=False)):
            if any(_differs(words[w], int(expected[w]), int(counts[w])) for w in range(start, end)):
                wrong[unit] += 1
                shown = " ".join(words[start:end])
                found.append(f"bad {unit} {segment} {row} {shown}")
    return [*found, *(f"unit {unit} {count}" for unit, count in enumerate(wrong))]


def _differs(got: str, expected: int, counts: int) -> bool:
    if counts == 0:
        return False
    try:
        return ((int(got, 16) ^ expected) & counts) != 0
    except ValueError:  # some bits are x or z; they may lie where nothing counts
        bits = "".join(f"{int(c, 16):04b}" if c not in "xzXZ" else "xxxx" for c in got)
        wanted, care = f"{expected:032b}", f"{counts:032b}"
        return any(c == "1" and g != w for g, w, c in zip(bits, wanted, care, strict=True))


SIMULATORS: dict[str, Simulator] = {
    "verilator": Simulator(
        _verilator_missing, lambda: f"verilator {version('verilator')}", _verilator
    ),
    "icarus": Simulator(_icarus_missing, _icarus_version, _icarus),
}
