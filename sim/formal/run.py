"""A design for a few cycles, from any state on: what its ports show meanwhile.

The state at the start is arbitrary, reachable or not, so that what is shown of one run of a few
cycles holds at every time of every run. Only ports are driven and compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hwgen.spec import Spec
from sim.formal.aig import FALSE, TRUE, Aig
from sim.formal.circuit import Circuit, Words
from sim.formal.solve import Claim

RUNNING: Mapping[str, Sequence[int]] = {"enable": [TRUE], "rst": [FALSE]}


class Start:
    """Where runs start: in an arbitrary state, or near power-up.

    With ``after`` in those states that so many cycles of any inputs from power-up lead to. All
    circuits of one start have had the same inputs.
    """

    def __init__(self, after: int | None = None) -> None:
        self.aig = Aig()
        self.after = after
        self.cycles: list[Words] = []

    @property
    def arbitrary(self) -> bool:
        """Runs start in any state at all, reachable or not."""
        return self.after is None

    def state(self, circuit: Circuit, name: str) -> list[int]:
        """Literals of the registers at the start."""
        if self.after is None:
            return circuit.state(self.aig, name)
        if not self.cycles:
            self.cycles = [{} for _ in range(self.after)]
        current = circuit.power_up(self.aig, name)
        for cycle, given in enumerate(self.cycles):
            for port, bits in circuit.inputs.items():
                if port not in given:
                    given[port] = self.aig.inputs(f"{cycle}.{port}", len(bits))
            _, current = circuit.step(self.aig, current, given, f"{name}.{cycle}")
        return current


@dataclass
class Run:
    """``inputs[n]`` and ``outputs[n]`` are those of cycle n, ``states[n]`` is in front of it."""

    inputs: list[Words]
    outputs: list[Words]
    states: list[list[int]]


def run(
    start: Start,
    circuit: Circuit,
    inputs: Sequence[Mapping[str, Sequence[int]]],
    name: str,
    *,
    state: Sequence[int] | None = None,
    forced: Mapping[int, Mapping[int, int]] | None = None,
) -> Run:
    """A cycle for each of ``inputs``, which give some ports; the others are free.

    ``state``: instead of one of ``start``. ``forced``: by cycle, registers (nodes of the
    circuit) that are set to literals in front of it.
    """
    aig = start.aig
    current = list(state) if state is not None else start.state(circuit, name)
    trace = Run([], [], [])
    for cycle, given in enumerate(inputs):
        at = f"{name}.{cycle}"
        driven = {
            port: list(given[port]) if port in given else aig.inputs(f"{at}.{port}", len(bits))
            for port, bits in circuit.inputs.items()
        }
        if forced and cycle in forced:
            registers = zip(circuit.registers, current, strict=True)
            current = [forced[cycle].get(r.node, literal) for r, literal in registers]
        trace.states.append(current)
        outputs, current = circuit.step(aig, current, driven, at)
        trace.inputs.append(driven)
        trace.outputs.append(outputs)
    trace.states.append(current)
    return trace


@dataclass
class Result:
    """One result of a unit.

    ``first``: the inputs that it is of; ``outputs``: what comes out, and ``before`` the outputs one
    cycle earlier. ``cycles``: all inputs from the start on; ``states``: those in front of each of
    the cycles that were run, and behind the last.
    """

    first: Words
    outputs: Words
    before: Words
    cycles: list[Words]
    states: list[list[int]]


def result(
    start: Start,
    spec: Spec,
    circuit: Circuit,
    name: str,
    *,
    first: Mapping[str, Sequence[int]] | None = None,
    before: Words | None = None,
    valid: int = TRUE,
    held: tuple[int, Mapping[int, int]] | None = None,
) -> Result:
    """The unit without a stop, from the cycle of an input to that of its result.

    ``first``: literals for the ports of that input; others are new variables. ``before``:
    literals for outputs that are kept, in front of the result: a register that a port shows
    as it is may hold anything then, as the state at the start may. ``held``: a cycle, and literals
    of registers (nodes) in front of it.
    """
    inputs: list[Mapping[str, Sequence[int]]]
    inputs = [{**RUNNING, "valid_in": [valid], **(first or {})}, *[RUNNING] * spec.latency]
    registers = {r.node for r in circuit.registers}
    forced: dict[int, int] = {}
    if start.arbitrary and spec.keeps_outputs:
        for port in spec.outputs:
            literals = circuit.outputs[port.name]
            given = (before or {}).get(port.name) or start.aig.inputs(
                f"{port.name} before", len(literals)
            )
            for literal, value in zip(literals, given, strict=True):
                if literal >> 1 in registers:
                    forced[literal >> 1] = value ^ (literal & 1)
    all_forced: dict[int, dict[int, int]] = {spec.latency - 1: forced}
    if held is not None and start.arbitrary:
        all_forced[held[0]] = {**all_forced.get(held[0], {}), **held[1]}
    trace = run(start, circuit, inputs, name, forced=all_forced)
    return Result(
        {port.name: trace.inputs[0][port.name] for port in spec.inputs},
        trace.outputs[spec.latency],
        trace.outputs[spec.latency - 1],
        [*start.cycles, *trace.inputs],
        trace.states,
    )


def compared(
    name: str,
    start: Start,
    cycles: Sequence[Words],
    ports: Mapping[str, tuple[list[int], list[int]]],
) -> Claim:
    """The claim that two words are equal for each port."""
    pairs = [pair for got, wanted in ports.values() for pair in zip(got, wanted, strict=True)]
    return Claim(name, start.aig, pairs, cycles=cycles, outputs=ports)


def outputs_of(spec: Spec, got: Words, wanted: Words) -> dict[str, tuple[list[int], list[int]]]:
    """The words ``got`` and ``wanted`` of every output port, as ``compared`` takes them."""
    return {port.name: (got[port.name], wanted[port.name]) for port in spec.outputs}


def control(start: Start, spec: Spec, circuit: Circuit) -> list[Claim]:
    """What every unit promises beside its results.

    - hold: with ``enable`` low every register keeps its bit, and so the outputs;
    - valid: with ``enable`` high ``valid_out`` is the ``valid_in`` of ``latency`` cycles ago;
    - reset: after it nothing is valid that did not come in since, and kept outputs are zero;
    - keep: where nothing valid arrives, outputs stay (of a unit that keeps them).
    """
    stopped = run(start, circuit, [{"enable": [FALSE], "rst": [FALSE]}, {}], "hold")
    cycles = [*start.cycles, *stopped.inputs]
    registers = {"registers": (stopped.states[1], stopped.states[0])}
    claims = [compared("hold", start, cycles, registers)]

    valid = start.aig.input("valid_in")
    passing = result(start, spec, circuit, "valid", valid=valid)
    ports = {"valid_out": (passing.outputs["valid_out"], [valid])}
    claims.append(compared("valid", start, passing.cycles, ports))

    after = run(start, circuit, [{"rst": [TRUE]}, *[RUNNING] * spec.latency], "reset")
    cycles = [*start.cycles, *after.inputs]
    ports = {
        f"valid_out after {n}": (outputs["valid_out"], [FALSE])
        for n, outputs in enumerate(after.outputs)
        if n
    }
    if spec.keeps_outputs:
        words = after.outputs[1]
        ports |= {p.name: (words[p.name], [FALSE] * len(words[p.name])) for p in spec.outputs}
    claims.append(compared("reset", start, cycles, ports))

    if spec.keeps_outputs:
        idle = result(start, spec, circuit, "keep", valid=FALSE)
        claims.append(
            compared("keep", start, idle.cycles, outputs_of(spec, idle.outputs, idle.before))
        )
    return claims
