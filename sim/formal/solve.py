"""Whether two lists of literals are equal for all values of their inputs."""

from __future__ import annotations

import importlib.util
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hwgen import processes
from hwgen.errors import ToolError
from hwgen.progress import doing
from sim.formal.aig import FALSE, TRUE, WORD, Aig, every_pattern

PROVED, DISPROVED, NOT_PROVED = "proved", "disproved", "not proved"

#: Up to this many inputs all patterns are evaluated; above, a solver works.
TABLE_INPUTS = 16
#: Bits from the solver's answer.
_CEX = "cex.txt"


@dataclass(frozen=True)
class Claim:
    """What is to be proved: each pair of literals of ``aig`` is equal.

    ``cases``: values for some inputs (nodes), of which one applies whatever the inputs are:
    each is proved by itself. ``cycles`` and ``outputs`` are for people who read a
    counterexample: input ports by cycle, and what comes out and should.
    """

    name: str
    aig: Aig
    pairs: Sequence[tuple[int, int]]
    cases: Sequence[Mapping[int, int]] = field(default_factory=lambda: [{}])
    cycles: Sequence[Mapping[str, Sequence[int]]] = ()
    outputs: Mapping[str, tuple[Sequence[int], Sequence[int]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What became of a claim.

    ``result``: PROVED, DISPROVED with the ``inputs`` (nodes) for which a pair differs (those left
    out do not matter), or NOT_PROVED, with a ``reason``. ``engines``: what decided.
    """

    result: str
    engines: tuple[str, ...]
    inputs: Mapping[int, int] = field(default_factory=dict)
    reason: str = ""


def solve(claim: Claim, deadline: float) -> Answer:
    """Decides the claim until ``deadline`` (of ``time.monotonic``). ToolError without a solver."""
    engines: dict[str, None] = {}
    for case in claim.cases:
        if time.monotonic() > deadline:
            return _late(tuple(engines))
        answer = _solve_case(claim, case, deadline)
        engines |= dict.fromkeys(answer.engines)
        if answer.result != PROVED:
            inputs = {**case, **answer.inputs}
            return Answer(answer.result, answer.engines, inputs, answer.reason)
    return Answer(PROVED, tuple(engines))


def _solve_case(claim: Claim, case: Mapping[int, int], deadline: float) -> Answer:
    aig = claim.aig
    flat = [literal for pair in claim.pairs for literal in pair]
    if case:
        flat = aig.substituted(flat, case)
    differ = {aig.xor(x, y) for x, y in zip(flat[::2], flat[1::2], strict=True)} - {FALSE}
    if TRUE in differ:
        return Answer(DISPROVED, ("structure",))
    engines = ["structure"] if not differ else []
    wide: list[int] = []
    for inputs, literals in aig.by_support(sorted(differ)).items():
        if len(inputs) > TABLE_INPUTS:
            wide += literals
            continue
        if time.monotonic() > deadline:
            return _late()
        witness = table(aig, literals, inputs)
        if witness is not None:
            return Answer(DISPROVED, ("truth table",), witness)
        engines = ["truth table"]
    if not wide:
        return Answer(PROVED, tuple(engines))
    answer = abc(aig, wide, deadline)
    return Answer(answer.result, (*engines, *answer.engines), answer.inputs, answer.reason)


def table(aig: Aig, literals: Sequence[int], inputs: Sequence[int]) -> dict[int, int] | None:
    """Inputs for which a literal is true, of all patterns of them; None if there are none."""
    words = np.bitwise_or.reduce(aig.evaluated(literals, every_pattern(inputs)))
    if len(inputs) < 6:
        words = words & np.uint64(2 ** (2 ** len(inputs)) - 1)
    (hits,) = np.nonzero(words)
    if not len(hits):
        return None
    word = int(words[hits[0]])
    pattern = int(hits[0]) * WORD + (word & -word).bit_length() - 1
    return {node: (pattern >> place) & 1 for place, node in enumerate(inputs)}


def holds(aig: Aig, literals: Iterable[int], inputs: Mapping[int, int]) -> list[int]:
    """The literals' values; inputs that are not given are 0."""
    wanted = list(literals)
    values = {
        node: np.array([-inputs.get(node, 0) & (2**WORD - 1)], np.uint64)
        for node in aig.support(wanted)
    }
    return [int(row[0]) & 1 for row in aig.evaluated(wanted, values)]


def abc_command() -> Path:
    """The program yosys-abc, of pyosys or on the path; ToolError if it is missing."""
    spec = importlib.util.find_spec("pyosys")
    if spec is not None and spec.origin is not None:
        path = Path(spec.origin).with_name("yosys-abc")
        if path.exists():
            return path
    program = shutil.which("yosys-abc")
    if program is None:
        raise ToolError("yosys-abc is missing: pip install pyosys")
    return Path(program)


def abc(aig: Aig, literals: Sequence[int], deadline: float) -> Answer:
    """Whether the literals are all false, by ABC's combinational equivalence checker.

    (SAT sweeping: A. Mishchenko et al., *Improvements to Combinational Equivalence Checking*,
    2006.) It runs in a process of its own that is killed at the ``deadline``. ToolError without
    ABC.
    """
    engines = ("abc cec",)
    program = abc_command()
    # One output, true where any is.
    text, inputs = aig.aiger([aig.any(literals)])
    with processes.temporary_folder() as folder:
        (folder / "miter.aig").write_bytes(text)
        script = f"&r miter.aig; &put; &cec -m -C 100000000; write_cex {_CEX}"
        try:
            left_s = max(deadline - time.monotonic(), 0)
            with doing("abc compares two circuits", limit_s=left_s):
                _, lines = processes.run([str(program), "-c", script], folder, left_s)
        except ToolError:
            return _late(engines)
        output = "\n".join(lines)
        if "Networks are equivalent" in output:
            return Answer(PROVED, engines)
        cex = folder / _CEX
        if "NOT EQUIVALENT" in output and cex.exists():
            bits = [int(bit) for bit in cex.read_text().partition("#")[0].split()[0]]
            witness = dict(zip(inputs, bits, strict=True))
            # A solver's word is not taken for it.
            if any(holds(aig, literals, witness)):
                return Answer(DISPROVED, engines, witness)
        messages = [line for line in lines if line.strip()]
        return Answer(
            NOT_PROVED, engines, reason=f"abc: {messages[-1] if messages else 'no answer'}"
        )


def _late(engines: tuple[str, ...] = ()) -> Answer:
    return Answer(NOT_PROVED, engines, reason="time limit")
