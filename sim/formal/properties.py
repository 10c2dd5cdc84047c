"""The properties, as data: what each claims of a unit, for runs from a given start.

A property is a function that lists claims. All of them together are the property: if each is
proved from an arbitrary state, it holds at all times.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hwgen import emit
from hwgen.errors import InputError
from hwgen.pins import module_name
from hwgen.sizes.dsp_multiplier import PACKED_FOR, SIZED
from hwgen.spec import Spec
from sim import unit_model
from sim.formal import hidden_state, partial_sums, sums
from sim.formal.circuit import Circuit, from_netlist, from_rtlil, from_verilog
from sim.formal.references import by_truth_table
from sim.formal.run import Start, compared, control, outputs_of, result
from sim.formal.solve import Claim
from sim.formal.stream import stream_claims
from yosys_scripts import TARGETS, flow, target


@dataclass(frozen=True)
class Subject:
    """A unit under proof, and its hardware when it is needed.

    ``verilog`` stands in for the unit's own, or for the mapped netlist where ``target`` is
    given: for tests that break it. ``read``: the unit, if it has been read already.
    """

    spec: Spec
    target: str | None = None
    verilog: str | None = None
    read: Circuit | None = None

    @cached_property
    def unit(self) -> Circuit:
        """The unit at register-transfer level."""
        if self.verilog is not None and self.target is None:
            return from_verilog(self.verilog, self.spec.name)
        if self.read is not None:
            return self.read
        return from_rtlil({self.spec.name: emit.rtlil(self.spec)})[self.spec.name]

    @cached_property
    def netlist(self) -> Circuit:
        """After synthesis, in the vendor's cells."""
        assert self.target is not None
        rtlil = emit.rtlil(self.spec)
        spec = self.spec
        mapped = flow.netlist(rtlil, spec.name, target=self.target, mapping=spec.mapping)
        if self.verilog is not None:
            mapped = dataclasses.replace(mapped, verilog=self.verilog)
        return from_netlist(mapped)

    @cached_property
    def least(self) -> Circuit:
        """The same unit with as few registers as it can have."""
        least = least_stages(self.spec)
        return from_rtlil({least.name: emit.rtlil(least)})[least.name]

    @cached_property
    def stream(self) -> Circuit:
        """The AXI4-Stream form, at register-transfer level."""
        text = self.verilog
        if text is None:
            text = emit.verilog(self.spec, stream=True)
        return from_verilog(text, module_name(self.spec, stream=True))


def least_stages(spec: Spec) -> Spec:
    """The spec with the fewest stages that it takes."""
    given: Any = spec
    for stages in range(1, spec.latency):
        try:
            return dataclasses.replace(given, stages=stages)  # type: ignore[no-any-return]
        except InputError:
            continue
    return spec


def netlist(start: Start, subject: Subject) -> Iterable[Claim]:
    """Netlist and RTL have the same outputs for the same inputs.

    The netlist also stands still, is reset and says what is valid as every unit does. Sums whose
    claims of ``reference`` define them are compared by these: both have to keep all of them.
    """
    spec = subject.spec
    yield from control(start, spec, subject.netlist)
    if sums.why_not_plain(spec) is None:
        yield from sums.claims(start, spec, subject.unit, "RTL ")
        yield from sums.claims(start, spec, subject.netlist, "netlist ")
        return
    yield from _alike("results", start, spec, subject.unit, spec, subject.netlist)


def pipeline(start: Start, subject: Subject) -> Iterable[Claim]:
    """Results are those of the form with the fewest registers, as many cycles later."""
    spec, least = subject.spec, least_stages(subject.spec)
    yield from control(start, spec, subject.unit)
    if least == spec:
        return
    yield from _alike("results", start, least, subject.least, spec, subject.unit)


