"""Verilog of every unit, in both forms, is accepted by other people's tools."""

import functools
import shlex
import shutil
import subprocess

import pytest

from hwgen import (
    Convert,
    DotProduct,
    InputError,
    MultiDot,
    MultiplyAccumulate,
    ToolError,
    emit,
    package,
)
from hwgen.cli import main
from hwgen.pins import module_name
from hwgen.spec import UNITS
from sim.lint import LINTERS, lint
from sim.random_specs import examples
from sim.tools import package_folder

#: A unit of every kind, and some with products and results of their own kind.
ONE_OF_EACH = [
    *examples(seed=3, count=1),
    DotProduct(a="e4m3", b="int8", lanes=5),
    DotProduct(a="int2", b="e5m2", lanes=1),
    Convert(a="uint2", b="uint3", rounding="up"),  # Nothing can be beyond the largest.
    Convert(a="fixed1_1", b="uint5"),  # Everything is zero.
    MultiDot(formats="uint8,uint8:int1", lanes=4),  # A factor that is chosen by the mode.
    # An exponent that is a constant, by which a shift is limited.
    MultiplyAccumulate(a="int6", b="fixed15_11", accumulator="e5m10ieee", stages=1),
    # A NOT of a NOT that stands in its place.
    DotProduct(
        a="int8", b="int4", lanes=8, accumulator="bf16:down", stages=5, pipeline_target="ecp5"
    ),
]
MORE = examples(seed=4, count=2)


def test_every_unit_is_among_them():
    for specs in (ONE_OF_EACH, MORE):
        assert {spec.unit for spec in specs} == set(UNITS)


#: Written once for all of the tools.
written = functools.cache(emit.verilog)


@pytest.mark.parametrize("specs", [ONE_OF_EACH, MORE], ids=["one", "more"])
@pytest.mark.parametrize("tool", LINTERS)
@pytest.mark.parametrize("stream", [False, True], ids=["unit", "stream"])
def test_linters_find_nothing(tool, stream, specs):
    if tool == "icarus" and shutil.which("iverilog") is None:
        pytest.skip("Icarus Verilog (iverilog) is not installed, and is not on PyPI")
    for spec in specs:
        findings = lint(written(spec, stream=stream), module_name(spec, stream=stream), [tool])
        assert findings == [], spec


@pytest.mark.parametrize("flags", [[], ["-Wall"]], ids=["default", "all"])
@pytest.mark.parametrize("stream", [[], ["--stream"]], ids=["unit", "stream"])
def test_verilator_says_nothing_of_the_files(stream, flags, tmp_path, monkeypatch):
    """As a user runs it: no other flags, and no name of a top module."""
    monkeypatch.chdir(tmp_path)
    binary = package_folder("verilator") / "bin" / "verilator"
    for spec in examples(seed=8, count=1):
        command = [*shlex.split(emit.generate_command(spec))[1:], *stream]
        assert main([*command, "--out", "."]) == 0
        for file in sorted(tmp_path.glob("*.v")):
            run = subprocess.run(
                [binary, "--lint-only", *flags, file.name], capture_output=True, text=True
            )
            assert (run.returncode, run.stderr) == (0, ""), spec
            file.unlink()


def test_a_warning_behind_the_file_still_counts():
    """The files switch nothing off for what is read after them."""
    late = "module late(input a, input b, output c);\n  assign c = a;\nendmodule\n"
    findings = lint(emit.verilog(ONE_OF_EACH[0]) + late, "late", ["verilator"])
    assert "UNUSEDSIGNAL" in findings[0].message and "'b'" in findings[0].message


@pytest.mark.parametrize("stream", [False, True], ids=["unit", "stream"])
def test_the_template_fits_the_module(stream):
    """In a module whose ports are the template's wires, the instance raises no warning."""
    for spec in ONE_OF_EACH[:4]:
        text = package.template(spec, stream=stream)
        ports = [line for line in text.splitlines() if line.startswith("wire ")]
        lines = [
            f"{'output' if '// out:' in line else 'input'} {line.partition(';')[0]}"
            for line in ports
        ]
        instance = text[text.index(f"\n{module_name(spec, stream=stream)} ") :]
        around = f"module around(\n{','.join(lines)});\n{instance}endmodule\n"
        verilog = written(spec, stream=stream) + around
        assert lint(verilog, "around", ["yosys", "verilator", "slang"]) == [], spec


TRUNCATES = """module bad(input clk, input [3:0] a, output reg [2:0] b);
  wire [3:0] nothing;
  always @(posedge clk) b <= a ^ nothing;
endmodule
"""


@pytest.mark.parametrize("tool", ["yosys", "verilator", "slang"])
@pytest.mark.parametrize("verilog", [TRUNCATES, "module bad(;\nendmodule\n"])
def test_faults_are_found(tool, verilog):
    findings = lint(verilog, "bad", [tool])
    assert findings and all(finding.tool == tool and finding.message for finding in findings)


def test_another_top_is_found():
    verilog = "module other(input a, output b);\n  assign b = a;\nendmodule\n"
    for tool in ("yosys", "verilator", "slang"):
        assert lint(verilog, "wanted", [tool]), tool


def test_linters_that_are_not_there(monkeypatch):
    with pytest.raises(InputError, match="use some of yosys, verilator, slang, icarus"):
        lint("", "top", ["spyglass"])
    monkeypatch.setitem(LINTERS, "icarus", (lambda: False, LINTERS["icarus"][1]))
    with pytest.raises(ToolError, match="icarus is not installed"):
        lint("", "top", ["icarus"])
