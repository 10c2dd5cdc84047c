"""What became of each case, what that depends on, and where it is kept."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from operator import itemgetter
from pathlib import Path
from typing import Any

import hwgen
import sim
import yosys_scripts
from hwgen import records
from hwgen.store import Kind, Lines, Row, digest
from sim import compiled
from sim.case_list import RTL, Case, Refused, case_of

PASSED, FAILED, ERROR, NOT_RUN = "passed", "failed", "error", "not run"
RESULTS = "results.jsonl"
#: These decide no verdict: a change of them makes no result stale.
_NO_VERDICT = (
    *(
        "regression/",
        "report.py",
        "case_list.py",
        "random_specs.py",
        "draws.py",
        "tried_formats.py",
    ),
    *("mutation.py", "mutation_bench.py", "quantizer_matrix.py", "matrix_product.py", "formal/"),
    *("batch.py", "vectors.py"),
)


@dataclass(frozen=True)
class Result:
    """What became of a case.

    ``status``: ``passed``; ``failed`` (a wrong result, or a linter's finding); ``error`` (a tool or
    the generator failed, or took too long); ``not run`` (a tool is missing). ``vectors``: results
    compared with the golden model, ``cycles``: clock cycles. ``bins``: how many the cycles had to
    hit, all of them unless ``detail`` says which they missed. ``detail`` tells what is wrong, the
    first bad cycle before all. ``content`` identifies what was checked, by the Verilog and what it
    is compared with.
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
    content: str = ""
    #: Known from an earlier run.
    reused: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, with the command that reproduces it, and what it is found by."""
        case = self.case
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "reused"}
        identity = {"case": case.to_dict(), "command": case.command, "inputs": inputs_digest(case)}
        return {**values, **identity}


def result_of(row: Row) -> Result:
    """The result that ``to_dict`` described. ValueError, TypeError, KeyError if there is none."""
    records.require(row, dict.fromkeys(("vectors", "cycles", "mismatches", "bins"), int))
    records.require(row, dict.fromkeys(("status", "detail", "inputs", "content"), str))
    records.require(row, {"seconds": (int, float), "case": dict})
    if row["status"] not in (PASSED, FAILED, ERROR, NOT_RUN):
        raise ValueError(f"its status is {row['status']!r}")
    if row["status"] == PASSED and (row["mismatches"] or not row["vectors"]):
        raise ValueError("it passed, with mismatches or without anything compared")
    known = {k: v for k, v in row.items() if k not in ("command", "inputs")}
    return Result(**{**known, "case": case_of(row["case"])})


@dataclass
class Summary:
    """Results of the cases of a run in their order, of those that ended."""

    results: list[Result]
    refused: Sequence[Refused] = ()
    seconds: float = 0.0
    wanted: int = 0
    interrupted: bool = False

    def count(self, status: str) -> int:
        """Cases with the ``status``."""
        return sum(result.status == status for result in self.results)

    @property
    def vectors(self) -> int:
        """Results compared with the golden model, without any mismatch or with."""
        return sum(result.vectors for result in self.results)

    @property
    def passed(self) -> bool:
        """Every case was run and passed."""
        return len(self.results) == self.wanted == self.count(PASSED)


def stored(folder: Path) -> Lines[Result]:
    """The results of the folder; of those, the ones that passed need not be run again."""
    return Lines(RESULT, folder / RESULTS)


def load(folder: Path) -> list[Result]:
    """The newest result of each case that earlier runs left in the folder."""
    return list(stored(folder).results.values())


def _text(package: Any, excluded: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    root = Path(package.__file__).parent
    files = sorted(f for end in ("py", "cpp") for f in root.rglob(f"*.{end}"))
    named = {f.relative_to(root).as_posix(): f for f in files}
    return [(name, f.read_text()) for name, f in named.items() if not name.startswith(excluded)]


@cache
def generator_digest() -> str:
    """The digest of all that makes Verilog of a spec."""
    return digest(_text(hwgen), version("amaranth"))


@cache
def verdict_digest(simulator: str, level: str) -> str:
    """The digest of the golden model, the formats that it decodes, the benches and the tools."""
    tools = [compiled.SIMULATORS[simulator].version(), version("numpy")]
    for package in ("pyslang", "pyosys"):
        with contextlib.suppress(PackageNotFoundError):
            tools.append(f"{package} {version(package)}")
    flow = "" if level == RTL else yosys_scripts.flow_digest(level)
    formats = Path(hwgen.__file__).parent / "formats"
    texts = [f.read_text() for f in sorted(formats.glob("*.py"))]
    return digest(_text(sim, _NO_VERDICT), texts, tools, flow)


def inputs_digest(case: Case) -> str:
    """The digest of all that the case depends on, known without making its Verilog."""
    decides = verdict_digest(case.simulator, case.level)
    return digest("case", case.to_dict(), generator_digest(), decides)


def content_digest(case: Case, text: str) -> str:
    """The digest of the hardware, the Verilog ``text``, and of how it is checked."""
    options = {**case.to_dict(), "spec": None}
    return digest(text, options, verdict_digest(case.simulator, case.level))


RESULT = Kind(
    *("result of a case", result_of, lambda result: result.status == PASSED),
    key=itemgetter("inputs"),
)
