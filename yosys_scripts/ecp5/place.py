"""What the netlist of ECP5 and Nexus needs before it is placed."""

from __future__ import annotations

from collections import Counter
from typing import Any


def apply(module: dict[str, Any]) -> None:
    """Disconnect, in place, the ends of carry chains that carry nothing.

    nextpnr-ecp5 adds a CCU2C to feed a constant into CIN, and one to bring COUT out, even where
    no carry depends on CIN (see arith.v) and nothing reads COUT; nextpnr-nexus takes no constant
    there. "x" is no connection.
    """
    readers = Counter(bit for port in module["ports"].values() for bit in port["bits"])
    carries, constants = [], {"0": "0", "1": "1"}
    for cell in module["cells"].values():
        if cell["type"] in ("CCU2C", "CCU2"):
            carries.append(cell)
        if cell["type"] in ("VLO", "VHI"):
            constants[cell["connections"]["Z"][0]] = "0" if cell["type"] == "VLO" else "1"
        for bits in cell["connections"].values():
            readers.update(bits)
    for cell in carries:
        pins = cell["connections"]
        if pins["COUT"] and readers[pins["COUT"][0]] == 1:
            pins["COUT"] = ["x"]
        # With C0 and D0 high the first LUT4 reads INIT0[15:12]; when that is 0 it stops CIN.
        stops_cin = cell["parameters"]["INIT0"].startswith(("0000", "0x0"))
        tied_high = all(constants.get(pins[pin][0]) == "1" for pin in ("C0", "D0"))
        if stops_cin and tied_high and pins["CIN"][0] in constants:
            pins["CIN"] = ["x"]
