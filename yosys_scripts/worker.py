"""One run of one tool, in a process of its own: ``python worker.py job.json``.

Started by ``isolation.run`` in a temporary folder; writes ``result.json`` there. Imports nothing of
this package, so that a crash of a tool is the worst that can happen here.
"""

from __future__ import annotations

import importlib
import json
import runpy
import signal
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

# Beside this file; behind the installed packages, so that no name here hides one of theirs.
sys.path.append(str(Path(__file__).resolve().parent))
harness = importlib.import_module("harness")
passes = importlib.import_module("passes")

#: What ABC's own check of its result prints where it is wrong, and how often it may try again.
#: ``&mfs`` at the end of Yosys' script for abc9 is now and then wrong beside carry chains, and not
#: each time that it runs on the same netlist (ABC of Yosys 0.70); its other steps were not.
NOT_EQUIVALENT, TRIES = "NOT EQUIVALENT", 4
WITHOUT_MFS = "+&scorr;&sweep;&dc2;&dch,-f,-r;&ps;&if,{W},{D},{R},-v"
LOG = "steps.log"


def yosys(job: dict[str, Any]) -> dict[str, Any]:
    """Run a Yosys script (``commands``, one a line); count the cells of ``netlist.json``.

    ABC checks what it made of the logic, unless the job says not to ``verify``; while it was wrong,
    the script runs again, and at last without the step that makes such mistakes.
    """
    verify = f"scratchpad -set abc9.verify {int(job.get('verify', True))}"
    for attempt in range(TRIES + 1):
        chosen = [f"scratchpad -set abc9.script {WITHOUT_MFS}"] if attempt == TRIES else []
        _run([verify, *chosen, *job["commands"]], job["top"])
        if NOT_EQUIVALENT not in Path(LOG).read_text():
            break
    else:
        raise RuntimeError("abc9's result is not equivalent to what it was given")
    module = json.loads(Path("netlist.json").read_text())["modules"][job["top"]]
    cells = Counter(cell["type"] for cell in module["cells"].values())
    return {"cells": dict(sorted(cells.items()))}


def _run(commands: list[str], top: str) -> None:
    """The commands on a new design; what Yosys says goes to ``steps.log`` too."""
    from pyosys import libyosys

    Path(LOG).write_text("")
    design = libyosys.Design()
    for command in commands:
        if command in passes.COMMANDS:
            module, function = passes.COMMANDS[command]
            change_netlist(design, top, getattr(importlib.import_module(module), function))
        elif command.startswith("apply "):
            change_netlist(design, top, runpy.run_path(command.split()[1])["apply"])
        else:
            libyosys.run_pass(f"tee -a {LOG} {command}", design)


def change_netlist(design: Any, top: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Replace the module ``top``, flat and in gates, by what ``change`` makes of it."""
    from pyosys import libyosys

    for command in (f"select {top}", "write_json -noscopeinfo -selected changed.json"):
        libyosys.run_pass(command, design)
    libyosys.run_pass("select -clear", design)
    netlist = json.loads(Path("changed.json").read_text())
    change(netlist["modules"][top])
    netlist["modules"] = {top: netlist["modules"][top]}
    Path("changed.json").write_text(json.dumps(netlist))
    for command in (f"delete {top}", "read_json changed.json", f"hierarchy -top {top}"):
        libyosys.run_pass(command, design)


def place(job: dict[str, Any]) -> dict[str, Any]:
    """Place and route a ``netlist``; read the tool's report, but for the clock of a harness."""
    # Paths are relative: the tool's sandbox has the working folder, and a /tmp of its own.
    run = getattr(importlib.import_module(job["module"]), job["function"])
    argv = [*job["options"], "--json", job["netlist"], "--report", "report.json"]
    if "arrivals_of" in job:
        argv.append("--detailed-timing-report")
    code = run(argv)
    if code:
        raise RuntimeError(f"exit code {code}")
    report = json.loads(Path("report.json").read_text())
    used = {cell: n["used"] for cell, n in report["utilization"].items() if n["used"]}
    achieved = [
        clock["achieved"]
        for name, clock in report["fmax"].items()
        if not name.startswith(harness.CLOCK)
    ]
    fmax_mhz = min(achieved, default=None)
    measured: dict[str, Any] = {"placed": dict(sorted(used.items())), "fmax_mhz": fmax_mhz}
    if "arrivals_of" in job:
        timings = own_timings(report["detailed_net_timings"])
        late = arrivals(job["arrivals_of"], timings, job["control_pins"])
        # Some placers count from the clock's pin on; the period does not have that path.
        latest = max((end["delay"][-1] for net in timings for end in net["endpoints"]), default=0.0)
        way_ns = latest - 1000 / fmax_mhz if fmax_mhz else 0.0
        measured["clock_way_ns"] = way_ns
        measured["arrivals_ns"] = {name: ns - way_ns for name, ns in late.items()}
    return measured


def own_timings(timings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of them that begin and end on the design's clock."""
    return [
        {**net, "endpoints": [e for e in net["endpoints"] if harness.CLOCK not in e["event"]]}
        for net in timings
        if harness.CLOCK not in net["event"]
    ]


def arrivals(
    top: str, timings: list[dict[str, Any]], control_pins: Sequence[str]
) -> dict[str, float]:
    """The latest arrival, in ns, at the data input of each register of ``netlist.json``.

    From any other register, by the name of the register's output. ``control_pins`` enable and
    reset the placer's registers: no path of logic ends there.
    """
    module = json.loads(Path("netlist.json").read_text())["modules"][top]
    names: dict[int, str] = {}
    for name, net in module["netnames"].items():
        for bit in net["bits"]:
            if not net.get("hide_name") or bit not in names:
                names[bit] = name
    outputs = register_outputs(module)
    latest: dict[str, float] = {}
    for net in timings:
        for end in net["endpoints"]:
            if end["port"] in control_pins:
                continue
            for bit in outputs.get(end["cell"], ()):
                name = names.get(bit, end["cell"])
                latest[name] = max(latest.get(name, 0.0), end["delay"][-1])
    return dict(sorted(latest.items()))


def register_outputs(module: dict[str, Any]) -> dict[str, list[int]]:
    """The outputs of registers, by the names of the cells that a placer may make of them.

    nextpnr-ice40 has one cell for a register and the LUT in front of it, which only the register
    reads: it is called after the LUT, or after a register that has none.
    """
    cells = module["cells"]
    luts = {
        bit: name
        for name, cell in cells.items()
        for bit in cell["connections"].get("O", ())
        if "LUT" in cell["type"]
    }
    registers: dict[str, list[int]] = {}
    for name, cell in cells.items():
        pins = cell["connections"]
        if "Q" not in pins:
            continue
        registers[name] = registers[f"{name}_DFFLC"] = pins["Q"]
        for bit in pins.get("D", ()):
            if bit in luts:
                registers[f"{luts[bit]}_LC"] = pins["Q"]
    return registers


def main() -> int:
    """Do the job that the file of the first argument describes; the exit code."""
    job = json.loads(Path(sys.argv[1]).read_text())
    # The parent kills this process at its limit; should the parent be gone, this ends it, even
    # inside a tool's native code.
    if hasattr(signal, "alarm"):
        signal.alarm(int(job["time_limit_s"]) + 10)
    try:
        result = {"yosys": yosys, "place": place}[job["kind"]](job)
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        result = {"error": lines[0]}
    Path("result.json").write_text(json.dumps(result))
    return 1 if "error" in result else 0


if __name__ == "__main__":
    sys.exit(main())
