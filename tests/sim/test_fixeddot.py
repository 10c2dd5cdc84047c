"""The dot product with fixed weights.

Every input of small ones, others by benches, netlists, proofs; what it costs beside a dot product
with constants at its port; bad weights.
"""

import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Const, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from netlists import require_equal_netlist

import hwgen
import yosys_scripts
from hwgen import DotProduct, FixedDot, InputError, emit
from hwgen.arithmetic import constant_sum
from hwgen.cli import main
from hwgen.spec import from_dict
from sim import exhaustive, formal, golden, stimulus
from sim.batch import verify_batch
from sim.exhaustive import Case

#: Odd weights, zeros, the largest and the least, powers of two, equal ones, none above zero.
KINDS = (
    *([3], [-1], [0], [127], [-128], [64], [-85], [93]),
    *([5, -3], [0, 7], [127, 127], [-128, -128], [-1, -128], [16, -4], [-77, -77], [43, -85]),
)


def small_units():
    for weights in KINDS:
        for a in ("int8", "uint7", "e4m3", "e4m3fn") if len(weights) < 2 else ("int8", "e2m5"):
            yield FixedDot(a=a, b="int8", weights=weights)
    for weight in range(-8, 8):
        yield FixedDot(a="int4", b="int4", weights=[weight])
        yield FixedDot(a="e2m1", b="int4", weights=[weight, 3])
    # Of one bit: a sum no wider than the lower operand's shift.
    for weight in (-53, -7, -3, 3, 7, 53):
        yield FixedDot(a="int1", b="int8", weights=[weight])
        yield FixedDot(a="uint1", b="int8", weights=[weight, -3])
    for weights in ([1.5, -0.5], [6, 0.5], [-4, 3], [-0.0, 2]):
        yield FixedDot(a="e3m2", b="e2m1", weights=weights)
        yield FixedDot(a="e5m2ieee", b="e2m1", weights=weights)
    yield FixedDot(a="fixed8_6", b="fixed6_9", weights=[2**-9, -31 * 2**-9])
    yield FixedDot(a="int8", b="bf16", weights=[2.0**100, -3 * 2.0**90], output="fp32")
    yield FixedDot(a="int8", b="e8m0", weights=[2.0**-127, 1])


def test_every_input_of_one_and_two_lanes():
    units = {spec.name: spec for spec in small_units()}
    wrong_results = exhaustive.check([Case(spec, {"clear": 1}) for spec in units.values()])
    assert not [wrong[:3] for wrong in wrong_results if wrong]


@pytest.mark.parametrize("accumulator", ["exact", "fixed:7:2", "fp16"])
@pytest.mark.parametrize("weight", [0, 1, -13.25])
@pytest.mark.parametrize("a", ["int1", "uint1"])
def test_no_signal_has_no_bits(a, weight, accumulator):
    spec = FixedDot(a=a, b="bf16", weights=[weight], max_products=22, accumulator=accumulator)
    assert "[-1:0]" not in hwgen.verilog(spec)


#: Many lanes, stages, accumulators, addends, outputs.
GAUSSIAN = np.random.default_rng(1).standard_normal(32)
UNITS = [
    {"a": "int8", "b": "int8", "weights": np.round(GAUSSIAN * 45)},
    {"a": "int4", "b": "int4", "weights": np.round(GAUSSIAN * 2.5), "stages": 1},
    {"a": "int8", "b": "int8", "weights": np.round(GAUSSIAN * 45), "stages": 10},
    {"a": "e2m1", "b": "int8", "weights": np.round(GAUSSIAN[:9] * 45), "output": "bf16"},
    {"a": "e4m3fn", "b": "e2m1", "weights": [6, -0.5, 1.5, 0, -3], "addend": "bf16"},
    {"a": "e4m3", "b": "e4m3", "weights": [240, -0.875, 0.0625], "accumulator": "fp32"},
    {"a": "uint8", "b": "int8", "weights": [-1, -2, -128], "accumulator": "fixed:12:0"},
    {"a": "int8", "b": "int8", "weights": [-3, -5, -1, -1], "addend": "int16"},
    {"a": "int3", "b": "int8", "weights": [0, 0, 0]},
    {"a": "e5m2ieee", "b": "int8", "weights": [0, 0, 5]},
    {"a": "fp16", "b": "int4", "weights": [3, -8, 7], "max_products": 64, "output": "fp16"},
    {"a": "e6m3", "b": "int4", "weights": [4, -8, 0, 2, 6]},
    {"a": "bf16", "b": "e2m1", "weights": [1.5, -6], "addend": "int8", "output": "bf16"},
    {
        "a": "int8",
        "b": "int8",
        "weights": [3, -77, 0, 64, 127],
        "stages": 6,
        "pipeline_target": "ecp5",
    },
    {"a": "e3m2", "b": "int4", "weights": [-8, -1, -5, 6], "stages": 8, "pipeline_target": "ecp5"},
]


