"""Designs in two-input gates, and in the cells of a library."""

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module, Signal, signed

from cost_models import chip
from hwgen import InputError
from hwgen.cli import main
from hwgen.spec import DotProduct, LMul, Multiply
from yosys_scripts import standard_cells

LIBRARY = """
/* A library of four cells. */
library (tiny) {
  leakage_power_unit : "1nW";
  cell (INV) { area : 1.0; cell_leakage_power : 2.0;
    pin (A) { direction : input; } pin (Y) { direction : output; function : "!A"; } }
  cell ("NAND2") { area : 2; cell_leakage_power : 3.5;
    pin (A) { direction : input; } pin (B) { direction : input; }
    pin (Y) { direction : output; function : "!(A B)"; } }
  cell (NOR2) { area : 2.5; cell_leakage_power : 3.0;
    pin (A) { direction : input; } pin (B) { direction : input; }
    pin (Y) { direction : output; function : "!(A+B)"; } }
  cell (DFF) { area : 6; cell_leakage_power : 9.0;
    ff (IQ, IQN) { clocked_on : "C"; next_state : "D"; }
    pin (C) { direction : input; clock : true; } pin (D) { direction : input; }
    pin (Q) { direction : output; function : "IQ"; } }
}
"""


def design(make, inputs, output):
    m = Module()
    ports = [Signal(shape, name=f"i{n}") for n, shape in enumerate(inputs)]
    result = Signal(output, name="result")
    make(m, result, *ports)
    return str(rtlil.convert(m, name="top", ports=[*ports, result], emit_src=False))


def gates_of(make, inputs, output):
    return standard_cells.count(design(make, inputs, output), "top")


def test_gates_are_those_of_the_textbook():
    """A full adder is two XORs and three others, a half adder one and one."""
    added = gates_of(lambda m, y, a, b: m.d.comb.__iadd__(y.eq(a + b)), (8, 8), 9)
    assert (added.gates, added.registers) == (7 * 5 + 2, 0)
    assert added.weighted == 7 * 11 + 5
    anded = gates_of(lambda m, y, a, b: m.d.comb.__iadd__(y.eq(a & b)), (8, 8), 8)
    assert (anded.gates, anded.weighted, anded.cells) == (8, 8, {"$_AND_": 8})
    xored = gates_of(lambda m, y, a, b: m.d.comb.__iadd__(y.eq(a ^ b)), (8, 8), 8)
    assert (xored.gates, xored.weighted) == (8, 32)
    inverted = gates_of(lambda m, y, a: m.d.comb.__iadd__(y.eq(~a)), (4,), 4)
    assert (inverted.gates, inverted.cells) == (0, {"$_NOT_": 4})


def test_a_product_of_unsigned_numbers_is_an_array_of_adders():
    """N² ANDs, and N·(N − 2) full and N half adders at most."""
    product = gates_of(lambda m, y, a, b: m.d.comb.__iadd__(y.eq(a * b)), (6, 6), 12)
    assert product.gates == 36 + 24 * 5 + 6 * 2


def test_registers_are_counted_apart():
    def make(m, y, a):
        m.d.sync += y.eq(a)

    assert gates_of(make, (signed(5),), signed(5)).registers == 5


def test_units_compare_as_in_the_papers():
    """FP8 above INT8 in a multiply-accumulate (2303.17951); L-Mul below a product (2410.00907)."""
    fp8, lmul = (
        chip.gates(kind(a="e4m3", b="e4m3"), combinational=True) for kind in (Multiply, LMul)
    )
    assert lmul.gates < 0.5 * fp8.gates
    int8, e4m3 = (chip.gates(DotProduct(a=f, b=f, lanes=1)) for f in ("int8", "e4m3"))
    assert 1.2 * int8.gates < e4m3.gates and int8.registers > 16


def test_a_library_gives_area_and_leakage(tmp_path, capsys):
    file = tmp_path / ("long" * 30) / "tiny.lib"
    file.parent.mkdir()
    file.write_text(LIBRARY)
    found = chip.gates(Multiply(a="int3", b="int3", stages=2), f"liberty:{file}")
    cells = found.cells
    assert set(cells) <= {"INV", "NAND2", "NOR2", "DFF"} and cells["DFF"] == found.registers > 6
    areas = {"INV": 1, "NAND2": 2, "NOR2": 2.5, "DFF": 6}
    leakages = {"INV": 2, "NAND2": 3.5, "NOR2": 3, "DFF": 9}
    assert found.area == pytest.approx(sum(areas[c] * n for c, n in cells.items()))
    assert found.leakage == pytest.approx(sum(leakages[c] * n for c, n in cells.items()))
    assert (found.gates, found.leakage_unit) == (None, "1nW")
    given = ["synth", "mul", "--a", "int3", "--b", "int3", "--target", f"liberty:{file}"]
    assert main(given) == 0
    assert "leakage" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "no Liberty library: No such file"),
        ("module top;", "one begins with"),
        ("library (x) { }", "without a cell that has an area"),
    ],
)
def test_what_is_no_library_is_refused(tmp_path, text, problem):
    file = tmp_path / "cells.lib"
    if text is not None:
        file.write_text(text)
    with pytest.raises(InputError, match=problem):
        chip.gates(Multiply(a="int3", b="int3"), f"liberty:{file}")
    with pytest.raises(InputError, match="use 'gates'"):
        chip.gates(Multiply(a="int3", b="int3"), "asic")
    with pytest.raises(InputError, match="technology=3: use text"):
        chip.gates(Multiply(a="int3", b="int3"), 3)


def test_the_same_design_is_counted_once(monkeypatch):
    spec = Multiply(a="int3", b="int2")
    first = chip.gates(spec, combinational=True)
    monkeypatch.setattr(standard_cells, "count", None)
    assert chip.gates(spec, combinational=True) == first
