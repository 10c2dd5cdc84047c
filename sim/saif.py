"""Toggle counts of nets in SAIF texts (IEEE 1801, annex I), as Verilator writes them."""

from __future__ import annotations

import re

from hwgen.errors import ToolError

CLOCK = "clk"


def of_instance(saif: str, instance: str, name: str) -> str:
    """A SAIF text of one instance alone, under the ``name`` of its module.

    It has the instance's own nets, not those inside of its cells. ToolError if there is no such
    instance.
    """
    header = re.match(r"(?s).*?\(DURATION \d+\)\n", saif)
    # A scope lists its nets first and the instances in it after them.
    nets = re.search(
        rf"(?m)^ *\(INSTANCE {re.escape(instance)}\n *\(NET\n((?: *\(\S+ \(T0.*\n)+)", saif
    )
    if header is None or nets is None:
        raise ToolError(f"the simulator's activity file has no toggles of {name}")
    lines = "".join(f"   {line.strip()}\n" for line in nets[1].splitlines())
    return f"{header[0]} (INSTANCE {name}\n  (NET\n{lines}  )\n )\n)\n"


def toggles(saif: str) -> int:
    """Toggles (TC) of all nets but the clock's in the text of one instance.

    ToolError if there are none.
    """
    total = sum(by_net(saif).values())
    if not total:
        raise ToolError("the simulator's activity file has no toggles")
    return total


def by_net(saif: str) -> dict[str, int]:
    """Toggles (TC) of each net but the clock's in the text of one instance.

    Bits of vectors are called as in Verilog, such as ``a[3]``.
    """
    nets = re.findall(r"^ *\((\S+) .*\(TC (\d+)\)\)$", saif, re.MULTILINE)
    return {net.replace("\\", ""): int(count) for net, count in nets if net != CLOCK}