def _alike(
    name: str, start: Start, x_spec: Spec, x: Circuit, y_spec: Spec, y: Circuit
) -> Iterable[Claim]:
    """Both circuits' results of the same inputs, with the same kept outputs before them.

    What they keep and no port shows is the same before too, and is after (``hidden_state``).
    ``x`` is a unit as it is written.
    """
    if x_spec.loop is not None:
        yield from _alike_in_turn(name, start, x_spec, x, y_spec, y)
        return
    if not hidden_state.is_hidden(x_spec):
        wanted = result(start, x_spec, x, "expected")
        got = result(start, y_spec, y, "unit", first=wanted.first, before=wanted.before)
        yield compared(name, start, got.cycles, outputs_of(y_spec, got.outputs, wanted.outputs))
        return
    found = hidden_state.ties((x_spec, y_spec), (x, y))
    x_held, y_held = hidden_state.tied(start, found)
    x_place, y_place = hidden_state.place(x_spec), hidden_state.place(y_spec)
    wanted = result(start, x_spec, x, "expected", held=(x_place, x_held))
    got = result(
        start,
        y_spec,
        y,
        "unit",
        first=wanted.first,
        before=wanted.before,
        held=(y_place, y_held),
    )
    yield compared(name, start, got.cycles, outputs_of(y_spec, got.outputs, wanted.outputs))
    yield from hidden_state.claims(start, found, (x, y), (wanted, got), (x_place, y_place))


def _alike_in_turn(
    name: str, start: Start, x_spec: Spec, x: Circuit, y_spec: Spec, y: Circuit
) -> Iterable[Claim]:
    """As ``_alike``, of partial sums: of two forms of a unit, or of one and its netlist.

    Two forms hold their sums at other places, and each is shown to meet them in turn. A netlist has
    the unit's registers, and each cycle they are the same.
    """
    if x_spec != y_spec:
        wanted, met = partial_sums.result(start, x_spec, x, "expected")
        got, _ = partial_sums.result(start, y_spec, y, "unit", first=wanted.first, met=met)
        yield compared(name, start, got.cycles, outputs_of(y_spec, got.outputs, wanted.outputs))
        yield from partial_sums.order(start, x_spec, x, "fewest registers: ")
        yield from partial_sums.order(start, y_spec, y)
        return
    found = hidden_state.refined(hidden_state.ties((x_spec, y_spec), (x, y)), (x, y))
    yield from hidden_state.step_claims(name, start, found, (x, y))


def reference(start: Start, subject: Subject) -> Iterable[Claim]:
    """Results are those of the plain definition: the model's claims, or a truth table."""
    spec = subject.spec
    yield from control(start, spec, subject.unit)
    claims = unit_model.of(spec).reference or by_truth_table
    yield from claims(start, spec, subject.unit)


def accumulator(start: Start, subject: Subject) -> Iterable[Claim]:
    """No sum of up to ``max_products`` products overflows."""
    spec = sums.require_plain(subject.spec)
    yield from control(start, spec, subject.unit)
    yield from sums.claims(start, spec, subject.unit)
    yield from sums.bounds(start, spec, subject.unit)


def stream(start: Start, subject: Subject) -> Iterable[Claim]:
    """The AXI4-Stream form keeps the protocol's rules; no beat is lost, repeated or changed."""
    yield from stream_claims(start, subject.spec, subject.stream)


Property = Callable[[Start, Subject], Iterable[Claim]]

PROPERTIES: Mapping[str, Property] = {
    f.__name__: f for f in (reference, netlist, pipeline, accumulator, stream)
}
#: Those that are of a target.
OF_A_TARGET = ("netlist",)


def targets_of(name: str, spec: Spec) -> tuple[str | None, ...]:
    """The targets on which the property of that ``name`` is claimed of ``spec``; None: of none.

    Products are packed for multipliers that not every target has.
    """
    if name not in OF_A_TARGET:
        return (None,)
    if spec.mapping not in SIZED:
        return tuple(TARGETS)
    needed = PACKED_FOR[spec.mapping]
    return tuple(t for t in TARGETS if target(t).multiplier.takes(needed.wide, needed.narrow))
