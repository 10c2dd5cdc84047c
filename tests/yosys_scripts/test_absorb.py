"""Mapped netlists are proved equal to their RTL where the flow builds adders of its own."""

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed, unsigned

import yosys_scripts
from hwgen.errors import ToolError
from yosys_scripts import isolation


def design(function, *shapes) -> str:
    m = Module()
    inputs = [Signal(shape, name=f"i{k}") for k, shape in enumerate(shapes)]
    value = function(*inputs)
    y = Signal(value.shape(), name="y")
    m.d.comb += y.eq(value)
    return rtlil.convert(m, ports=[*inputs, y], name="top", emit_src=False)


def prove(text: str, target: str, folder) -> yosys_scripts.Netlist:
    """ToolError unless the netlist of a design without registers does what its text says."""
    mapped = yosys_scripts.netlist(text, "top", target=target)
    (folder / "gold.il").write_text(text)
    (folder / "gate.v").write_text(mapped.verilog)
    include = " ".join(flag for flag in mapped.verilator_flags if flag.startswith("-I"))
    commands = [
        f"read_verilog -nooverwrite -D ICE40_U {include} {mapped.cell_models[0]}",
        *("read_verilog gate.v", "hierarchy -top top", "proc", "flatten", "opt_clean"),
        *("rename top gate", "design -stash gates", "read_rtlil gold.il", "hierarchy -top top"),
        *("proc", "flatten", "rename top gold", "design -copy-from gates -as gate gate"),
        *("miter -equiv -flatten -make_outputs gold gate miter", "hierarchy -top miter"),
        *("flatten", "opt -full", "sat -verify -prove trigger 0 miter", "write_json netlist.json"),
    ]
    job = {"kind": "yosys", "commands": commands, "top": "miter"}
    isolation.run("yosys", job, folder, time_limit_s=300)
    return mapped


def masked(x, bit):
    return Mux(bit, x, 0)


def flipped(x, bit):
    return (Cat(x) ^ bit.replicate(len(x))).as_signed()


def with_carry(x, y, bit):
    return (Cat(Const(1, 1), x) + Cat(bit, y)) >> 1


GATED = {
    "and_and": lambda x, y, g, h: masked(x, g) + masked(y, h),
    "and_less_and": lambda x, y, g, h: masked(x, g) - masked(y, h),
    "xor_xor": lambda x, y, g, h: flipped(x, g) + flipped(y, h),
    "or_plain": lambda x, y, g, h: (Cat(x) | g.replicate(len(x))) + y,
    "plain_nand": lambda x, y, g, h: x + ~masked(y, h),
    "nand_nand": lambda x, y, g, h: ~masked(x, g) + ~masked(y, h),
    "xor_xor_carry": lambda x, y, g, h: with_carry(flipped(x, g), flipped(y, h), h),
    "carry_of_two": lambda x, y, g, h: with_carry(masked(x, g), y, g & h),
    "same_operand": lambda x, y, g, h: masked(x, g) + masked(x, g),
}


#: iCE40's LUTs have no input to spare beside a carry chain: its flow builds nothing of its own.
BUILDERS = ("ecp5", "nexus", "xc7")


@pytest.mark.parametrize("target", BUILDERS)
def test_gates_in_front_of_adders(target, tmp_path):
    """All of them, of even and odd width, as one design a target."""

    def everything(*inputs):
        sums, (g, h) = [], inputs[-2:]
        for x, y in zip(inputs[:-2:2], inputs[1:-2:2], strict=True):
            sums += [function(x, y, g, h) for function in GATED.values()]
        return Cat(sums)

    shapes = [shape for w in (6, 7) for shape in (unsigned(w), unsigned(w), signed(w), signed(w))]
    prove(design(everything, *shapes, 1, 1), target, tmp_path)


@pytest.mark.parametrize("target", BUILDERS)
def test_products(target, tmp_path):
    def products(*inputs):
        return Cat(x * y for x, y in zip(inputs[::2], inputs[1::2], strict=True))

    shapes = [
        *(signed(5), signed(4), unsigned(4), unsigned(4), signed(4), signed(5)),
        *(unsigned(5), unsigned(5), unsigned(5), unsigned(4), signed(6), signed(6)),
    ]
    prove(design(products, *shapes), target, tmp_path)


def test_a_gate_costs_nothing():
    ungated = design(lambda x, y, g, h: x + y, 8, 8, 1, 1)
    gated = design(GATED["and_and"], 8, 8, 1, 1)
    for target in ("ecp5", "xc7"):
        counts = [
            yosys_scripts.synthesise(text, "top", target=target, place=False).lut
            for text in (ungated, gated)
        ]
        assert counts[0] == counts[1]


@pytest.mark.parametrize(("target", "limit"), [("ecp5", 76), ("nexus", 76), ("xc7", 45)])
def test_eight_bit_product(target, limit):
    text = design(lambda x, y: x * y, signed(8), signed(8))
    assert yosys_scripts.synthesise(text, "top", target=target, place=False).lut <= limit


def test_a_wrong_netlist_is_found(tmp_path, monkeypatch):
    netlist = yosys_scripts.netlist

    def other(text, top, target):
        return netlist(design(lambda x, y: (x + y) ^ 64, 6, 6), top, target=target)

    monkeypatch.setattr(yosys_scripts, "netlist", other)
    with pytest.raises(ToolError, match="in step SAT"):
        prove(design(lambda x, y: x + y, 6, 6), "ecp5", tmp_path)
