"""The arithmetic of units without registers."""

import json

import numpy as np
import pytest

from cost_models.combinational import TOP, combinational_rtlil
from hwgen import InputError, MultiplyAccumulate
from hwgen.cli import main
from hwgen.spec import UNITS
from sim import exact, unit_model
from sim.accumulate import accumulate_once
from sim.formal.aig import every_pattern
from sim.formal.circuit import from_rtlil


def circuit_of(spec):
    return from_rtlil({TOP: combinational_rtlil(spec)})[TOP]


def test_no_unit_keeps_a_register():
    """Each in a module of another name: Yosys reads them all at once."""
    texts = {}
    small = {"blockdot": {"a": "e2m1_b2_e8m0", "b": "int4_b2_ue4m3", "output": "bf16"}}
    for unit in set(UNITS) - {"array"}:
        fields = small.get(unit) or unit_model.of(UNITS[unit]).example
        text = combinational_rtlil(UNITS[unit](**fields))
        texts[unit] = text.replace(f"\\{TOP}", f"\\{unit}")
        assert texts[unit].count(f"module \\{unit}") == text.count("module \\")
    for unit, circuit in from_rtlil(texts).items():
        assert not circuit.registers, unit
        assert circuit.outputs and {"clk", "enable", "clear"}.isdisjoint(circuit.inputs), unit


def test_an_array_is_refused():
    with pytest.raises(InputError, match="registers between its rows and columns"):
        combinational_rtlil(UNITS["array"](**unit_model.of(UNITS["array"]).example))


def test_a_float_accumulator_is_the_step_to_the_next():
    spec = MultiplyAccumulate(a="e2m1", b="e2m1", accumulator="e2m1")
    circuit, bits = circuit_of(spec), spec.a.bits
    assert list(circuit.outputs) == ["result_0"]
    literals = [*circuit.inputs["held_accumulator"], *circuit.inputs["a"], *circuit.inputs["b"]]
    values = every_pattern([literal >> 1 for literal in literals])
    words = circuit.aig.evaluated(circuit.outputs["result_0"], values)
    count = 1 << len(literals)
    rows = [np.unpackbits(row.view(np.uint8), bitorder="little")[:count] for row in words]
    got = sum(row.astype(np.int64) << place for place, row in enumerate(rows))
    pattern = np.arange(count)
    held, a, b = (pattern >> (part * bits) & (1 << bits) - 1 for part in range(3))
    start = exact.decode(spec.accumulator.format, held.astype(np.uint8))
    sums = exact.product(spec.a, spec.b, a.astype(np.uint8), b.astype(np.uint8))
    wanted = accumulate_once(spec.accumulator, start, sums, np.zeros(count, bool)).words
    # Every number of the accumulator is one that sums can be.
    assert got.tolist() == wanted.tolist()


def test_command(capsys):
    line = ["synth", "mac", "--a", "e2m1", "--b", "e2m1", "--accumulator", "e2m1"]
    assert main([*line, "--target", "xc7", "--combinational", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["lut"] > 0 and found["ff"] == 0 and found["fmax_mhz"] is None
    assert main([*line, "--target", "xc7", "--combinational"]) == 0
    assert "without registers, on xc7" in capsys.readouterr().out
