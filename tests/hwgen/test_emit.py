"""The emitted Verilog: deterministic, described, accepted by others."""

import functools
import itertools
import operator
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Cat, Const, Module, Signal, Value, signed
from amaranth.lib.memory import Memory

import hwgen
from hwgen import DotProduct, emit
from hwgen.cli import main
from hwgen.errors import ToolError
from hwgen.pins import module_name
from hwgen.spec import UNITS, from_dict
from sim.formal.aig import Aig
from sim.formal.circuit import from_rtlil, from_verilog
from sim.formal.solve import DISPROVED, PROVED, Claim, solve
from sim.lint import lint

FEW = {"a": "e2m1", "b": "int3", "lanes": 2}
BLOCKS = {"a": "e2m1_b2_e8m0", "b": "int4_b2_ue4m3"}
#: A unit of each kind, with what rounds, negates, compares and shifts, in few stages: more are more
#: registers of the same kind.
SMALL = {
    fields["unit"]: from_dict({"stages": 3, **fields})
    for fields in [
        {"unit": "dot", **FEW, "addend": "int4", "output": "e4m3fn"},
        {"unit": "mac", "a": "e3m2", "b": "int3", "accumulator": "fp16"},
        {"unit": "fixeddot", "a": "e3m2", "b": "int5", "weights": "3,-7,0", "output": "int8"},
        {"unit": "fixedmatrix", "a": "e3m2", "b": "int5", "constants": "3,-7,0;-3,7,5"},
        {"unit": "sumsquares", "a": "int5", "lanes": 3},
        {"unit": "multidot", "formats": "int4,uint2,int3", "lanes": 2},
        {"unit": "blockdot", **BLOCKS, "output": "bf16", "rounding": "up"},
        {"unit": "mul", "a": "e3m2", "b": "int5"},
        {"unit": "lmul", "a": "e4m3", "b": "e4m3"},
        {"unit": "convert", "a": "fp16", "b": "e4m3fn", "rounding": "stochastic"},
        {"unit": "quantizer", "a": "fp16", "b": "e2m1_b2_e8m0"},
        {"unit": "requantize", "bits": 12, "scale": "e4m3fn", "b": "int8"},
        {"unit": "accumulator_to_float", "bits": 20, "b": "e5m2ieee"},
        {"unit": "array", "a": "int3", "b": "int3", "rows": 2, "columns": 1, "lanes": 1},
    ]
}


def test_header_states_the_contract():
    spec = DotProduct(a="e2m1", b="int4", lanes=32)
    text = hwgen.verilog(spec)
    header = [line for line in text.splitlines() if line.startswith("//")]
    for words in (
        "e2m1",
        "int4",
        "32 lanes",
        f"accumulator  {spec.accumulator_width} bits signed",
        f"latency  {spec.latency} enabled cycles",
        "hwgen generate dot --a e2m1 --b int4 --lanes 32 --max-products 4096 --mapping lut",
    ):
        assert any(words in line for line in header), words
    assert f"module {spec.name}(" in text


def test_same_spec_same_bytes_in_another_process():
    code = "import hwgen; print(hwgen.verilog(hwgen.DotProduct(a='e3m2', b='int5', lanes=3)))"
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
        f"latency  {spec.latency} cycles",
        f"--stages {spec.stages} --pipeline-target ecp5 --stream",
    ):
        assert words in header, words
    assert f"module {spec.name}_axis(" in text
    assert text == emit.verilog(spec, stream=True)


def _any_operators(m, seed):
    """Operators of every kind, on operands of any widths, constants among them; the ports."""
    rng = np.random.default_rng(seed)
    ports = [
        Signal(signed(n) if i % 2 else n, name=f"in{seed}_{i}") for i, n in enumerate([1, 3, 4, 5])
    ]
    values = [*ports, Const(0, 3), Const(-2, signed(3)), Const(15, 4), Const(0, 0)]

    def drawn():
        value = values[int(rng.integers(len(values)))]
        parts = [value, value[: int(rng.integers(len(value) + 1))], Cat(value, ports[2])]
        return parts[int(rng.integers(3))]

    unary = [operator.neg, operator.invert, Value.as_signed, Value.bool]
    binary = [
        *(operator.add, operator.sub, operator.mul, operator.and_, operator.or_, operator.xor),
        *(operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge),
        *(lambda x, y: x << y[:2].as_unsigned(), lambda x, y: x >> y[:2].as_unsigned()),
    ]
    results = []
    for _ in range(40):
        operations = unary if rng.integers(4) == 0 else binary
        operation = operations[int(rng.integers(len(operations)))]
        operands = [drawn()] if operations is unary else [drawn(), drawn()]
        if operation is Value.as_signed and not len(operands[0]):
            continue  # There is no signed number of no bits.
        if operation is operator.mul and not all(map(len, operands)):
            continue  # Yosys' own techmap gives other products of these than its Verilog.
        value = operation(*operands)[:12]
        if len(value) == 0:  # No port of no bits, but operands of none there are.
            values.append(value)
            continue
        result = Signal(len(value), name=f"out{seed}_{len(results)}")
        m.d.comb += result.eq(value)
        results.append(result)
        # Results are operands of others, as signed numbers too.
        values.append(result.as_signed() if len(result) and rng.integers(2) else result)
    return [*ports, *results]


