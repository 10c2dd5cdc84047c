"""A netlist of words made ready to be read: the stages, the order, and the widths.

Every operand gets the width that its operator works with, extended by zeros or by its sign, and
results lose bits that nobody reads, as linters of Verilog ask for. Only factors keep their own
widths, by which synthesis tools choose multipliers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from hwgen.netlist import (
    Assign,
    Cell,
    Instance,
    Module,
    Register,
    Signal,
    Statement,
    Switch,
    assigns,
    extended,
    width_of,
)

#: Which operands have the width of the result.
_EXTENDED = {
    **dict.fromkeys(("$add", "$sub", "$and", "$or", "$xor"), (0, 1)),
    **dict.fromkeys(("$neg", "$not", "$shl", "$shr", "$sshr"), (0,)),
    "$mux": (1, 2),
}
#: Of these, the low bits of results depend on the low bits of the operands alone.
_UPWARD = frozenset(("$add", "$sub", "$and", "$or", "$xor", "$neg", "$not", "$shl", "$mux"))
_COMPARISONS = frozenset(("$eq", "$ne", "$lt", "$le", "$gt", "$ge"))


@dataclass
class Stage:
    """Registers and instances of the same depth, and the logic in front of them.

    ``statements``: what all the registers do, those of one condition together.
    """

    cells: list[Cell] = field(default_factory=list)
    states: list[Register | Instance] = field(default_factory=list)
    statements: list[Statement] = field(default_factory=list)

    @property
    def registers(self) -> list[Register]:
        """The registers among ``states``."""
        return [state for state in self.states if isinstance(state, Register)]

    @property
    def instances(self) -> list[Instance]:
        """The instances among ``states``."""
        return [state for state in self.states if isinstance(state, Instance)]


@dataclass(slots=True)
class Reads:
    """How a wire is read.

    At how many places; which bits, if the same at all (else ``low`` is -1); up to which bit; and
    the wire that the first reader is, or is for.
    """

    count: int
    low: int
    width: int
    end: int
    by: str


class Flow:
    """The order in which a module is written, and who reads what in it.

    ``stages``: from the inputs to the outputs, the last without registers. ``early``: registers
    and results of instances that something in front of them reads. ``same``: the name that was
    given to a wire by another one.
    """

    def __init__(self, module: Module, names: Mapping[Signal, str]) -> None:
        self.module = module
        self.reads: dict[str, Reads] = {}
        self.same: dict[str, str] = {}
        #: Wires by what they need, and those whose registers are in front of them.
        self._needs: dict[str, list[str]] = {}
        self._data: dict[str, list[str]] = {}
        self._leader: dict[str, str] = {}
        self._states: dict[str, Register | Instance] = {}
        self._find_needs()
        levels = self._levels()
        self.stages = self._in_stages(levels)
        self.early = self._early(levels)
        for stage in self.stages:
            stage.statements = merged(register.statements for register in stage.registers)
        self._read_all(names)

    def _find_needs(self) -> None:
        """The wires that each depends on; an instance has the name of its first result."""
        for register in self.module.registers:
            self._states[register.out] = register
        for instance in self.module.instances:
            key = next(iter(instance.outputs.values()), f"instance {instance.name}")
            self._states[key] = instance
            self._leader |= dict.fromkeys(instance.outputs.values(), key)
        known = {*self.module.cells, *self._states, *self._leader}

        def sources(signals: Iterable[Signal]) -> list[str]:
            parts = (part for signal in signals for part in reversed(signal))
            wires = {wire: None for wire, _, _ in parts if wire in known}
            return [self._leader.get(wire, wire) for wire in wires if wire]

        for key, state in self._states.items():
            self._needs[key] = self._data[key] = sources(_inputs(state))
            if isinstance(state, Register):  # Whether it changes is no matter of its data.
                self._data[key] = sources(assign.value for assign in assigns(state.statements))
        for wire, cell in self.module.cells.items():
            self._needs[wire] = sources(cell.operands)
        self._ends = sources(self.module.aliases.values())
        self._ends += [
            wire for wire in self.module.cells if self.module.wires[wire].direction == "output"
        ]

    def _levels(self) -> dict[str, int]:
        """How many registers or instances are in front of each wire, itself among them.

        What feeds back into itself is of one level. (Tarjan, *Depth-first search and linear graph
        algorithms*, 1972, without recursion.)
        """
        needs = {**self._needs, **self._data}
        levels: dict[str, int] = {}
        index: dict[str, int] = {}
        lowest: dict[str, int] = {}
        opened: list[str] = []
        for start in (*self._states, *self._ends):
            work = [] if start in index else [(start, iter(needs[start]))]
            while work:
                wire, unvisited = work[-1]
                if wire not in index:
                    index[wire] = lowest[wire] = len(index)
                    opened.append(wire)
                for need in unvisited:
                    if need not in index:
                        work.append((need, iter(needs[need])))
                        break
                    if need not in levels:
                        lowest[wire] = min(lowest[wire], index[need])
                else:
                    work.pop()
                    if work:
                        above = work[-1][0]
                        lowest[above] = min(lowest[above], lowest[wire])
                    if lowest[wire] == index[wire]:
                        cycle = opened[opened.index(wire) :] if opened[-1] != wire else [wire]
                        del opened[-len(cycle) :]
                        before = max((levels.get(n, 0) for w in cycle for n in needs[w]), default=0)
                        levels |= {w: before + (w in self._states) for w in cycle}
        return levels

    def _in_stages(self, levels: dict[str, int]) -> list[Stage]:
        count = max((levels[key] for key in self._states), default=0)
        stages = [Stage() for _ in range(count + 1)]
        starts: list[list[str]] = [[] for _ in stages]
        for key, state in self._states.items():
            stages[levels[key] - 1].states.append(state)
            starts[levels[key] - 1] += self._needs[key]
        starts[-1] += self._ends
        done = set(self._states)
        for stage, wires in zip(stages, starts, strict=True):
            stage.cells = [self.module.cells[wire] for wire in self._in_order(wires, done)]
        return stages

    def _in_order(self, starts: Sequence[str], done: set[str]) -> Iterator[str]:
        """The cells that are needed for ``starts``, each behind those that it needs."""
        stack = [*reversed(starts)]
        opened = set()
        while stack:
            wire = stack[-1]
            if wire in done:
                stack.pop()
            elif wire not in opened:
                opened.add(wire)
                stack += [need for need in reversed(self._needs[wire]) if need not in done]
            else:
                stack.pop()
                done.add(wire)
                yield wire

    def _early(self, levels: dict[str, int]) -> list[Register | Instance]:
        early: dict[str, None] = {}
        for level, stage in enumerate(self.stages, 1):
            readers = [cell.out for cell in stage.cells]
            readers += [key for key in self._states if levels[key] == level]
            for need in (need for reader in readers for need in self._needs[reader]):
                if need in self._states and levels[need] > level:
                    early[need] = None
        return [self._states[key] for key in early]

    def _read_all(self, names: Mapping[Signal, str]) -> None:
        """Records who reads what, from the last reader to the first.

        So what reads a wire is known before it.
        """
        for wire, signal in self.module.aliases.items():
            self._read(signal, wire)
        for stage in reversed(self.stages):
            for instance in stage.instances:
                for port, signal in instance.inputs.items():
                    self._read(signal, f"\\{instance.name}_{port}")
            for target, signal in reversed(list(_read_by(stage.statements))):
                self._read(signal, target)
            used = []
            for cell in reversed(stage.cells):
                reads = self.reads.get(cell.out)
                if reads is None and self.module.wires[cell.out].direction != "output":
                    continue
                used.append(cell)
                if reads is not None and cell.out[0] == "$":
                    if cell.kind in _UPWARD:
                        cell.width = reads.end
                    name = names.get(((cell.out, 0, cell.width),))
                    if name is not None:
                        self.same[cell.out] = name
                self._fit(cell)
                reader = cell.out if reads is None or cell.out[0] == "\\" else reads.by
                for signal in cell.operands:
                    self._read(signal, self.same.get(cell.out, reader))
            renamed = set(self.same.values())
            stage.cells = [cell for cell in used[::-1] if cell.out not in renamed]

    def _read(self, signal: Signal, by: str) -> None:
        before = None
        for part in signal:
            wire, low, width = part
            if wire is None or part == before:  # What is repeated is written once.
                continue
            before, reads = part, self.reads.get(wire)
            if reads is None:
                self.reads[wire] = Reads(1, low, width, low + width, by)
                continue
            reads.count += 1
            if (low, width) != (reads.low, reads.width):
                reads.low = -1
            reads.end, reads.by = max(reads.end, low + width), by

    def _fit(self, cell: Cell) -> None:
        width, extended_operands = cell.width, _EXTENDED.get(cell.kind, ())
        if cell.kind in _COMPARISONS:
            width, extended_operands = max(1, *map(width_of, cell.operands)), (0, 1)
        for i in extended_operands:
            cell.operands[i] = extended(cell.operands[i], width, cell.signed)


def _inputs(state: Register | Instance) -> Iterable[Signal]:
    """What a register or an instance reads."""
    if isinstance(state, Instance):
        return state.inputs.values()
    return [signal for _, signal in _read_by(state.statements)]


def _read_by(statements: Iterable[Statement]) -> Iterator[tuple[str, Signal]]:
    """What statements read, each with the wire that it is for."""
    for statement in statements:
        if isinstance(statement, Assign):
            yield statement.wire, statement.value
            continue
        inner = [
            read for _, statements_inside in statement.cases for read in _read_by(statements_inside)
        ]
        yield (inner[0][0] if inner else ""), statement.on
        yield from inner


def merged(lists: Iterable[Sequence[Statement]]) -> list[Statement]:
    """Statements of several registers as one list, with those of one condition together."""
    combined: list[Statement] = []
    groups: list[tuple[tuple[Signal, tuple[tuple[str, ...], ...]], list[Switch]]] = []
    for statements in lists:
        position = 0
        for statement in statements:
            if isinstance(statement, Assign):  # They are in front of all others.
                combined.append(statement)
                continue
            key = statement.on, tuple(patterns for patterns, _ in statement.cases)
            places = [i for i in range(position, len(groups)) if groups[i][0] == key]
            if places:
                position = places[0]
            else:
                groups.insert(position, (key, []))
            groups[position][1].append(statement)
            position += 1
    for (on, cases), switches in groups:
        inner = [merged(switch.cases[i][1] for switch in switches) for i in range(len(cases))]
        combined.append(Switch(on, list(zip(cases, inner, strict=True))))
    return combined
