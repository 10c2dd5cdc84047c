"""Claims of partial sums that take turns in a loop: which sum an input meets, in any state.

Sums wait in a queue, or are being made between the loop's registers. A state is read by letting all
that is in the loop come out (Burch and Dill, *Automatic verification of pipelined microprocessor
control*, CAV 1994): then all sums wait, in the order in which inputs meet them. The claims show, of
any state in which as many sums wait as are not being made, that it stays so; that the register
which an input is added to is the first of that order; and that a cycle either keeps the order, or
takes the first and puts the input's result at the end. So the result of an input meets the one that
comes as many valid inputs later as there are sums, whatever the cycles between.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hwgen.spec import Spec
from sim.formal.aig import FALSE, TRUE
from sim.formal.circuit import Circuit
from sim.formal.run import RUNNING, Result, Start, compared, run
from sim.formal.run import result as plain_result
from sim.formal.solve import Claim
from sim.formal.stream import cases_of

#: What the registers of the sums are called, before their number, and those that say which wait.
SUM, WAITING = "running_", "running_waiting"


def place(spec: Spec) -> int:
    """Registers between the inputs and the loop."""
    assert spec.loop is not None
    return sum(1 for index in spec.register_boundaries if index <= spec.loop.first)


def first_sum(circuit: Circuit, spec: Spec) -> list[int]:
    """The registers (nodes) of the sum that the next input is added to, the lowest bit first."""
    return _word(circuit, f"{SUM}0", spec.outputs[0].width)


def _word(circuit: Circuit, name: str, width: int) -> list[int]:
    nodes = {called: r.node for r in circuit.registers for called in r.names}
    return [nodes[f"{name}[{bit}]"] for bit in range(width)]


def result(
    start: Start,
    spec: Spec,
    circuit: Circuit,
    name: str,
    *,
    first: dict[str, list[int]] | None = None,
    met: Sequence[int] | None = None,
) -> tuple[Result, list[int]]:
    """As ``sim.formal.run.result``, and the sum that the input meets: ``met``, or new variables."""
    nodes = first_sum(circuit, spec)
    met = met or start.aig.inputs(f"{name} met", len(nodes))
    held = (place(spec), dict(zip(nodes, met, strict=True)))
    got = plain_result(start, spec, circuit, name, first=first, held=held)
    literals = _values(circuit, got.states[place(spec)])
    return got, [literals[node] for node in nodes]


def _values(circuit: Circuit, state: Sequence[int]) -> dict[int, int]:
    return {r.node: value for r, value in zip(circuit.registers, state, strict=True)}


@dataclass(frozen=True)
class _Loop:
    """The control of a loop, as nodes: of valid bits in front of it and inside, and of the sums."""

    front: list[int]
    inside: list[int]
    waiting: list[int]
    sums: list[list[int]]


def _loop(circuit: Circuit, spec: Spec) -> _Loop:
    loop = spec.loop
    assert loop is not None
    names = {i: f"valid_{spec.steps[i].name}" for i in sorted(spec.register_boundaries)}
    return _Loop(
        [_word(circuit, name, 1)[0] for i, name in names.items() if i <= loop.first],
        [_word(circuit, name, 1)[0] for i, name in names.items() if i > loop.first],
        _word(circuit, WAITING, loop.partial_sums),
        [_word(circuit, f"{SUM}{n}", spec.outputs[0].width) for n in range(loop.partial_sums)],
    )


def order(start: Start, spec: Spec, circuit: Circuit, prefix: str = "") -> Iterable[Claim]:
    """See the module."""
    aig, loop = start.aig, _loop(circuit, spec)
    state = start.state(circuit, f"{prefix}state")
    step = run(start, circuit, [RUNNING], f"{prefix}step", state=state)
    cycles = [*start.cycles, *step.inputs]
    now, after = (_values(circuit, s) for s in step.states)
    counted = _is_counted(start, loop, now)
    wrong = aig.and_(counted, _is_counted(start, loop, after) ^ 1)
    yield compared(f"{prefix}sums that wait", start, cycles, {"wrong": ([wrong], [FALSE])})

    reset = run(start, circuit, [{"rst": [TRUE]}], f"{prefix}reset sums", state=state)
    values = _values(circuit, reset.states[1])
    sums = [values[node] for of_one in loop.sums for node in of_one]
    ports = {
        "all wait": ([_is_counted(start, loop, values)], [TRUE]),
        "sums": (sums, [FALSE] * len(sums)),
    }
    yield compared(f"{prefix}sums after reset", start, [*start.cycles, *reset.inputs], ports)

    before, _ = _drained(start, spec, circuit, loop, step.states[0], f"{prefix}before")
    behind, made = _drained(start, spec, circuit, loop, step.states[1], f"{prefix}behind")
    entered = now[loop.front[-1]] if loop.front else step.inputs[0]["valid_in"][0]
    ports = {"sum 0 now": ([now[n] for n in loop.sums[0]], before[0])}
    for index, got in enumerate(behind):
        next_one = [*before[1:], made][index]
        moved = zip(next_one, before[index], strict=True)
        ports[f"sum {index}"] = (got, [aig.mux(entered, *pair) for pair in moved])
    ports = {
        name: ([aig.mux(counted, g, w) for g, w in zip(got, wanted, strict=True)], wanted)
        for name, (got, wanted) in ports.items()
    }
    claim = compared(f"{prefix}order of sums", start, cycles, ports)
    decides = [entered, *(now[node] for node in (*loop.inside, *loop.waiting))]
    cases = cases_of(aig, decides) if start.arbitrary else [{}]
    yield Claim(claim.name, aig, claim.pairs, cases, claim.cycles, claim.outputs)


def _is_counted(start: Start, loop: _Loop, values: dict[int, int]) -> int:
    """Whether the first registers have a sum that waits: all but as many as are being made."""
    aig, sums = start.aig, len(loop.waiting)
    at_least = [TRUE] + [FALSE] * sums
    for node in loop.inside:
        more = [aig.and_(values[node], fewer) for fewer in at_least[:-1]]
        at_least = [TRUE, *(aig.or_(x, y) for x, y in zip(at_least[1:], more, strict=True))]
    wrong = [
        aig.xor(values[node], at_least[sums - index] ^ 1) for index, node in enumerate(loop.waiting)
    ]
    return aig.any(wrong) ^ 1


def _drained(
    start: Start, spec: Spec, circuit: Circuit, loop: _Loop, state: Sequence[int], name: str
) -> tuple[list[list[int]], list[int]]:
    """All sums once none is being made, and what the output shows then."""
    values = _values(circuit, state) | dict.fromkeys(loop.front, FALSE)
    idle = {**RUNNING, "valid_in": [FALSE]}
    first = [values[register.node] for register in circuit.registers]
    trace = run(start, circuit, [idle] * (len(loop.inside) + 1), name, state=first)
    values = _values(circuit, trace.states[-1])
    shown = trace.outputs[len(loop.inside)][spec.outputs[0].name]
    return [[values[node] for node in of_one] for of_one in loop.sums], list(shown)