@pytest.mark.parametrize("style", emit.STYLES)
def test_any_operators_are_the_same(style):
    """For all inputs: the design as Amaranth writes it, and the text that is emitted.

    Side by side in one design, which Yosys reads once.
    """
    m = Module()
    ports = [port for seed in range(6) for port in _any_operators(m, seed)]
    text = rtlil.convert(m, name="any", ports=ports, emit_src=False)
    given = from_rtlil({"any": text})["any"]
    wrong = _differences(given, from_verilog(emit.body(text, style=style), "any"))
    assert wrong.result == PROVED, wrong


def _products(sizes, is_signed):
    """A design with a product of each of the sizes: bits of both operands and of the result."""
    m, ports = Module(), []
    for i, size in enumerate(sizes):
        a, b, y = (
            Signal(signed(bits) if is_signed else bits, name=f"{name}{i}")
            for name, bits in zip("aby", size, strict=True)
        )
        m.d.comb += y.eq(a * b)
        ports += [a, b, y]
    return rtlil.convert(m, name="any", ports=ports, emit_src=False)


@pytest.mark.parametrize("style", ["lut4", "lut6"])
@pytest.mark.parametrize("is_signed", [False, True], ids=["unsigned", "signed"])
def test_products_in_other_styles_are_products(is_signed, style):
    """For all operands: of pairs of widths up to four bits, some wider, and results cut short."""
    operands = [*itertools.product(range(1, 5), repeat=2), (5, 3), (6, 6), (3, 8), (7, 5)]
    sizes = []
    for a_bits, b_bits in operands:
        for more in (0, 2, -1) if (a_bits, b_bits) in ((4, 4), (3, 2), (5, 3)) else (0,):
            sizes.append((a_bits, b_bits, a_bits + b_bits + more))
            verilog = emit.body(_products(sizes[-1:], is_signed), style=style)
            is_small = min(a_bits, b_bits) <= 3 and max(a_bits, b_bits) <= 4
            assert ("*" in verilog) is (style == "lut4" and is_small)
    text = _products(sizes, is_signed)
    verilog = from_verilog(emit.body(text, style=style), "any")
    wrong = _differences(from_rtlil({"any": text})["any"], verilog)
    assert wrong.result == PROVED, wrong


@functools.cache
def _unit(kind, *, stream=False):
    """A unit of the kind as Amaranth writes it."""
    name = module_name(SMALL[kind], stream=stream)
    return from_rtlil({name: emit.rtlil(SMALL[kind], stream=stream)})[name]


@pytest.mark.parametrize("style", ["lut4", "lut6"])
@pytest.mark.parametrize("kind", UNITS)
def test_other_styles_are_the_rtlil(kind, style):
    """Proved, register by register, of a unit of each kind, and nothing for linters to say."""
    spec = SMALL[kind]
    verilog = emit.verilog(spec, style=style)
    assert verilog.splitlines()[-1] and f" --style {style}\n" in verilog
    answer = _differences(_unit(kind), from_verilog(verilog, spec.name))
    assert answer.result == PROVED, answer
    assert not lint(verilog, spec.name, ["verilator"])


