"""What every unit shares: ports from the spec, valid bits, and registers between its steps."""

from __future__ import annotations

import bisect
import contextlib
import dataclasses
import itertools
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from amaranth.hdl import Module, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hwgen.arithmetic.lfsr import random_words
from hwgen.arithmetic.parts import Parts, ended, whole
from hwgen.arithmetic.path import Path, in_turn
from hwgen.formats.rounding import RANDOM_BITS
from hwgen.spec.base import Port, Spec
from hwgen.units.delay import millionths, model


@dataclass(frozen=True)
class Step:
    """Combinational logic between two places where a register may stand.

    ``build`` makes the values after it from those before, by name; values are signals, or
    dataclasses and lists of them. ``delay``: about how many levels of LUTs it takes, by which
    registers are placed that are tuned for no target. ``path``: its longest way, which the
    delay model of a target prices. ``parts``, in place of a path: the same logic in parts, each
    of which is a step of its own where a unit is tuned for a target.
    ``state``: registers that the step reads and, with valid inputs, sets to the values that
    ``build`` makes for them; they are what comes after it.
    """

    name: str
    delay: float
    build: Callable[[Module, Mapping[str, Any]], dict[str, Any]]
    state: Mapping[str, Signal] = field(default_factory=dict)
    path: Path | None = None
    parts: Callable[[Module, Mapping[str, Any]], Parts[dict[str, Any]]] | None = None

    @property
    def longest(self) -> Path:
        """``path``, of a step that states it."""
        assert self.path is not None, f"the step {self.name} states no path"
        return self.path


def in_parts(
    name: str,
    delay: float,
    parts: Callable[[Module, Mapping[str, Any]], Parts[dict[str, Any]]],
    state: Mapping[str, Signal] | None = None,
) -> Step:
    """A step whose logic has places for registers inside."""

    def build(m: Module, live: Mapping[str, Any]) -> dict[str, Any]:
        return whole(parts(m, live))

    return Step(name, delay, build, state or {}, parts=parts)


