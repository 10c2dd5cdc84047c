"""A bit that the netlist has to have, and that is a function of six nets or fewer, is one LUT.

What a carry chain, a register, a port or a cell of the target reads is some LUT's output, however
the logic in front is shared. `abc` still spends further LUTs on such bits where it follows the
gates' structure: on the 8 bits of a product of two E2M1 magnitudes, functions of six bits, 10.

The pass works on the netlist of one module as `write_json` gives it, in gates. Imports nothing of
this package: `worker.py` runs it.
"""

from __future__ import annotations

from typing import Any

Net = int | str  # A net's number, or "0", "1", "x".
Json = dict[str, Any]

_INPUTS = 6

#: Rows of a table, and the value of each input in each row, as the bits of one number.
_ROWS = 1 << _INPUTS
_ALL = (1 << _ROWS) - 1
_INPUT = [sum(1 << row for row in range(_ROWS) if row >> i & 1) for i in range(_INPUTS)]


def _gate(kind: str, a: int, b: int, s: int) -> int:
    """A gate's output in each row."""
    match kind:
        case "$_BUF_":
            return a
        case "$_NOT_":
            return _ALL & ~a
        case "$_AND_":
            return a & b
        case "$_NAND_":
            return _ALL & ~(a & b)
        case "$_OR_":
            return a | b
        case "$_NOR_":
            return _ALL & ~(a | b)
        case "$_XOR_":
            return a ^ b
        case "$_XNOR_":
            return _ALL & ~(a ^ b)
        case "$_ANDNOT_":
            return a & ~b
        case "$_ORNOT_":
            return a | _ALL & ~b
        case _:  # $_MUX_
            return b & s | a & ~s


_GATES = {
    *("$_BUF_", "$_NOT_", "$_AND_", "$_NAND_", "$_OR_", "$_NOR_", "$_XOR_", "$_XNOR_"),
    *("$_ANDNOT_", "$_ORNOT_", "$_MUX_"),
}


class SmallFunctions:
    """The nets of a module as functions of nets that no gate drives."""

    def __init__(self, module: Json) -> None:
        self.drivers: dict[Net, Json] = {}
        for cell in module["cells"].values():
            if cell["type"] in _GATES:
                self.drivers[cell["connections"]["Y"][0]] = cell
        self.known_inputs: dict[Net, frozenset[int] | None] = {}

    def inputs(self, net: Net) -> frozenset[int] | None:
        """The nets that a net depends on and no gate drives; None if they are too many."""
        # Not recursive: a ripple adder is as deep as it is wide. A loop has too many inputs.
        waiting, begun = [net], set[Net]()
        while waiting:
            at = waiting[-1]
            if at in self.known_inputs:
                waiting.pop()
                continue
            begun.add(at)
            cell = self.drivers.get(at)
            if cell is None:
                self.known_inputs[at] = frozenset((at,) if isinstance(at, int) else ())
                continue
            nets = _read(cell)
            new = [n for n in nets if n not in self.known_inputs and n not in begun]
            if new:
                waiting += new
                continue
            parts = [self.known_inputs.get(n) for n in nets]
            union = frozenset().union(*(part for part in parts if part is not None))
            fits = None not in parts and len(union) <= _INPUTS
            self.known_inputs[at] = union if fits else None
        return self.known_inputs[net]

    def table(self, net: Net, inputs: list[int]) -> int:
        """The values of a net in each row, as the bits of one number; ``inputs``: of `inputs`."""
        known: dict[Net, int] = {"0": 0, "1": _ALL, "x": 0}
        known |= zip(inputs, _INPUT, strict=False)

        def value(at: Net) -> int:
            if at not in known:
                cell = self.drivers[at]
                nets = [*_read(cell), "0", "0"][:3]
                a, b, s = (value(n) for n in nets)
                known[at] = _gate(cell["type"], a, b, s)
            return known[at]

        return value(net)


def _read(cell: Json) -> list[Net]:
    return [cell["connections"][pin][0] for pin in "ABS" if pin in cell["connections"]]


def tabulate(module: Json) -> None:
    """Drive what cells other than gates read from one LUT each, where six inputs are enough."""
    gates = SmallFunctions(module)
    needed: dict[Net, None] = {}
    for port in module["ports"].values():
        if port["direction"] == "output":
            needed |= dict.fromkeys(port["bits"])
    for cell in module["cells"].values():
        if cell["type"] not in _GATES:
            for pin, bits in cell["connections"].items():
                if cell["port_directions"][pin] == "input":
                    needed |= dict.fromkeys(bits)
    made: Json = {}
    gone = set()
    for net in needed:
        if net not in gates.drivers or not (inputs := gates.inputs(net)):
            continue
        nets = sorted(inputs)
        table = gates.table(net, nets)
        # A wire or an inverter is none, and a table may not need all of them.
        used = [n for n, column in zip(nets, _INPUT, strict=False) if _depends(table, column)]
        if len(used) < 2:
            continue
        if len(used) < len(nets):
            unused = [n for n in nets if n not in used]
            table = gates.table(net, [*used, *unused])
        made[f"{net}.table"] = _lut(used, table, net)
        gone.add(net)
    kept = {
        name: cell
        for name, cell in module["cells"].items()
        if cell["type"] not in _GATES or cell["connections"]["Y"][0] not in gone
    }
    module["cells"] = kept | made


def _depends(table: int, column: int) -> bool:
    """Whether a table depends on the input of these values: its first one is the step."""
    step = (column & -column).bit_length() - 1
    return (table & column) >> step != table & ~column & _ALL


def _lut(nets: list[int], table: int, y: Net) -> Json:
    n = len(nets)
    return {
        "hide_name": 1,
        "type": f"LUT{n}",
        "parameters": {"INIT": f"{table & (1 << (1 << n)) - 1:0{1 << n}b}"},
        "attributes": {},
        "port_directions": {**{f"I{i}": "input" for i in range(n)}, "O": "output"},
        "connections": {**{f"I{i}": [net] for i, net in enumerate(nets)}, "O": [y]},
    }
