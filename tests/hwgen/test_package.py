"""What goes with the Verilog: complete, deterministic, and true."""

import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as xml
from pathlib import Path

import pytest

from hwgen import DotProduct, emit, package
from hwgen.cli import main
from hwgen.package.core import ARCHITECTURES
from hwgen.pins import module_name, pins
from hwgen.spec import UNITS
from hwgen.waivers import SLANG, VERILATOR
from sim.random_specs import examples
from sim.vectors import vectors_csv

SPECS = [*examples(seed=11, count=1), DotProduct(a="e2m1", b="int4", lanes=4, max_products=64)]
UNIT = ["dot", "--a", "e2m1", "--b", "int4", "--lanes", "4", "--max-products", "64"]


@pytest.mark.parametrize("stream", [False, True], ids=["unit", "stream"])
@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_pins_are_the_modules(spec, stream):
    text = emit.verilog(spec, stream=stream)
    body = text[text.index(f"module {module_name(spec, stream=stream)}(") :]
    listed = body[body.index("(") + 1 : body.index("\n);")].split(",\n")
    ports = [re.sub(r"\b(reg|signed) ", "", line).strip() for line in listed]
    wanted = [
        f"{'output' if pin.output else 'input'} {pin.range}{pin.name}"
        for pin in pins(spec, stream=stream)
    ]
    assert sorted(ports) == sorted(wanted)


def test_datasheet_says_what_a_user_needs():
    spec = SPECS[-1]
    costs = [
        {
            **{"target": "ecp5", "lut": 10, "carry": 2, "ff": 3, "dsp": 0, "fmax_mhz": 81.44},
            "tools": {"yosys": "1", "nextpnr-ecp5": "2"},
        },
        {
            **{"target": "xc7", "lut": 9, "carry": 1, "ff": 3, "dsp": 0, "fmax_mhz": None},
            "tools": {"yosys": "1"},
        },
    ]
    text = package.datasheet(spec, diagram="dot.svg", costs=costs)
    assert text.startswith(f"# {spec.name}\n") and "![Timing diagram](dot.svg)" in text
    assert all(f"| `{pin.name}` | {'out' if pin.output else 'in'} " in text for pin in pins(spec))
    assert all(line in text for line in spec.description)
    assert "| e2m1 | 4 | -6 | 6 | 0.5 | none |" in text
    assert f"| accumulator width | {spec.accumulator_width} |" in text
    assert "| ecp5 | 10 | 2 | 3 | 0 | 81.4 | yosys 1, nextpnr-ecp5 2 |" in text
    assert "| xc7 | 9 | 1 | 3 | 0 | – | yosys 1 |" in text
    assert "By the mapping of `hwgen synth`" in text
    assert "## Cost" not in package.datasheet(spec)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_diagrams_are_well_formed(spec):
    for stream in (False, True):
        root = xml.fromstring(package.timing_diagram(spec, stream=stream))
        names = {text.text for text in root.iter("{http://www.w3.org/2000/svg}text")}
        assert {"clk", "y0", "y1"} <= names


def test_core_names_what_is_there():
    spec = SPECS[-1]
    text = package.core(spec, stream=True)
    name = module_name(spec, stream=True)
    assert text.startswith("CAPI=2:\n") and f"name: hwgen:dot:{name}:" in text
    assert f"- {name}.v\n" in text and f"toplevel: {name}\n" in text
    assert "verilator_options: [-Wall]\n" in text  # What is waived stands in the Verilog.
    assert "filesets: [rtl]\n" in text and "hwgen_" not in text
    mapped = package.core(spec, stream=True, primitives="xc7")
    assert f"  xc7:\n    files:\n      - {name}_xc7.v\n" in mapped
    assert 'filesets: ["!hwgen_xc7 ? (rtl)", "hwgen_xc7 ? (xc7)"]\n' in mapped


