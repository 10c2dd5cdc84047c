"""A design, by Yosys, as an and-inverter graph with registers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hwgen.errors import ToolError
from hwgen.processes import read_json, temporary_folder
from sim.formal.aig import FALSE, Aig
from yosys_scripts import isolation
from yosys_scripts.flow import Netlist

Words = dict[str, list[int]]

#: Cells that say something of others.
_NO_LOGIC = ("$scopeinfo", "$specify", "$specrule")
#: To ANDs, inverters and plain flip-flops: enables and resets become logic. Delays and
#: initial values apart, nothing of the design is left out.
_TO_GATES = (
    "proc",
    "flatten",
    "opt_clean",
    "async2sync",
    "techmap",
    "dffunmap",
    "simplemap",
    "opt -nodffe -nosdff",
    "dfflegalize -cell $_DFF_P_ 01",
    "aigmap",
    "opt_clean",
    "write_json netlist.json",
)


@dataclass(frozen=True)
class Register:
    """One bit that is kept: the node that stands for it, what it is next, and at power-up
    (None: unknown). ``names``: all that it is called in the design, ``name`` among them.
    """

    name: str
    node: int
    next: int
    initial: int | None
    names: frozenset[str] = frozenset()


@dataclass
class Circuit:
    """A clocked design of one clock, which is no port here.

    ``inputs`` and ``outputs``: literals of ``aig`` by port, the lowest bit first. ``free``:
    nodes that are undefined, and may be anything in each cycle.
    """

    name: str
    aig: Aig
    inputs: Words
    outputs: Words
    registers: list[Register]
    free: list[int] = field(default_factory=list)

    def state(self, aig: Aig, name: str) -> list[int]:
        """New variables of ``aig`` for the registers."""
        return [aig.input(f"{name}.{r.name}") for r in self.registers]

    def power_up(self, aig: Aig, name: str) -> list[int]:
        """The state in which it begins; new variables where that is unknown."""
        return [
            aig.input(f"{name}.{r.name}") if r.initial is None else r.initial
            for r in self.registers
        ]

    def step(
        self, aig: Aig, state: Sequence[int], inputs: Mapping[str, Sequence[int]], name: str
    ) -> tuple[Words, list[int]]:
        """One cycle in ``aig``: the outputs during it, and the next state."""
        given = {0: FALSE}
        for port, literals in self.inputs.items():
            for literal, value in zip(literals, inputs[port], strict=True):
                given[literal >> 1] = value
        for register, value in zip(self.registers, state, strict=True):
            given[register.node] = value
        for node in self.free:
            given[node] = aig.input(f"{name}.undefined{node}")
        ports = list(self.outputs)
        wanted = [literal for port in ports for literal in self.outputs[port]]
        wanted += [register.next for register in self.registers]
        made = iter(aig.copied(self.aig, wanted, given))
        found = {port: [next(made) for _ in self.outputs[port]] for port in ports}
        return found, list(made)


def from_rtlil(texts: Mapping[str, str], *, time_limit_s: float = 300) -> dict[str, Circuit]:
    """Designs as they are written, by the names of their top modules, in one run of Yosys.

    ToolError if it fails or takes too long.
    """
    files = {f"design{n}": text for n, text in enumerate(texts.values())}
    # Without a top module all of them stay.
    read = [*(f"read_rtlil {name}" for name in files), "setattr -mod -unset top"]
    return _circuits(files, list(texts), read, time_limit_s)


def from_verilog(text: str, top: str, *, time_limit_s: float = 300) -> Circuit:
    """Likewise, of Verilog."""
    read = ["read_verilog design", f"hierarchy -check -top {top}"]
    return _circuits({"design": text}, [top], read, time_limit_s)[top]


def from_netlist(netlist: Netlist, *, time_limit_s: float = 300) -> Circuit:
    """A mapped netlist, its cells as the vendor's simulation models say."""
    # Only the models that are used are looked at: the memories among them take minutes.
    read = [f"read_verilog -defer -overwrite -I{m.parent} {m}" for m in netlist.cell_models]
    read += ["read_verilog design", f"hierarchy -check -top {netlist.top}"]
    return _circuits({"design": netlist.verilog}, [netlist.top], read, time_limit_s)[netlist.top]