def test_styles_are_checked(tmp_path, capsys):
    arguments = ["generate", "dot", "--a", "int4", "--b", "int4", "--lanes", "2"]
    out = ["--out", str(tmp_path / "out")]
    for more, words in (
        (["--style", "lut5"], "unknown style 'lut5': use one of plain, lut4, lut6"),
        (["--style", "lut4", "--mapping", "dsp"], "use mapping lut, or style 'plain'"),
    ):
        assert main([*arguments, *more, *out]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert words in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("stream", [False, True], ids=["unit", "stream"])
@pytest.mark.parametrize("kind", UNITS)
def test_the_verilog_is_the_rtlil(kind, stream):
    """Proved, register by register, of a unit of each kind in both forms."""
    verilog = emit.verilog(SMALL[kind], stream=stream)
    read = from_verilog(verilog, module_name(SMALL[kind], stream=stream))
    answer = _differences(_unit(kind, stream=stream), read)
    assert answer.result == PROVED, answer


@pytest.mark.parametrize("stream", [False, True], ids=["unit", "stream"])
@pytest.mark.parametrize("kind", UNITS)
def test_the_text_is_for_people(kind, stream):
    """No generated names, no long lines, and one block for the registers of a stage."""
    text = emit.body(emit.rtlil(SMALL[kind], stream=stream))
    assert set(re.findall(r"\$\w*", text)) <= {"$signed", "$unsigned"} and "\\" not in text
    lines = [line for line in text.splitlines() if SMALL[kind].name not in line]
    assert max(map(len, lines)) <= 100
    for stage in text.split("  // ---- "):
        assert stage.count("always @(posedge clk)") <= 1
        assert stage.count("if (enable)") <= 1 and stage.count("if (rst)") <= 1


def _own_design():
    """Choices, patterns, parts of signals, fed back registers, and names that are keywords."""
    m = Module()
    ports = [Signal(4, name="code"), Signal(3, name="mode"), Signal(name="flag")]
    code, mode, flag = ports
    chosen, kept, other = Signal(6, name="always"), Signal(5, name="kept"), Signal(3, init=5)
    with m.If(mode[0]):
        m.d.comb += chosen.eq(code + mode)
    with m.Elif(mode[1]):
        m.d.comb += chosen[1:4].eq(code)
    with m.Else():
        m.d.comb += chosen[5].eq(flag)
    with m.Switch(code):
        with m.Case("1--0", "0111"):
            m.d.comb += chosen[0].eq(other[2])
            m.d.sync += kept[:3].eq(chosen)
        with m.Case(3):
            m.d.sync += kept.eq(kept + 1)
            with m.If(flag):
                m.d.sync += other.eq(~other)
        with m.Default():
            m.d.sync += [kept[4].eq(1), other.eq(kept)]
    m.d.sync += other[0].eq(flag)
    results = [Signal(6, name="out"), Signal(5, name="out_kept")]
    m.d.comb += [results[0].eq(chosen ^ other), results[1].eq(kept)]
    return rtlil.convert(m, name="any", ports=[*ports, *results], emit_src=False)


def test_a_design_of_ones_own_is_the_same():
    text = _own_design()
    wrong = _differences(from_rtlil({"any": text})["any"], from_verilog(emit.body(text), "any"))
    assert wrong.result == PROVED, wrong


def test_what_is_not_written_is_refused():
    memory = Memory(shape=4, depth=8, init=[])
    read, write = memory.read_port(), memory.write_port()
    m = Module()
    m.submodules.memory = memory
    text = rtlil.convert(m, name="any", ports=[read.addr, read.data, write.addr], emit_src=False)
    with pytest.raises(ToolError, match=r"a memory, of which .* use amaranth\.back\.verilog"):
        emit.body(text)


def test_another_circuit_is_found():
    name, text = SMALL["dot"].name, emit.rtlil(SMALL["dot"])
    before = from_rtlil({name: text})[name]
    other = text.replace("cell $add ", "cell $sub ", 1)
    assert other != text
    assert _differences(before, from_rtlil({name: other})[name]).result == DISPROVED


def _differences(x, y):
    """The answer to the claim that outputs and next states are alike for all inputs and states.

    Registers are the same that have a name in common.
    """
    aig = Aig()
    inputs = {port: aig.inputs(port, len(bits)) for port, bits in x.inputs.items()}
    of_y = {name: register.name for register in y.registers for name in register.names}
    same = {of_y[name]: r.name for r in x.registers for name in r.names if name in of_y}
    assert set(same) == {r.name for r in y.registers}
    assert sorted(same.values()) == sorted(r.name for r in x.registers)
    state = {register.name: aig.input(register.name) for register in x.registers}
    ends = []
    for circuit, names in ((x, {name: name for name in state}), (y, same)):
        now = [state[names[r.name]] for r in circuit.registers]
        outputs, after = circuit.step(aig, now, inputs, "")
        ends.append(
            {
                **{(port, i): bit for port, word in outputs.items() for i, bit in enumerate(word)},
                **{names[r.name]: bit for r, bit in zip(circuit.registers, after, strict=True)},
                **{("initial", names[r.name]): int(r.initial or 0) for r in circuit.registers},
            }
        )
    before, after = ends
    assert before.keys() == after.keys()
    pairs = [(before[name], after[name]) for name in before]
    return solve(Claim("alike", aig, pairs), time.monotonic() + 200)
