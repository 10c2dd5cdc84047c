"""Sums of squares: every operand, units in benches, netlists, and what is refused."""

import pytest
from amaranth.hdl import Module, Shape, Signal
from amaranth.sim import Simulator

import yosys_scripts
from hwgen import InputError, SumSquares, emit
from hwgen.arithmetic.square import square
from hwgen.cli import main
from hwgen.sizes.square import square_bits
from hwgen.spec import from_dict
from sim import compiled, exhaustive
from sim.batch import verify_batch

SPECS = [
    SumSquares(a="int8", lanes=4),
    SumSquares(a="uint5", lanes=1),
    SumSquares(a="int1", lanes=2),
    SumSquares(a="int7", lanes=33),
    SumSquares(a="e4m3", lanes=5),
    SumSquares(a="e4m3fnuz", lanes=1, stages=1),
    SumSquares(a="e2m1", lanes=3, accumulator="bf16"),
    SumSquares(a="e5m2ieee", lanes=2, output="fp16"),
    SumSquares(a="bf16", lanes=1, accumulator="fp32"),
    SumSquares(a="int8", lanes=3, addend="int9", output="int8"),
    SumSquares(a="e3m4", lanes=3, accumulator="fixed:20:4:wrap"),
    SumSquares(a="e3m2ns", lanes=2, accumulator="fp16:stochastic"),
]


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("bits", range(1, 11))
def test_every_square(bits, signed):
    m = Module()
    x = Signal(Shape(bits, signed))
    y = square(m, x, "x")
    assert len(y) == square_bits(bits, signed)
    low = -(1 << (bits - 1)) if signed else 0

    async def bench(ctx):
        for number in range(low, low + (1 << bits)):
            ctx.set(x, number)
            await ctx.delay(1e-9)
            assert ctx.get(y) == number * number

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()


def test_units_are_right():
    outcome = verify_batch(SPECS, vectors=300)
    assert outcome.passed, outcome.shown


def test_every_operand_of_two_lanes():
    names = ("int8", "uint8", "e4m3fn", "e5m2ieee", "e3m4", "e0m7")
    cases = [exhaustive.Case(SumSquares(a=a, lanes=2), {"clear": 1}) for a in names]
    assert exhaustive.check(cases) == [[] for _ in names]


@pytest.mark.parametrize("target", ["ecp5", "xc7", "ice40"])
def test_netlists_are_right(target):
    specs = [SumSquares(a="int8", lanes=3), SumSquares(a="e4m3", lanes=2)]
    netlists = [yosys_scripts.netlist(emit.rtlil(s), s.name, target=target) for s in specs]
    outcomes = compiled.check(
        [compiled.Run(s, n.verilog, 300) for s, n in zip(specs, netlists, strict=True)],
        sources=netlists[0].cell_models,
        flags=netlists[0].verilator_flags,
    )
    assert [outcome.mismatches for outcome in outcomes] == [0, 0]
    assert all(outcome.vectors > 200 for outcome in outcomes)


def test_a_square_is_half_of_a_product():
    m = Module()
    x, y = Signal(8, name="x"), Signal(16, name="y")
    m.d.comb += y.eq(square(m, x, "x"))
    from amaranth.back import rtlil

    text = rtlil.convert(m, name="top", ports=[x, y], emit_src=False)
    # A product of two operands of 8 bits takes 75.
    assert yosys_scripts.synthesise(text, "top", target="ecp5", place=False).lut <= 38


def test_a_spec_reads_back():
    for spec in SPECS:
        fields = spec.to_dict()
        assert "b" not in fields and from_dict(fields) == spec


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"mapping": "dsp"}, "mapping='dsp': squares are made in LUTs"),
        ({"lanes": 0}, "lanes=0: use a whole number from 1 to 256"),
        ({"a": "mxfp4"}, "a=mxfp4"),
        ({"b": "int8"}, "sumsquares: it has no 'b'; its fields are .*lanes"),
    ],
)
def test_what_is_refused(fields, message):
    with pytest.raises(InputError, match=message):
        from_dict({"unit": "sumsquares", "a": "int8", "lanes": 4, **fields})


def test_command_line(capsys, tmp_path):
    command = ["generate", "sumsquares", "--a", "e2m1", "--lanes", "3", "--out", str(tmp_path)]
    assert main(command) == 0
    (file,) = tmp_path.glob("*.v")
    text = file.read_text()
    assert "hwgen generate sumsquares --a e2m1 --lanes 3" in text
    assert not any(line.split()[-1:] == ["b;"] for line in text.splitlines() if "input" in line)
    assert main(["generate", "sumsquares", "--a", "int8", "--b", "int8", "--lanes", "3"]) == 2
    assert "error" in capsys.readouterr().err