def _circuits(
    files: Mapping[str, str], tops: list[str], read: list[str], time_limit_s: float
) -> dict[str, Circuit]:
    with temporary_folder() as folder:
        for file, text in files.items():
            (folder / file).write_text(text)
        job = {"kind": "yosys", "commands": [*read, *_TO_GATES], "top": tops[0]}
        isolation.run("yosys", job, folder, time_limit_s=time_limit_s)
        modules = read_json(folder / "netlist.json")["modules"]
    return {top: _from_json(modules[top], top) for top in tops}


def _from_json(module: dict[str, Any], top: str) -> Circuit:
    """Of a module of ANDs, inverters and flip-flops."""
    aig = Aig()
    place: dict[int, int] = {}
    names, initial = _names(module)
    inputs: Words = {}
    for port, facts in module["ports"].items():
        if facts["direction"] == "input":
            inputs[port] = aig.inputs(port, len(facts["bits"]))
            place |= dict(zip(facts["bits"], inputs[port], strict=True))

    def name_of(net: int) -> str:
        return names[net][-1] if net in names else f"n{net}"

    gates: dict[int, tuple[Any, ...]] = {}
    flops: list[tuple[int, Any]] = []
    for cell in module["cells"].values():
        pins = {pin: bits[0] for pin, bits in cell["connections"].items()}
        if cell["type"] == "$_AND_":
            gates[pins["Y"]] = (pins["A"], pins["B"])
        elif cell["type"] == "$_NOT_":
            gates[pins["Y"]] = (pins["A"],)
        elif cell["type"] == "$_DFF_P_":
            place[pins["Q"]] = aig.input(name_of(pins["Q"]))
            flops.append((pins["Q"], pins["D"]))
        elif not cell["type"].startswith(_NO_LOGIC):
            raise ToolError(f"{top} has a cell {cell['type']}, which is neither logic nor register")
    free: list[int] = []

    def literal(bit: Any) -> int:
        """Of a net; made in the order in which it is needed."""
        stack = [bit]
        while stack:
            at = stack[-1]
            if isinstance(at, str) or at in place:
                stack.pop()
                continue
            if at not in gates:  # Nothing drives it.
                place[at] = aig.input(f"undefined{at}")
                free.append(place[at] >> 1)
                continue
            waiting = [b for b in gates[at] if not isinstance(b, str) and b not in place]
            if waiting:
                stack += waiting
                continue
            parts = [constant(b) if isinstance(b, str) else place[b] for b in gates[at]]
            place[at] = parts[0] ^ 1 if len(parts) == 1 else aig.and_(*parts)
            stack.pop()
        return constant(bit) if isinstance(bit, str) else place[bit]

    def constant(bit: str) -> int:
        if bit in "01":
            return int(bit)
        free.append(aig.input("undefined") >> 1)
        return 2 * free[-1]

    outputs = {
        port: [literal(bit) for bit in facts["bits"]]
        for port, facts in module["ports"].items()
        if facts["direction"] == "output"
    }
    registers = [
        Register(name_of(q), place[q] >> 1, literal(d), initial.get(q), frozenset(names.get(q, ())))
        for q, d in flops
    ]
    inputs.pop("clk", None)
    return Circuit(top, aig, inputs, outputs, registers, free)


def _names(module: dict[str, Any]) -> tuple[dict[int, list[str]], dict[int, int]]:
    """The names of each net, the last of them one that is not generated if there is one, and
    initial values.
    """
    names: dict[int, list[str]] = {}
    initial: dict[int, int] = {}
    for net, facts in module["netnames"].items():
        values = str(facts["attributes"].get("init", ""))[::-1]
        for place, bit in enumerate(facts["bits"]):
            if isinstance(bit, str):
                continue
            known = names.setdefault(bit, [])
            known.insert(0 if facts["hide_name"] and known else len(known), f"{net}[{place}]")
            if place < len(values) and values[place] in "01":
                initial[bit] = int(values[place])
    return names, initial
