"""iCE40's wide products, from three of half the width."""

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module, Signal, signed, unsigned

import yosys_scripts
from hwgen import Multiply
from sim.case_list import Case
from sim.regression import examine
from yosys_scripts import isolation

TECHMAP = "karatsuba.v"


def product(shape) -> str:
    m = Module()
    a, b, y = Signal(shape, name="a"), Signal(shape, name="b"), Signal(2 * shape.width, name="y")
    m.d.comb += y.eq(a * b)
    return rtlil.convert(m, ports=[a, b, y], name="top", emit_src=False)


@pytest.mark.parametrize("shape", [unsigned(6), signed(6)], ids=["unsigned", "signed"])
def test_the_product_is_the_same(shape, tmp_path):
    """Proved at a width that is feasible, where the flow leaves products as they are."""
    folder = yosys_scripts.target("ice40").folder
    (tmp_path / TECHMAP).write_text((folder / TECHMAP).read_text())
    (tmp_path / "gold.il").write_text(product(shape))
    commands = [
        *("read_rtlil gold.il", "hierarchy -top top", "copy top gate"),
        f"techmap -autoproc -D KARATSUBA_WIDTH=6 -map {TECHMAP} gate",
        "select -assert-count 3 gate/t:$mul",
        *("miter -equiv -flatten -make_outputs top gate miter", "hierarchy -top miter"),
        *("flatten", "opt -full", "sat -verify -prove trigger 0 miter", "write_json netlist.json"),
    ]
    job = {"kind": "yosys", "commands": commands, "top": "miter"}
    isolation.run("yosys", job, tmp_path, time_limit_s=300)


def test_products_of_one_bit_have_no_halves():
    narrow = yosys_scripts.synthesise(product(unsigned(1)), "top", target="ice40", place=False)
    assert narrow.lut == 1


def test_wide_products_are_smaller():
    """Rows of 48 by 48 bits take 2351 LUTs."""
    wide = yosys_scripts.synthesise(product(unsigned(48)), "top", target="ice40", place=False)
    assert wide.lut <= 2200


@pytest.mark.parametrize("target", ["ice40", "gowin"])
@pytest.mark.parametrize(("a", "b"), [("e2m19", "e2m19"), ("int16", "int8"), ("uint8", "uint5")])
def test_products_are_those_of_the_golden_model(target, a, b):
    (result,) = examine([Case(Multiply(a=a, b=b, stages=1), level=target, vectors=400)])
    assert result.status == "passed" and result.vectors > 400
