"""Two LUTs with five inputs between them become one LUT6_2 of 7-series.

A LUT6 has two outputs, which are functions of the same five inputs: O6, and O5 of the lower half of
its table (7 Series CLB User Guide, UG474). The pass works on the netlist of one module as
`write_json` gives it, after mapping. Imports nothing of this package: `worker.py` runs it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

Net = int | str  # A net's number, or "0", "1", "x".
Json = dict[str, Any]

#: The LUT cells, and their inputs.
_LUTS = {f"LUT{n}": n for n in range(1, 7)}

#: The inputs that both outputs of a LUT6_2 have in common.
SHARED_INPUTS = 5


def lut6_2(nets: list[Net], upper: list[int], lower: list[int], outputs: dict[str, Net]) -> Json:
    """A cell LUT6_2.

    ``nets``: of I0 to I5, of which I5 is high for two functions; ``upper``, ``lower``: the 32
    values of O6 and of O5, by the first five; ``outputs``: nets of O6 and O5.
    """
    return {
        "hide_name": 1,
        "type": "LUT6_2",
        "parameters": {"INIT": "".join(str(bit) for bit in reversed([*lower, *upper]))},
        "attributes": {},
        "port_directions": {**{f"I{i}": "input" for i in range(6)}, "O6": "output", "O5": "output"},
        "connections": {
            **{f"I{i}": [net] for i, net in enumerate(nets)},
            **{name: [net] for name, net in outputs.items()},
        },
    }


def pack(module: Json) -> None:
    """Pair the LUTs of a mapped netlist: those of chains first, then those with a common input.

    A slot's own LUT takes no other partner than that of its DI: the chain's sum leaves the slice
    where O5 would.
    """
    luts = {
        cell["connections"]["O"][0]: name
        for name, cell in module["cells"].items()
        if cell["type"] in _LUTS
    }
    _pack_chains(module, luts)
    _pack_pairs(module, luts)


def _pack_chains(module: Json, luts: dict[Net, str]) -> None:
    """Join the LUTs of S and DI of a CARRY4's bit.

    Both, and those of S alone, are no longer in ``luts`` then: the cells, by the nets they drive.
    """
    cells, readers = module["cells"], _readers(module)
    for cell in [cell for cell in cells.values() if cell["type"] == "CARRY4"]:
        pins = cell["connections"]
        for s, di in zip(pins["S"], pins["DI"], strict=True):
            upper, lower = luts.pop(s, None), luts.get(di)
            # Only the chain can read O5.
            if upper is None or lower is None or upper == lower or readers[di] != 1:
                continue
            inputs = sorted({*_inputs(cells[upper]), *_inputs(cells[lower])})
            if len(inputs) <= SHARED_INPUTS:
                _join(cells, upper, lower, inputs)
                del luts[di]


def _pack_pairs(module: Json, luts: dict[Net, str]) -> None:
    """Join other LUTs in pairs, those of most inputs first, each with one of most in common."""
    cells = module["cells"]
    inputs = {name: frozenset(_inputs(cells[name])) for name in luts.values()}
    inputs = {name: nets for name, nets in inputs.items() if 0 < len(nets) <= SHARED_INPUTS}
    readers: dict[int, dict[str, None]] = defaultdict(dict)
    for name, nets in inputs.items():
        for net in nets:
            readers[net][name] = None
    for name in sorted(inputs, key=lambda name: -len(inputs[name])):
        if name not in inputs:
            continue
        nets = inputs.pop(name)
        beside = [
            other
            for other in dict.fromkeys(other for net in sorted(nets) for other in readers[net])
            if other in inputs and len(nets | inputs[other]) <= SHARED_INPUTS
        ]
        if beside:
            partner = max(beside, key=lambda other: (len(inputs[other]), len(nets & inputs[other])))
            _join(cells, name, partner, sorted(nets | inputs.pop(partner)))


def _join(cells: Json, upper: str, lower: str, inputs: list[int]) -> None:
    """Make one LUT6_2 of two LUTs that read ``inputs``, in the place of the cell ``upper``."""
    tables = _table(cells[upper], inputs), _table(cells[lower], inputs)
    outputs = (cells[name]["connections"]["O"][0] for name in (upper, lower))
    nets: list[Net] = [*inputs, *["0"] * (SHARED_INPUTS - len(inputs)), "1"]
    cells[upper] = lut6_2(nets, *tables, dict(zip(("O6", "O5"), outputs, strict=True)))
    del cells[lower]


def _readers(module: Json) -> Counter[Net]:
    """How often each net is read, by cells and by ports."""
    readers: Counter[Net] = Counter()
    for port in module["ports"].values():
        readers.update(port["bits"])
    for cell in module["cells"].values():
        for pin, bits in cell["connections"].items():
            if cell["port_directions"][pin] == "input":
                readers.update(bits)
    return readers


def _inputs(lut: Json) -> list[int]:
    """The nets that a LUT reads, without constants."""
    nets = (lut["connections"][f"I{i}"][0] for i in range(_LUTS[lut["type"]]))
    return [net for net in nets if isinstance(net, int)]


def _table(lut: Json, inputs: list[int]) -> list[int]:
    """The LUT's 32 values for five inputs, of which the first are ``inputs``."""
    init = int(lut["parameters"]["INIT"], 2)
    pins = [lut["connections"][f"I{i}"][0] for i in range(_LUTS[lut["type"]])]
    table = []
    for row in range(32):
        place = 0
        for i, net in enumerate(pins):
            value = row >> inputs.index(net) & 1 if isinstance(net, int) else int(net == "1")
            place |= value << i
        table.append(init >> place & 1)
    return table
