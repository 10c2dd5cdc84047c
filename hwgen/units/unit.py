"""What every unit shares: ports from the spec, valid bits, and registers between its steps."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from functools import partial
from typing import Any

from amaranth.hdl import Module, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hwgen.arithmetic.lfsr import random_words
from hwgen.arithmetic.partial_sums import PartialSums
from hwgen.arithmetic.segmented import Segmented, whole
from hwgen.plan.step import Step, loop_of, state_step
from hwgen.spec.base import Port, Spec

#: Values between steps, by name: signals, or dataclasses and lists of them.
Signals = Mapping[str, Any]


def passed(signals: Signals, *names: str) -> dict[str, Any]:
    """Those of ``signals`` that have the ``names`` and are there."""
    return {name: signals[name] for name in names if name in signals}


@dataclasses.dataclass(frozen=True)
class Feed:
    """What a streamed unit takes in a cycle: its TLAST, and whether it makes a result.

    ``makes_result`` is None where everything valid does.
    """

    last: Value
    makes_result: Value | None = None


class Unit(wiring.Component):
    """Hardware of a spec: a pipeline of ``spec.steps`` with ``spec.latency`` registers.

    A step's ``build`` names a method that makes the values after it from those before, of
    ``builder``: in segments (``hwgen.arithmetic.segmented``) where registers may stand inside. The
    first step takes the values of the input ports, the last one makes those of the output ports.

    Ports: those of the spec, and ``enable`` (the whole pipeline stands still while it is 0),
    ``valid_in`` (the inputs of this cycle count), ``valid_out`` (the outputs are the result of
    the inputs of ``latency`` enabled cycles ago).
    """

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        super().__init__(
            {
                "enable": In(1),
                "valid_in": In(1),
                **{port.name: In(_shape(port)) for port in spec.inputs},
                "valid_out": Out(1),
                **{port.name: Out(_shape(port)) for port in spec.outputs},
            }
        )

    @property
    def latency(self) -> int:
        """Enabled cycles from ``valid_in`` to ``valid_out``."""
        return self.spec.latency

    def feed(self, m: Module, streams: Mapping[str, Any], enable: Value) -> Feed:
        """Connects the input ports, in the module around, to the streams of these names."""
        inputs = streams["inputs"]
        m.d.comb += [inputs.ready.eq(enable), self.valid_in.eq(inputs.valid)]
        for port in self.spec.inputs:
            m.d.comb += getattr(self, port.name).eq(inputs.payload.data[port.name])
        return Feed(inputs.payload.last)

    @property
    def builder(self) -> Any:
        """What has the methods that the plan names."""
        return self

    def state(self) -> dict[str, Signal]:
        """New registers of the step that holds something, by the names of what it makes."""
        return {}

    def partial_sums(self) -> PartialSums | None:
        """New registers of the sums of a loop that has several, which the builder makes."""
        if self.spec.loop is None:
            return None
        sums: PartialSums = self.builder.partial_sums()
        return sums

    def elaborate(self, platform: object) -> Module:
        """The pipeline: each step's logic, and registers at the spec's boundaries."""
        m = Module()
        steps = self.spec.steps
        signals: dict[str, Any] = {port.name: getattr(self, port.name) for port in self.spec.inputs}
        made_inside = self.spec.random_words
        if made_inside is not None:
            advance = self.enable & self.valid_in
            signals["random_bits"] = random_words(m, made_inside.seed, made_inside.count, advance)
        next_valid, state, sums = partial(self._next_valid, m), self.state(), self.partial_sums()
        line = Pipeline(self.builder, self.enable, next_valid, state, sums)
        signals, valid = line.run(m, steps, self.spec.register_boundaries, signals, self.valid_in)
        if state_step(steps) == len(steps) - 1:
            m.d.comb += self.valid_out.eq(valid)
            for port in self.spec.outputs:
                m.d.comb += getattr(self, port.name).eq(signals[port.name])
            return m
        with m.If(self.enable):
            m.d.sync += self.valid_out.eq(valid)
        with m.If(self.enable & valid if self.spec.keeps_outputs else self.enable):
            for port in self.spec.outputs:
                m.d.sync += getattr(self, port.name).eq(signals[port.name])
        return m

    def _next_valid(self, m: Module, valid: Value, name: str) -> Value:
        register = Signal(name=f"valid_{name}")
        with m.If(self.enable):
            m.d.sync += register.eq(valid)
        return register


#: Where segments keep their generator, and its values, among those between steps.
_GOING, _VALUES = "going", "values"


def build(builder: Any, step: Step, m: Module, signals: Signals) -> dict[str, Any]:
    """The values behind ``step``, made by the method of ``builder`` that it names."""
    method = getattr(builder, step.build)
    generator, values = signals.get(_GOING), signals.get(_VALUES)
    if not step.segments:
        made: dict[str, Any] | Segmented[dict[str, Any]] = method(m, signals, *step.arguments)
        return whole(made) if isinstance(made, Generator) else made
    if step.segment == 0:
        generator, values = method(m, signals, *step.arguments), None
    assert generator is not None
    boundary, expected = generator.send(values), step.segments[step.segment]
    assert boundary.name == expected, f"{step.build} has {boundary.name} in place of {expected}"
    if step.segment < len(step.segments) - 1:
        return {_GOING: generator, _VALUES: boundary.values}
    try:
        extra_boundary = generator.send(boundary.values)
    except StopIteration as end:
        step_values: dict[str, Any] = end.value
        return step_values
    raise AssertionError(
        f"{step.build} has {extra_boundary.name} behind its last segment, {expected}"
    )


@dataclasses.dataclass(frozen=True)
class Pipeline:
    """Steps with registers between them.

    ``builder``: has the steps' methods. ``next_valid``: the bit a register, of that name, behind
    another. ``state``: the registers of a step that holds something; ``sums``: those of a loop.
    """

    builder: Any
    enable: Value
    next_valid: Callable[[Value, str], Value]
    state: Mapping[str, Signal] = dataclasses.field(default_factory=dict)
    sums: PartialSums | None = None

    def run(
        self,
        m: Module,
        steps: Sequence[Step],
        boundaries: Collection[int],
        signals: Signals,
        valid: Value,
    ) -> tuple[dict[str, Any], Value]:
        """The values behind the steps, and their valid bit.

        ``boundaries``: the steps that registers stand in front of, by their places in ``steps``.
        """
        current, loop, taken = dict(signals), loop_of(steps), valid
        for index, step in enumerate(steps):
            if index in boundaries:
                current = registered(m, current, step.name, self.enable)
                valid = self.next_valid(valid, step.name)
            if loop is not None and index == loop.first:
                assert self.sums is not None
                current, taken = {**current, "accumulator": self.sums.first}, valid
            if not step.has_state:
                current = build(self.builder, step, m, current)
                if loop is not None and index == loop.last:
                    assert self.sums is not None
                    self.sums.hold(m, current["accumulator"], self.enable, taken, valid)
                continue
            made = build(self.builder, step, m, {**current, **self.state})
            with m.If(self.enable & valid):
                for name, register in self.state.items():
                    m.d.sync += register.eq(made[name])
            carried = {name: value for name, value in made.items() if name not in self.state}
            current = {**registered(m, carried, f"{step.name}_beside", self.enable), **self.state}
            valid = self.next_valid(valid, f"{step.name}_done")
        return current, valid


def _shape(port: Port) -> Any:
    return signed(port.width) if port.is_signed_number else port.width


def registered(m: Module, value: Any, name: str, enable: Value, *, has_reset: bool = False) -> Any:
    """``value`` with a register behind each signal in it.

    Data registers need no reset, as nothing reads them before their valid bit is set. With
    ``has_reset`` they have one, to zero: of values that stay until others replace them.
    """
    if isinstance(value, Value):
        if len(value) == 0:  # Verilog has no empty ranges.
            return value
        register = Signal(value.shape(), name=name, reset_less=not has_reset)
        with m.If(enable):
            m.d.sync += register.eq(value)
        return register
    register_of = partial(registered, m, enable=enable, has_reset=has_reset)
    if isinstance(value, Mapping):
        return {k: register_of(v, f"{name}_{k}") for k, v in value.items()}
    if isinstance(value, list):
        return [register_of(v, f"{name}_{i}") for i, v in enumerate(value)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return dataclasses.replace(
            value, **{k: register_of(v, f"{name}_{k}") for k, v in fields.items()}
        )
    return value