def test_units_against_the_golden_model():
    specs = [FixedDot(**{"max_products": 256, **fields}) for fields in UNITS]
    for spec in specs:
        assert from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
        assert spec.name.replace("_", "").isalnum() and spec.name[0].isalpha()
    outcome = verify_batch(specs, vectors=300)
    assert outcome.passed, outcome.shown


@pytest.mark.parametrize(
    "spec",
    [
        FixedDot(a="int8", b="int4", weights=[4, -8, 0, 2, 6]),
        FixedDot(a="e2m1", b="e2m1", weights=[0.5, -6, 3]),
    ],
    ids=lambda spec: str(spec.a),
)
def test_the_golden_model_against_fractions(spec):
    inputs = stimulus.beats(spec, 200, 3)
    got = golden.expected(spec, inputs)["accumulator"][:, 0].tolist()
    total = Fraction(0)
    for cycle, word in enumerate(got):
        if inputs["clear"][cycle, 0]:
            total = Fraction(0)
        numbers = map(Fraction, spec.a.decode(inputs["a"][cycle]).tolist())
        total += sum(Fraction(w) * x for w, x in zip(spec.weights.values, numbers, strict=True))
        assert word * Fraction(2) ** spec.lsb_exponent == total


@pytest.mark.parametrize("target", ["ecp5", "xc7", "ice40"])
@pytest.mark.parametrize("fields", [UNITS[0], UNITS[3]], ids=lambda fields: fields["a"])
def test_netlists_against_the_golden_model(target, fields):
    spec = FixedDot(**{**fields, "weights": fields["weights"][:6]})
    require_equal_netlist(spec, target)


@pytest.mark.parametrize("name", ["reference", "accumulator", "pipeline"])
@pytest.mark.parametrize(
    ("a", "b", "weights"),
    [("int8", "int8", "3,-77,0,64,-128"), ("e2m1", "int8", "93,-128,4,-93")],
)
def test_it_is_proved(a, b, weights, name):
    proof = formal.prove(FixedDot(a=a, b=b, weights=weights), name)
    assert (proof.result, proof.reason) == ("proved", "")


def test_another_weight_is_disproved():
    spec, other = (FixedDot(a="int8", b="int8", weights=[3, w, -5]) for w in (77, 73))
    verilog = hwgen.verilog(other).replace(other.name, spec.name)
    proof = formal.prove(spec, "reference", verilog=verilog)
    assert proof.result == "disproved" and "lane 1" in proof.reason


def test_a_wrong_shift_is_found(monkeypatch):
    genuine = constant_sum._sum

    def faulty(m, node, low, high, name):
        wrong = replace(node, high_negative=not node.high_negative)
        return genuine(m, wrong if node.shift == 2 else node, low, high, name)

    monkeypatch.setattr(constant_sum, "_sum", faulty)
    right, wrong = (FixedDot(a="int4", b="int4", weights=w) for w in ([2, 1], [5, 1]))
    wrong_results = exhaustive.check([Case(spec, {"clear": 1}) for spec in (right, wrong)])
    assert [bool(shown) for shown in wrong_results] == [False, True]


