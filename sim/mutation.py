"""Would the tests catch a mistake? Faults put into the RTL, and who finds them.

Yosys' ``mutate`` draws single faults (a bit of a cell's port inverted, stuck, or inverted where
another bit is set; evenly over cells and source lines) and puts them all into one design, where
an input chooses the one that is live. So one build of the simulator serves every mutant of a
unit. A mutant that the regression's stimulus does not show is compared with the unit formally:
it may compute the same. What is left are faults that nobody sees, with their place in the source.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amaranth.back import rtlil as amaranth_rtlil

import hwgen
from hwgen import emit, records, units
from hwgen.errors import InputError, ToolError
from hwgen.processes import temporary_folder
from hwgen.spec import Spec
from hwgen.store import Kind, Row, Store, digest
from sim.formal import proofs
from sim.formal.solve import DISPROVED, NOT_PROVED, PROVED
from sim.stimulus import Stimulus
from sim.verification import (
    DEFAULT_VECTORS,
    driven,
    require_counts,
    run_bench,
    simulator,
    whole_stimulus,
    work_before_reset,
)
from yosys_scripts import TARGETS, isolation

DEFAULT_MUTANTS = 100
MAX_MUTANTS = 10_000
EQUAL, DIFFERENT = "equal", "different"
VERDICTS = (EQUAL, DIFFERENT, NOT_PROVED)


@dataclass(frozen=True)
class Mutant:
    """One fault, at a bit of a cell's port.

    ``mode``: inv, const0, const1, cnot0, cnot1, Yosys' names; ``wire``: the nearest named wire;
    ``source``: files and lines that made the cell.
    """

    number: int
    mode: str
    cell: str
    port: str
    bit: int
    wire: str
    source: tuple[str, ...]
    #: Yosys' command that puts it in.
    command: str

    def __str__(self) -> str:
        return (
            f"mutant {self.number}: {self.mode} at {self.wire or self.cell} ({self.port}"
            f"[{self.bit}]), {', '.join(self.source) or 'no source'}"
        )


@dataclass(frozen=True)
class Survivor:
    """A mutant that the stimulus did not show.

    ``verdict``: ``equal`` (proved to compute the same), ``different`` (an input exists that shows
    it) or ``not proved`` either way.
    """

    mutant: Mutant
    verdict: str

    def __str__(self) -> str:
        return f"{self.mutant}: {self.verdict}"


@dataclass(frozen=True)
class MutationScore:
    """How many of a unit's ``mutants`` the stimulus of ``cycles`` cycles killed."""

    spec: dict[str, Any]
    mutants: int
    killed: int
    survivors: tuple[Survivor, ...]
    cycles: int
    seed: int
    seconds: float
    simulator: str

    def count(self, verdict: str) -> int:
        """Survivors with the ``verdict``, one of ``VERDICTS``."""
        return sum(s.verdict == verdict for s in self.survivors)

    @property
    def score(self) -> float:
        """Killed, of those that are not proved equal."""
        return self.killed / max(self.mutants - self.count(EQUAL), 1)

    @property
    def passed(self) -> bool:
        """No survivor is known to differ."""
        return self.mutants > 0 and self.count(DIFFERENT) == 0

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        counts = {verdict.replace(" ", "_"): self.count(verdict) for verdict in VERDICTS}
        return {**dataclasses.asdict(self), **counts, "score": self.score, "passed": self.passed}


def mutate(
    spec: Spec,
    *,
    mutants: int = DEFAULT_MUTANTS,
    vectors: int = DEFAULT_VECTORS,
    seed: int = 1,
    time_limit_s: float = 60,
    progress: Callable[[str], None] | None = None,
) -> MutationScore:
    """Puts ``mutants`` faults into the unit's RTL, one at a time, and counts those that show.

    They are drawn from ``seed``, and the stimulus of ``sim.verify`` runs on each; survivors are
    compared with the unit formally, for up to ``time_limit_s`` seconds each. ``progress`` is told
    lines for people.

    InputError for bad counts; ToolError if a tool is missing or fails, or if the unit itself does
    not pass.
    """
    if not 1 <= mutants <= MAX_MUTANTS:
        raise InputError(f"mutants={mutants}: use a whole number from 1 to {MAX_MUTANTS}")
    require_counts(vectors, seed)
    report = progress or (lambda line: None)
    started = time.monotonic()
    with temporary_folder() as folder:
        drawn = _insert(spec, mutants, seed, folder)
        stimulus = whole_stimulus(spec, vectors, seed)
        report(f"{spec.name}: {len(drawn)} mutants, up to {len(stimulus)} cycles each")
        first_wrong = _first_wrong_cycles(spec, len(drawn), stimulus, folder)
        silent = [m for m in drawn if first_wrong[m.number] is None]
        survivors = []
        for mutant in silent:
            verdict = _compare(spec, mutant, folder, time_limit_s)
            survivors.append(Survivor(mutant, verdict))
            report(str(survivors[-1]))
    return MutationScore(
        spec=spec.to_dict(),
        mutants=len(drawn),
        killed=len(drawn) - len(silent),
        survivors=tuple(survivors),
        cycles=len(stimulus),
        seed=seed,
        seconds=round(time.monotonic() - started, 2),
        simulator=simulator(),
    )


