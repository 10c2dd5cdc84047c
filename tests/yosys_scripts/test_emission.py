"""The unit in a target's primitives does what the unit does, and stays so in anybody's build."""

import re
import subprocess
from pathlib import Path

import pytest
from amaranth.build import Clock, Pins, Resource
from amaranth.hdl import Cat, Elaboratable, Module, Signal
from amaranth.lib import io
from amaranth.sim import Simulator
from amaranth.vendor import LatticeECP5Platform

import yosys_scripts
from hwgen import DotProduct, InputError, MultiplyAccumulate, component, emit
from hwgen.cli import main
from hwgen.units.stream import AxiStreamUnit
from sim import compiled
from sim.tools import package_folder
from yosys_scripts import cell_models, isolation

SPEC = DotProduct(a="e2m1", b="int4", lanes=3, max_products=24)
ARGUMENTS = ["dot", "--a", "e2m1", "--b", "int4", "--lanes", "3", "--max-products", "24"]
#: The scripts that builds with Yosys run, without options but the family.
STOCK = {
    "ecp5": "synth_ecp5",
    "gowin": "synth_gowin",
    "ice40": "synth_ice40",
    "nexus": "synth_nexus",
    "xc7": "synth_xilinx",
    "xcup": "synth_xilinx -family xcup",
}


def stock(file, top, target, folder):
    """The cells of Yosys' own script's netlist of ``file``, and the netlist as Verilog."""
    commands = [
        f"read_verilog {file}",
        f"{STOCK[target]} -top {top}",
        "flatten",
        "opt_clean -purge",
        "write_json netlist.json",
        "splitnets",
        "rename -hide",
        "rename -enumerate -pattern n%",
        "write_verilog -noattr -noexpr netlist.v",
    ]
    job = {"kind": "yosys", "commands": commands, "top": top}
    cells = isolation.run("yosys", job, folder, time_limit_s=300)["cells"]
    return cells, (folder / "netlist.v").read_text()


def require_equal(spec, text, mapped, folder):
    """Fail unless the module ``text``, of cells that ``mapped`` has models of, is the unit."""
    cells = folder / "cells.v"
    cells.write_text(cell_models.used(mapped.cell_models, text))
    (outcome,) = compiled.check(
        [compiled.Run(spec, text, vectors=300)],
        sources=[cells],
        flags=mapped.verilator_flags,
    )
    assert outcome.mismatches == 0 and outcome.vectors > 300, outcome.shown
    return cells


@pytest.mark.parametrize("target", yosys_scripts.TARGETS)
def test_primitives_stand_in_for_the_unit(target, tmp_path):
    """Alone, and after the script that a build runs, which finds nothing to map worse."""
    assert main(["generate", *ARGUMENTS, "--primitives", target, "--out", str(tmp_path)]) == 0
    file = tmp_path / f"{SPEC.name}_{target}.v"
    text = file.read_text()
    assert f"--primitives {target}\n" in text and "Mapped to" in text
    assert re.findall(r"^ *module (\w+)", text, re.MULTILINE) == [SPEC.name]
    mapped = yosys_scripts.netlist(emit.rtlil(SPEC), SPEC.name, target=target)
    models = require_equal(SPEC, text, mapped, tmp_path)
    # What Verilator warns of is in the vendor's models.
    verilator = package_folder("verilator") / "bin" / "verilator"
    folders = [f"-I{Path(file).parent}" for file in mapped.cell_models]
    defines = [flag for flag in mapped.verilator_flags if not flag.startswith("-W")]
    messages = subprocess.run(
        [
            *(verilator, "--lint-only", "-Wall", "-Wno-fatal", "--error-limit", "9999"),
            *(*defines, *folders, "--top-module", SPEC.name, file, models),
        ],
        capture_output=True,
        text=True,
    ).stderr.splitlines()
    assert not [line for line in messages if line.startswith("%") and f"{file.name}:" in line]

    built, netlist = stock(file, SPEC.name, target, tmp_path)
    ours = yosys_scripts.synthesise(emit.rtlil(SPEC), SPEC.name, target=target, place=False)
    counts = yosys_scripts.target(target).resources(built)
    assert counts["lut"] <= 1.02 * ours.lut
    assert (counts["carry"], counts["ff"], counts["dsp"]) == (ours.carry, ours.ff, ours.dsp)
    require_equal(SPEC, netlist, mapped, tmp_path)


def test_cells_of_the_open_tools_are_a_file_of_their_own(tmp_path):
    """They are those of Yosys, which simulators and vendors' tools lack."""
    assert main(["generate", *ARGUMENTS, "--primitives", "ecp5", "--out", str(tmp_path)]) == 0
    text, models = ((tmp_path / f"{SPEC.name}_ecp5{end}.v") for end in ("", "_cells"))
    mapped = yosys_scripts.netlist(emit.rtlil(SPEC), SPEC.name, target="ecp5")
    others = cell_models.used(mapped.cell_models, text.read_text())
    others = re.sub(r"(?s)\bmodule TRELLIS_FF\b.*?\bendmodule\b", "", others)
    (tmp_path / "others.v").write_text(others)
    (outcome,) = compiled.check(
        [compiled.Run(SPEC, text.read_text(), vectors=300)],
        sources=[models, tmp_path / "others.v"],
        flags=mapped.verilator_flags,
    )
    assert outcome.mismatches == 0 and outcome.vectors > 300, outcome.shown
    assert not yosys_scripts.cells_of_open_tools("xc7")


