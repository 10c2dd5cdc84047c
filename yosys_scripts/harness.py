"""Registers around a mapped netlist, on its clock; and pins, for placers that need them.

``between_registers`` puts a register in front of each bit of the inputs, but clocks, and one behind
each bit of the outputs. So every path of the design is one between registers, those from and to its
ports too, and the placer times it. A design without a clock gets one.

``on_pins`` goes around that, for placers that put every port on a pin: the bits of the inputs come
from a shift register that a pin feeds; those of the outputs go through XORs into another behind it,
which ends at a pin. They have a clock of their own, so that no path from or to them counts in the
clock of the design.

Imports nothing of this package: ``worker.py`` runs it.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

Bit = int | str  # A net's number, or "0", "1", "x".
Json = dict[str, Any]

#: Begins the names of all that is between the design and pins; the clock there has this name.
NAME = "harness"
CLOCK = f"{NAME}_clock"
#: Begins the names of the registers around a design; the clock that one without a clock gets.
RING = "ring"
RING_CLOCK = f"{RING}_clock"


class _Cells:
    """The cells that are added to a ``module``, with names that begin with ``prefix``.

    ``facts``: cells by their name here, each with its type, parameters, and pins, whose nets are
    ``in``, ``beside``, ``clock``, ``out``, or constants. Always ``register``; ``xor`` for pins;
    where the placer needs them, buffers at pins, ``from_pin`` and ``to_pin``, which are on
    ``sites``, and cells of the constants, ``low`` and ``high``. ``clock_pins``: the pins of a
    target's cells that tell a clock.
    """

    def __init__(self, module: Json, facts: Json, prefix: str) -> None:
        self.cells, self.names, self.facts = module["cells"], module["netnames"], facts
        self.prefix = prefix
        nets = [bit for wire in self.names.values() for bit in wire["bits"]]
        self.last = max((bit for bit in nets if isinstance(bit, int)), default=1)
        self.constants: dict[str, Bit] = {}
        for value, kind in (("0", "low"), ("1", "high")):
            if kind in facts:
                self.constants[value] = self.add(kind, kind, {"out": self.net(kind)})

    def net(self, name: str) -> int:
        """A new net of this name."""
        self.last += 1
        self.call(f"{self.prefix}_{name}", self.last)
        return self.last

    def call(self, name: str, net: Bit) -> None:
        self.names[name] = {"hide_name": 0, "bits": [net], "attributes": {}}

    def add(
        self, kind: str, name: str, nets: dict[str, Bit], attributes: dict[str, str] | None = None
    ) -> Bit:
        """A cell on these nets; the one that it drives."""
        cell = self.facts[kind]
        self.cells[f"{self.prefix}_{name}"] = {
            "hide_name": 0,
            "type": cell["type"],
            "parameters": dict(cell.get("parameters", {})),
            "attributes": attributes or {},
            "port_directions": {
                pin: "output" if net == "out" else "input" for pin, net in cell["pins"].items()
            },
            "connections": {
                pin: [nets.get(net, self.constants.get(net, net))]
                for pin, net in cell["pins"].items()
            },
        }
        return nets["out"]

    def clocks(self) -> set[Bit]:
        """The nets at the clock pins of the design's cells."""
        return {
            bit
            for cell in self.cells.values()
            for pin in self.facts["clock_pins"]
            for bit in cell["connections"].get(pin, ())
            if isinstance(bit, int)
        }


def between_registers(module: Json, facts: Json) -> dict[str, int]:
    """Put a register on the design's clock at each bit of the ports of ``module``.

    But for clocks and constants. Returns how many ``registers`` there are, and how many of them are
    ``behind_luts``: the only readers of a LUT, with which some placers put them into one cell.
    ``facts``: as of ``_Cells``. ValueError for several clocks: it cannot be told then which one a
    port is of.
    """
    readers = Counter(
        bit
        for cell in module["cells"].values()
        for pin, bits in cell["connections"].items()
        if cell["port_directions"][pin] == "input"
        for bit in bits
    )
    readers.update(
        bit
        for port in module["ports"].values()
        if port["direction"] == "output"
        for bit in port["bits"]
    )
    of_luts = {
        bit
        for cell in module["cells"].values()
        if "LUT" in cell["type"]
        for pin, bits in cell["connections"].items()
        if cell["port_directions"][pin] == "output"
        for bit in bits
    }
    cells = _Cells(module, facts, RING)
    clocks = cells.clocks()
    if len(clocks) > 1:
        raise ValueError(
            f"the design has {len(clocks)} clocks: its ports can be timed for one clock only"
        )
    if clocks:
        (clock,) = clocks
    else:
        clock = cells.net("clock")
        module["ports"][RING_CLOCK] = {"direction": "input", "bits": [clock]}
    counts = {"registers": 0, "behind_luts": 0}
    for name, port in module["ports"].items():
        for index, net in enumerate(port["bits"]):
            if net == clock or not isinstance(net, int):
                continue
            outside = cells.net(f"{name}_{index}")
            ends = (outside, net) if port["direction"] == "input" else (net, outside)
            nets = {"clock": clock, **dict(zip(("in", "out"), ends, strict=True))}
            cells.add("register", f"{name}_{index}", nets)
            port["bits"][index] = outside
            counts["registers"] += 1
            if port["direction"] == "output":
                counts["behind_luts"] += net in of_luts and readers[net] == 1
    return counts


def on_pins(module: Json, facts: Json) -> dict[str, int]:
    """Put the ports of ``module`` on shift registers.

    Returns how many bits ``inputs`` and ``outputs`` have. ``facts``: as of ``_Cells``.
    """
    cells = _Cells(module, facts, NAME)
    clocks = cells.clocks()
    ports: Json = {}

    def pin(name: str, direction: str, net: Bit) -> Bit:
        """``net`` on a pin of its own, through a buffer if the placer makes none."""
        pads = {"input": "from_pin", "output": "to_pin"}
        outside = net
        if pads[direction] in facts:
            outside = cells.net(f"{name}_outside")
            ends = (outside, net) if direction == "input" else (net, outside)
            nets = dict(zip(("in", "out"), ends, strict=True))
            site = {"LOC": facts["sites"][len(ports)]}
            cells.add(pads[direction], f"{name}_pad", nets, site)
        ports[name] = {"direction": direction, "bits": [outside]}
        cells.call(name, net)
        return net

    clock, bit = (
        pin(CLOCK, "input", cells.net("clock")),
        pin(f"{NAME}_in", "input", cells.net("in")),
    )
    counts = {"inputs": 0, "outputs": 0}
    for name, port in sorted(module["ports"].items(), key=lambda item: item[1]["direction"]):
        part = f"{port['direction']}s"
        for net in port["bits"]:
            if net in clocks:
                pin(name, port["direction"], net)
            elif isinstance(net, int):  # A constant needs no register.
                at = f"{part}{counts[part]}"
                out = net
                if part == "outputs":
                    out = cells.net(f"{at}_xor")
                    bit = cells.add("xor", f"{at}_xor", {"in": bit, "beside": net, "out": out})
                    out = cells.net(at)
                bit = cells.add("register", at, {"in": bit, "clock": clock, "out": out})
                counts[part] += 1
    pin(f"{NAME}_out", "output", bit)
    module["ports"] = ports
    return counts
