"""Where the energy of a toggle comes from: a published measurement of a known design.

tinyVision.ai measured the core current of an iCE40UP5K with several small designs
(github.com/tinyvision-ai-inc/ice40_power, README, table "Results"; 1.219 V core, 12 MHz,
Joulescope JS110, one board, no variance given). Two 8-bit counters, of steps 3 and 5, and
their product in LUTs took 996 − 645 µA and 208 − 28 logic cells, over the same design without
them. That design is rebuilt here, mapped with the vendor's script as theirs was, and
simulated: energy a cycle divided by toggles a cycle is the energy of a toggle. The board's
multiplier glitches and the simulation does not, so the glitches are in the coefficient.

``python -m cost_models.energy_calibration`` prints ``cost_models/energy_coefficient.toml``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from amaranth.back import rtlil as amaranth_rtlil
from amaranth.hdl import Module, Signal

import yosys_scripts
from hwgen.arguments import Parser, parsed, run_module
from hwgen.errors import ToolError
from hwgen.processes import temporary_folder
from sim import saif, verification

TARGET = "ice40"
CURRENT_UA = 996.0 - 645.0
LOGIC_CELLS = 208 - 28
CORE_V, CLOCK_MHZ = 1.219, 12.0
PJ_PER_CYCLE = CURRENT_UA * CORE_V / CLOCK_MHZ

#: Both counters return to zero together every 256 cycles.
CYCLES = 1024


def _reference_design() -> str:
    """RTLIL of the two counters and their registered product."""
    m = Module()
    x, y = Signal(8, name="x"), Signal(8, name="y")
    product = Signal(16, name="product")
    m.d.sync += [x.eq(x + 3), y.eq(y + 5), product.eq(x * y)]
    return str(amaranth_rtlil.convert(m, name="reference", ports=[product], emit_src=False))


def _expected(cycle: int) -> int:
    return (cycle * 3 % 256) * (cycle * 5 % 256)


def toggles_per_cycle() -> tuple[float, int]:
    """Toggles a cycle of the reference design's nets, and its LUTs here.

    ToolError if the mapped design computes wrongly.
    """
    rtlil = _reference_design()
    area = yosys_scripts.synthesise(
        rtlil, "reference", target=TARGET, mapping="vendor", place=False
    )
    netlist = yosys_scripts.netlist(rtlil, "reference", target=TARGET, mapping="vendor")
    with temporary_folder() as folder:
        file = folder / "activity.saif"
        outcome = verification.simulate(
            netlist.verilog,
            "reference",
            {},
            {"product": [_expected(cycle) for cycle in range(CYCLES)]},
            sources=netlist.cell_models,
            verilator_flags=netlist.verilator_flags,
            saif=file,
        )
        if outcome["mismatches"]:
            raise ToolError(f"the mapped reference computes wrongly: {outcome['kept'][:1]}")
        nets = saif.of_instance(file.read_text(), verification.TOP, "reference")
        return saif.toggles(nets) / CYCLES, area.lut


def report() -> str:
    """The TOML text of the coefficients, from a simulation of the reference design."""
    activity, luts = toggles_per_cycle()
    tools = ", ".join(f"{k} {v}" for k, v in yosys_scripts.tool_versions(TARGET, False).items())
    return f"""\
# Made by: python -m cost_models.energy_calibration ({tools})
# Measured: {PJ_PER_CYCLE:.2f} pJ a cycle in {LOGIC_CELLS} logic cells.
# Simulated: {activity:.2f} toggles a cycle in {luts} LUTs of the same design.

[coefficient]
target = "{TARGET}"
pj_per_toggle = {PJ_PER_CYCLE / activity:.4f}
pj_per_lut = {PJ_PER_CYCLE / LOGIC_CELLS:.4f}
source = "iCE40UP5K core current, one board, 8x8 multiplier: tinyvision-ai-inc/ice40_power"
"""


def main(arguments: Sequence[str]) -> None:
    """Prints the coefficients; it has no options."""
    parser = Parser(prog="python -m cost_models.energy_calibration", description=main.__doc__)
    parsed(parser, arguments)
    print(report(), end="")


if __name__ == "__main__":
    sys.exit(run_module(main))
