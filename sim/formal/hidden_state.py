"""The state that no port shows: what two circuits of one unit hold of it, and that they keep it.

A ``fast`` float accumulator keeps its sum unrounded, and shows it rounded. Which registers of both
circuits hold the same, inverted or not, is guessed by simulating them from power-up (van Eijk, IEEE
Transactions on CAD 19, 2000); the claims then show, of any state in which these agree, that they
agree in the next one too, and after a reset.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from hwgen.spec import Spec
from hwgen.spec.accumulating import AccumulatingSpec
from sim.formal.aig import FALSE, TRUE, WORD
from sim.formal.circuit import Circuit, Register
from sim.formal.circuit import Words as Literals
from sim.formal.run import RUNNING, Result, Start, compared, run
from sim.formal.solve import Claim

#: What the registers of a running sum are called in a unit as it is written.
RUNNING_SUM = "running"
#: Cycles that are simulated, and words of patterns in each.
CYCLES, WORDS = 96, 4

Words = npt.NDArray[np.uint64]


def is_hidden(spec: Spec) -> bool:
    """The unit keeps something that no port shows as it is."""
    return isinstance(spec, AccumulatingSpec) and spec.pending is not None


def place(spec: Spec) -> int:
    """Registers between the inputs and the step with the state; none count where all are tied."""
    if spec.loop is not None:
        return 0
    assert spec.state_step is not None
    return sum(1 for index in spec.register_boundaries if index <= spec.state_step)


#: Registers (nodes, by circuit) that hold the same bit, each with whether it is inverted.
Tie = tuple[tuple[tuple[int, bool], ...], tuple[tuple[int, bool], ...]]


def ties(specs: tuple[Spec, Spec], circuits: tuple[Circuit, Circuit]) -> list[Tie]:
    """What the states of both circuits have in common, by simulation.

    The first is a unit as it is written, whose registers have names. What never changes there, such
    as a NaN that only opposite infinities make, is not taken to be a constant, since it need not be
    one in every state: it is tied to what stays and never changes in the other, by name or in turn.
    Of partial sums all registers are taken; the first tie is then of those that are zero or one at
    all times, and ``refined`` leaves it those that are.
    """
    given = _stimulus(circuits[0])
    traces = [_trace(c, s, given) for s, c in zip(specs, circuits, strict=True)]
    first, second = circuits[0].registers, circuits[1].registers
    if specs[0].loop is None:
        first = [r for r in first if _is_named(r.names)]
        second = [r for r in second if _is_named(r.names)] or second
    found: dict[bytes, tuple[list[tuple[int, bool]], list[tuple[int, bool]]]] = {}
    if specs[0].loop is not None:
        found[np.zeros_like(next(iter(traces[0].values()))).tobytes()] = ([], [])
    constants: tuple[list[Register], list[Register]] = ([], [])
    for which, registers in enumerate((first, second)):
        for register in registers:
            key, inverted = _key(traces[which][register.node])
            if not any(key) and specs[0].loop is None:
                if _stays(circuits[which], register):
                    constants[which].append(register)
            elif which == 0 or key in found:
                found.setdefault(key, ([], []))[which].append((register.node, inverted))
    pairs = zip(*(sorted(c, key=lambda r: sorted(r.names)) for c in constants), strict=False)
    return [
        *((tuple(x), tuple(y)) for x, y in found.values()),
        *((((x.node, False),), ((y.node, False),)) for x, y in pairs),
    ]


def _stays(circuit: Circuit, register: Register) -> bool:
    """It depends on itself while the unit runs, as what stays from one input to the next does."""
    aig = circuit.aig
    values = {circuit.inputs[port][0] >> 1: literals[0] for port, literals in RUNNING.items()}
    return register.node in aig.support(aig.substituted([register.next], values))


def _is_named(names: frozenset[str]) -> bool:
    return any(name.startswith(RUNNING_SUM) for name in names)


def _key(values: Words) -> tuple[bytes, bool]:
    """The same for a register and for its inverse, and which of them it is."""
    inverted = bool(int(values.flat[0]) & 1)
    return (~values if inverted else values).tobytes(), inverted


def _stimulus(circuit: Circuit) -> list[dict[str, Words]]:
    """Words of each bit of every port in each cycle, (bits, words)."""
    rng = np.random.default_rng(1)
    cycles = []
    for _ in range(CYCLES):
        words = {}
        for port, bits in circuit.inputs.items():
            drawn = rng.integers(0, 2**WORD, (len(bits), WORDS), dtype=np.uint64, endpoint=False)
            if port in RUNNING:
                drawn[:] = (2**WORD - 1) * (RUNNING[port][0] == TRUE)
            elif port == "clear":  # Seldom, so that sums grow.
                drawn &= np.roll(drawn, 1, axis=1) & rng.integers(
                    0, 2**WORD, drawn.shape, dtype=np.uint64
                )
            words[port] = drawn
        cycles.append(words)
    return cycles


def _trace(circuit: Circuit, spec: Spec, given: list[dict[str, Words]]) -> dict[int, Words]:
    """What each register (node) holds in each cycle, counted from when the first input is there."""
    ones = np.full(WORDS, 2**WORD - 1, np.uint64)
    state = {
        r.node: np.zeros(WORDS, np.uint64) ^ (ones if r.initial == 1 else np.uint64(0))
        for r in circuit.registers
    }
    held: dict[int, list[Words]] = {node: [] for node in state}
    wanted = [r.next for r in circuit.registers]
    for cycle in given:
        for node, words in state.items():
            held[node].append(words)
        values = dict(state)
        for port, bits in circuit.inputs.items():
            values |= {bit >> 1: cycle[port][place] for place, bit in enumerate(bits)}
        values |= {node: np.zeros(WORDS, np.uint64) for node in circuit.free}
        after = circuit.aig.evaluated(wanted, values)
        state = {r.node: after[i] for i, r in enumerate(circuit.registers)}
    start = place(spec)
    most = len(given) - 24
    return {node: np.array(words[start : start + most]) for node, words in held.items()}


def tied(start: Start, found: list[Tie]) -> tuple[dict[int, int], dict[int, int]]:
    """For each of both circuits, literals for the registers that are tied, by node."""
    forced: tuple[dict[int, int], dict[int, int]] = ({}, {})
    for index, tie in enumerate(found):
        literal = start.aig.input(f"state {index}")
        for literals, members in zip(forced, tie, strict=True):
            literals.update({node: literal ^ inverted for node, inverted in members})
    return forced


def claims(
    start: Start,
    found: list[Tie],
    circuits: tuple[Circuit, Circuit],
    results: tuple[Result, Result],
    places: tuple[int, int],
) -> Iterator[Claim]:
    """What is tied is the same in the next cycle, and after a reset."""
    after = [r.states[p + 1] for r, p in zip(results, places, strict=True)]
    yield _kept("state", start, found, circuits, after, results[1].cycles)
    reset = [run(start, c, [{"rst": [TRUE]}], f"reset {i}") for i, c in enumerate(circuits)]
    yield _kept("state after reset", start, found, circuits, [r.states[1] for r in reset])


def refined(ties_found: list[Tie], circuits: tuple[Circuit, Circuit]) -> list[Tie]:
    """The ties that random states in which they hold keep for a cycle.

    The first are constants. What is alike from power-up on by chance, or because of states that are
    never reached, is told apart until what is left is kept.
    """
    rng, kept = np.random.default_rng(2), list(ties_found)
    while True:
        split: dict[tuple[int, bytes], tuple[list[tuple[int, bool]], list[tuple[int, bool]]]]
        split = {(0, b""): ([], [])}
        words = _words_of_ties(rng, len(kept))
        words[0] = np.zeros_like(words[0])
        given = _any_inputs(rng, circuits[0])
        for which, circuit in enumerate(circuits):
            of_circuit = [tie[which] for tie in kept]
            after = _after(rng, circuit, dict(zip(of_circuit, words, strict=True)), given)
            for index, members in enumerate(of_circuit):
                for node, inverted in members:
                    following = ~after[node] if inverted else after[node]
                    key = following.tobytes()
                    if index == 0 and not following.any():
                        key = b""
                    split.setdefault((index, key), ([], []))[which].append((node, inverted))
        if len(split) == len(kept):
            return kept
        kept = [(tuple(x), tuple(y)) for x, y in split.values()]


def _words_of_ties(rng: np.random.Generator, count: int) -> list[Words]:
    return list(rng.integers(0, 2**WORD, (count, WORDS), dtype=np.uint64, endpoint=False))


def _any_inputs(rng: np.random.Generator, circuit: Circuit) -> dict[str, list[Words]]:
    """Words of each bit of every port; seldom a reset, often enabled."""
    given = {port: _words_of_ties(rng, len(bits)) for port, bits in circuit.inputs.items()}
    x, y, z, also = _words_of_ties(rng, 4)
    return {**given, "rst": [x & y & z], "enable": [given["enable"][0] | also]}


def _after(
    rng: np.random.Generator,
    circuit: Circuit,
    held: Mapping[tuple[tuple[int, bool], ...], Words],
    given: Mapping[str, list[Words]],
) -> dict[int, Words]:
    """What each register (node) holds next, from words of those that are tied."""
    nodes = [*circuit.free, *(register.node for register in circuit.registers)]
    values = dict(zip(nodes, _words_of_ties(rng, len(nodes)), strict=True))
    for members, words in held.items():
        values |= {node: ~words if inverted else words for node, inverted in members}
    for port, bits in circuit.inputs.items():
        values |= {bit >> 1: words for bit, words in zip(bits, given[port], strict=True)}
    following = circuit.aig.evaluated([r.next for r in circuit.registers], values)
    return {r.node: words for r, words in zip(circuit.registers, following, strict=True)}


def step_claims(
    name: str, start: Start, found: list[Tie], circuits: tuple[Circuit, Circuit]
) -> Iterator[Claim]:
    """Of circuits whose registers are all tied: the same inputs show the same, and keep the ties.

    That is of any cycle, a reset among them, and of power-up.
    """
    constants, *others = found
    forced: list[Mapping[int, int]] = [{}, {}]
    if start.arbitrary:
        forced = [
            {**literals, **{node: FALSE ^ inverted for node, inverted in members}}
            for literals, members in zip(tied(start, others), constants, strict=True)
        ]
    given = {p: start.aig.inputs(p, len(bits)) for p, bits in circuits[0].inputs.items()}
    traces = [
        run(start, c, [given], f"{name} {which}", forced={0: held})
        for which, (c, held) in enumerate(zip(circuits, forced, strict=True))
    ]
    ports = {
        port: (list(traces[1].outputs[0][port]), list(literals))
        for port, literals in traces[0].outputs[0].items()
    }
    cycles = [*start.cycles, *traces[0].inputs]
    yield compared(name, start, cycles, ports)
    after = [t.states[1] for t in traces]
    yield _kept("state", start, others, circuits, after, cycles, constants)
    first = [c.power_up(start.aig, f"power-up {which}") for which, c in enumerate(circuits)]
    yield _kept("state at power-up", start, others, circuits, first, constants=constants)


def _kept(
    name: str,
    start: Start,
    found: list[Tie],
    circuits: tuple[Circuit, Circuit],
    states: list[list[int]],
    cycles: Sequence[Literals] | None = None,
    constants: Tie = ((), ()),
) -> Claim:
    values: list[Mapping[int, int]] = [
        {r.node: literal for r, literal in zip(c.registers, state, strict=True)}
        for c, state in zip(circuits, states, strict=True)
    ]
    got: list[int] = []
    wanted: list[int] = []
    for tie in (constants, *found):
        bits = [
            of[node] ^ inverted
            for of, members in zip(values, tie, strict=True)
            for node, inverted in members
        ]
        got += bits
        wanted += ([FALSE] if tie is constants else bits[:1]) * len(bits)
    return compared(
        name, start, start.cycles if cycles is None else cycles, {"registers": (got, wanted)}
    )
