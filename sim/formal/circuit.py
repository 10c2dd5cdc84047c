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
    """One bit that is kept.

    ``node``: what stands for it; ``next``: the literal that it is next; ``initial``: what it is at
    power-up, None if that is unknown. ``names``: all that it is called in the design, ``name``
    among them.
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
        """One cycle in ``aig``: the outputs during it, and the next state.

        ``state``: a literal of each register, in their order; ``inputs``: literals of every input
        port. ``name`` begins the names of new variables, of what is undefined.
        """
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
        copies = iter(aig.copied(self.aig, wanted, given))
        outputs = {port: [next(copies) for _ in self.outputs[port]] for port in ports}
        return outputs, list(copies)


def from_rtlil(texts: Mapping[str, str], *, time_limit_s: float = 300) -> dict[str, Circuit]:
    """Designs as they are written, by the names of their top modules, in one run of Yosys.

    ToolError if it fails or takes too long.
    """
    files = {f"design{n}": text for n, text in enumerate(texts.values())}
    # Without a top module all of them stay.
    read = [*(f"read_rtlil {name}" for name in files), "setattr -mod -unset top"]
    return _circuits(files, list(texts), read, time_limit_s)


def from_verilog(text: str, top: str, *, time_limit_s: float = 300) -> Circuit:
    """The module ``top`` of a Verilog text. ToolError if Yosys fails or takes too long."""
    read = ["read_verilog design", f"hierarchy -check -top {top}"]
    return _circuits({"design": text}, [top], read, time_limit_s)[top]


def from_netlist(netlist: Netlist, *, time_limit_s: float = 300) -> Circuit:
    """A mapped netlist, its cells as the vendor's simulation models say.

    ToolError if Yosys fails or takes too long.
    """
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
    nets = _Nets(module)
    inputs: Words = {}
    for port, facts in module["ports"].items():
        if facts["direction"] == "input":
            inputs[port] = nets.aig.inputs(port, len(facts["bits"]))
            nets.place |= dict(zip(facts["bits"], inputs[port], strict=True))
    flops: list[tuple[int, Any]] = []
    for cell in module["cells"].values():
        pins = {pin: bits[0] for pin, bits in cell["connections"].items()}
        if cell["type"] == "$_AND_":
            nets.gates[pins["Y"]] = (pins["A"], pins["B"])
        elif cell["type"] == "$_NOT_":
            nets.gates[pins["Y"]] = (pins["A"],)
        elif cell["type"] == "$_DFF_P_":
            nets.place[pins["Q"]] = nets.aig.input(nets.name(pins["Q"]))
            flops.append((pins["Q"], pins["D"]))
        elif not cell["type"].startswith(_NO_LOGIC):
            raise ToolError(f"{top} has a cell {cell['type']}, which is neither logic nor register")
    outputs = {
        port: [nets.literal(bit) for bit in facts["bits"]]
        for port, facts in module["ports"].items()
        if facts["direction"] == "output"
    }
    registers = [nets.register(output, data) for output, data in flops]
    inputs.pop("clk", None)
    return Circuit(top, nets.aig, inputs, outputs, registers, nets.free)


class _Nets:
    """The nets of a module as literals of a graph, each made when it is first needed.

    ``place``: the literal of each net that has one. ``gates``: the nets that the AND or the
    inverter of a net reads. ``free``: nodes of nets that nothing drives. A bit is the number of
    a net, or the text of a constant.
    """

    def __init__(self, module: dict[str, Any]) -> None:
        self.aig = Aig()
        self.place: dict[int, int] = {}
        self.gates: dict[int, tuple[Any, ...]] = {}
        self.free: list[int] = []
        self._names, self._initial = _names(module)

    def name(self, net: int) -> str:
        """What the net is called in the design, or a name by its number."""
        return self._names[net][-1] if net in self._names else f"n{net}"

    def register(self, output: int, data: Any) -> Register:
        """The flip-flop from the bit ``data`` to the net ``output``."""
        names = frozenset(self._names.get(output, ()))
        initial = self._initial.get(output)
        node = self.place[output] >> 1
        return Register(self.name(output), node, self.literal(data), initial, names)

    def literal(self, bit: Any) -> int:
        """The literal of a bit; the gates in front of it are made first."""
        if isinstance(bit, str):
            return self._constant(bit)
        stack = [bit]
        while stack:
            net = stack[-1]
            if net in self.place:
                stack.pop()
                continue
            if net not in self.gates:  # Nothing drives it.
                self.place[net] = self.aig.input(f"undefined{net}")
                self.free.append(self.place[net] >> 1)
                continue
            waiting = [b for b in self.gates[net] if not isinstance(b, str) and b not in self.place]
            if waiting:
                stack += waiting
                continue
            parts = [
                self._constant(b) if isinstance(b, str) else self.place[b] for b in self.gates[net]
            ]
            self.place[net] = parts[0] ^ 1 if len(parts) == 1 else self.aig.and_(*parts)
            stack.pop()
        return self.place[bit]

    def _constant(self, bit: str) -> int:
        """0 or 1; what is undefined may be anything."""
        if bit in "01":
            return int(bit)
        self.free.append(self.aig.input("undefined") >> 1)
        return 2 * self.free[-1]


def _names(module: dict[str, Any]) -> tuple[dict[int, list[str]], dict[int, int]]:
    """The names of each net, and initial values.

    The last name of a net is one that is not generated, if there is one.
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
