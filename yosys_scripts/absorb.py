"""Small gates in front of carry chains move into the LUTs of the chains.

Yosys maps an adder's operands and its carry chain apart, and each AND of a partial product or
XOR of a negation takes a LUT of its own although the LUT of the adder's bit has inputs to spare.
The passes here work on the netlist of one module as `write_json` gives it, and change its cells.

Imports nothing of this package but its neighbours: `worker.py` runs it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from yosys_scripts.dual_luts import lut6_2
    from yosys_scripts.small_functions import SmallFunctions
else:  # In `worker.py` they are modules of their own.
    from dual_luts import lut6_2
    from small_functions import SmallFunctions

Bit = int | str  # A net's number, or "0", "1", "x".
Json = dict[str, Any]

#: Output of a gate for (A, B) = 00, 10, 01, 11.
_GATES = {
    "$_AND_": (0, 0, 0, 1),
    "$_NAND_": (1, 1, 1, 0),
    "$_OR_": (0, 1, 1, 1),
    "$_NOR_": (1, 0, 0, 0),
    "$_XOR_": (0, 1, 1, 0),
    "$_XNOR_": (1, 0, 0, 1),
    "$_ANDNOT_": (0, 1, 0, 0),
    "$_ORNOT_": (1, 1, 0, 1),
}

#: A half of a CCU2C whose C and D are high: the LUT4 reads INIT[15:12], the LUT2 INIT[3:0].
_ADD, _SUBTRACT = 0x6008, 0x9002


@dataclass(frozen=True)
class Operand:
    """A bit as a function of two nets.

    ``table`` has its value for (first, second) = 00, 10, 01, 11. A net that it does not depend on
    is "0".
    """

    first: Bit
    second: Bit
    table: tuple[int, int, int, int]

    def inverted(self) -> Operand:
        """The inverse of the bit, of the same nets."""
        a, b, c, d = (1 - value for value in self.table)
        return Operand(self.first, self.second, (a, b, c, d))


class Gates:
    """The gates of a module, by the net that they drive."""

    def __init__(self, module: Json) -> None:
        self.drivers: dict[Bit, Json] = {}
        self.readers: Counter[Bit] = Counter()
        nets = [bit for wire in module["netnames"].values() for bit in wire["bits"]]
        self._last_net = max((bit for bit in nets if isinstance(bit, int)), default=0)
        for port in module["ports"].values():
            self.readers.update(port["bits"])
        for cell in module["cells"].values():
            pins = cell["connections"]
            gate = cell["type"] in _GATES or cell["type"] == "$_NOT_"
            if gate or cell["type"] == "$_MUX_":
                self.drivers[pins["Y"][0]] = cell
            for name, bits in pins.items():
                if cell["port_directions"][name] == "input":
                    self.readers.update(bits)

    def new_net(self) -> int:
        """A net that the module has not yet."""
        self._last_net += 1
        return self._last_net

    def operand(self, bit: Bit) -> Operand:
        """``bit`` as a function of what its gate reads, if that saves the gate."""
        if isinstance(bit, str):
            value = int(bit == "1")
            return Operand("0", "0", (value, value, value, value))
        cell = self.drivers.get(bit)
        if cell is not None and cell["type"] == "$_NOT_":
            return self.operand(cell["connections"]["A"][0]).inverted()
        gate = _two_inputs(cell) if cell is not None else None
        # Two gates in front, and this one, would make one LUT4.
        if gate is None or all(self._single_use(net) for net in gate[:2]):
            return Operand(bit, "0", (0, 1, 0, 1))
        (first, flip_first), (second, flip_second) = (self._plain(net) for net in gate[:2])
        table = gate[2]
        values = [table[(i & 1 ^ flip_first) | (i >> 1 ^ flip_second) << 1] for i in range(4)]
        return Operand(first, second, (values[0], values[1], values[2], values[3]))

    def one_lut_beside(self, x: Bit, y: Bit) -> bool:
        """Whether the logic of x that nothing else reads is a LUT6, and that of y fits beside x.

        Both have more than one gate: the LUT of an adder's bit would not take all of them.
        """
        x_nets, y_nets = self._leaves(x), self._leaves(y)
        return min(len(x_nets), len(y_nets)) > 2 and len(x_nets) <= 6 and len(y_nets) <= 5

    def _leaves(self, bit: Bit) -> set[Bit]:
        """The nets that a bit's gates read, with those in front that nothing else reads."""
        leaves, waiting = set[Bit](), [bit]
        while waiting:
            pins = self.drivers[waiting.pop()]["connections"]
            for net in (pins[pin][0] for pin in "ABS" if pin in pins):
                driver = self.drivers.get(net)
                inverter = driver is not None and driver["type"] == "$_NOT_"
                if driver is not None and (inverter or self.readers[net] == 1):
                    waiting.append(net)
                elif isinstance(net, int):
                    leaves.add(net)
        return leaves

    def _single_use(self, bit: Bit) -> bool:
        cell = self.drivers.get(bit)
        return cell is not None and cell["type"] != "$_NOT_" and self.readers[bit] == 1

    def _plain(self, bit: Bit) -> tuple[Bit, int]:
        """The net behind inverters, and whether their number is odd."""
        flips = 0
        while (cell := self.drivers.get(bit)) is not None and cell["type"] == "$_NOT_":
            bit, flips = cell["connections"]["A"][0], 1 - flips
        return bit, flips


