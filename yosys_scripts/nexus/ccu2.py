"""Each CCU2C of an adder, with the gates that `absorb.py` moved into it, becomes a CCU2 of Nexus.

A half of either has a LUT4. Beside it the carry of a CCU2C sees a LUT2 of A and B, which is the
LUT4 where C and D are low; the carry of a CCU2 a LUT3 of A, B and C, which is the LUT4 where D is
low. A half adds x and y when its LUT4 is x ^ y and that other LUT x, so y has to be low where D
is: it is an AND with D, or of one net, with D high. A gate of another kind stands in front again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from yosys_scripts.absorb import _GATES, Gates, Operand
else:
    from absorb import _GATES, Gates, Operand

Json = dict[str, Any]

_GATE_OF = {table: name for name, table in _GATES.items()}


def apply(module: Json) -> None:
    """Change the netlist of a module in place."""
    gates = Gates(module)
    made: Json = {}
    for name, cell in module["cells"].items():
        if cell["type"] != "CCU2C":
            continue
        pins, inits = cell["connections"], {}
        for half in "01":
            init = int(cell["parameters"][f"INIT{half}"], 2)
            nets = [pins[pin + half][0] for pin in "ABCD"]
            if nets[2:] == ["1", "1"]:  # What the LUT2 reads, the LUT3 reads where C is high.
                inits[f"INIT{half}"] = _text(init | (init & 15) << 4)
                continue
            rows = [init >> i & 1 for i in range(16)]
            x = Operand(nets[0], nets[1], (rows[0], rows[1], rows[2], rows[3]))
            # y is low where C and D are.
            table = (0, rows[4] ^ rows[0], rows[8] ^ rows[0], rows[12] ^ rows[0])
            y = Operand(nets[2], nets[3], table)
            first, last = x, _low_with_d(y)
            if last is None:
                first, last = y, _low_with_d(x)
            if last is None:
                net = gates.new_net()
                made[f"{name}.gate{half}"] = _gate(y, net)
                first, last = x, _with_d_high(Operand(net, "0", (0, 1, 0, 1)))
            values = [first.table[i & 3] ^ last.table[i >> 2] for i in range(16)]
            inits[f"INIT{half}"] = _text(sum(value << i for i, value in enumerate(values)))
            ends = (first.first, first.second, last.first, last.second)
            pins.update({pin + half: [net] for pin, net in zip("ABCD", ends, strict=True)})
        cell["type"], cell["parameters"] = "CCU2", {**inits, "INJECT": "NO"}
    module["cells"].update(made)


def _low_with_d(y: Operand) -> Operand | None:
    """``y`` as C and D may have it, or None."""
    if y.second == "0":
        return _with_d_high(y)
    a, b, c, d = y.table
    forms = (y, Operand(y.second, y.first, (a, c, b, d)))
    return next((form for form in forms if form.table[:2] == (0, 0)), None)


def _with_d_high(y: Operand) -> Operand:
    return Operand(y.first, "1", (0, 0, *y.table[:2]))


def _gate(operand: Operand, net: int) -> Json:
    nets = {"A": operand.first, "B": operand.second, "Y": net}
    return {
        "hide_name": 1,
        "type": _GATE_OF[operand.table],
        "parameters": {},
        "attributes": {},
        "port_directions": {"A": "input", "B": "input", "Y": "output"},
        "connections": {pin: [bit] for pin, bit in nets.items()},
    }


def _text(init: int) -> str:
    """As Yosys' JSON has it: a space behind a text that it would take for bits."""
    text = f"0x{init:04x}"
    return f"{text} " if set(text) <= set("01xz") else text
