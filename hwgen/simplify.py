"""A netlist of words without what is only wiring, and with the names that signals have."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping

from hwgen.netlist import (
    Assign,
    Cell,
    Module,
    Signal,
    Slice,
    Statement,
    cut,
    extended,
    joined,
    width_of,
)

#: Which operand decides the comparison of unsigned numbers if it is zero, and as what; the other
#: one does if all of its bits are ones.
_BOUNDS = {"$ge": (1, 1), "$lt": (1, 0), "$le": (0, 1), "$gt": (0, 0)}
#: What is worked out where all operands are constants.
_COMPUTED: dict[str, Callable[..., int]] = {
    **{"$add": operator.add, "$sub": operator.sub, "$mul": operator.mul},
    **{"$eq": operator.eq, "$ne": operator.ne, "$ge": operator.ge, "$gt": operator.gt},
    **{"$le": operator.le, "$lt": operator.lt},
}
_PLAIN = re.compile(r"\\[A-Za-z_]\w*")


def simplified(module: Module) -> dict[Signal, str]:
    """The names of signals that have one of their own; ``module`` is changed.

    Shifts by constants and decided comparisons become wiring, and signals that have a name of
    their own are read by it.
    """
    wiring = _only_wiring(module)
    for wire in wiring:
        del module.cells[wire]
    aliases = {wire: _followed(signal, wiring) for wire, signal in module.aliases.items()}
    names: dict[Signal, str] = {}
    for wire, signal in aliases.items():
        if _PLAIN.fullmatch(wire) and not module.wires[wire].direction and _worth(module, signal):
            names.setdefault(signal, wire)

    def named(signal: Signal) -> Signal:
        signal = _followed(signal, wiring)
        zeros = len(signal) > 1 and signal[0][0] is None
        meant = signal[zeros:]
        wire = names.get(meant)
        if wire is None:
            return signal
        width = module.wires[wire].width
        if wire not in module.cells:
            module.cells[wire] = Cell("", wire, width, [meant])
        return (*signal[:zeros], (wire, 0, width))

    for cell in list(module.cells.values()):
        cell.operands = [named(signal) for signal in cell.operands]
    for register in module.registers:
        _renew(register.statements, named)
    for instance in module.instances:
        instance.inputs = {port: named(signal) for port, signal in instance.inputs.items()}
    module.aliases = {
        wire: named(s) for wire, s in aliases.items() if module.wires[wire].direction == "output"
    }
    return names


def _only_wiring(module: Module) -> dict[str, Signal]:
    """The wires that need no logic, or have another's, and the signals that they are.

    A named wire stays, unless it is a constant: its cell becomes that signal.
    """
    wiring: dict[str, Signal] = {}
    cells = sorted(module.cells.values(), key=lambda cell: cell.out[0] == "$")
    before = -1
    while before < len(wiring):
        before = len(wiring)
        by_operation: dict[object, Signal] = {}
        for cell in cells:
            if cell.out in wiring:
                continue
            cell.operands = [_followed(signal, wiring) for signal in cell.operands]
            signal = _wiring(cell)
            key = cell.kind, tuple(cell.operands), cell.width, cell.signed
            known = by_operation.setdefault(key, ((cell.out, 0, cell.width),))
            if signal is None and known[0][0] != cell.out and cell.kind:
                signal = known
            if signal is None:
                continue
            # A name that is a constant would be a comparison's constant operand, in disguise.
            is_inner = not module.wires[cell.out].direction
            if cell.out[0] == "$" or (is_inner and _number(signal) is not None):
                wiring[cell.out] = signal
            else:
                cell.kind, cell.operands = "", [signal]
    return wiring


def _followed(signal: Signal, wiring: Mapping[str, Signal]) -> Signal:
    """The signal without wires that are only ``wiring``."""
    if all(part[0] not in wiring for part in signal):
        return signal
    parts: list[Slice] = []
    for wire, low, width in signal:
        inner = wiring.get(wire) if wire else None
        parts += (
            [(wire, low, width)] if inner is None else _followed(cut(inner, low, width), wiring)
        )
    return joined(parts)


def _worth(module: Module, signal: Signal) -> bool:
    """Whether a name tells more than the signal does."""
    if len(signal) > 1:
        return True
    ((wire, _, width),) = signal
    return wire is not None and (wire[0] == "$" or width < module.wires[wire].width)


def _renew(statements: Iterable[Statement], change: Callable[[Signal], Signal]) -> None:
    for statement in statements:
        if isinstance(statement, Assign):
            statement.value = change(statement.value)
        else:
            statement.on = change(statement.on)
            for _, inner in statement.cases:
                _renew(inner, change)


def _wiring(cell: Cell) -> Signal | None:
    """What the result is, if no logic is needed for it."""
    kind, operands, width = cell.kind, cell.operands, cell.width
    first, numbers = operands[0], [_number(signal) for signal in operands]
    if not kind and numbers[0] is not None:  # What it is another name of has become a constant.
        return first
    if kind in _COMPUTED and not cell.signed and None not in numbers:
        return ((None, int(_COMPUTED[kind](*numbers)) % (1 << width), width),)
    if kind in ("$shl", "$shr", "$sshr"):
        places = numbers[1]
        if places is None:
            return None
        places = min(places, width)
        if kind == "$shl":
            return joined((*extended(first, width - places, cell.signed), (None, 0, places)))
        return cut(extended(first, width + places, cell.signed), places, width)
    if kind == "$mul" and 0 in numbers:
        return ((None, 0, width),)
    if kind.startswith("$reduce_") and width_of(first) < 2:
        return first or ((None, int(kind == "$reduce_and"), 1),)
    if kind in ("$and", "$or", "$xor", "$not", "$mux"):
        return _of_constant(cell)
    if kind in _BOUNDS and not cell.signed:
        zero, result = _BOUNDS[kind]
        size = max(map(width_of, operands))
        if numbers[zero] == 0 or numbers[1 - zero] == (1 << size) - 1:
            return ((None, result, 1),)
    return None


def _of_constant(cell: Cell) -> Signal | None:
    """What a bitwise operator makes of a constant, if no logic is left."""
    numbers, ones = [_number(signal) for signal in cell.operands], (1 << cell.width) - 1
    if cell.kind == "$not":
        return None if numbers[0] is None else ((None, numbers[0] ^ ones, cell.width),)
    if cell.kind == "$mux":
        return None if numbers[0] is None else cell.operands[2 - numbers[0]]
    for number, other_operand in zip(numbers, cell.operands[::-1], strict=True):
        if number == {"$and": 0, "$or": ones}.get(cell.kind, -1):
            return ((None, number, cell.width),)
        if (
            number == {"$and": ones, "$or": 0, "$xor": 0}[cell.kind]
            and width_of(other_operand) == cell.width
        ):
            return other_operand
    return None


def _number(signal: Signal) -> int | None:
    """The number that a constant signal is; None for others."""
    if not signal:
        return 0
    if len(signal) > 1 or signal[0][0] is not None:
        return None
    return signal[0][1]
