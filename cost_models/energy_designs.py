"""The published designs whose energy was measured, made again and simulated.

Counters and a multiplier in an iCE40UP5K: github.com/tinyvision-ai-inc/ice40_power, commit 1af931e,
``power_test/rgb_blink.v``. Its one counter has ``CTR_SIZE`` bits, so that "28*2 bit counter" is one
of 56 bits, of which the upper half hardly toggles; the product is registered and all bits of it and
of its counters are ANDed, which takes the 208 logic cells that were counted there. The chain of
registers that toggle in every cycle: github.com/targeted/fpga-reg-power, commit 77b3bfb.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from amaranth.back import rtlil as amaranth_rtlil
from amaranth.hdl import Module, Signal

import yosys_scripts
from cost_models.activity import read
from cost_models.energy_terms import Activity
from hwgen.errors import ToolError
from hwgen.processes import temporary_folder
from sim import saif, verification

TOP = "reference"
#: The two small counters return to zero together every 256 cycles.
CYCLES = 1024
#: Registers of the chain that is simulated: those of the boards' chains are all alike.
CHAIN = 64


@dataclass(frozen=True)
class Design:
    """A design without inputs: what makes it, and its output after each clock edge."""

    make: Callable[[Module], Signal]
    expected: Callable[[int], int]


def counter(width: int) -> Design:
    """One counter of so many bits, whose top bit goes out."""

    def make(m: Module) -> Signal:
        count, out = Signal(width, name="count"), Signal(name="out")
        m.d.sync += count.eq(count + 1)
        m.d.comb += out.eq(count[-1])
        return out

    return Design(make, lambda cycle: (cycle + 1) >> (width - 1) & 1)


def multiplier() -> Design:
    """A counter of 24 bits, two of 8 in steps of 3 and 5, and the register of their product."""

    def make(m: Module) -> Signal:
        count, x, y = (Signal(w, name=n) for n, w in (("count", 24), ("x", 8), ("y", 8)))
        product, out = Signal(16, name="product"), Signal(name="out")
        m.d.sync += [count.eq(count + 1), x.eq(x + 3), y.eq(y + 5), product.eq(x * y)]
        m.d.comb += out.eq(count[-1] | x.all() | y.all() | product.all())
        return out

    def expected(cycle: int) -> int:
        x, y = (cycle + 1) * 3 % 256, (cycle + 1) * 5 % 256
        return int(x == 255 or y == 255)  # 255 · 255 is below 65,535.

    return Design(make, expected)


def chain() -> Design:
    """A register that toggles in each cycle, and a chain of others behind it."""

    def make(m: Module) -> Signal:
        stages = [Signal(name=f"stage{i}") for i in range(CHAIN + 1)]
        m.d.sync += stages[0].eq(~stages[0])
        m.d.sync += [behind.eq(before) for before, behind in pairwise(stages)]
        return stages[-1]

    return Design(make, lambda cycle: max(cycle + 1 - CHAIN, 0) % 2)


def simulated(design: Design, target: str, mapping: str = "vendor") -> tuple[Activity, int]:
    """What toggles in it a cycle, and how many LUTs it takes.

    ToolError if the mapped design computes wrongly, or a tool fails.
    """
    m = Module()
    out = design.make(m)
    rtlil = str(amaranth_rtlil.convert(m, name=TOP, ports=[out], emit_src=False))
    luts = yosys_scripts.synthesise(rtlil, TOP, target=target, mapping=mapping, place=False).lut
    netlist = yosys_scripts.netlist(rtlil, TOP, target=target, mapping=mapping)
    with temporary_folder() as folder:
        file = folder / "activity.saif"
        outcome = verification.simulate(
            netlist.verilog,
            TOP,
            {},
            {out.name: [design.expected(cycle) for cycle in range(CYCLES)]},
            sources=netlist.cell_models,
            verilator_flags=netlist.verilator_flags,
            saif=file,
        )
        if outcome["mismatches"]:
            raise ToolError(f"the mapped reference computes wrongly: {outcome['shown'][:1]}")
        toggles = saif.by_net(saif.of_instance(file.read_text(), verification.TOP, TOP))
    return read(netlist.verilog, target).activity(toggles, CYCLES), luts