def _insert(spec: Spec, count: int, seed: int, folder: Path) -> list[Mutant]:
    """Leaves in ``folder`` the unit with all mutants, mutated.v, and without, prepared.il."""
    text = amaranth_rtlil.convert(units.component(spec), name=spec.name)
    (folder / "design.il").write_text(str(text))
    # The clock is not a net that the unit's makers could get wrong.
    commands = [
        "read_rtlil design.il",
        f"hierarchy -check -top {spec.name}",
        "proc",
        "flatten",
        "opt -full",
        "opt_clean -purge",
        "write_rtlil prepared.il",
        f"mutate -list {count} -seed {seed} -ctrl mutant {count.bit_length()} 1 -o mutants.ys",
        "script mutants.ys",
        "write_verilog -noattr mutated.v",
        "write_json netlist.json",
    ]
    job = {"kind": "yosys", "commands": commands, "top": spec.name}
    isolation.run("yosys", job, folder, time_limit_s=300)
    lines = (folder / "mutants.ys").read_text().splitlines()
    return [_mutant(line) for line in lines if line.startswith("mutate ")]


def _first_wrong_cycles(
    spec: Spec, mutants: int, stimulus: Stimulus, folder: Path
) -> list[int | None]:
    """The first cycle in which each mutant, by its number, is wrong; None if it never is."""
    inputs, outputs = driven(spec, stimulus)
    result = run_bench(
        (folder / "mutated.v").read_text(),
        spec.name,
        ("clk", "rst", "mutant", *inputs, *outputs),
        {
            "inputs": inputs,
            "outputs": outputs,
            "mutants": mutants,
            "work": work_before_reset(inputs),
        },
        bench="sim.mutation_bench",
    )
    first_wrong: list[int | None] = result["first_wrong"]
    if first_wrong[0] is not None:
        raise ToolError(
            f"{spec.name} itself is wrong in cycle {first_wrong[0]}: see 'hwgen verify'"
        )
    return first_wrong


def _mutant(line: str) -> Mutant:
    """Of a line such as ``mutate -ctrl mutant 8 1 -mode inv -cell $1 -port A -portbit 0``."""
    words = line.split()
    pairs = list(itertools.pairwise(words))
    given = dict(pairs)
    root = f"{Path(hwgen.__file__).parent.parent}/"
    places = [after for word, after in pairs if word == "-src"]
    return Mutant(
        number=int(words[words.index("-ctrl") + 3]),
        mode=given["-mode"],
        cell=given["-cell"],
        port=given["-port"],
        bit=int(given["-portbit"]),
        wire=given.get("-wire", "").lstrip("\\"),
        # As of a package: where it is installed is this machine's matter.
        source=tuple(place.removeprefix(root).rpartition("site-packages/")[2] for place in places),
        command=re.sub(r" -ctrl \S+ \S+ \S+| -src \S+", "", line),
    )


def _compare(spec: Spec, mutant: Mutant, folder: Path, time_limit_s: float) -> str:
    """Whether the mutant keeps the unit's contract: the proof of a netlist, of the mutant."""
    commands = [
        "read_rtlil prepared.il",
        mutant.command,
        "write_verilog -noattr mutant.v",
        "write_json netlist.json",
    ]
    job = {"kind": "yosys", "commands": commands, "top": spec.name}
    isolation.run("yosys", job, folder, time_limit_s=300)
    verilog = (folder / "mutant.v").read_text()
    proof = proofs.prove(
        spec, "netlist", target=next(iter(TARGETS)), verilog=verilog, timeout_s=time_limit_s
    )
    return {PROVED: EQUAL, DISPROVED: DIFFERENT}.get(proof.result, NOT_PROVED)


def line(row: Mapping[str, Any]) -> str:
    """A score for people."""
    survivors = [f"{row[name.replace(' ', '_')]} {name}" for name in VERDICTS]
    return (
        f"{row['name']}: {row['killed']} of {row['mutants']} mutants killed, "
        f"{', '.join(survivors)} ({row['cycles']} cycles, {row['seconds']} s)"
    )


def checked(row: Row) -> Row:
    """A stored score, as ``mutate_all`` made it. ValueError, KeyError if it is none."""
    counts = ("mutants", "killed", "cycles", *(name.replace(" ", "_") for name in VERDICTS))
    records.require(row, {"key": str, "name": str, "passed": bool, "seconds": (int, float)})
    records.require(row, dict.fromkeys(counts, int))
    if row["killed"] + sum(row[name.replace(" ", "_")] for name in VERDICTS) != row["mutants"]:
        raise ValueError("its killed and surviving mutants are not all of its mutants")
    return {name: value for name, value in row.items() if name != "key"}


SCORE = Kind("score of mutants", checked, ships="sim/results/mutants.jsonl")


def key_of(spec: Spec, mutants: int, vectors: int, seed: int) -> str:
    """Identifies a score: the unit's hardware, how many faults, and what stimulus."""
    cycles, _ = driven(spec, whole_stimulus(spec, vectors, seed))
    return digest("mutants", emit.rtlil(spec), mutants, seed, simulator(), cycles)


def mutate_all(
    specs: Sequence[Spec],
    store: Store[Row] | None,
    *,
    mutants: int = DEFAULT_MUTANTS,
    vectors: int = DEFAULT_VECTORS,
    seed: int = 1,
    time_limit_s: float = 60,
    progress: Callable[[str], None] = lambda line: None,
) -> Iterator[Mapping[str, Any]]:
    """The score of each spec, from the ``store``, if one is given and it is known."""
    for spec in specs:

        def scored(spec: Spec = spec) -> Row:
            score = mutate(
                spec,
                mutants=mutants,
                vectors=vectors,
                seed=seed,
                time_limit_s=time_limit_s,
                progress=progress,
            )
            return {"name": spec.name, **score.to_dict()}

        yield store.once(key_of(spec, mutants, vectors, seed), scored)[0] if store else scored()
