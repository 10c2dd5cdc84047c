"""The design in docs/ computes what its units' golden models say; pages show true output."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
from amaranth.sim import Simulator

from hwgen.cli import main
from sim import golden, stimulus
from sim.lint import lint
from sim.verification import pack

FILE = Path(__file__).parents[1] / "docs" / "example_design.py"


def _example():
    spec = importlib.util.spec_from_file_location("example_design", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_results_are_the_golden_models():
    example = _example()
    inputs = stimulus.beats(example.DOT, 100, 1)
    count = len(inputs["clear"])
    sums = golden.expected(example.DOT, inputs)["accumulator"].astype(np.int64)
    words = sums & (2**example.DOT.accumulator_width - 1)
    wanted = golden.expected(example.CONVERT, {"a": words})["result"][:, 0].tolist()
    # The word means the same number in the converter's format.
    values = example.CONVERT.a.decode(words)[:, 0]
    assert (values == sums[:, 0] * 2.0**example.DOT.lsb_exponent).all()

    design = example.DotToE4M3()
    driven = {p.name: pack(inputs[p.name], p.bits) for p in example.DOT.inputs}
    got = []

    async def bench(ctx):
        ctx.set(design.valid_in, 1)
        for cycle in range(count + design.latency):
            for name, values in driven.items():
                ctx.set(getattr(design, name), values[min(cycle, count - 1)])
            assert ctx.get(design.valid_out) == (cycle >= design.latency)
            if cycle >= design.latency:
                got.append(ctx.get(design.result))
            await ctx.tick()

    simulator = Simulator(design)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert got == wanted


def test_it_writes_verilog():
    text = subprocess.run(
        [sys.executable, str(FILE)], capture_output=True, text=True, check=True
    ).stdout
    assert lint(text, "dot_to_e4m3", ["yosys", "verilator"]) == []


def test_the_page_of_units_shows_what_is_printed(capsys, monkeypatch, tmp_path):
    """If this fails, the page has old output: put the new one there."""
    monkeypatch.chdir(tmp_path)
    lines = (FILE.parent / "units.md").read_text().splitlines()
    commands = [line for line in lines if line.startswith("$ hwgen ")]
    assert len(commands) > 4
    for command in commands:
        arguments = command.split()[2:]
        if arguments[0] == "verify":  # Takes a simulation, and prints its time.
            continue
        assert main(arguments) == 0
        printed = capsys.readouterr().out.splitlines()
        start = lines.index(command) + 1
        assert lines[start : start + len(printed)] == printed, command
        assert lines[start + len(printed)].startswith(("```", "$ "))
