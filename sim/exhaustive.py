"""Every input of a unit's logic, in one compiled simulation for many units.

The steps of the units, without their registers, share one design and one Verilator build, whose
harness writes the results of all inputs to a file; the comparison with the golden values is
numpy's. Units with up to 16 bits of inputs can be checked so: two operands of 8 bits, or one
of 16.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import numpy as np
from amaranth.back import rtlil
from amaranth.hdl import Cat, Const, Module, Signal, Value

from hwgen import emit, processes, units
from hwgen.errors import InputError
from hwgen.spec import Port, Spec
from hwgen.units.unit import Unit, build
from sim import tools, unit_model
from sim.unit_model import Patterns
from sim.words import WORD_BITS, Words, to_integer, to_words, words_of

MAX_INPUT_BITS = 16


@dataclass(frozen=True)
class Case:
    """A unit, and inputs of it that stand still, by name: random bits, for instance.

    Units that keep something between inputs are tried with ``clear`` fixed to 1: the result of an
    input is then its own. InputError without that, and for more than 16 bits of inputs.
    """

    spec: Spec
    fixed: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        keeps = self.spec.keeps_outputs and self.fixed.get("clear") != 1
        if keeps or self.spec.random_words is not None:
            raise InputError(
                f"{self.spec.name} keeps something between inputs: only results of single inputs "
                "can be checked so; fix clear to 1"
            )
        if self.input_bits > MAX_INPUT_BITS:
            raise InputError(
                f"{self.spec.name} has {self.input_bits} bits of inputs: all their patterns are "
                f"tried up to {MAX_INPUT_BITS} bits"
            )

    @property
    def varied(self) -> tuple[Port, ...]:
        """Inputs of which all patterns are tried."""
        return tuple(port for port in self.spec.inputs if port.name not in self.fixed)

    @property
    def input_bits(self) -> int:
        """Bits of the inputs that vary."""
        return sum(port.width for port in self.varied)


@dataclass(frozen=True)
class Wrong:
    """Inputs with a wrong result: patterns by port, single elements."""

    inputs: dict[str, int]
    output: str
    expected: int
    got: int


def check(cases: Sequence[Case]) -> list[list[Wrong]]:
    """The wrong results of each case among all patterns of its inputs.

    Results are compared as bit patterns of whole ports. ToolError if the simulator fails.
    """
    outputs = [(case, port) for case in cases for port in case.spec.outputs]
    words = [words_of(port) for _, port in outputs]
    table = _simulate(_verilog(cases), max(case.input_bits for case in cases), sum(words))
    columns = np.split(table, np.cumsum(words)[:-1], axis=1)
    wrong: dict[int, list[Wrong]] = {id(case): [] for case in cases}
    patterns: Patterns = {}
    expected: Patterns = {}
    last: Case | None = None
    for (case, port), got in zip(outputs, columns, strict=True):
        if case is not last:
            last, patterns = case, _patterns(case)
            expected = unit_model.of(case.spec).expected(case.spec, patterns)
        got = got[: 1 << case.input_bits]
        wanted = to_words(expected[port.name], port)
        for row in np.flatnonzero((got != wanted).any(axis=1)):
            inputs = {name: int(v[row, 0]) for name, v in patterns.items()}
            result = Wrong(inputs, port.name, to_integer(wanted[row]), to_integer(got[row]))
            wrong[id(case)].append(result)
    return [wrong[id(case)] for case in cases]


def _patterns(case: Case) -> Patterns:
    """All inputs of a case.

    The patterns of the word that the harness counts through, cut in ports, the first in the lowest
    bits.
    """
    count = np.arange(1 << case.input_bits, dtype=np.uint64)
    patterns: Patterns = {}
    for port in case.spec.inputs:
        if port.name in case.fixed:
            pattern = np.full(len(count), case.fixed[port.name], np.uint64)
        else:
            pattern = count & np.uint64((1 << port.width) - 1)
            count >>= np.uint64(port.width)
        places = np.arange(port.count, dtype=np.uint64) * np.uint64(port.bits)
        elements = (pattern[:, None] >> places) & np.uint64((1 << port.bits) - 1)
        patterns[port.name] = elements.astype(np.uint8 if port.bits <= 8 else np.uint64)
    return patterns


def _verilog(cases: Sequence[Case]) -> str:
    """A module with a word of inputs and all results, each in whole words."""
    m = Module()
    inputs = Signal(MAX_INPUT_BITS)
    fields: list[Value] = []
    for index, case in enumerate(cases):
        unit = Module()
        outputs = _logic(unit, case, inputs)
        m.submodules[f"case_{index}"] = unit
        for port in case.spec.outputs:
            width = words_of(port) * WORD_BITS
            part = Signal(width, name=f"case_{index}_{port.name}")
            unit.d.comb += part.eq(outputs[port.name].as_unsigned()[: port.width])
            fields.append(part)
    # Verilator gives ports of more than two words the type that the harness reads.
    results = Signal(max(sum(map(len, fields)), 3 * WORD_BITS))
    m.d.comb += results.eq(Cat(*fields))
    text = rtlil.convert(m, name="exhaustive", ports=[inputs, results], emit_src=False)
    return emit.body(str(text))


def _logic(m: Module, case: Case, inputs: Value) -> Mapping[str, Value]:
    """The unit's outputs by name, with no register between its steps."""
    unit = units.component(case.spec)
    assert isinstance(unit, Unit)
    unit._MustUse__used = True  # Amaranth's: no warning that it stands in no design.
    signals: Mapping[str, Any] = {}
    first = 0
    for port in case.spec.inputs:
        if port.name in case.fixed:
            signals = {**signals, port.name: Const(case.fixed[port.name], port.width)}
        else:
            signals = {**signals, port.name: inputs[first : first + port.width]}
            first += port.width
    state = unit.state()
    for step in case.spec.steps:
        outputs = build(unit.builder, step, m, {**signals, **state} if step.has_state else signals)
        for name, register in state.items() if step.has_state else ():
            # What the register would hold; nothing drives the register itself, which is zero.
            next_state = Signal(register.shape(), name=f"next_{name}")
            m.d.comb += next_state.eq(outputs[name])
            outputs[name] = next_state
        signals = outputs
    return signals


def _simulate(verilog: str, input_bits: int, words: int) -> Words:
    """The results for all inputs, (2^input_bits, words)."""
    tools.require_tools()
    harness = resources.files("sim").joinpath("exhaustive.cpp")
    with (
        processes.temporary_folder() as folder,
        resources.as_file(harness) as main,
    ):
        design, output = folder / "design.v", folder / "results.bin"
        design.write_text(verilog)
        command = [
            *("verilator", "--cc", "--exe", "--build", "-j", "2", "--top-module", "exhaustive"),
            *("-Mdir", str(folder / "build"), "-o", "harness", *tools.BUILD_FLAGS),
            *(str(design), str(main)),
        ]
        with tools.shared_runtime(folder / "build", []):
            tools.run(command, folder)
        tools.run([str(folder / "build" / "harness"), str(output), str(input_bits)], folder)
        table = np.fromfile(output, dtype="<u4").reshape(1 << input_bits, -1)
    return table[:, :words]