def _two_inputs(cell: Json) -> tuple[Bit, Bit, tuple[int, ...]] | None:
    """The nets that a gate reads and its table; None for a multiplexer of two signals."""
    pins = cell["connections"]
    if cell["type"] != "$_MUX_":
        return pins["A"][0], pins["B"][0], _GATES[cell["type"]]
    low, high, select = (pins[name][0] for name in "ABS")
    if isinstance(low, str) and low in "01":
        return high, select, (int(low), int(low), 0, 1)
    if isinstance(high, str) and high in "01":
        return low, select, (0, 1, int(high), int(high))
    return None


def into_ccu2c(module: Json) -> None:
    """Gates of two inputs that feed a CCU2C of an adder (see ecp5/arith.v) move into it.

    A half adds x and y when its LUT4 is x ^ y and its LUT2 x. With A and B for x, C and D for y,
    both are functions of two nets each. The LUT2 is the LUT4 where C and D are low: y is low there.
    """
    gates = Gates(module)
    for cell in _of_type(module, "CCU2C"):
        pins, parameters = cell["connections"], cell["parameters"]
        for half in "01":
            if pins[f"C{half}"] != ["1"] or pins[f"D{half}"] != ["1"]:
                continue
            init = int(parameters[f"INIT{half}"], 2)
            if init not in (_ADD, _SUBTRACT):
                continue
            x = gates.operand(pins[f"A{half}"][0])
            y = gates.operand(pins[f"B{half}"][0])
            if init == _SUBTRACT:
                y = y.inverted()
            if y.table[0]:
                x, y = y, x
            if y.table[0]:
                continue
            for name, net in zip("ABCD", (x.first, x.second, y.first, y.second), strict=True):
                pins[name + half] = [net]
            table = [x.table[i & 3] ^ y.table[i >> 2] for i in range(16)]
            parameters[f"INIT{half}"] = "".join(str(value) for value in reversed(table))


def into_carry4(module: Json) -> None:
    """Gates of two inputs in front of both operands of a CARRY4's bit become one LUT6_2.

    Its O6 drives S with x ^ y, its O5 drives DI with x. Where only one operand comes from a gate
    the other one drives DI, and the gate becomes part of S's LUT.
    """
    gates, functions = Gates(module), SmallFunctions(module)

    def deep(operand: Operand) -> bool:
        """Whether a net in front of an operand's gate is more than a LUT (`small_functions.py`)."""
        return any(functions.inputs(net) is None for net in (operand.first, operand.second))

    made: Json = {}
    for name, cell in module["cells"].items():
        if cell["type"] != "CARRY4":
            continue
        pins = cell["connections"]
        for i, (s, di) in enumerate(zip(pins["S"], pins["DI"], strict=True)):
            driver = gates.drivers.get(s)
            if driver is None or driver["type"] != "$_XOR_":
                continue
            both = [driver["connections"][n][0] for n in "AB"]
            if di not in both:
                continue
            both.remove(di)
            x, y = gates.operand(di), gates.operand(both[0])
            if x.second == "0" and x.table == (0, 1, 0, 1):
                continue
            if y.second == "0" and y.table == (0, 1, 0, 1):
                pins["DI"][i] = y.first
                continue
            if deep(x) and deep(y) and gates.one_lut_beside(di, both[0]):
                continue
            nets = [x.first, x.second, y.first, y.second, "0", "1"]
            lower = [x.table[row & 3] for row in range(32)]
            upper = [lower[row] ^ y.table[row >> 2 & 3] for row in range(32)]
            outputs: dict[str, Bit] = {"O6": gates.new_net(), "O5": gates.new_net()}
            pins["S"][i], pins["DI"][i] = outputs["O6"], outputs["O5"]
            made[f"{name}.bit{i}"] = lut6_2(nets, upper, lower, outputs)
    module["cells"].update(made)


def _of_type(module: Json, cell_type: str) -> Iterator[Json]:
    return (cell for cell in module["cells"].values() if cell["type"] == cell_type)
