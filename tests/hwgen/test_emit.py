"""The emitted Verilog: deterministic, described, accepted by others."""

import subprocess
import sys
from pathlib import Path

from hwgen import DotProduct, emit


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


def test_header_of_the_stream_states_where_the_ports_are():
    spec = DotProduct(a="e2m1", b="int3", lanes=2)
    text = emit.verilog(spec, stream=True)
    header = "".join(line for line in text.splitlines(keepends=True) if line.startswith("//"))
    for words in (
        "bit 0 clear",
        "bits 8:1 a (e2m1; 2 x 4 bits, element 0 in the lowest)",
        "bits 14:9 b",
        f"bits {spec.accumulator_width - 1}:0 accumulator",
        "the rest the sign",
        "latency  4 cycles",
        "--stages 4 --stream",
    ):
        assert words in header, words
    assert f"module {spec.name}_axis(" in text
    assert text == emit.verilog(spec, stream=True)
