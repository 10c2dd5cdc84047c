"""The product of a constant matrix and a vector.

Every input of small ones, others by benches, netlists, proofs; bad constants; the additions.
"""

import json
import re
import time
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from netlists import require_equal_netlist

import yosys_scripts
from hwgen import FixedMatrix, InputError, emit
from hwgen.cli import main
from hwgen.formats.widths import value_range
from hwgen.plan import constant_matrix
from hwgen.spec import from_dict
from sim import exhaustive, formal, golden, stimulus, unit_model
from sim.batch import verify_batch
from sim.exhaustive import Case

MODEL = unit_model.of(FixedMatrix)
#: Of some of whose rows others are made, and one of zeros.
ROWS = "3,-77,0,64;3,-77,0,-128;-3,77,0,-64;0,0,0,0;6,-26,0,127;-1,-1,-4,-128"
GAUSSIAN = np.random.default_rng(1).standard_normal((6, 9))


def uniform(inputs, outputs, bits, seed):
    rng = np.random.default_rng(seed)
    return rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (outputs, inputs))


@pytest.mark.parametrize("fields", list(MODEL.every_input())[::6], ids=lambda fields: fields["a"])
def test_every_input_of_one_and_two_columns(fields):
    (wrong,) = exhaustive.check([Case(FixedMatrix(**fields), {})])
    assert not wrong


UNITS = [
    {"a": "int8", "b": "int8", "constants": ROWS},
    {"a": "int8", "b": "int8", "constants": np.round(GAUSSIAN * 45), "stages": 1},
    {"a": "int4", "b": "int4", "constants": np.round(GAUSSIAN * 2.5), "stages": 6},
    {"a": "uint8", "b": "int8", "constants": [[-1, -2, -128], [-1, -2, -128], [1, 2, 128 - 256]]},
    {"a": "e4m3fn", "b": "e2m1", "constants": [[6, -0.5, 1.5, 0], [0, 0, -6, 0.5]]},
    {"a": "e5m2ieee", "b": "int8", "constants": [[0, 0, 5], [-3, 1, 0], [2, 2, 2]]},
    {"a": "fp16", "b": "int4", "constants": [[3, -8, 7], [3, -8, 5]]},
    {"a": "bf16", "b": "e2m1", "constants": [[1.5, -6], [-1.5, 6]]},
    {"a": "fixed8_6", "b": "fixed6_9", "constants": [[2**-9, -31 * 2**-9], [0, 2**-8]]},
    {"a": "int8", "b": "int8", "constants": ROWS, "stages": 6, "pipeline_target": "ecp5"},
    {"a": "e3m2", "b": "int4", "constants": [[-8, -1], [5, 6]], "pipeline_target": "ecp5"},
]


def test_units_against_the_golden_model():
    specs = [FixedMatrix(**fields) for fields in UNITS]
    for spec in specs:
        assert from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
        assert spec.name.replace("_", "").isalnum() and spec.name[0].isalpha()
    outcome = verify_batch(specs, vectors=300)
    assert outcome.passed, outcome.shown


@pytest.mark.parametrize("fields", [UNITS[0], UNITS[6], UNITS[8]], ids=lambda fields: fields["a"])
def test_the_golden_model_against_fractions(fields):
    spec = FixedMatrix(**fields)
    inputs = stimulus.beats(spec, 100, 3)
    got = golden.expected(spec, inputs)["sums"].tolist()
    for cycle, words in enumerate(got):
        values = spec.a.decode(inputs["a"][cycle]).tolist()
        if not np.isfinite(values).all():
            continue
        numbers = list(map(Fraction, values))
        for word, row in zip(words, spec.constants.rows, strict=True):
            total = sum(Fraction(w) * x for w, x in zip(row.values, numbers, strict=True))
            assert word * Fraction(2) ** spec.lsb_exponent == total


def test_specials_are_as_of_ieee_754():
    spec = FixedMatrix(a="e5m2ieee", b="int8", constants="1,-1,0;2,3,0")
    number = {"one": 0x3C, "inf": 0x7C, "-inf": 0xFC, "nan": 0x7E}
    cycles = [("inf", "one", "one"), ("inf", "inf", "one"), ("one", "one", "-inf")]
    cycles += [("-inf", "one", "one"), ("one", "one", "nan"), ("one", "one", "one")]
    codes = np.array([[number[name] for name in cycle] for cycle in cycles], np.uint8)
    got = golden.expected(spec, {"a": codes})
    assert got["nan"].tolist() == [[0, 0], [1, 0], [1, 1], [0, 0], [1, 1], [0, 0]]
    assert got["positive_infinity"].tolist() == [[1, 1], [0, 1], *[[0, 0]] * 4]
    assert got["negative_infinity"].tolist() == [*[[0, 0]] * 3, [1, 1], *[[0, 0]] * 2]


@pytest.mark.parametrize("target", ["ecp5", "xc7", "ice40"])
@pytest.mark.parametrize("fields", [UNITS[1], UNITS[4]], ids=lambda fields: fields["a"])
def test_netlists_against_the_golden_model(target, fields):
    spec = FixedMatrix(**fields)
    require_equal_netlist(spec, target)


@pytest.mark.parametrize("name", ["reference", "pipeline"])
@pytest.mark.parametrize("a", ["int4", "uint5", "e2m1"])
def test_it_is_proved(a, name):
    proof = formal.prove(FixedMatrix(a=a, b="int8", constants=ROWS), name)
    assert (proof.result, proof.reason) == ("proved", "")


