"""The terms of energy from published measurements: ``python -m cost_models.energy_calibration``.

*iCE40UP5K*: core current at 1.219 V and 12 MHz, one board, Joulescope JS110, no variance given
(tinyvision-ai-inc/ice40_power, README, table "Results"). Counters of 28 to 224 bits differ by
registers that have a clock and do not toggle: their slope is the clock's term. A multiplier in
LUTs, over a counter alone, gives the net's, and the same in a DSP block the block's. The board's
multiplier glitches and the simulation does not: the glitches are in the net's term.

*Register chains* (targeted/fpga-reg-power, docs/power_data.ods): power of a chain of registers that
all toggle in each cycle, less that in reset, in which the clock generator stands still (in the one
board's source that could be read, src/bemicromax10/power.vhd); the slope from 25 to 100 MHz, at the
board's supply of 5 V, so that its regulators' losses are inside. A chain says what a register, its
clock and a short net take together; the iCE40's terms part them, and scale the term of DSP blocks,
of which no chain says anything. Boards of one family differ; their geometric mean is taken, and the
spread as the interval. One more board of these families, a Runber (GW1N-4), is left out: its figure
is far off all others, and its author cannot explain it.

Every design is made again, mapped by the vendor's script as theirs was, and simulated.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import yosys_scripts
from cost_models import energy_designs
from cost_models.energy_terms import Activity
from hwgen.arguments import Parser, parsed, run_module

CORE_V, CLOCK_MHZ = 1.219, 12.0
#: Core current in µA with a counter of so many bits, from an external clock.
COUNTERS_UA = {28: 613.5, 56: 616.65, 112: 624.2, 224: 641.3}
#: With a counter of 24 bits from the internal oscillator: alone, with the multiplier in LUTs, and
#: with it in a DSP block.
ALONE_UA, LUTS_UA, BLOCK_UA = 645.0, 996.0, 882.0
#: pJ of a register and cycle in a chain, by target and board (slope from 25 to 100 MHz).
CHAINS_PJ = {
    "ecp5": {"OrangeCrab": 0.23, "ULX3S": 0.26},
    "xc7": {"Cmod A7": 0.74, "Cmod S7": 0.54, "Cora Z7": 0.24},
    "gowin": {"TEC0117 (GW1NR-9)": 1.30, "DK-START (GW2A-18)": 1.16},
}
#: An iCE40HX1K, which has no clock generator: at 25 MHz alone, its clock runs in reset too.
HX1K_PJ = 0.92


def _pj(microamperes: float) -> float:
    return microamperes * CORE_V / CLOCK_MHZ


@dataclass(frozen=True)
class Row:
    """A measurement in pJ a cycle, and what the terms make of it."""

    name: str
    measured: float
    told: float
    fitted: bool

    @property
    def error(self) -> float:
        """How far it is told wrongly, in parts of what was measured."""
        return self.told / self.measured - 1


@dataclass(frozen=True)
class Calibration:
    """The iCE40's terms in pJ, the factor by which they may be off, and all rows."""

    net: float
    clock: float
    dsp: float
    factor: float
    rows: tuple[Row, ...]


def _more(design: Activity, base: Activity) -> Activity:
    """What a design has beside another that is in it."""
    of, less = design.to_dict(), base.to_dict()
    return Activity(**{part: of[part] - less[part] for part in of})


def calibrate() -> Calibration:
    """The iCE40's terms, from simulations of the designs that were measured."""
    alone, _ = energy_designs.simulated(energy_designs.counter(24), "ice40")
    luts, _ = energy_designs.simulated(energy_designs.multiplier(), "ice40")
    block, _ = energy_designs.simulated(energy_designs.multiplier(), "ice40", "dsp")
    return solved(_more(luts, alone), _more(block, alone), chain("ice40"))


def chain(target: str) -> Activity:
    """The activity of a chain, by register."""
    whole, _ = energy_designs.simulated(energy_designs.chain(), target)
    return Activity(**{part: n / whole.clocked for part, n in whole.to_dict().items()})