@pytest.mark.parametrize("target", yosys_scripts.TARGETS)
def test_dsp_blocks_stay(target, tmp_path):
    spec = DotProduct(a="int8", b="int8", lanes=4, mapping="dsp")
    rtlil = emit.rtlil(spec)
    file = tmp_path / "mapped.v"
    file.write_text(yosys_scripts.primitives(rtlil, spec.name, target=target, mapping="dsp"))
    ours = yosys_scripts.synthesise(rtlil, spec.name, target=target, mapping="dsp", place=False)
    cells, _ = stock(file, spec.name, target, tmp_path)
    counts = yosys_scripts.target(target).resources(cells)
    assert counts["dsp"] == ours.dsp > 0 and counts["lut"] <= 1.02 * ours.lut


class Board(LatticeECP5Platform):
    """A board with nothing on it but a clock, and pins for one serial link."""

    device, package, speed = "LFE5U-25F", "BG381", "6"
    default_clk = "clk"
    resources = (
        Resource("clk", 0, Pins("P3", dir="i"), Clock(25e6)),
        Resource("serial_in", 0, Pins("P1", dir="i")),
        Resource("serial_out", 0, Pins("P2", dir="o")),
    )
    connectors = ()


class Twice(Elaboratable):
    """Two of the units with their pins on a shift register in front and behind."""

    def elaborate(self, platform):
        m = Module()
        m.submodules.serial_in = first = io.Buffer("i", platform.request("serial_in", dir="-"))
        m.submodules.serial_out = last = io.Buffer("o", platform.request("serial_out", dir="-"))
        data = first.i
        for name in ("first", "second"):
            m.submodules[name] = unit = yosys_scripts.component(SPEC, target="ecp5")
            pins = Cat(unit.enable, unit.valid_in, unit.clear, unit.a, unit.b)
            shift = Signal(len(pins), name=f"{name}_in")
            m.d.sync += shift.eq(Cat(data, shift))
            m.d.comb += pins.eq(shift)
            result = Cat(unit.valid_out, unit.accumulator)
            behind = Signal(len(result), name=f"{name}_out")
            m.d.sync += behind.eq(Cat(data, behind) ^ result)
            data = behind[-1]
        m.d.comb += last.o.eq(data)
        return m


def test_a_component_keeps_its_area_in_a_platforms_build(tmp_path):
    """Prepared for Trellis and not run, but for the part of Yosys."""
    plan = Board().build(Twice(), do_build=False)
    plan.extract(tmp_path)
    assert f"{SPEC.name}_ecp5.v" in plan.files
    script = plan.files["top.ys"]
    lines = (line.strip() for line in script.splitlines())
    commands = [line for line in lines if line and not line.startswith("#")]
    assert any(line.startswith("synth_ecp5") for line in commands)
    job = {"kind": "yosys", "commands": [*commands, "write_json netlist.json"], "top": "top"}
    cells = isolation.run("yosys", job, tmp_path, time_limit_s=300)["cells"]
    ours = yosys_scripts.synthesise(emit.rtlil(SPEC), SPEC.name, target="ecp5", place=False)
    built = yosys_scripts.target("ecp5").resources(cells)
    # A LUT for each bit of the registers behind, which are XORs.
    behind = 2 * (1 + SPEC.accumulator_width)
    assert built["carry"] == 2 * ours.carry
    assert built["lut"] <= 1.02 * 2 * ours.lut + behind


def test_a_component_is_the_portable_unit_in_a_simulation():
    unit = yosys_scripts.component(SPEC, target="xc7")
    seen = []

    async def bench(context):
        context.set(Cat(unit.enable, unit.valid_in, unit.clear), 7)
        context.set(unit.a, int(SPEC.a.encode([3.0])[0]) * 0x111)
        context.set(unit.b, 0x7F1)  # 1, -1 and 7
        for _ in range(SPEC.latency):
            await context.tick()
        seen.append((context.get(unit.valid_out), context.get(unit.accumulator)))

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert seen == [(1, int(21 * 2**-SPEC.lsb_exponent))]


@pytest.mark.parametrize("stream", [False, True], ids=["unit", "stream"])
def test_components_have_the_portable_units_ports(stream):
    for spec in (SPEC, MultiplyAccumulate(a="e4m3fn", b="e4m3fn", accumulator="fp32")):
        portable = AxiStreamUnit(spec) if stream else component(spec)
        portable._MustUse__silence = True
        mapped = yosys_scripts.component(spec, target="ecp5", stream=stream)
        mapped._MustUse__silence = True
        assert mapped.signature == portable.signature


def test_components_of_no_target_are_refused():
    with pytest.raises(InputError, match="unknown target 'virtex': use one of ecp5"):
        yosys_scripts.component(SPEC, target="virtex")
    sized = DotProduct(a="int4", b="int4", lanes=4, mapping="dsp27x18")
    with pytest.raises(InputError, match="multipliers of 18 x 18 bits"):
        yosys_scripts.component(sized, target="ecp5")


def test_unknown_targets_are_named(tmp_path, capsys):
    arguments = ["generate", *ARGUMENTS, "--primitives", "virtex", "--out", str(tmp_path)]
    assert main(arguments) == 2
    assert "unknown target 'virtex': use one of" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
