"""Shift registers around a mapped netlist, for placers that put every port on a pin.

The bits of the inputs, but clocks, come from a shift register that a pin feeds; those of the
outputs go through XORs into another behind it, which ends at a pin. They have a clock of their
own, so that no way from or to them counts in the clock of the design.

Imports nothing of this package: `worker.py` runs it.
"""

from __future__ import annotations

from typing import Any

Bit = int | str  # A net's number, or "0", "1", "x".
Json = dict[str, Any]

#: Begins the names of all that is not the design's; the clock has this name.
NAME = "harness"
CLOCK = f"{NAME}_clock"


def wrap(module: Json, facts: Json) -> Json:
    """Put the ports of ``module`` on shift registers; how many bits ``inputs`` and ``outputs``
    have.

    ``facts``: cells by their name here, each with its type, parameters, and pins, whose nets are
    ``in``, ``beside``, ``clock``, ``out``, or constants. Always ``register`` and ``xor``; where
    the placer needs them, buffers at pins, ``from_pin`` and ``to_pin``, which are on ``sites``,
    and cells of the constants, ``low`` and ``high``. ``clock_pins``: the pins of a target's cells
    that tell a clock.
    """
    nets = [bit for wire in module["netnames"].values() for bit in wire["bits"]]
    last = max((bit for bit in nets if isinstance(bit, int)), default=1)
    cells = module["cells"]
    clocks = {
        bit
        for cell in cells.values()
        for pin in facts["clock_pins"]
        for bit in cell["connections"].get(pin, ())
    }
    ports: Json = {}
    constants: dict[str, Bit] = {}

    def new_net() -> int:
        nonlocal last
        last += 1
        return last

    def add(
        kind: str, name: str, nets: dict[str, Bit], attributes: dict[str, str] | None = None
    ) -> Bit:
        pins = facts[kind]["pins"]
        cells[f"{NAME}_{name}"] = {
            "hide_name": 0,
            "type": facts[kind]["type"],
            "parameters": dict(facts[kind].get("parameters", {})),
            "attributes": attributes or {},
            "port_directions": {
                pin: "output" if net == "out" else "input" for pin, net in pins.items()
            },
            "connections": {
                pin: [nets.get(net, constants.get(net, net))] for pin, net in pins.items()
            },
        }
        return nets["out"]

    def pin(name: str, direction: str, net: Bit) -> Bit:
        """``net`` on a pin of its own, through a buffer if the placer makes none."""
        pads = {"input": "from_pin", "output": "to_pin"}
        outside = net
        if pads[direction] in facts:
            outside = new_net()
            ends = (outside, net) if direction == "input" else (net, outside)
            site = {"LOC": facts["sites"][len(ports)]}
            add(pads[direction], f"{name}_pad", dict(zip(("in", "out"), ends, strict=True)), site)
        ports[name] = {"direction": direction, "bits": [outside]}
        module["netnames"][name] = {"hide_name": 0, "bits": [net], "attributes": {}}
        return net

    for value, kind in (("0", "low"), ("1", "high")):
        if kind in facts:
            constants[value] = add(kind, kind, {"out": new_net()})
    clock, bit = pin(CLOCK, "input", new_net()), pin(f"{NAME}_in", "input", new_net())
    found = {"inputs": 0, "outputs": 0}
    for name, port in sorted(module["ports"].items(), key=lambda item: item[1]["direction"]):
        part = f"{port['direction']}s"
        for net in port["bits"]:
            if net in clocks:
                pin(name, port["direction"], net)
            elif isinstance(net, int):  # A constant needs no register.
                at = f"{part}{found[part]}"
                out = net
                if part == "outputs":
                    bit = add("xor", f"{at}_xor", {"in": bit, "beside": net, "out": new_net()})
                    out = new_net()
                bit = add("register", at, {"in": bit, "clock": clock, "out": out})
                found[part] += 1
    pin(f"{NAME}_out", "output", bit)
    module["ports"] = ports
    return found
