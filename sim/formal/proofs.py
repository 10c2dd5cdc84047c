"""Proves properties of a unit, and keeps what was proved."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from hwgen import emit, records
from hwgen.errors import InputError, ToolError
from hwgen.fields import unknown
from hwgen.progress import Pace
from hwgen.spec import Spec
from hwgen.store import Kind, Row, Store, digest
from sim.formal.circuit import Circuit, from_rtlil
from sim.formal.properties import OF_A_TARGET, PROPERTIES, Subject, targets_of
from sim.formal.references import NotApplicable
from sim.formal.run import Start
from sim.formal.solve import (
    DISPROVED,
    NOT_PROVED,
    PROVED,
    Answer,
    Claim,
    abc_command,
    holds,
    solve,
)
from yosys_scripts import TARGETS, flow

NOT_APPLICABLE = "not applicable"
#: Everything that can become of a property.
RESULTS = (PROVED, DISPROVED, NOT_PROVED, NOT_APPLICABLE)

DEFAULT_TIMEOUT_S = 300
#: Cycles from power-up, beside the latency, in which a counterexample is looked for.
EXTRA_CYCLES = 2
#: Units that one run of Yosys reads.
READ_TOGETHER = 25
#: Raise it when a claim or an engine of this package changes: what was proved is then old.
PROOF_VERSION = 1


@dataclass(frozen=True)
class Proof:
    """What became of one property of one unit.

    ``result``: proved, disproved, not proved (a time limit, or no answer) or not applicable.
    ``claims``: how many the property has (as far as they were tried). ``counterexample``: inputs
    of each cycle from power-up on and, in its last cycles, what was seen and expected.
    """

    spec: dict[str, Any]
    name: str
    property: str
    target: str | None
    result: str
    claims: int
    engines: tuple[str, ...]
    seconds: float
    versions: dict[str, str]
    reason: str = ""
    counterexample: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return json.loads(json.dumps(dataclasses.asdict(self)))  # type: ignore[no-any-return]


def prove(
    spec: Spec,
    property: str,
    *,
    target: str | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    verilog: str | None = None,
    read: Circuit | None = None,
) -> Proof:
    """Tries to prove a property (one of ``PROPERTIES``) of a unit for ``timeout_s`` seconds.

    ``target``: where the property is of one, as a netlist's. ``verilog`` stands in for the unit's
    own (with a target: for its netlist); ``read`` is the unit if it has been read from its RTLIL
    already. InputError for an unknown property or target, ToolError without a tool and where one
    fails.
    """
    check(property, target)
    abc_command()
    started = time.monotonic()
    deadline = started + timeout_s
    subject = Subject(spec, target, verilog, read)
    engines: dict[str, None] = {}
    tried = 0
    result, reason, witness = PROVED, "", None
    try:
        for claim in PROPERTIES[property](Start(), subject):
            tried += 1
            answer = solve(claim, deadline)
            engines |= dict.fromkeys(answer.engines)
            if answer.result == PROVED:
                continue
            result, reason = NOT_PROVED, f"{claim.name}: {answer.reason}"
            if answer.result == DISPROVED:
                witness = _from_power_up(subject, property, claim, deadline)
                result = DISPROVED if witness else NOT_PROVED
                reason = (
                    claim.name
                    if witness
                    else (
                        f"{claim.name}: not true of every state, and no counterexample "
                        f"{_depth(spec)} cycles from power-up"
                    )
                )
            break
    except NotApplicable as why:
        result, reason = NOT_APPLICABLE, str(why)
    return Proof(
        spec=spec.to_dict(),
        name=spec.name,
        property=property,
        target=target,
        result=result,
        claims=tried,
        engines=tuple(engines),
        seconds=round(time.monotonic() - started, 2),
        versions=versions(),
        reason=reason,
        counterexample=witness,
    )


def check(property: str, target: str | None) -> None:
    """InputError unless there is such a property, and a target exactly where it needs one."""
    if property not in PROPERTIES:
        raise unknown("property", property, PROPERTIES)
    if property in OF_A_TARGET:
        if target not in TARGETS:
            raise InputError(
                f"property {property} is of a target, not {target!r}: use one of "
                f"{', '.join(TARGETS)}"
            )
    elif target is not None:
        raise InputError(f"property {property} is of no target: leave out {target!r}")


def versions() -> dict[str, str]:
    """Of the tools; yosys-abc comes with pyosys."""
    return {"hwgen proofs": str(PROOF_VERSION), "yosys": version("pyosys")}


def _depth(spec: Spec) -> int:
    return spec.latency + EXTRA_CYCLES


def _from_power_up(
    subject: Subject, property: str, failed: Claim, deadline: float
) -> dict[str, Any] | None:
    """The inputs from power-up on with which the claim fails, if so few cycles are enough."""
    start = Start(_depth(subject.spec))
    for claim in PROPERTIES[property](start, subject):
        if claim.name == failed.name:
            answer = solve(claim, deadline)
            return counterexample(claim, answer) if answer.result == DISPROVED else None
    return None


def counterexample(claim: Claim, answer: Answer) -> dict[str, Any]:
    """Port values by cycle, and the outputs that differ."""

    def number(literals: Iterable[int]) -> int:
        bits = holds(claim.aig, literals, answer.inputs)
        return sum(bit << place for place, bit in enumerate(bits))

    outputs = {
        port: {"got": number(got), "expected": number(wanted)}
        for port, (got, wanted) in claim.outputs.items()
    }
    return {
        "claim": claim.name,
        "cycles": [{port: number(bits) for port, bits in c.items()} for c in claim.cycles],
        "outputs": {port: o for port, o in outputs.items() if o["got"] != o["expected"]},
    }


@dataclass(frozen=True)
class Task:
    """One property of one unit, to be proved."""

    spec: Spec
    property: str
    target: str | None = None


def key_of(task: Task) -> str:
    """Identifies the answer by everything that it depends on."""
    spec, target = task.spec, task.target
    # The text has the spec's name, which tells all of it.
    is_stream = task.property == "stream"
    text = emit.verilog(spec, stream=True) if is_stream else emit.rtlil(spec)
    flow_key = None if target is None else flow.flow_digest(target)
    return digest("proof", task.property, target, versions(), text, flow_key)


def tasks_of(spec: Spec, property: str | None, target: str | None) -> list[Task]:
    """Every property of a unit, or the one named, on every target of it, or the one named.

    InputError for an unknown property or target.
    """
    _require_names(property, target)
    tasks = []
    for name in [property] if property else PROPERTIES:
        named = target is not None and name in OF_A_TARGET
        tasks += [Task(spec, name, t) for t in ([target] if named else targets_of(name, spec))]
    return tasks


def chosen(tasks: Sequence[Task], property: str | None, target: str | None) -> list[Task]:
    """Those of the tasks that are of the property and on the target, if one is named.

    InputError for an unknown property or target, and if there is none.
    """
    _require_names(property, target)
    selected = [
        task
        for task in tasks
        if property in (None, task.property) and target in (None, task.target)
    ]
    if not selected:
        have = sorted({f"{t.property} on {t.target}" if t.target else t.property for t in tasks})
        raise InputError(
            f"none of the {len(tasks)} proofs is of property {property or 'any'} on target "
            f"{target or 'any'}: there are {', '.join(have)}"
        )
    return selected


def _require_names(property: str | None, target: str | None) -> None:
    """InputError for an unknown property or target, and for a property that is of no target."""
    if target is not None and target not in TARGETS:
        raise unknown("target", target, TARGETS)
    if property is not None and property not in PROPERTIES:
        raise unknown("property", property, PROPERTIES)
    if target is not None and property is not None and property not in OF_A_TARGET:
        raise InputError(f"property {property} is of no target: leave out --target {target}")


def checked(row: Row) -> Row:
    """A stored proof, as ``Proof.to_dict`` made it. ValueError, KeyError if it is none."""
    kinds: dict[str, records.FieldType] = {"claims": int, "seconds": (int, float), "engines": list}
    records.require(row, dict.fromkeys(("key", "name", "property", "reason"), str))
    records.require(row, {**kinds, "versions": dict})
    if row["result"] not in RESULTS:
        raise ValueError(f"its result is {row['result']!r}, and not one of {', '.join(RESULTS)}")
    if row["property"] not in PROPERTIES or row["target"] not in (None, *TARGETS):
        raise ValueError(f"its property is {row['property']!r}, its target {row['target']!r}")
    if (row["counterexample"] is None) == (row["result"] == DISPROVED):
        raise ValueError("only what is disproved has a counterexample")
    return {name: value for name, value in row.items() if name != "key"}


#: One that was not finished answers nothing.
PROOF = Kind(
    *("proof", checked, lambda row: row["result"] != NOT_PROVED),
    ships="sim/results/proofs.jsonl",
)


def prove_all(
    tasks: Sequence[Task],
    store: Store[Row] | None,
    *,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    pace: Pace | None = None,
) -> Iterator[Mapping[str, Any]]:
    """The answer to each task, from the ``store``, if one is given and it is known.

    A tool that fails is an answer ``not proved``, with its reason, and the next task follows.
    ``pace`` is told of each. ToolError without a solver.
    """
    abc_command()
    pace = pace or Pace(len(tasks))
    for first in range(0, len(tasks), READ_TOGETHER):
        batch = [
            (task, key_of(task) if store else "") for task in tasks[first : first + READ_TOGETHER]
        ]
        new = [task for task, key in batch if store is None or store.find(key) is None]
        read = _read(task.spec for task in new if task.property != "stream")
        for task, key in batch:

            def answer(task: Task = task, read: dict[str, Circuit] = read) -> Row:
                return _prove_task(task, timeout_s, read.get(task.spec.name)).to_dict()

            row, known = (answer(), False) if store is None else store.once(key, answer)
            pace.part_done(known=known)
            yield row


def _read(specs: Iterable[Spec]) -> dict[str, Circuit]:
    """The units, by name, in one run of Yosys; none if it fails, so that each task says so."""
    texts = {spec.name: emit.rtlil(spec) for spec in specs}
    try:
        return from_rtlil(texts) if texts else {}
    except ToolError:
        return {}


def _prove_task(task: Task, timeout_s: float, read: Circuit | None) -> Proof:
    started = time.monotonic()
    try:
        return prove(task.spec, task.property, target=task.target, timeout_s=timeout_s, read=read)
    except ToolError as error:
        return Proof(
            spec=task.spec.to_dict(),
            name=task.spec.name,
            property=task.property,
            target=task.target,
            result=NOT_PROVED,
            claims=0,
            engines=(),
            seconds=round(time.monotonic() - started, 2),
            versions=versions(),
            reason=str(error),
        )


def line(row: Mapping[str, Any]) -> str:
    """One answer for people."""
    where = f" on {row['target']}" if row["target"] else ""
    text = f"{row['name']}: {row['property']}{where}: {row['result']}"
    if row["reason"]:
        text += f" ({row['reason']})"
    if row["engines"]:
        text += f" ({row['claims']} claims, {', '.join(row['engines'])}, {row['seconds']} s)"
    return text


def counterexample_lines(example: Mapping[str, Any]) -> Iterator[str]:
    """A counterexample for people: inputs by cycle, from power-up on, then the outputs."""
    yield f"counterexample to: {example['claim']}"
    for number, ports in enumerate(example["cycles"]):
        yield f"cycle {number}: " + ", ".join(f"{k}={v:#x}" for k, v in ports.items())
    for port, values in example["outputs"].items():
        yield f"{port}: got {values['got']:#x}, expected {values['expected']:#x}"
