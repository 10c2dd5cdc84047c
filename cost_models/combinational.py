"""A unit's arithmetic alone, without registers: what published areas are of.

Of a unit that sums it is what a cycle computes with ``clear`` low. An exact or fixed accumulator is
one adder behind whatever is summed, and stays outside: its part is the exact sum, as in
docs/area.md. Of a float accumulator it is the step from operands and old accumulator to the new.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from amaranth.back import rtlil
from amaranth.hdl import Const, Module, Signal, Value

from hwgen import units
from hwgen.errors import InputError
from hwgen.spec import Spec
from hwgen.units.unit import Unit, build

TOP = "combinational"
AnySpec = TypeVar("AnySpec", bound=Spec)
#: Values between steps that are results; others are controls on their way.
RESULTS = ("terms", "special")


def undivided(spec: AnySpec) -> AnySpec:
    """The spec with the fewest stages, tuned for no target: none of its steps is in segments."""
    return dataclasses.replace(spec, stages=spec.least_stages, pipeline_target="")


def combinational_rtlil(spec: Spec) -> str:
    """RTLIL of the module ``TOP``: operands, and what a float accumulator held, to results.

    Steps are whole: registers that are not there divide none. InputError for an array, between
    whose rows and columns are registers.
    """
    spec = undivided(spec)
    unit = units.component(spec)
    unit._MustUse__used = True  # Amaranth's: no warning that it stands in no design.
    if not isinstance(unit, Unit) or type(unit).elaborate is not Unit.elaborate:
        raise InputError(
            f"unit {spec.unit}: registers between its rows and columns belong to it: measure it "
            "with them, or the dot or blockdot that it repeats"
        )
    m, ports = Module(), {p.name: Signal(p.width, name=p.name) for p in spec.inputs}
    live: dict[str, Any] = {**ports, **({"clear": Const(0)} if "clear" in ports else {})}
    ports.pop("clear", None)
    names: tuple[str, ...] = tuple(port.name for port in spec.outputs)
    for step in spec.steps:
        if step.has_state and not spec.rounds_in_loop:
            names = RESULTS
            break
        if step.has_state:
            for name, register in unit.state().items():
                live[name] = ports[f"held_{name}"] = Signal(register.shape(), name=f"held_{name}")
        live = build(unit.builder, step, m, live)
    results = [value for name in names if name in live for value in _values(live[name])]
    for index, value in enumerate(results):
        port = Signal(value.shape(), name=f"result_{index}")
        m.d.comb += port.eq(value)
        ports[port.name] = port
    text: str = rtlil.convert(m, name=TOP, ports=list(ports.values()), emit_src=False)
    return text


def _values(made: Any) -> Iterator[Value]:
    """The signals in a value between steps."""
    if isinstance(made, Value):
        yield made
    elif isinstance(made, list):
        for part in made:
            yield from _values(part)
    elif isinstance(made, Mapping):
        yield from _values(list(made.values()))
    elif dataclasses.is_dataclass(made) and not isinstance(made, type):
        yield from _values([getattr(made, f.name) for f in dataclasses.fields(made)])