def test_a_wrong_sign_is_found(monkeypatch):
    right = constant_matrix.plan

    def wrong(matrix, least, most):
        plan = right(matrix, least, most)
        node = plan.nodes[-1]
        turned = replace(node, high_negative=not node.high_negative)
        return replace(plan, nodes=(*plan.nodes[:-1], turned))

    monkeypatch.setattr(constant_matrix, "plan", wrong)
    proof = formal.prove(FixedMatrix(a="int4", b="int8", constants="3,1;1,-5"), "reference")
    assert proof.result == "disproved"


def computed(plan, numbers):
    """The sums by the plan's nodes, whose ranges are checked."""
    values = list(numbers)
    for node in plan.nodes[plan.inputs :]:
        low, high = values[node.low], values[node.high] << node.shift
        value = (-low if node.low_negative else low) + (-high if node.high_negative else high)
        assert node.least <= value <= node.most
        values.append(value)
    return [0 if t is None else values[t.node] << t.shift for t in plan.totals]


@pytest.mark.parametrize("a", ["int8", "uint4", "e3m2"])
def test_the_additions_are_the_sums(a):
    rng = np.random.default_rng(5)
    ends = value_range(FixedMatrix(a=a, b="int8", constants="1").a)
    for _ in range(30):
        shape = rng.integers(1, 12, 2)
        matrix = rng.integers(-128, 128, shape) * rng.integers(0, 2, shape)
        matrix[-1] = matrix[0] * rng.integers(-2, 3)
        plan = constant_matrix.plan(tuple(map(tuple, matrix.tolist())), *ends)
        for numbers in [*(np.full(shape[1], e) for e in ends), *rng.choice(ends, (8, shape[1]))]:
            assert computed(plan, numbers.tolist()) == (matrix @ numbers).tolist()


def additions(constants, **fields):
    return FixedMatrix(a="int8", b="int8", constants=constants, **fields).plan.adders


def test_rows_share_additions():
    row = [3, -77, 5, 64, 9, -128]
    one = additions([row])
    assert additions([row, row, [2 * weight // 2 for weight in row], [0] * 6]) == one
    assert additions([[weight // 2 * 2 for weight in row], [weight // 2 for weight in row]]) < one
    assert additions([row, [-weight for weight in row[:5]] + [127]]) < 2 * one
    # A negated row is one addition more.
    assert additions([row[:5], [-weight for weight in row[:5]]]) == additions([row[:5]]) + 1
    assert additions([[0, 0], [64, 0], [0, -1]]) == 1


def test_random_matrices_take_few_additions_and_little_time():
    start = time.process_time()
    plan = FixedMatrix(a="int8", b="int8", constants=uniform(64, 16, 8, 1)).plan
    assert time.process_time() - start < 10
    digits = sum(len(constant_matrix.signed_digits(int(w))) for w in uniform(64, 16, 8, 1).flat)
    assert plan.adders < 0.6 * (digits - 16)
    assert plan.levels <= 10


def test_7_series_takes_much_fewer_luts_than_a_bit_an_adder():
    """Sums of columns are made of what the rows do not share: see docs/units.md."""
    spec = FixedMatrix(a="int8", b="int4", constants=uniform(16, 8, 4, 1), stages=1)
    lut = yosys_scripts.synthesise(emit.rtlil(spec), spec.name, target="xc7", place=False).lut
    assert lut < 0.65 * spec.plan.bits


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("", "constants: no rows are given: give one for each output"),
        ("1,2;3", "constants: row 1 has 1 weights, and row 0 has 2"),
        ("1,x", "constants, row 0: weights: 'x' is no number"),
        ("1,2;nan,3", "constants, row 1: weights: nan is not finite"),
        ("1,2;3,200", "weights: 200, of row 1 and column 1, is no number of b=int8"),
        (np.zeros(3), r"constants: an array of shape \(3,\): give rows of numbers"),
        (np.zeros((65, 64)), "constants: 65 x 64 weights are given: up to 4096"),
        (np.zeros((257, 2)), "up to 256 rows"),
        (7, "constants: 7: give rows of numbers"),
        ([1, 2], "constants, row 0: weights: 1: give one number for each lane"),
    ],
)
def test_bad_constants(given, message):
    with pytest.raises(InputError, match=message) as error:
        FixedMatrix(a="int8", b="int8", constants=given)
    assert "\n" not in str(error.value)


def test_constants_are_read_from_files(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("m.npy", np.array([[3, -5], [7, 0]], np.int8))
    (tmp_path / "m.csv").write_text("3,-5\n7, 0\n")
    (tmp_path / "m.txt").write_text("3 -5\n\n7 0\n")
    (tmp_path / "bad.csv").write_text("3,-5\n7\n")
    line = ["generate", "fixedmatrix", "--a", "int8", "--b", "int8", "--out", "made", "--constants"]
    names = set()
    for constants in ("3,-5;7,0", "m.npy", "m.csv", "m.txt"):
        assert main([*line, constants]) == 0
        names.add(re.search(r"fixedmatrix\w+", capsys.readouterr().out).group())
    assert len(names) == 1
    for constants, message in (("bad.csv", "row 1 has 1"), ("none.npy", "cannot be read")):
        assert main([*line, constants]) == 2
        assert message in capsys.readouterr().err
