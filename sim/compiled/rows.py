"""What a simulation drives and expects, as rows of words, a row a cycle.

Also the module with their layout.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from hwgen.pins import pins
from hwgen.spec import Spec
from sim import golden
from sim import stimulus as stimuli
from sim.stimulus import Stimulus
from sim.verification import WORK_AMONG, busiest, require_counts, whole_stimulus
from sim.words import WORD_BITS, Words, to_words, words_of

TOP = "bench"
CLOCK = ("clk", "rst")
#: Random cycles of a segment; more of them are driven in several, each from reset.
SEGMENT = 1 << 16
#: Verilator gives ports of more than two words the type that the harness reads.
LEAST_WORDS = 3


@dataclass(frozen=True)
class Run:
    """A unit, the Verilog that is to be it (a netlist of it, say), and what is driven.

    That is directed extremes and ``vectors`` random cycles from ``seed``. InputError for bad
    counts.
    """

    spec: Spec
    verilog: str
    vectors: int
    seed: int = 1

    def __post_init__(self) -> None:
        require_counts(self.vectors, self.seed)

    #: Cycles of the stimulus go before the first reset too.
    works_before_reset: ClassVar[bool] = True

    @property
    def segments(self) -> int:
        """How many segments the cycles take; each begins with a reset."""
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
        """Words of inputs, of what is expected, and of the bits of that which count.

        (cycles, words) each, of uint32.
        """
        spec = self.spec
        enable, valid_in = (v.astype(np.uint32) for v in (stimulus.enable, stimulus.valid))
        driven: list[Words] = [(enable | valid_in << np.uint32(1))[:, None]]
        driven += [to_words(stimulus.inputs[port.name], port) for port in spec.inputs]
        valid, outputs = golden.trace(spec, stimulus)
        shown = np.ones(len(valid), np.bool_) if spec.keeps_outputs else valid
        expected, counts = [valid.astype(np.uint32)[:, None]], [np.ones((len(valid), 1), np.uint32)]
        for port in spec.outputs:
            expected.append(to_words(_integers(outputs[port.name], port.width), port))
            ones = ((1 << port.width) - 1).to_bytes(4 * words_of(port), "little")
            counts.append(np.where(shown[:, None], np.frombuffer(ones, "<u4"), np.uint32(0)))
        return (
            np.concatenate(driven, axis=1),
            np.concatenate(expected, axis=1),
            np.concatenate(counts, axis=1),
        )


@dataclass(frozen=True)
class GivenRun(Run):
    """As a ``Run``, with a stimulus that is ``given``, from reset and with nothing before it."""

    vectors: int = field(init=False)
    given: Stimulus = field(kw_only=True)
    works_before_reset: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "vectors", len(self.given))

    @property
    def segments(self) -> int:
        """One."""
        return 1

    def stimulus(self, segment: int) -> Stimulus:
        """What is given."""
        return self.given


def _integers(numbers: Any, width: int) -> Any:
    """Python's integers as numpy's where those hold them: they are faster."""
    return numbers.astype(np.int64) if numbers.dtype == object and width < 63 else numbers


@dataclass(frozen=True)
class Job:
    """Runs of one simulation in a folder, with further sources and Verilator's flags."""

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
        """The rows of each segment, and which of them go before its reset.

        A unit that is done stands still, and nobody looks at it.
        """
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
            works = all(run.works_before_reset for run in self.runs)
            yield rows, busiest(busy) if works else (0, 0)


def top(runs: Sequence[Run]) -> str:
    """A module with all units' inputs in one port and all results in another, each in words."""
    job = Job(Path(), runs, (), (), None)
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