class Tied(wiring.Component):
    """A dot product with constants at its port b."""

    def __init__(self, spec, weights):
        self.unit, self.weights = hwgen.component(spec), weights
        members = self.unit.signature.members
        super().__init__({name: flow for name, flow in members.items() if name != "b"})

    def elaborate(self, platform):
        m = Module()
        m.submodules.unit = unit = self.unit
        spec = unit.spec
        codes = spec.b.encode(self.weights).tolist()
        constant = sum(code << i * spec.b.bits for i, code in enumerate(codes))
        m.d.comb += unit.b.eq(Const(constant, len(unit.b)))
        for name, member in self.signature.members.items():
            inside, port = getattr(unit, name), getattr(self, name)
            m.d.comb += inside.eq(port) if member.flow == In else port.eq(inside)
        return m


def luts(text, top, target):
    return yosys_scripts.synthesise(text, top, target=target, place=False).lut


@pytest.mark.parametrize("target", ["ecp5", "xc7"])
def test_it_is_smaller_than_a_dot_product_of_constants(target):
    weights = np.round(GAUSSIAN[:16] * 45).tolist()
    spec = FixedDot(a="int8", b="int8", weights=weights)
    tied = Tied(DotProduct(a="int8", b="int8", lanes=16), weights)
    text = rtlil.convert(tied, name="tied", emit_src=False)
    small, large = luts(emit.rtlil(spec), spec.name, target), luts(text, "tied", target)
    assert small < 0.7 * large


def test_zero_weights_cost_nothing():
    dense = FixedDot(a="int8", b="int8", weights=[3, -5, 7], max_products=30)
    sparse = FixedDot(a="int8", b="int8", weights=[3, 0, -5, 0, 0, 7], max_products=60)
    assert (
        dense.plan.adders == sparse.plan.adders
        and dense.accumulator_width == sparse.accumulator_width
    )
    assert luts(emit.rtlil(dense), dense.name, "ecp5") == luts(
        emit.rtlil(sparse), sparse.name, "ecp5"
    )


def test_widths_and_names():
    spec = FixedDot(a="int8", b="int8", weights=[4, -8, 12], max_products=6)
    assert spec.lanes == 3 and spec.lsb_exponent == 2 and spec.whole_weights == (1, -2, 3)
    # 2·(1 + 2 + 3)·128 at most.
    assert spec.accumulator_width == 1 + (2 * 6 * 128).bit_length()
    assert [port.name for port in spec.inputs] == ["clear", "a"]
    other = FixedDot(a="int8", b="int8", weights=[4, -8, 13], max_products=6)
    same = FixedDot(a="int8", b="int8", weights="4, -8.0,1.2e1", lanes=3, max_products=6)
    assert other.name != spec.name and same == spec and same.name == spec.name
    # Special codes of a are seen also where the weight is zero.
    assert FixedDot(a="e4m3fn", b="int8", weights=[0]).has_special
    assert not FixedDot(a="int8", b="e4m3fn", weights=[0]).has_special


def test_the_header_lists_the_weights_and_makes_the_unit_again(tmp_path, capsys):
    spec = FixedDot(a="int8", b="int8", weights=[-77] + [3, -128] * 20)
    text = hwgen.verilog(spec)
    comment = text[: text.index("\nmodule")].replace("\n//", "")
    assert "".join(comment.split()).count("3,-128") == 40  # In the list, and in the command.
    (command,) = [line for line in text.splitlines() if "Made by: hwgen " in line]
    words = command.partition("hwgen ")[2].split()
    assert main([*words, "--out", str(tmp_path)]) == 0
    assert (tmp_path / f"{spec.name}.v").read_text() == text
    capsys.readouterr()


