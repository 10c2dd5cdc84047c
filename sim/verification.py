"""Runs a bench on a unit's Verilog in Verilator and reports what it found."""

from __future__ import annotations

import dataclasses
import json
import pickle
import re
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen import emit, processes
from hwgen.errors import InputError, ToolError
from hwgen.fields import require_kind
from hwgen.processes import temporary_folder
from hwgen.progress import doing
from hwgen.spec import Spec
from hwgen.spec.base import require_spec
from sim import golden, tools
from sim import stimulus as stimuli
from sim.coverage import TRIES, filled
from sim.stimulus import Stimulus

DEFAULT_VECTORS = 2000
#: Random cycles for which rare roundings are looked for once more.
VECTORS_A_TRY = 250
#: Cycles that a bench drives, at most, before it resets the unit and checks anything; and among
#: how many it chooses them.
WORK_BEFORE_RESET, WORK_AMONG = 40, 1024
#: What the benches' simulators know a unit as: some shorten long names.
TOP = "dut"
#: What builds and starts a bench, in a process of its own.
RUNNER = Path(__file__).with_name("bench_runner.py")


@dataclass(frozen=True)
class Mismatch:
    """One cycle whose outputs differ from the golden model's.

    ``inputs``: the patterns that entered the pipeline ``latency`` enabled cycles before, by
    port; ``values``: what those are in the port's format.
    """

    cycle: int
    inputs: dict[str, list[int]]
    values: dict[str, list[float]]
    expected: dict[str, int | None]
    got: dict[str, int | None]

    def __str__(self) -> str:
        entered = " ".join(
            f"{name}={codes}" + (f" ({self.values[name]})" if name in self.values else "")
            for name, codes in self.inputs.items()
        )
        return f"cycle {self.cycle}: {entered} expected {self.expected} got {self.got}"


@dataclass(frozen=True)
class Verification:
    """Outcome of a run: ``vectors`` clock cycles checked, ``mismatches`` of them wrong."""

    spec: dict[str, Any]
    vectors: int
    mismatches: int
    seed: int | None
    seconds: float
    simulator: str
    shown: tuple[Mismatch, ...] = ()

    @property
    def passed(self) -> bool:
        """Every checked cycle agreed, and some were checked."""
        return self.mismatches == 0 and self.vectors > 0

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**dataclasses.asdict(self), "passed": self.passed}


def verify(spec: Spec, *, vectors: int = DEFAULT_VECTORS, seed: int = 1) -> Verification:
    """Simulates the unit's Verilog, and compares it with the golden model.

    The stimulus is directed extremes, then ``vectors`` random cycles from ``seed``. InputError for
    bad counts, ToolError as for ``run_bench``.
    """
    require_spec(spec)
    return dataclasses.replace(run(spec, whole_stimulus(spec, vectors, seed)), seed=seed)


