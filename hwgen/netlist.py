"""A design in RTLIL, as Amaranth writes it, as a netlist of words.

The text is Yosys' RTLIL (Yosys manual, *RTLIL text representation*); of it, what Amaranth makes
of a design without memories. A *signal* is a tuple of parts, the highest first, as in the text:
``(wire, lowest bit, width)``, or ``(None, value, width)`` for a constant.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from hwgen.errors import ToolError

Slice = tuple[str | None, int, int]
Signal = tuple[Slice, ...]

_PART = re.compile(r"(\d+)'([01]*)|([\\$]\S+)(?: \[(\d+)(?::(\d+))?\])?")
_MODULE = re.compile(r"^module (\S+)\n(.*?)^end$", re.MULTILINE | re.DOTALL)


@dataclass(slots=True)
class Wire:
    """A wire of ``width`` bits.

    ``direction``: input, output, or nothing; ``initial``: at power-up, of a register.
    """

    width: int
    signed: bool = False
    direction: str = ""
    initial: int = 0


@dataclass(slots=True)
class Assign:
    """Bits of a wire, from ``low`` on, become ``value``."""

    wire: str
    low: int
    value: Signal


@dataclass(slots=True)
class Switch:
    """A choice by the value of ``on``, a signal.

    What stands in the first case with a pattern (of 0, 1 and -) that ``on`` fits is done; a case
    without patterns fits always. In a list of statements switches come behind assignments: what is
    assigned later stands in a switch on nothing.
    """

    on: Signal
    cases: list[tuple[tuple[str, ...], list[Statement]]]


Statement = Assign | Switch


@dataclass(slots=True)
class Cell:
    """An operator, by its name in RTLIL, or nothing but a signal.

    ``operands`` are in the order of Verilog, ``out`` is the wire that is the result. ``signed``: it
    reads its operands as signed.
    """

    kind: str
    out: str
    width: int
    operands: list[Signal]
    signed: bool = False


@dataclass(slots=True)
class Register:
    """A wire that keeps its value, but for what is done at each rising edge of the clock."""

    out: str
    statements: list[Statement]


@dataclass(slots=True)
class Instance:
    """Another module in this one, with signals and wires by port."""

    module: str
    name: str
    inputs: dict[str, Signal]
    outputs: dict[str, str]


@dataclass(slots=True)
class Module:
    """A module: its cells by their results.

    ``aliases``: wires that are other names of signals.
    """

    name: str
    wires: dict[str, Wire] = field(default_factory=dict)
    cells: dict[str, Cell] = field(default_factory=dict)
    registers: list[Register] = field(default_factory=list)
    instances: list[Instance] = field(default_factory=list)
    aliases: dict[str, Signal] = field(default_factory=dict)
    clock: Signal = ()


def read(rtlil: str) -> list[Module]:
    """The modules of the design ``rtlil``, the top module first.

    Raises ToolError where something is in it that is no operator, register of the rising edge of
    one clock, or module.
    """
    readers = [_Reader(name[1:], text) for name, text in _MODULE.findall(rtlil)]
    ports = {reader.module.name: reader.module.wires for reader in readers}
    return [reader.read(ports) for reader in readers]


def width_of(signal: Signal) -> int:
    """Bits of a signal."""
    return sum(width for _, _, width in signal)


def cut(signal: Signal, low: int, width: int) -> Signal:
    """``width`` bits of ``signal``, from ``low`` on."""
    parts: list[Slice] = []
    for wire, start, size in reversed(signal):
        first, last = max(low, 0), min(low + width, size)
        if first < last:
            start = start + first if wire else start >> first & (1 << last - first) - 1
            parts.append((wire, start, last - first))
        low -= size
    return tuple(parts[::-1])


def joined(parts: Iterable[Slice]) -> Signal:
    """The signal with neighbours of one wire, and constants, as one part."""
    merged: list[Slice] = []
    for wire, low, width in parts:
        if width and merged and merged[-1][0] == wire:
            _, above, size = merged[-1]
            if wire is None:
                merged[-1] = (None, above << width | low, size + width)
                continue
            if above == low + width:
                merged[-1] = (wire, low, size + width)
                continue
        if width:
            merged.append((wire, low, width))
    return tuple(merged)


def extended(signal: Signal, width: int, signed: bool) -> Signal:
    """The lowest ``width`` bits of ``signal``, with zeros or, if ``signed``, its sign above it."""
    missing = width - width_of(signal)
    if missing <= 0:
        return cut(signal, 0, width) if missing else signal
    if not (signed and signal):
        return joined(((None, 0, missing), *signal))
    (sign,) = cut(signal, width_of(signal) - 1, 1)
    filled = (*[sign] * missing, *signal)
    return joined(filled) if sign[0] is None else filled


class _Reader:
    """The reader of one module.

    Its wires are read first: other modules ask for its ports.
    """

    def __init__(self, name: str, text: str) -> None:
        self.module = Module(name)
        self._signals: dict[str, Signal] = {}
        self._blocks: list[list[str]] = []
        for block in text.split("\n\n"):
            lines = block.strip().split("\n")
            words = lines[-1].split()
            if words[:1] == ["wire"]:
                self._wire(words, lines[:-1])
            elif words:
                self._blocks.append(lines)

    def _wire(self, words: Sequence[str], attributes: Sequence[str]) -> None:
        wire = self.module.wires[words[-1]] = Wire(int(words[2]))
        for word in words[3:-1]:
            if word == "signed":
                wire.signed = True
            elif word in ("input", "output"):
                wire.direction = word
        for line in attributes:
            if line.startswith("attribute \\init "):
                wire.initial = int(line.partition("'")[2] or "0", 2)

    def read(self, ports: Mapping[str, Mapping[str, Wire]]) -> Module:
        """The module; ``ports``: the wires of all modules, by name."""
        module = self.module
        processes: dict[str, list[Statement]] = {}
        flip_flops: list[dict[str, str]] = []
        for lines in self._blocks:
            kind, *words = lines[0].split()
            if kind == "connect":
                for line in lines:
                    _, name, text = line.split(None, 2)
                    module.aliases[name] = self.signal(text)
            elif kind == "process":
                statements = self._statements([line.strip() for line in lines[:0:-1]])
                assert isinstance(statements[0], Assign)
                processes[statements[0].wire] = statements
            elif kind != "cell":
                raise unknown(kind)
            elif words[0][0] == "\\":
                self._instance(words[0][1:], words[1][1:], _pins(lines), ports)
            elif words[0] == "$dff":
                flip_flops.append(_pins(lines))
            else:
                self._cell(words[0], _pins(lines))
        for pins in flip_flops:
            self._register(pins, processes)
        for out, statements in processes.items():
            width = module.wires[out].width
            module.cells[out] = Cell("", out, width, [self._chosen(statements, width)])
        return module

    def signal(self, text: str) -> Signal:
        """The signal that the text names."""
        signal = self._signals.get(text)
        if signal is None:
            parts = (self._part(match) for match in _PART.finditer(text))
            signal = self._signals[text] = tuple(part for part in parts if part[2])
        return signal

    def _part(self, match: re.Match[str]) -> Slice:
        width, bits, name, high, low = match.groups()
        if width is not None:
            return None, int(bits or "0", 2), int(width)
        if high is None:
            return name, 0, self.module.wires[name].width
        lowest = int(low or high)
        return name, lowest, int(high) - lowest + 1

    def _driven(self, text: str) -> str:
        """The name of a wire that is driven as a whole."""
        ((name, low, width),) = self.signal(text)
        assert name is not None and (low, width) == (0, self.module.wires[name].width), text
        return name

    def _cell(self, kind: str, pins: Mapping[str, str]) -> None:
        if "Y" not in pins:
            raise unknown(f"cell {kind}")
        if not self.signal(pins["Y"]):  # Nobody can read a result of no bits.
            return
        names = "SBA" if kind == "$mux" else "AB"
        operands = [self.signal(pins[name]) for name in names if name in pins]
        out = self._driven(pins["Y"])
        width = self.module.wires[out].width
        self._add(Cell(kind, out, width, operands, pins.get("A_SIGNED") == "1"))

    def _add(self, cell: Cell) -> Signal:
        self.module.cells[cell.out] = cell
        return ((cell.out, 0, cell.width),)

    def _instance(
        self,
        module: str,
        name: str,
        pins: Mapping[str, str],
        ports: Mapping[str, Mapping[str, Wire]],
    ) -> None:
        instance = Instance(module, name, {}, {})
        for port, text in pins.items():
            if ports[module]["\\" + port].direction == "input":
                instance.inputs[port] = self.signal(text)
            else:
                instance.outputs[port] = self._driven(text)
        self.module.instances.append(instance)

    def _register(self, pins: Mapping[str, str], processes: dict[str, list[Statement]]) -> None:
        """Adds a register.

        Its next value is that of a process, which nothing else reads, or any other signal.
        """
        if pins["CLK_POLARITY"] != "1":
            raise unknown("register of the falling edge")
        out, next_value = self._driven(pins["Q"]), self.signal(pins["D"])
        statements = processes.pop(next_value[0][0] or "", None) if len(next_value) == 1 else None
        if statements is None:
            statements = [Assign(out, 0, next_value)]
        elif isinstance(statements[0], Assign) and statements[0].value == self.signal(out):
            del statements[0]  # It stays as it is.
        for assign in assigns(statements):
            assign.wire = out
        clock = self.signal(pins["CLK"])
        if self.module.clock not in ((), clock):
            raise unknown("second clock")
        self.module.clock = clock
        self.module.registers.append(Register(out, statements))

    def _statements(self, lines: list[str]) -> list[Statement]:
        """The statements up to the end of the block, or the next case.

        ``lines``: from the last to the first, of which those are taken.
        """
        statements: list[Statement] = []
        while lines[-1] != "end" and not lines[-1].startswith("case"):
            word, _, operand = lines.pop().partition(" ")
            if word == "assign":
                target = _PART.match(operand)
                assert target is not None
                wire, low, _ = self._part(target)
                assert wire is not None
                statements.append(Assign(wire, low, self.signal(operand[target.end() :])))
                continue
            switch = Switch(self.signal(operand), [])
            while lines[-1] != "end":
                patterns = tuple(re.findall(r"'([01-]+)", lines.pop()))
                switch.cases.append((patterns, self._statements(lines)))
            lines.pop()
            statements.append(switch)
        return statements

    def _chosen(self, statements: Sequence[Statement], width: int) -> Signal:
        """What a wire of a process is, without statements: multiplexers."""
        ends = {0, width}
        for assign in assigns(statements):
            ends |= {assign.low, assign.low + width_of(assign.value)}
        places = sorted(ends)
        return joined(
            part
            for low, high in zip(places[-2::-1], places[:0:-1], strict=True)
            for part in self._value(statements, (), low, high)
        )

    def _value(
        self, statements: Sequence[Statement], current: Signal, low: int, high: int
    ) -> Signal:
        """The value of bits that are assigned together: ``current`` before the statements."""
        for statement in statements:
            if isinstance(statement, Assign):
                value = cut(statement.value, low - statement.low, high - low)
                current = (
                    value if low >= statement.low and width_of(value) == high - low else current
                )
                continue
            chosen = current
            for patterns, inner in reversed(statement.cases):
                taken = self._value(inner, current, low, high)
                if patterns and taken != chosen:
                    fits = self._fits(statement.on, patterns)
                    chosen = self._new("$mux", high - low, fits, taken, chosen)
                else:
                    chosen = taken
            current = chosen
        return current

    def _fits(self, on: Signal, patterns: Sequence[str]) -> Signal:
        """A bit that is one where the signal is like one of the patterns."""
        any_fits: Signal = ()
        for pattern in patterns:
            places = [i for i, digit in enumerate(reversed(pattern)) if digit != "-"][::-1]
            bits = joined(part for i in places for part in cut(on, i, 1))
            digits = pattern.replace("-", "")
            fits: Signal = bits if digits else ((None, 1, 1),)
            if digits not in ("", "1"):
                fits = self._new("$eq", 1, bits, ((None, int(digits, 2), len(digits)),))
            any_fits = self._new("$or", 1, any_fits, fits) if any_fits else fits
        return any_fits

    def _new(self, kind: str, width: int, *operands: Signal) -> Signal:
        out = f"$chosen{len(self.module.cells)}"
        self.module.wires[out] = Wire(width)
        return self._add(Cell(kind, out, width, list(operands)))


def assigns(statements: Sequence[Statement]) -> Iterator[Assign]:
    """All assignments in the statements, those inside others too."""
    for statement in statements:
        if isinstance(statement, Assign):
            yield statement
        else:
            for _, inner in statement.cases:
                yield from assigns(inner)


def _pins(lines: Sequence[str]) -> dict[str, str]:
    """Parameters and connections of a cell by name."""
    pairs = (line.split(None, 2)[1:] for line in lines[1:-1])
    return {name[1:]: value for name, value in pairs}


def unknown(what: str) -> ToolError:
    """The error for ``what`` this module does not read."""
    return ToolError(
        f"the design has a {what}, of which no Verilog is written here: "
        "use amaranth.back.verilog.convert"
    )
