"""What every unit shares: ports from the spec, valid bits, and registers between its steps."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Module, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hwgen.spec.base import Port, Spec


@dataclass(frozen=True)
class Step:
    """Combinational logic between two places where a register may stand.

    ``build`` makes the values after it from those before, by name; values are signals, or
    dataclasses and lists of them. ``delay``: about how many levels of LUTs it takes.
    """

    name: str
    delay: float
    build: Callable[[Module, Mapping[str, Any]], dict[str, Any]]


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

    def elaborate(self, platform: object) -> Module:
        m = Module()
        steps = list(self.steps())
        live: dict[str, Any] = {port.name: getattr(self, port.name) for port in self.spec.inputs}
        valid: Value = self.valid_in
        cuts = register_places([step.delay for step in steps], self.latency - 1)
        for index, step in enumerate(steps):
            if index in cuts:
                live = registered(m, live, step.name, self.enable)
                next_valid = Signal(name=f"valid_{step.name}")
                with m.If(self.enable):
                    m.d.sync += next_valid.eq(valid)
                valid = next_valid
            live = step.build(m, live)
        with m.If(self.enable):
            m.d.sync += self.valid_out.eq(valid)
            for port in self.spec.outputs:
                m.d.sync += getattr(self, port.name).eq(live[port.name])
        return m


def _shape(port: Port) -> Any:
    return signed(port.width) if port.signed else port.width


def registered(m: Module, value: Any, name: str, enable: Value) -> Any:
    """``value`` with a register behind each signal in it.

    Data registers need no reset: nothing reads them before their valid bit is set.
    """
    if isinstance(value, Value):
        if len(value) == 0:  # Verilog has no empty ranges.
            return value
        register = Signal(value.shape(), name=name, reset_less=True)
        with m.If(enable):
            m.d.sync += register.eq(value)
        return register
    if isinstance(value, Mapping):
        return {k: registered(m, v, f"{name}_{k}", enable) for k, v in value.items()}
    if isinstance(value, list):
        return [registered(m, v, f"{name}_{i}", enable) for i, v in enumerate(value)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return dataclasses.replace(
            value, **{k: registered(m, v, f"{name}_{k}", enable) for k, v in parts.items()}
        )
    return value


def register_places(delays: Sequence[float], count: int) -> frozenset[int]:
    """Before which steps ``count`` registers stand, so that the longest way between two is
    shortest. There are no more places than steps."""
    places = range(len(delays))

    def fits(limit: float) -> list[int] | None:
        """The latest places that keep every way within ``limit``, or None."""
        chosen: list[int] = []
        way = 0.0
        for place in places:
            if way + delays[place] > limit and way > 0:
                chosen.append(place)
                way = 0.0
            if delays[place] > limit:
                return None
            way += delays[place]
        return chosen if len(chosen) <= count else None

    ways = sorted({sum(delays[i:j]) for i in places for j in range(i + 1, len(delays) + 1)})
    chosen = next(found for way in ways if (found := fits(way)) is not None)
    # Registers that would not shorten the longest way go first in front of the unit.
    spare = [place for place in places if place not in chosen]
    return frozenset([*chosen, *spare[: count - len(chosen)]])