class Unit(wiring.Component):
    """Hardware of a spec, a pipeline of ``steps`` with ``spec.latency`` registers.

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

    @abstractmethod
    def steps(self) -> Sequence[Step]:
        """From the values of the input ports to those of the output ports, by their names."""

    def sampled(self) -> Iterator[tuple[Step, Mapping[str, Any]]]:
        """The steps, each with values such as it will see."""
        m = scratch()
        live: dict[str, Any] = {
            port.name: Signal(_shape(port), name=port.name) for port in self.spec.inputs
        }
        if self.spec.random_words is not None:
            live["random_bits"] = Signal(RANDOM_BITS * self.spec.random_words.count)
        for step in self.steps():
            seen = {**live, **step.state}
            yield step, seen
            live = {**step.build(m, seen), **step.state}

    def places(self) -> list[Step]:
        """The steps between which registers may stand: where the unit is tuned for a target, the
        parts of ``steps``."""
        steps = list(self.steps())
        return finer(steps, self.outline()) if self.spec.tuned_for else steps

    @property
    def held(self) -> int | None:
        """Which of ``places`` holds values from one input to the next, if any."""
        return state_of(self.places())

    def outline(self) -> list[Outline]:
        """The parts of each step; none of those without. Stages make no difference."""
        if all(step.parts is None for step in self.steps()):
            return [() for _ in self.steps()]
        spec = self.spec
        key = (spec.unit, *((k, v) for k, v in spec.to_dict().items() if k != "stages"))
        if key not in _outlines:
            _outlines[key] = [_outline_of(step, live) for step, live in self.sampled()]
        return _outlines[key]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        steps = self.places()
        live: dict[str, Any] = {port.name: getattr(self, port.name) for port in self.spec.inputs}
        made_inside = self.spec.random_words
        if made_inside is not None:
            advance = self.enable & self.valid_in
            live["random_bits"] = random_words(m, made_inside.seed, made_inside.count, advance)
        cuts = cuts_of(delays(self.spec, steps), self.latency, state_of(steps))
        live, valid = pipeline(
            m, steps, cuts, live, self.valid_in, self.enable, partial(self._next_valid, m)
        )
        if steps[-1].state:
            m.d.comb += self.valid_out.eq(valid)
            for port in self.spec.outputs:
                m.d.comb += getattr(self, port.name).eq(live[port.name])
            return m
        with m.If(self.enable):
            m.d.sync += self.valid_out.eq(valid)
        with m.If(self.enable & valid if self.spec.keeps_outputs else self.enable):
            for port in self.spec.outputs:
                m.d.sync += getattr(self, port.name).eq(live[port.name])
        return m

    def _next_valid(self, m: Module, valid: Value, name: str) -> Value:
        register = Signal(name=f"valid_{name}")
        with m.If(self.enable):
            m.d.sync += register.eq(valid)
        return register


#: Where parts keep their function, and its values, among those between steps.
_GOING, _VALUES = "going", "values"

#: Of a step, names and longest ways of its parts.
Outline = tuple[tuple[str, Path], ...]


def finer(steps: Sequence[Step], outlines: Sequence[Outline]) -> list[Step]:
    """The parts of steps that are in parts, each a step; loops stay whole, and so does a step
    that has nothing to be split for its spec, such as the largest of one."""
    found: list[Step] = []
    for step, parts in zip(steps, outlines, strict=True):
        if step.parts is None:
            found.append(step)
        elif step.state or not parts:
            found.append(replace(step, path=in_turn(path for _, path in parts)))
        else:
            found += _steps_of(step, parts)
    return found


def _steps_of(step: Step, parts: Outline) -> list[Step]:
    """Each part as a step."""
    start, last = step.parts, len(parts) - 1
    assert start is not None

    def first(m: Module, live: Mapping[str, Any]) -> dict[str, Any]:
        return going_on(0, start(m, live), None)

    def going_on(index: int, going: Parts[dict[str, Any]], values: Any) -> dict[str, Any]:
        part = going.send(values)
        assert part.name == parts[index][0], f"{part.name} in place of {parts[index][0]}"
        if index < last:
            return {_GOING: going, _VALUES: part.values}
        return ended(going, part.values)

    def build(index: int) -> Callable[[Module, Mapping[str, Any]], dict[str, Any]]:
        if index == 0:
            return first
        return lambda m, live: going_on(index, live[_GOING], live[_VALUES])

    return [
        Step(f"{step.name}_{name}", path.luts + 1.5 * path.chains, build(index), path=path)
        for index, (name, path) in enumerate(parts)
    ]


_outlines: dict[object, list[Outline]] = {}


def scratch() -> Module:
    """A module that is part of no design, and that nobody elaborates."""
    m = Module()
    m._MustUse__silence = True
    return m


def _outline_of(step: Step, live: Mapping[str, Any]) -> Outline:
    if step.parts is None:
        return ()
    parts: dict[str, Path] = {}
    going = step.parts(scratch(), live)
    values: Any = None
    with contextlib.suppress(StopIteration):
        while True:
            part = going.send(values)
            assert part.name not in parts, f"two parts {part.name}"
            parts[part.name], values = part.path, part.values
    return tuple(parts.items())


@dataclass(frozen=True)
class Way:
    """What lies between two registers: the steps on it, and the name of the registers at its end
    (the step behind them, ``STATE`` or ``OUTPUTS``).
    ``start``: a register is in front, not an input port."""

    end: str
    steps: tuple[Step, ...]
    start: bool = True

    @property
    def path(self) -> Path:
        """Its longest way, if the longest ways of its steps meet."""
        return in_turn(step.longest for step in self.steps)


#: The names of the registers of a state, and of the outputs.
STATE, OUTPUTS = "state", "outputs"


def ways(spec: Spec) -> list[Way]:
    """The ways between the registers of the unit of ``spec``, in their order."""
    unit = _asked(spec)
    steps, held = unit.places(), unit.held
    cuts = cuts_of(delays(spec, steps), spec.stages, held)
    found: list[Way] = []
    run: list[Step] = []
    start = False
    for index, step in enumerate(steps):
        if index in cuts:
            found.append(Way(step.name, tuple(run), start))
            run, start = [], True
        run.append(step)
        if index == held:
            found.append(Way(STATE, tuple(run), start))
            run, start = [], True
    if run:
        found.append(Way(OUTPUTS, tuple(run), start))
    # In front of the first step there is no logic between the ports and a register.
    return [way for way in found if way.steps]


def component_steps(spec: Spec) -> list[Step]:
    """The places for registers in the unit of ``spec``, in front of each step."""
    return _asked(spec).places()


def held_step(spec: Spec) -> int | None:
    """Which of them holds values from one input to the next, if any."""
    return _asked(spec).held


def _asked(spec: Spec) -> Unit:
    """The unit of ``spec``, which is only asked for its steps: nobody elaborates it."""
    unit = spec.component()
    assert isinstance(unit, Unit)
    unit._MustUse__silence = True
    return unit


def most_stages(spec: Spec) -> int:
    """Registers in front of every step, and those of the outputs."""
    return len(component_steps(spec)) + 1


def input_bits(spec: Spec) -> int:
    """Bits of all data that come in with an input: the measure of a unit's size that a delay
    model knows."""
    return sum(port.width for port in spec.inputs)


def delays(spec: Spec, steps: Sequence[Step]) -> list[int]:
    """What each step takes: in millionths of a level of LUTs, or in fs of the target that
    ``spec`` is tuned for."""
    if not spec.tuned_for:
        return [millionths(step.delay) for step in steps]
    times, bits = model(spec.tuned_for), input_bits(spec)
    return [times.price_fs(step.longest, bits) for step in steps]


def state_of(steps: Sequence[Step]) -> int | None:
    """Which step has a state, if any."""
    return next((index for index, step in enumerate(steps) if step.state), None)


def _shape(port: Port) -> Any:
    return signed(port.width) if port.is_signed_number else port.width


def pipeline(
    m: Module,
    steps: Sequence[Step],
    cuts: Collection[int],
    live: Mapping[str, Any],
    valid: Value,
    enable: Value,
    next_valid: Callable[[Value, str], Value],
) -> tuple[dict[str, Any], Value]:
    """The values after ``steps``, with registers before those that ``cuts`` counts, and their
    valid bit; ``next_valid`` is the bit a register, of that name, behind another."""
    now = dict(live)
    for index, step in enumerate(steps):
        if index in cuts:
            now = registered(m, now, step.name, enable)
            valid = next_valid(valid, step.name)
        made = step.build(m, {**now, **step.state})
        if not step.state:
            now = made
            continue
        with m.If(enable & valid):
            for name, register in step.state.items():
                m.d.sync += register.eq(made[name])
        rest = {name: value for name, value in made.items() if name not in step.state}
        now = {**registered(m, rest, f"{step.name}_beside", enable), **step.state}
        valid = next_valid(valid, f"{step.name}_done")
    return now, valid


def registered(m: Module, value: Any, name: str, enable: Value, *, kept: bool = False) -> Any:
    """``value`` with a register behind each signal in it.

    Data registers need no reset, as nothing reads them before their valid bit is set; those
    whose value is ``kept`` until another replaces it have one, to zero.
    """
    if isinstance(value, Value):
        if len(value) == 0:  # Verilog has no empty ranges.
            return value
        register = Signal(value.shape(), name=name, reset_less=not kept)
        with m.If(enable):
            m.d.sync += register.eq(value)
        return register
    again = partial(registered, m, enable=enable, kept=kept)
    if isinstance(value, Mapping):
        return {k: again(v, f"{name}_{k}") for k, v in value.items()}
    if isinstance(value, list):
        return [again(v, f"{name}_{i}") for i, v in enumerate(value)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return dataclasses.replace(value, **{k: again(v, f"{name}_{k}") for k, v in parts.items()})
    return value


def cuts_of(delays: Sequence[int], latency: int, state: int | None = None) -> frozenset[int]:
    """Before which steps registers stand, beside those of the step with a state, ``state``, and
    of the outputs; ``delays`` as those of ``delays``."""
    if state is None:
        return register_places(delays, latency - 1)
    ends = state == len(delays) - 1
    return register_places(delays, latency - (1 if ends else 2), () if ends else (state + 1,))


def register_places(delays: Sequence[int], count: int, given: Sequence[int] = ()) -> frozenset[int]:
    """Before which steps ``count`` registers stand, so that the longest way between two is
    shortest; before the steps in ``given`` one stands already.

    Whole numbers: sums of floats depend on the order and, in ``sum``, on the version of Python,
    and of two ways of the same length neither may be the longer one.
    """
    places = range(len(delays))

    def within(limit: int) -> list[int] | None:
        """The latest places that keep every way within ``limit``, or None."""
        chosen: list[int] = []
        way = 0
        for place in places:
            if place in given:
                way = 0
            if way > 0 and way + delays[place] > limit:
                chosen.append(place)
                way = 0
            way += delays[place]
            if way > limit:
                return None
        return chosen if len(chosen) <= count else None

    behind = [0, *itertools.accumulate(delays)]
    ways = sorted({end - start for start, end in itertools.combinations(behind, 2)})
    shortest = bisect.bisect_left(ways, True, key=lambda way: within(way) is not None)
    chosen = within(ways[shortest])
    assert chosen is not None
    # Registers that would not shorten the longest way go in front, where they help placement.
    spare = [place for place in places if place not in chosen and place not in given]
    return frozenset([*chosen, *spare[: count - len(chosen)]])