def whole_stimulus(spec: Spec, vectors: int, seed: int) -> Stimulus:
    """The stimulus of ``verify``.

    Directed extremes, then ``vectors`` random cycles from ``seed``, before them such as hit
    roundings that these miss (the more vectors, the rarer ones), then enough to see the last
    result. A stall comes first: it shows what a reset leaves. InputError for bad counts.
    """
    require_counts(vectors, seed)
    drawn = stimuli.concatenate(stimuli.directed(spec), stimuli.random(spec, vectors, seed))
    tries = min(1 + vectors // VECTORS_A_TRY, TRIES)
    rare = filled(spec, drawn, seed, tries)
    return stimuli.concatenate(stimuli.stall(spec), rare, stimuli.flush(spec))


def require_counts(vectors: int, seed: int) -> None:
    """InputError unless there is something to do and the seed is one."""
    require_kind("vectors", vectors, ("int",))
    require_kind("seed", seed, ("int",))
    if vectors < 1:
        raise InputError(f"vectors={vectors}: use a whole number of at least 1")
    if seed < 0:
        raise InputError(f"seed={seed}: use a whole number of at least 0")


def simulator() -> str:
    """The tools that run the benches, with their versions."""
    return f"verilator {version('verilator')}, cocotb {version('cocotb')}"


def verify_inputs(spec: Spec, inputs: Mapping[str, npt.ArrayLike]) -> Verification:
    """As ``verify``, on given ``inputs``: a valid cycle each.

    ``inputs``: patterns of each input port, (cycles, count).
    """
    return run(spec, stimuli.concatenate(stimuli.given(inputs), stimuli.flush(spec)))


def run(
    spec: Spec,
    stimulus: Stimulus,
    *,
    verilog: str | None = None,
    sources: Sequence[Path] = (),
    verilator_flags: Sequence[str] = (),
    saif: Path | None = None,
) -> Verification:
    """Simulates ``stimulus`` and compares every cycle with the golden model.

    ``verilog`` stands in for the unit's own RTL (a netlist of it, say, with the cell models
    in ``sources``); its top module and ports must be the unit's. With ``saif`` the toggle
    counts of all nets are written to that file.
    """
    started = time.monotonic()
    inputs, outputs = driven(spec, stimulus)
    result = simulate(
        verilog if verilog is not None else emit.verilog(spec),
        spec.name,
        inputs,
        outputs,
        sources=sources,
        verilator_flags=verilator_flags,
        saif=saif,
    )
    shown = tuple(
        mismatch_at(
            spec,
            stimulus,
            mismatch["cycle"],
            {k: v[mismatch["cycle"]] for k, v in outputs.items()},
            mismatch["got"],
        )
        for mismatch in result["shown"]
    )
    return Verification(
        spec=spec.to_dict(),
        vectors=result["cycles"],
        mismatches=result["mismatches"],
        seed=None,
        seconds=round(time.monotonic() - started, 2),
        simulator=simulator(),
        shown=shown,
    )


def driven(
    spec: Spec, stimulus: Stimulus
) -> tuple[dict[str, list[int]], dict[str, list[int | None]]]:
    """What each input pin is given, and what each output pin must show, in each cycle.

    Outputs are those after the cycle's clock edge: None where they may be anything.
    """
    valid_out, expected = golden.trace(spec, stimulus)
    outputs: dict[str, list[int | None]] = {"valid_out": [int(v) for v in valid_out]}
    for port in spec.outputs:
        outputs[port.name] = [*pack(expected[port.name], port.bits)]
        if not spec.keeps_outputs:
            shown_now = zip(valid_out, outputs[port.name], strict=True)
            outputs[port.name] = [number if valid else None for valid, number in shown_now]
    inputs = {
        **{port.name: pack(stimulus.inputs[port.name], port.bits) for port in spec.inputs},
        "valid_in": [int(v) for v in stimulus.valid],
        "enable": [int(v) for v in stimulus.enable],
    }
    return inputs, outputs


def pack(patterns: npt.NDArray[Any], bits: int) -> list[int]:
    """Each row of patterns, (cycles, count), as one integer, element 0 in the lowest ``bits`` bits.

    Negative numbers are in two's complement.
    """
    if patterns.shape[1] == 1:
        mask = (1 << bits) - 1
        return [int(v) & mask for v in patterns[:, 0].tolist()]
    if patterns.dtype == object or bits > 64:
        mask = (1 << bits) - 1
        return [
            sum((int(v) & mask) << (i * bits) for i, v in enumerate(row))
            for row in patterns.tolist()
        ]
    octets = patterns.astype("<u8").view(np.uint8).reshape(*patterns.shape, 8)
    planes = np.unpackbits(octets, axis=2, bitorder="little")[:, :, :bits]
    packed = np.packbits(planes.reshape(len(patterns), -1), axis=1, bitorder="little")
    return [int.from_bytes(row.tobytes(), "little") for row in packed]


def simulate(
    verilog: str,
    top: str,
    inputs: dict[str, list[int]],
    outputs: Mapping[str, Sequence[int | None]],
    *,
    sources: Sequence[Path] = (),
    verilator_flags: Sequence[str] = (),
    saif: Path | None = None,
) -> dict[str, Any]:
    """Builds ``verilog`` and runs the bench of every cycle on it; returns the bench's own result.

    Where an output is None it may be anything. ToolError as for ``run_bench``.
    """
    return run_bench(
        verilog,
        top,
        ("clk", "rst", *inputs, *outputs),
        # Toggles are counted of the stimulus alone.
        {
            "inputs": inputs,
            "outputs": outputs,
            "work": (0, 0) if saif else work_before_reset(inputs),
        },
        sources=sources,
        verilator_flags=verilator_flags,
        saif=saif,
    )


def work_before_reset(inputs: Mapping[str, Sequence[int]]) -> tuple[int, int]:
    """The cycles, from and up to, that go before a reset in mid-stream: see ``busiest``."""
    # Of units side by side, too, whose pins have numbers before their names.
    control = [v for name, v in inputs.items() if name.endswith(("enable", "valid_in"))]
    if not control:
        return 0, 0
    busy = np.logical_and.reduce(np.array(control, np.bool_))
    return busiest(busy)


def busiest(busy: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Cycles, from and up to, that end where an input came in for the longest time without a gap.

    ``busy``: whether one does in each cycle; only the first cycles are looked at. A unit in which a
    reset leaves anything of them shows it.
    """
    run, best, end = 0, 0, 0
    for cycle, is_busy in enumerate(busy[:WORK_AMONG].tolist()):
        run = run + 1 if is_busy else 0
        if run > best:
            best, end = run, cycle + 1
    return max(end - WORK_BEFORE_RESET, 0), end


def run_bench(
    verilog: str,
    top: str,
    ports: Sequence[str],
    job: Mapping[str, Any],
    *,
    bench: str = "sim.bench",
    sources: Sequence[Path] = (),
    verilator_flags: Sequence[str] = (),
    saif: Path | None = None,
) -> dict[str, Any]:
    """Builds ``verilog`` and runs the module ``bench`` on its module ``top`` (there ``TOP``).

    The bench sees the ``ports`` and gets ``job``; its own result is returned. ToolError if a tool
    is missing, the build fails or the simulation ends without a result.
    """
    tools.require_tools()
    with temporary_folder() as folder:
        source, visible = folder / "design.v", folder / "visible.vlt"
        renamed, count = re.subn(rf"\bmodule {re.escape(top)}\b", f"module {TOP}", verilog)
        if count != 1:
            raise ToolError(f"the Verilog has {count} modules {top}: the bench needs one")
        source.write_text(renamed)
        visible.write_text(_visible(TOP, ports))
        cycles, result = folder / "cycles.pickle", folder / "result.json"
        cycles.write_bytes(pickle.dumps(dict(job)))
        # Only the unit's own nets are traced: those inside its cells are not wires.
        trace_flags = ["--trace-saif", "--trace-underscore", "--trace-depth", "1"] if saif else []
        build = folder / "build"
        environment = {
            "HWGEN_CYCLES": str(cycles),
            "HWGEN_RESULT": str(result),
            # No assertion is taken apart for its message, which takes longer than short benches.
            "COCOTB_REWRITE_ASSERTION_FILES": "",
        }
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
                "waves": saif is not None,
            },
            "test": _test_step(bench, build, folder, environment, saif),
        }
        (folder / "steps.json").write_text(json.dumps(steps))
        command = [sys.executable, "-P", str(RUNNER), "steps.json"]
        with tools.shared_runtime(build, ["--vpi", *trace_flags]):
            with doing(f"simulating {top}", limit_s=tools.TIME_LIMIT_S):
                code, lines = processes.run(
                    command, folder, tools.TIME_LIMIT_S, env=tools.environment()
                )
            # A failed comparison has its result; anything else is the tools' failure.
            if not result.exists():
                raise tools.failure(f"simulation of {top}", code, lines, folder)
        return dict(processes.read_json(result))


def _test_step(
    bench: str, build: Path, folder: Path, environment: dict[str, str], saif: Path | None
) -> dict[str, Any]:
    """What cocotb's runner is told to run the module ``bench`` on the ``build``."""
    return {
        "hdl_toplevel": TOP,
        "hdl_toplevel_lang": "verilog",
        "test_module": bench,
        "build_dir": str(build),
        "test_dir": str(folder),
        "results_xml": str(folder / "results.xml"),
        "extra_env": environment,
        "test_args": ["--trace", "--trace-file", str(saif)] if saif is not None else [],
    }


def _visible(top: str, ports: Sequence[str]) -> str:
    """Verilator's configuration that lets the bench see the ports, and nothing else.

    The runner's own choice, every signal of the design, keeps Verilator from simplifying it
    and makes the build of a netlist several times slower.
    """
    lines = (f'public_flat_rw -module "{top}" -var "{port}"\n' for port in ports)
    return "`verilator_config\n" + "".join(lines)


def mismatch_at(
    spec: Spec,
    stimulus: Stimulus,
    cycle: int,
    expected: dict[str, int | None],
    got: dict[str, int | None],
) -> Mismatch:
    """What was expected and seen after the clock edge of ``cycle``, and the inputs of it."""
    enabled = np.flatnonzero(stimulus.enable[: cycle + 1])
    entered = int(enabled[-spec.latency]) if len(enabled) >= spec.latency else 0
    patterns = {port.name: stimulus.inputs[port.name][entered] for port in spec.inputs}
    return Mismatch(
        cycle=cycle,
        inputs={name: [int(v) for v in codes] for name, codes in patterns.items()},
        values={
            port.name: port.format.decode(patterns[port.name]).tolist()
            for port in spec.inputs
            if port.format is not None
        },
        expected=expected,
        got=got,
    )