def test_fusesoc_sets_up_every_target(capsys, tmp_path):
    line = ["generate", *UNIT, "--name", "my_dot", "--with", "core", "--primitives", "ecp5"]
    assert run(capsys, *line, "--out", tmp_path)[0] == 0
    assert all(f"\n  {name}:\n    <<: *default" in package.core(SPECS[0]) for name in ARCHITECTURES)
    for target in ("lint", "ecp5", "xc7"):
        for flags, file in (((), "my_dot.v"), (("--flag", "hwgen_ecp5"), "my_dot_ecp5.v"))[
            : 1 + (target == "ecp5")
        ]:
            options = [f"--target={target}", *flags, "--setup", "--clean", "hwgen:dot:my_dot"]
            done = subprocess.run(
                [Path(sys.executable).with_name("fusesoc"), "--cores-root=.", "run", *options],
                cwd=tmp_path,
                env={**os.environ, "XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path)},
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0 and "ERROR" not in done.stdout + done.stderr, done.stderr
            (made,) = tmp_path.glob(f"build/*/{target}/*.eda.yml")
            assert f"/{file}\n" in made.read_text()
            if target != "lint":
                (script,) = made.parent.glob("*procs.tcl")
                assert f"synth_{ARCHITECTURES[target]} " in script.read_text()


def test_waivers_have_reasons():
    assert all(len(reason) > 20 for reason in [*VERILATOR.values(), *SLANG.values()])


def test_vectors_are_the_golden_models():
    spec = SPECS[-1]
    lines = vectors_csv(spec, vectors=20).splitlines()
    assert lines[0] == "clear,a,b,accumulator"
    total = 0
    for line in lines[1:]:
        clear, a, b, wanted = (int(digits, 16) for digits in line.split(","))
        lanes = [
            spec.a.decode([a >> 4 * i & 15])[0] * spec.b.decode([b >> 4 * i & 15])[0]
            for i in range(4)
        ]
        total = (0 if clear else total) + int(sum(lanes) * 2)
        assert total & (2**spec.accumulator_width - 1) == wanted
    stream = vectors_csv(spec, vectors=20, stream=True).splitlines()
    assert stream[0] == "s_axis_tdata,m_axis_tdata" and len(stream) == len(lines)
    assert stream == vectors_csv(spec, vectors=20, stream=True).splitlines()


def run(capsys, *arguments):
    code = main([str(a) for a in arguments])
    return code, *capsys.readouterr()


@pytest.mark.parametrize("form", [[], ["--stream"]], ids=["unit", "stream"])
def test_generate_writes_all_and_the_same_again(capsys, tmp_path, form):
    code, out, _ = run(
        capsys, "generate", *UNIT, *form, "--all", "--out", tmp_path / "one", "--json"
    )
    fields = json.loads(out)
    kinds = {"verilog", "core", "datasheet", "timing", "template", "vectors"}
    assert code == 0 and set(fields["files"]) == kinds
    assert fields["file"] == fields["files"]["verilog"]
    written = {str(file): file.read_bytes() for file in (tmp_path / "one").iterdir()}
    assert sorted(written) == sorted(fields["files"].values())
    every = "core,datasheet,template,vectors"
    code, out, _ = run(capsys, "generate", *UNIT, *form, "--with", every, "--out", tmp_path / "two")
    # A line a file, and one of the stages.
    assert code == 0 and len(out.splitlines()) == len(kinds) + 1
    again = {file.name: file.read_bytes() for file in (tmp_path / "two").iterdir()}
    assert again == {name.rpartition("/")[2]: text for name, text in written.items()}


def test_generate_takes_some(capsys, tmp_path):
    code, _, _ = run(capsys, "generate", *UNIT, "--with", "core", "--out", tmp_path)
    assert code == 0 and {file.suffix for file in tmp_path.iterdir()} == {".v", ".core"}
    code, out, err = run(capsys, "generate", *UNIT, "--with", "core,pdf", "--out", tmp_path)
    assert code == 2 and out == ""
    assert "--with pdf: use some of core, datasheet, template, vectors" in err


def test_verify_stream(capsys):
    code, out, _ = run(capsys, "verify", *UNIT, "--stream", "--vectors", 40, "--json")
    fields = json.loads(out)
    assert code == 0 and fields["passed"] and fields["vectors"] > 40 and fields["mismatches"] == 0
    assert fields["cycles"] > fields["vectors"]


def test_units_lists_all(capsys):
    code, out, _ = run(capsys, "units", "--json")
    rows = json.loads(out)["units"]
    assert code == 0 and [row["unit"] for row in rows] == list(UNITS)
    options = {row["unit"]: row["options"] for row in rows}
    assert options["dot"].items() >= {"--lanes": None, "--mapping": "lut"}.items()
    # Its own first, in their order, and then what every unit has.
    assert list(options["convert"])[:4] == ["--a", "--b", "--rounding", "--overflow"]
    assert list(options["convert"])[-2:] == ["--stages", "--pipeline-target"]
    code, out, _ = run(capsys, "units")
    assert code == 0 and all(f"{unit}: " in out for unit in UNITS)
