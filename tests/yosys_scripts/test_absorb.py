"""Mapped netlists are proved equal to their RTL where the flow builds adders of its own."""

import time

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed, unsigned

import yosys_scripts
from sim.formal.aig import Aig
from sim.formal.circuit import from_netlist, from_rtlil
from sim.formal.solve import DISPROVED, PROVED, Answer, Claim, solve


def design(function, *shapes) -> str:
    m = Module()
    inputs = [Signal(shape, name=f"i{k}") for k, shape in enumerate(shapes)]
    value = function(*inputs)
    y = Signal(value.shape(), name="y")
    m.d.comb += y.eq(value)
    return rtlil.convert(m, ports=[*inputs, y], name="top", emit_src=False)


def difference(text: str, target: str) -> Answer:
    """Whether the netlist of a design without registers does what its text says.

    Bit by bit: of few inputs each all patterns are evaluated, which takes much less than a solver
    to which the sums of all bits are one claim.
    """
    given = from_rtlil({"top": text})["top"]
    mapped = from_netlist(yosys_scripts.netlist(text, "top", target=target))
    assert not mapped.registers and not mapped.free
    aig = Aig()
    inputs = {port: aig.inputs(port, len(bits)) for port, bits in given.inputs.items()}
    pair = [c.step(aig, [], inputs, c.name)[0]["y"] for c in (given, mapped)]
    return solve(Claim("y", aig, list(zip(*pair, strict=True))), time.monotonic() + 300)


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
    "less_and": lambda x, y, g, h: x - masked(y, g),
    "sum_less_and": lambda x, y, g, h: (x + y) - masked(x, g),
    "sum_less_and_again": lambda x, y, g, h: ((x + y) - masked(x, g)) - masked(y, h),
    "negated_and": lambda x, y, g, h: -masked(x, g),
    "where_zero": lambda x, y, g, h: y + Mux(g, 0, x),
    "read_twice": lambda x, y, g, h: Cat(x + masked(y, g), masked(y, g)),
}


@pytest.mark.parametrize("target", yosys_scripts.TARGETS)
@pytest.mark.parametrize("width", [6, 7])
def test_gates_in_front_of_adders(width, target):
    """All of them, of even and odd width, as one design each."""

    def everything(*inputs):
        sums, (g, h) = [], inputs[-2:]
        for x, y in zip(inputs[:-2:2], inputs[1:-2:2], strict=True):
            sums += [function(x, y, g, h) for function in GATED.values()]
        return Cat(sums)

    shapes = [*[unsigned(width)] * 2, *[signed(width)] * 2]
    answer = difference(design(everything, *shapes, 1, 1), target)
    assert answer.result == PROVED, answer


@pytest.mark.parametrize("target", yosys_scripts.TARGETS)
def test_products(target):
    def products(*inputs):
        return Cat(x * y for x, y in zip(inputs[::2], inputs[1::2], strict=True))

    shapes = [
        *(signed(5), signed(4), unsigned(4), unsigned(4), signed(4), signed(5)),
        *(unsigned(5), unsigned(5), unsigned(5), unsigned(4), signed(6), unsigned(3)),
        *(signed(3), signed(3), unsigned(4), unsigned(3), signed(6), signed(6)),
    ]
    answer = difference(design(products, *shapes), target)
    assert answer.result == PROVED, answer


def test_a_gate_costs_nothing():
    ungated = design(lambda x, y, g, h: x + y, 8, 8, 1, 1)
    gated = design(GATED["and_and"], 8, 8, 1, 1)
    for target in ("ecp5", "xc7"):
        counts = [
            yosys_scripts.synthesise(text, "top", target=target, place=False).lut
            for text in (ungated, gated)
        ]
        assert counts[0] == counts[1]


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x, y, z, g: x + masked(z, g), 9),
        (lambda x, y, z, g: x + Mux(g, 0, z), 9),
        (lambda x, y, z, g: (x + y) - masked(z, g), 9 + 10),
    ],
    ids=["plain_and", "plain_where_zero", "sum_less_and"],
)
def test_a_gate_in_front_of_one_operand_costs_nothing_on_ice40(function, expected):
    """A LUT for each bit of a sum."""
    assert luts(design(function, *[signed(8)] * 3, 1), "ice40") == expected


def luts(text: str, target: str) -> int:
    return yosys_scripts.synthesise(text, "top", target=target, place=False).lut


@pytest.mark.parametrize(
    ("target", "limit"), [("ecp5", 76), ("nexus", 76), ("xc7", 45), ("ice40", 71), ("gowin", 90)]
)
def test_eight_bit_product(target, limit):
    assert luts(design(lambda x, y: x * y, signed(8), signed(8)), target) <= limit


#: LUTs of rows of ANDs in a tree, in front of whose adders all ANDs are LUTs.
IN_ROWS = [
    *((unsigned(3), unsigned(3), 17), (signed(3), signed(3), 17), (unsigned(4), unsigned(3), 22)),
    *((signed(8), unsigned(3), 42), (unsigned(8), unsigned(2), 25), (signed(4), signed(4), 31)),
    *((unsigned(8), unsigned(5), 73), (unsigned(7), signed(7), 99), (signed(8), signed(8), 130)),
]


@pytest.mark.parametrize("target", ["ice40", "gowin"])
def test_no_product_is_larger_than_rows_in_a_tree(target):
    for a, b, limit in IN_ROWS:
        assert luts(design(lambda x, y: x * y, a, b), target) <= limit, (a, b)


def test_a_wrong_netlist_is_found(monkeypatch):
    netlist = yosys_scripts.netlist

    def other(text, top, target):
        return netlist(design(lambda x, y: (x + y) ^ 64, 6, 6), top, target=target)

    monkeypatch.setattr(yosys_scripts, "netlist", other)
    assert difference(design(lambda x, y: x + y, 6, 6), "ecp5").result == DISPROVED
