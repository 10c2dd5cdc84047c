"""Icarus Verilog: a bench reads the rows from a file."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hwgen import processes
from hwgen.errors import ToolError
from sim import tools
from sim.compiled.rows import TOP, Job
from sim.words import WORD_BITS, Words, to_integer


def missing() -> str:
    """What has to be installed, or nothing."""
    if shutil.which("iverilog") and shutil.which("vvp"):
        return ""
    return (
        "Icarus Verilog is not installed: install it with your system's packages "
        "(Debian, Ubuntu: apt install iverilog; macOS: brew install icarus-verilog)"
    )


def version() -> str:
    """The name and version of the installed program, or that it is missing."""
    if missing():
        return "icarus, which is not installed"
    _, printed = processes.run(["iverilog", "-V"], Path("/"), tools.TIME_LIMIT_S)
    return "icarus " + " ".join(printed[0].split()[3:4])


#: Reads lines of a mark (1: reset), inputs, expected results and bits that count.
_BENCH = """
module {top}_icarus;
  reg clk = 0, rst = 0;
  reg [{inputs}:0] inputs = 0;
  reg [{results}:0] expected, counts;
  wire [{results}:0] results;
  integer file, fields, mark, row = 0;
  {top} dut(.clk(clk), .rst(rst), .inputs(inputs), .results(results));
  initial begin
{wave}    file = $fopen("rows.txt", "r");
    fields = $fscanf(file, "%d %h %h %h", mark, inputs, expected, counts);
    while (fields == 4) begin
      rst = mark;
      #1 clk = 1;
      #1 if ((results & counts) !== (expected & counts)) $display("%0d %h", row, results);
      clk = 0;
      row = row + 1;
      fields = $fscanf(file, "%d %h %h %h", mark, inputs, expected, counts);
    end
    $display("end %0d", row);
    $finish;
  end
endmodule
"""


def lines(job: Job) -> list[str]:
    """What the bench finds, as the compiled harness prints it. ToolError if it fails."""
    in_words, out_words = job.widths()
    wave = ""
    if job.wave is not None:
        quoted = str(job.wave).replace("\\", "\\\\").replace('"', '\\"')
        wave = f'    $dumpfile("{quoted}");\n    $dumpvars;\n'
    bench = job.folder / "bench.v"
    bench.write_text(
        _BENCH.format(
            top=TOP,
            inputs=in_words * WORD_BITS - 1,
            results=out_words * WORD_BITS - 1,
            wave=wave,
        )
    )
    tables: list[Words] = []
    places = list(_write_rows(job, tables))
    includes = [flag for flag in job.flags if flag.startswith("-I")]
    tools.run(
        [
            *("iverilog", "-g2012", "-gno-specify", "-o", "bench.vvp", "-s", f"{TOP}_icarus"),
            *(*includes, "design.v", "bench.v", *map(str, job.sources)),
        ],
        job.folder,
    )
    printed = tools.run(["vvp", "-n", "bench.vvp"], job.folder)
    reports = [line for line in printed if not line.startswith("VCD ")]
    if not reports or reports[-1] != f"end {len(places)}":
        raise ToolError("the simulation ended early:\n" + "\n".join(reports[-5:]))
    wrong = [0] * len(job.runs)
    verdicts = []
    digits = WORD_BITS // 4
    for line in reports[:-1]:
        row_text, _, digits_seen = line.partition(" ")
        segment, row = places[int(row_text)]
        words = [digits_seen[i : i + digits] for i in range(0, len(digits_seen), digits)][::-1]
        expected, counts = (tables[segment][row, in_words + k * out_words :] for k in (0, 1))
        for unit, (start, end) in enumerate(zip(job.starts(), job.starts()[1:], strict=False)):
            if any(_differs(words[w], int(expected[w]), int(counts[w])) for w in range(start, end)):
                wrong[unit] += 1
                shown = " ".join(words[start:end])
                verdicts.append(f"bad {unit} {segment} {row} {shown}")
    return [*verdicts, *(f"unit {unit} {count}" for unit, count in enumerate(wrong))]


def _write_rows(job: Job, tables: list[Words]) -> Iterator[tuple[int, int]]:
    """Writes the file that the bench reads; yields the segment and the row of each of its lines.

    The segment is -1 before a reset. ``tables`` is filled with the rows of each segment.
    """
    in_words, out_words = job.widths()
    with (job.folder / "rows.txt").open("w") as file:
        for segment, (rows, (start, stop)) in enumerate(job.segments()):
            before = [f"{to_integer(row[:in_words]):x} 0 0\n" for row in rows[start:stop]]
            last = before[-1] if before else "0 0 0\n"
            file.writelines([*(f"0 {line}" for line in before), f"1 {last}"])
            yield from [(-1, 0)] * (len(before) + 1)
            yield from ((segment, row) for row in range(len(rows)))
            tables.append(rows)
            for row in rows:
                parts = np.split(row, [in_words, in_words + out_words])
                file.write("0 " + " ".join(f"{to_integer(part):x}" for part in parts) + "\n")


def _differs(got: str, expected: int, counts: int) -> bool:
    if counts == 0:
        return False
    try:
        return ((int(got, 16) ^ expected) & counts) != 0
    except ValueError:  # some bits are x or z; they may lie where nothing counts
        bits = "".join(f"{int(c, 16):04b}" if c not in "xzXZ" else "xxxx" for c in got)
        wanted, care = f"{expected:032b}", f"{counts:032b}"
        return any(c == "1" and g != w for g, w, c in zip(bits, wanted, care, strict=True))