def solved(luts: Activity, block: Activity, hx: Activity) -> Calibration:
    """The terms of these activities of the two multipliers beside a counter, and of a chain."""
    sizes = sorted(COUNTERS_UA)
    clock = _pj(COUNTERS_UA[sizes[-1]] - COUNTERS_UA[sizes[0]]) / (sizes[-1] - sizes[0])
    of_luts, of_block = (_pj(ua - ALONE_UA) for ua in (LUTS_UA, BLOCK_UA))
    net = (of_luts - clock * luts.clocked) / luts.toggles
    rest = of_block - clock * block.clocked
    dsp = (rest - net * block.toggles) / block.dsp_toggles
    rows = [Row("8×8 multiplier in LUTs, over its counter", of_luts, of_luts, True)]
    rows.append(Row("the same in a DSP block", of_block, of_block, True))
    for small, large in pairwise(sizes):
        measured = _pj(COUNTERS_UA[large] - COUNTERS_UA[small])
        told = clock * (large - small)
        rows.append(Row(f"counter of {large} bits, over one of {small}", measured, told, True))
    # As if a toggle at a DSP block were one of a net: how far one term for both would be off.
    alike = rest / (block.toggles + block.dsp_toggles)
    rows.append(
        Row(
            "8×8 multiplier in LUTs, by the DSP block's row and one term for all toggles",
            of_luts,
            alike * luts.toggles + clock * luts.clocked,
            False,
        )
    )
    told = net * hx.toggles  # In reset its clock runs, and is subtracted.
    rows.append(Row("register of a chain in an iCE40HX1K, at 5 V", HX1K_PJ, told, False))
    return Calibration(net, clock, dsp, max(alike / net, net / alike), tuple(rows))


def report(found: Calibration, chains: dict[str, Activity]) -> str:
    """The TOML text of all terms."""
    tools = ", ".join(f"{k} {v}" for k, v in yosys_scripts.tool_versions("ice40", False).items())
    lines = [f"# Made by: python -m cost_models.energy_calibration ({tools}). In pJ."]
    basis = (
        "core of one iCE40UP5K at 1.219 V (tinyvision-ai-inc/ice40_power): net, clock and DSP "
        "terms of one row each; the interval is how far one term for all toggles would be off"
    )
    lines += _table(
        "ice40", found.net, found.clock, found.dsp, 1 / found.factor, found.factor, basis
    )
    for target, boards in CHAINS_PJ.items():
        net, clock = parted(boards, chains[target], found)
        mean = _mean(boards)
        basis = (
            f"register chains on {', '.join(boards)} at the board's 5 V, regulators' losses inside "
            "(targeted/fpga-reg-power): their geometric mean and spread; a net of LUTs is taken as "
            "a chain's short one; clock and DSP blocks are scaled from the iCE40's terms"
        )
        low, high = (end / mean for end in (min(boards.values()), max(boards.values())))
        lines += _table(target, net, clock, net * found.dsp / found.net, low, high, basis)
    for row in found.rows:
        lines += ["", "[[rows]]", f'name = "{row.name}"', f"fitted = {str(row.fitted).lower()}"]
        lines += [f"measured = {row.measured:.4f}", f"told = {row.told:.4f}"]
    return "\n".join(lines) + "\n"


def _mean(boards: dict[str, float]) -> float:
    return math.exp(sum(map(math.log, boards.values())) / len(boards))


def parted(boards: dict[str, float], of_chain: Activity, found: Calibration) -> tuple[float, float]:
    """The terms of nets and of clocks of a chain's energy, in the iCE40's proportion."""
    ratio = found.clock / found.net
    net = _mean(boards) / (of_chain.toggles + ratio * of_chain.clocked)
    return net, ratio * net


def _table(
    target: str, net: float, clock: float, dsp: float, low: float, high: float, basis: str
) -> list[str]:
    figures = {"net": net, "clock": clock, "dsp": dsp, "low": low, "high": high}
    lines = [f"{name} = {value:.4f}" for name, value in figures.items()]
    return ["", f"[{target}]", *lines, f'basis = "{basis}"']


def main(arguments: Sequence[str]) -> None:
    """Prints the terms; it has no options."""
    parser = Parser(prog="python -m cost_models.energy_calibration", description=main.__doc__)
    parsed(parser, arguments)
    print(report(calibrate(), {target: chain(target) for target in CHAINS_PJ}), end="")


if __name__ == "__main__":
    sys.exit(run_module(main))
