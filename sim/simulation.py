"""Builds a design's Verilog with Verilator, and runs a bench on it, once or several times."""

from __future__ import annotations

import json
import pickle
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hwgen import processes
from hwgen.errors import ToolError
from hwgen.processes import temporary_folder
from hwgen.progress import doing
from sim import tools

#: What the benches' simulators know a unit as: some shorten long names.
TOP = "dut"
#: What builds and starts a bench, in a process of its own.
RUNNER = Path(__file__).with_name("bench_runner.py")


def run_bench(
    verilog: str,
    top: str,
    ports: Sequence[str],
    job: Mapping[str, Any],
    *,
    bench: str = "sim.bench",
) -> dict[str, Any]:
    """Builds ``verilog`` and runs the module ``bench`` on its module ``top`` (there ``TOP``).

    The bench sees the ``ports`` and gets ``job``; its own result is returned. ToolError if a tool
    is missing, the build fails or the simulation ends without a result.
    """
    return run_benches(verilog, top, ports, [job], bench=bench)[0]


def run_benches(
    verilog: str,
    top: str,
    ports: Sequence[str],
    jobs: Sequence[Mapping[str, Any]],
    *,
    bench: str = "sim.bench",
    sources: Sequence[Path] = (),
    verilator_flags: Sequence[str] = (),
    saifs: Sequence[Path] | None = None,
) -> list[dict[str, Any]]:
    """As ``run_bench``, of several ``jobs`` on one build, each in a simulation of its own.

    ``saifs``: files for the toggles of each. ToolError as there.
    """
    tools.require_tools()
    with temporary_folder() as folder:
        source, visible = folder / "design.v", folder / "visible.vlt"
        renamed, count = re.subn(rf"\bmodule {re.escape(top)}\b", f"module {TOP}", verilog)
        if count != 1:
            raise ToolError(f"the Verilog has {count} modules {top}: the bench needs one")
        source.write_text(renamed)
        visible.write_text(_visible(TOP, ports))
        # Only the unit's own nets are traced: those inside its cells are not wires.
        trace_flags = ["--trace-saif", "--trace-underscore", "--trace-depth", "1"] if saifs else []
        build = folder / "build"
        results = [folder / f"result{index}.json" for index in range(len(jobs))]
        steps = {
            "path": sys.path,
            "build": {
                "sources": [str(file) for file in (visible, source, *sources)],
                "hdl_toplevel": TOP,
                "build_dir": str(build),
                "build_args": [
                    *("--no-public-flat-rw", *tools.BUILD_FLAGS),
                    *(*trace_flags, *verilator_flags),
                ],
                "waves": bool(saifs),
            },
            "tests": [
                _test_step(bench, folder, job, result, saif)
                for job, result, saif in zip(
                    jobs, results, saifs or [None] * len(jobs), strict=True
                )
            ],
        }
        (folder / "steps.json").write_text(json.dumps(steps))
        command = [sys.executable, "-P", str(RUNNER), "steps.json"]
        with tools.shared_runtime(build, ["--vpi", *trace_flags]):
            with doing(f"simulating {top}", limit_s=tools.TIME_LIMIT_S):
                code, lines = processes.run(
                    command, folder, tools.TIME_LIMIT_S, env=tools.environment()
                )
            # A failed comparison has its result; anything else is the tools' failure.
            if not all(result.exists() for result in results):
                raise tools.failure(f"simulation of {top}", code, lines, folder)
        return [dict(processes.read_json(result)) for result in results]


def _test_step(
    bench: str, folder: Path, job: Mapping[str, Any], result: Path, saif: Path | None
) -> dict[str, Any]:
    """What cocotb's runner is told to run the module ``bench`` on the build, for one ``job``."""
    cycles = result.with_suffix(".pickle")
    cycles.write_bytes(pickle.dumps(dict(job)))
    return {
        "hdl_toplevel": TOP,
        "hdl_toplevel_lang": "verilog",
        "test_module": bench,
        "build_dir": str(folder / "build"),
        "test_dir": str(folder),
        "results_xml": str(folder / f"{result.stem}.xml"),
        "extra_env": {
            "HWGEN_CYCLES": str(cycles),
            "HWGEN_RESULT": str(result),
            # No assertion is taken apart for its message, which takes longer than short benches.
            "COCOTB_REWRITE_ASSERTION_FILES": "",
        },
        "test_args": ["--trace", "--trace-file", str(saif)] if saif is not None else [],
    }


def _visible(top: str, ports: Sequence[str]) -> str:
    """Verilator's configuration that lets the bench see the ports, and nothing else.

    The runner's own choice, every signal of the design, keeps Verilator from simplifying it
    and makes the build of a netlist several times slower.
    """
    lines = (f'public_flat_rw -module "{top}" -var "{port}"\n' for port in ports)
    return "`verilator_config\n" + "".join(lines)