def test_weights_on_the_command_line(tmp_path, capsys):
    np.save(tmp_path / "w.npy", np.array([-3, 0.5, 7], np.float32))
    (tmp_path / "w.csv").write_text("-3, 0.5\n7\n")
    (tmp_path / "w.txt").write_text("-3\n0.5\n7")
    unit = ["generate", "fixeddot", "--a", "int8", "--b", "e4m3", "--out", str(tmp_path), "--json"]
    specs = []
    for weights in ("-3,0.5,7", *(str(tmp_path / f"w.{end}") for end in ("npy", "csv", "txt"))):
        assert main([*unit, "--weights", weights]) == 0
        specs.append(json.loads(capsys.readouterr().out))
    assert all(fields == specs[0] for fields in specs)
    assert (specs[0]["weights"], specs[0]["lanes"]) == ("-3,0.5,7", 3)


def write_files(folder):
    np.save(folder / "square.npy", np.ones((2, 2)))
    np.save(folder / "nan.npy", np.array([1, np.nan]))
    np.save(folder / "text.npy", np.array(["one"]))
    (folder / "broken.npy").write_text("no array")
    (folder / "empty.csv").write_text("")
    (folder / "words.txt").write_text("one two")
    (folder / "bytes.txt").write_bytes(b"\xff\xfe1")


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("", "none are given: give one for each lane"),
        ("1,,2", "'' is no number"),
        ("1,x", "'x' is no number"),
        ("1,nan", "nan is not finite"),
        ("inf", "inf is not finite"),
        ("1e999", "1e999 is not finite"),
        ("8", "8, of lane 0, is no number of b=int4: the nearest is 7.0; its range is -8 to 7"),
        ("1,0.5", "0.5, of lane 1, is no number of b=int4"),
        (",".join(["1"] * 257), "257 are given: up to 256"),
        ("none.npy", "none.npy' cannot be read (No such file or directory)"),
        ("none.csv", "none.csv' cannot be read (No such file or directory)"),
        ("square.npy", "an array of shape (2, 2): give one number for each lane"),
        ("nan.npy", "nan is not finite"),
        ("text.npy", "'one' is no number"),
        ("broken.npy", "broken.npy' is no .npy file of numbers"),
        ("empty.csv", "none are given"),
        ("words.txt", "'one' is no number"),
        ("bytes.txt", "bytes.txt' is no .txt file of numbers"),
    ],
)
def test_bad_weights_are_one_line(weights, message, tmp_path, monkeypatch, capsys):
    write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    unit = ["generate", "fixeddot", "--a", "int8", "--b", "int4", "--out", "build"]
    assert main([*unit, "--weights", weights]) == 2
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.count("\n") == 1 and captured.out == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lanes": 3}, "lanes=3: 2 weights are given, one for each lane"),
        ({"lanes": True}, "lanes=True: use a whole number"),
        ({"mapping": "dsp"}, "mapping='dsp': fixed weights leave no multiplication"),
        ({"weights": []}, "none are given"),
        ({"weights": 3}, "weights: 3: give one number for each lane"),
        ({"weights": {3, -5}}, "give one number for each lane"),  # A set has no order.
        ({"weights": {3: 1, -5: 2}}, "give one number for each lane"),
        ({"weights": b"35"}, "give one number for each lane"),
        ({"weights": [True]}, "True is no number"),
        ({"weights": [1j]}, "1j is no number"),
        ({"weights": ["1"]}, "'1' is no number"),
        ({"weights": [10**400]}, "is not finite, or beyond float64"),
        ({"weights": [Fraction(1, 3)]}, "Fraction(1, 3) is no float64"),
        ({"b": "e8m0", "weights": [0]}, "0, of lane 0, is no number of b=e8m0"),
        ({"b": "mxfp4"}, "b=mxfp4: a format of single numbers is needed"),
        ({"b": "lns4f3"}, "b=lns4f3: no hardware decodes its codes"),
        ({"a": "lns4f3"}, "a=lns4f3: no hardware decodes its codes"),
        ({"max_products": 1}, "max_products=1: use a whole number from 2"),
        ({"stages": 30}, "stages=30: use a whole number from 1 to"),
    ],
)
def test_bad_fields_say_what_is_allowed(change, message):
    with pytest.raises(InputError) as error:
        FixedDot(**{"a": "int8", "b": "int4", "weights": [3, -5], **change})
    assert message in str(error.value)
