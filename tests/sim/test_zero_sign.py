"""The sign of zero sums, IEEE 754-2019 section 6.3: the rule itself, numpy and ml_dtypes."""

import functools
import itertools
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from fractions_oracle import minifloat_value, zero_is_negative

import hwgen
from hwgen import parse
from hwgen.formats import Integer
from hwgen.formats.rounding import MODES
from hwgen.spec import (
    AccumulatorToFloat,
    Array,
    BlockDot,
    Convert,
    DotProduct,
    FixedDot,
    LMul,
    MultiDot,
    MultiplyAccumulate,
    Quantizer,
    Requantize,
    SumSquares,
)
from sim import compiled, coverage, exhaustive, golden, stimulus
from sim.exhaustive import Case

DIRECTED_MODES = [mode for mode in MODES if mode != "stochastic"]


def by_rule(terms, number_format, mode):
    """The code of the sum of (Fraction, sign bit) in a signed minifloat with subnormals."""
    f = number_format
    total = sum((number for number, _ in terms), Fraction(0))
    value, negative = minifloat_value(total, f, mode, f.usual_overflow)
    if total == 0:
        negative = zero_is_negative([sign for _, sign in terms], mode)
    return magnitudes(f)[abs(float(value))] | (negative << (f.bits - 1))


@functools.cache
def magnitudes(number_format):
    """Codes by values, of those that are not negative."""
    values = number_format.decode(np.arange(1 << (number_format.bits - 1)))
    return {value: code for code, value in enumerate(values.tolist())}


@functools.cache
def number(code, number_format):
    value = float(number_format.decode(code))
    return Fraction(value), bool(np.signbit(value))


def times(x, y):
    return x[0] * y[0], x[1] != y[1]


def run(spec, **inputs):
    """The first output of each cycle; inputs as lists of rows or of single codes."""
    patterns = {}
    for port in spec.inputs:
        rows = np.array(inputs[port.name])
        patterns[port.name] = rows.reshape(len(rows), -1)
    return golden.expected(spec, patterns)[spec.outputs[0].name][:, 0].tolist()


@pytest.mark.parametrize("mode", DIRECTED_MODES)
@pytest.mark.parametrize("target", ["e3m2", "e2m1", "e4m3ieee"])
def test_every_step_of_a_float_accumulator(mode, target):
    """All products of e2m1 added to all numbers that they can make, and alone."""
    a, f = parse("e2m1"), parse(target)
    spec = MultiplyAccumulate(a=a, b=a, accumulator=f"{f}:{mode}")
    pairs = list(itertools.product(range(16), repeat=2))
    first = {by_rule([times(number(x, a), number(y, a))], f, mode): (x, y) for x, y in pairs}
    assert {number(code, f) for code in first} >= {(Fraction(0), False), (Fraction(0), True)}
    rows, wanted = [], []
    for start, (x, y) in first.items():
        for u, v in pairs:
            product = times(number(u, a), number(v, a))
            rows += [(1, x, y), (0, u, v)]
            wanted += [start, by_rule([number(start, f), product], f, mode)]
    clear, x, y = zip(*rows, strict=True)
    assert run(spec, clear=clear, a=x, b=y) == wanted


def test_the_first_sum_is_added_to_a_positive_zero():
    """A reset leaves +0; clear leaves nothing."""
    spec = MultiplyAccumulate(a="e2m1", b="e2m1", accumulator="e3m2")
    assert run(spec, clear=[0, 0], a=[8, 8], b=[0, 0]) == [0, 0]
    assert run(spec, clear=[1, 0, 0], a=[8, 8, 0], b=[0, 0, 0]) == [32, 32, 0]
    down = MultiplyAccumulate(a="e2m1", b="e2m1", accumulator="e3m2:down")
    assert run(down, clear=[0, 1, 0], a=[8, 0, 8], b=[0, 0, 0]) == [32, 0, 32]


@pytest.mark.parametrize(("name", "dtype"), [("fp16", np.float16), ("bf16", ml_dtypes.bfloat16)])
def test_like_numpy_in_float32(name, dtype):
    rng = np.random.default_rng(5)
    f, steps = parse(name), 4000
    numbers = np.array([0.0, -0.0, 1.5, -1.5, 3.0, -3.0, 2.0**-14, -(2.0**-14)])
    a, b = (f.encode(rng.choice(numbers, steps)) for _ in range(2))
    clear = rng.random(steps) < 0.3
    spec = MultiplyAccumulate(a=f, b=f, accumulator="fp32")
    x, y = (codes.astype(np.uint16).view(dtype).astype(np.float32) for codes in (a, b))
    total, wanted = np.float32(0.0), []
    for product, restart in zip(x * y, clear, strict=True):
        total = product if restart else total + product
        wanted.append(int(total.view(np.uint32)))
    assert 2**31 in wanted and 0 in wanted
    assert run(spec, clear=clear.astype(int), a=a, b=b) == wanted


def test_a_single_product_is_that_of_ml_dtypes():
    """With clear a unit of one lane multiplies; E5M2's products are exact in float32."""
    a, b = (v.ravel() for v in np.meshgrid(np.arange(256), np.arange(256)))
    x, y = (v.astype(np.uint8).view(ml_dtypes.float8_e5m2).astype(np.float32) for v in (a, b))
    with np.errstate(invalid="ignore"):
        product = (x * y).astype(ml_dtypes.float8_e5m2)
    wanted, finite = product.view(np.uint8), np.isfinite(product.astype(np.float32))
    spec = MultiplyAccumulate(a="e5m2ieee", b="e5m2ieee", accumulator="e5m2ieee")
    got = np.array(run(spec, clear=np.ones(len(a), int), a=a, b=b))
    assert np.array_equal(got[finite], wanted[finite])
    assert (wanted[finite] == 128).any()


@pytest.mark.parametrize("mode", DIRECTED_MODES)
def test_sums_of_lanes_and_cycles_rounded_once(mode):
    """An exact accumulator with an output: all addends of all cycles since clear, and c."""
    a, c, f = parse("e2m1"), parse("e3m2"), parse("fp16")
    some = [0, 8, 1, 9]  # 0, -0, 0.5, -0.5
    spec = DotProduct(a=a, b=a, lanes=2, addend=c, output=f, rounding=mode)
    rng = np.random.default_rng(3)
    rows, wanted, addends = [], [], []
    for cycle in range(1500):
        style = some if rng.random() < 0.3 else some[:2] if rng.random() < 0.5 else some[1:2]
        x, y = rng.choice(style, 2), rng.choice([0, 0, 2], 2)
        z = int(rng.choice([0, 32, 32, 4, 36]))
        clear = int(cycle == 0 or rng.random() < 0.4)
        addends = [] if clear else addends
        addends += [times(number(u, a), number(v, a)) for u, v in zip(x, y, strict=True)]
        addends.append(number(z, c))
        rows.append((clear, x, y, z))
        wanted.append(by_rule(addends, f, mode))
    clear, x, y, z = zip(*rows, strict=True)
    assert run(spec, clear=clear, a=x, b=y, c=z) == wanted
    assert {0, 1 << 15} <= set(wanted)


MINUS = {"fp16": 1 << 15, "bf16": 1 << 15, "fp32": 1 << 31, "e3m2": 32}


@pytest.mark.parametrize("mode", ["nearest_even", "down", "stochastic"])
def test_integers_have_no_minus_zero(mode):
    """The sum of products of two integers is an integer; beside a float it is one number."""
    draws = {"random_bits": [0] * 3} if mode == "stochastic" else {}
    down = mode == "down"
    spec = MultiplyAccumulate(a="int4", b="int4", output="fp16", rounding=mode)
    assert run(spec, clear=[1, 1, 0], a=[0, 5, 5], b=[11, 1, 15], **draws) == [0, 0x4500, 0]
    into = MultiplyAccumulate(a="int4", b="int4", accumulator=f"fp16:{mode}")
    results = run(into, clear=[1, 1, 0], a=[0, 5, 5], b=[11, 1, 15], **draws)
    assert results == [0, 0x4500, down << 15]
    if mode == "stochastic":
        return
    # With a float as a factor or an addend there is one.
    mixed = MultiplyAccumulate(a="int4", b="e2m1", output="fp16", rounding=mode)
    assert run(mixed, clear=[1, 1], a=[0, 0], b=[9, 1]) == [1 << 15, 0]
    plus = MultiplyAccumulate(a="int4", b="int4", addend="fp16", output="fp16", rounding=mode)
    results = run(plus, clear=[1, 1], a=[0, 5], b=[11, 1], c=[1 << 15, 0xC500])
    assert results == [down << 15, down << 15]


def test_fixed_point_registers_have_no_minus_zero():
    """A register of a given width is an integer; so is what comes in as a sum."""
    fixed = MultiplyAccumulate(a="e2m1", b="e2m1", accumulator="fixed:12:4", output="fp16")
    assert run(fixed, clear=[1], a=[8], b=[0]) == [0]
    converted = AccumulatorToFloat(bits=8, b="fp16", rounding="down")
    assert run(converted, sum=[0]) == [0]
    window = BlockDot(a="mxfp4", b="mxfp4", blocks=2, accumulator="aligned:24", output="fp32")
    zeros = {"a": [[8] * 64], "b": [[0] * 64], "a_scale": [[127] * 2], "b_scale": [[127] * 2]}
    assert run(window, **zeros) == [0]


def test_scaled_zeros():
    """A product's sign is that of its factors' signs, unless both are integers."""
    spec = Requantize(bits=8, scale="e4m3", b="fp16")
    minus, one, minus_one = 128, 56, 184
    sums, scales = [0, 0, 256 - 5, 5, 256 - 5], [one, minus_one, 0, minus, minus]
    assert run(spec, sum=sums, scale=scales) == [0, 1 << 15, 1 << 15, 1 << 15, 0]
    whole = Requantize(bits=8, scale="fixed8_6", b="fp16")
    assert run(whole, sum=[0, 256 - 5], scale=[255, 0]) == [0, 0]
    unsigned = Requantize(bits=8, scale="ue4m3", b="fp16")
    assert run(unsigned, sum=[256 - 5, 5], scale=[0, 0]) == [1 << 15, 0]


def test_blocks():
    """A block's sum times its scales is one number.

    Sums that are not zero keep their sign under a scale of zero.
    """
    size = 16
    none, one = 0, 56

    def block(*codes):
        return [*codes, *[0] * (size - len(codes))]

    a = [[8] * size, block(8), block(9), block(9, 1), [9] * size, block(9, 9, 1)]
    b = [[0] * size, [0] * size, *[[2] * size] * 4]
    scales = [one, one, none, one, none, none]
    ones = [one] * 6
    for mode, wanted in (
        ("nearest_even", [1, 0, 1, 0, 1, 1]),
        ("up", [1, 0, 1, 0, 1, 1]),
        ("down", [1, 1, 1, 1, 1, 1]),
    ):
        spec = BlockDot(a="nvfp4", b="nvfp4", output="fp32", rounding=mode)
        results = run(spec, a=a, b=b, a_scale=scales, b_scale=ones)
        assert results == [sign << 31 for sign in wanted], mode
    integers = BlockDot(a="int4_b2_ue4m3", b="int4_b2_ue4m3", output="bf16")
    results = run(
        integers, a=[[0, 0], [15, 0]], b=[[15, 1], [1, 0]], a_scale=[one, 0], b_scale=[one, one]
    )
    assert results == [0, 1 << 15]


def test_fixed_weights_and_squares():
    """A weight of zero has a sign too; squares have none."""
    spec = FixedDot(a="e2m1", b="e2m1", weights="1,0,-0.5", accumulator="fp16")
    assert run(spec, clear=[1, 1], a=[[8, 8, 0], [8, 0, 0]]) == [1 << 15, 0]
    squares = SumSquares(a="e2m1", lanes=2, accumulator="fp16")
    assert run(squares, clear=[1], a=[[8, 8]]) == [0]
    down = SumSquares(a="e2m1", lanes=1, addend="e3m2", accumulator="fp16:down")
    assert run(down, clear=[1, 1], a=[8, 8], c=[0, 32]) == [0, 1 << 15]


def test_arrays():
    """Columns of weights that stay; a partial sum that comes in as an integer is positive."""
    common = {"a": "e2m1", "b": "e2m1", "rows": 2, "columns": 1, "dataflow": "weight_stationary"}
    inputs = {"load": [[1, 1]] * 3, "a": [[8, 8]] * 3, "b": [[0]] * 3, "clear": [1, 0, 0]}
    floats = Array(**common, accumulator="e3m2")
    assert run(floats, **inputs, partial=[0, 0, 32]) == [32, 0, 32]
    exact = Array(**common, output="e3m2")
    assert run(exact, **inputs, partial=[0, 0, 0]) == [32, 0, 0]


def test_switched_formats():
    spec = MultiDot(formats="e2m1,e4m3", lanes=2, output="bf16")
    zeros = {"clear": [1, 1, 0, 0], "mode": [0, 1, 1, 0], "b": [[0, 0]] * 4}
    results = run(spec, **zeros, a=[[8, 8], [128, 128], [128, 128], [8, 0]])
    assert results == [1 << 15, 1 << 15, 1 << 15, 0]


def test_formats_without_a_minus_zero():
    """Where its code is NaN, or there is none, zeros are the format's only one."""
    for name in ("e4m3fnuz", "e4m3ext"):
        spec = MultiplyAccumulate(a="e2m1", b="e2m1", accumulator=f"{name}:down")
        assert run(spec, clear=[1, 1, 0], a=[8, 2, 10], b=[0, 2, 2])[::2] == [0, 0]
        assert not parse(name).has_minus_zero
    for target in ("ue4m3", "int8"):
        spec = MultiplyAccumulate(a="e2m1", b="e2m1", output=target, rounding="down")
        assert run(spec, clear=[1], a=[8], b=[0]) == [0]


def test_conversions_keep_the_sign():
    """Of a zero too, and of what becomes one."""
    tiny = int(parse("fp16").encode(2.0**-20))
    spec = Convert(a="fp16", b="e2m1")
    results = run(spec, a=[0, 1 << 15, tiny, tiny | 1 << 15])
    assert results == [0, 8, 0, 8]
    assert run(Convert(a="fp16", b="e2m1fnuz"), a=[1 << 15]) == [0]
    blocks = Quantizer(a="fp16", b="e2m1_b2_e8m0")
    codes = golden.expected(blocks, {"a": np.array([[1 << 15, 0], [1 << 15, 0x4000]])})
    assert codes["elements"].tolist() == [[8, 0], [8, codes["elements"][1, 1]]]


def test_approximate_products():
    spec = LMul(a="e4m3", b="e4m3")
    x, y = [0, 128, 128, 0, 129], [56, 56, 184, 184, 56]
    assert run(spec, a=x, b=y) == [0, 128, 0, 128, 128]


#: A unit of each kind: the hardware against the golden model on zeros of both signs.
UNITS = [
    MultiplyAccumulate(a="e2m1", b="e2m1", accumulator="e3m2"),
    MultiplyAccumulate(a="e2m1", b="int3", accumulator="e3m2:down", stages=2),
    MultiplyAccumulate(a="int4", b="int4", accumulator="e3m2:down"),
    MultiplyAccumulate(a="int4", b="int4", addend="e3m2", accumulator="e3m2:down"),
    DotProduct(a="e2m1", b="e2m1", lanes=3, addend="e3m2", output="fp16"),
    DotProduct(a="e2m1", b="e2m1", lanes=4, output="e3m2", rounding="down", mapping="dsp"),
    DotProduct(a="e4m3fn", b="e2m1", lanes=5, output="bf16", pipeline_target="ecp5", stages=9),
    FixedDot(a="e2m1", b="e2m1", weights="1,0,-0.5", output="fp16"),
    SumSquares(a="e2m1", lanes=2, addend="e3m2", accumulator="fp16:down"),
    MultiDot(formats="e2m1,e3m2", lanes=2, output="bf16"),
    BlockDot(a="nvfp4", b="nvfp4", output="fp32"),
    BlockDot(a="int4_b2_ue4m3", b="int4_b2_ue4m3", blocks=2, output="bf16", rounding="down"),
    Array(a="e2m1", b="e2m1", rows=2, columns=2, accumulator="e3m2", mapping="dsp"),
    Array(
        a="e2m1",
        b="e2m1",
        rows=3,
        columns=1,
        dataflow="weight_stationary",
        movement="systolic",
        output="fp16",
    ),
    Array(a="nvfp4", b="nvfp4", rows=1, columns=1, accumulator="bf16"),
    Requantize(bits=8, scale="e4m3", b="fp16"),
    LMul(a="e4m3", b="e4m3", output="fp16"),
]


def test_stimulus_and_coverage_have_both_zeros():
    for spec in UNITS:
        driven = stimulus.directed(spec)
        port = spec.outputs[0]
        f, codes = port.format, golden.expected(spec, driven.inputs)[port.name].astype(np.int64)
        assert {0, 1 << (f.bits - 1)} <= set(codes.ravel().tolist()), spec.name
        counts = coverage.collect(spec, driven).bins
        bins = {name: n for name, n in counts.items() if name.startswith("sums: ")}
        if getattr(spec, "zero_rounding", None) is not None:
            assert len(bins) == 2 and all(bins.values()), (spec.name, bins)
    one_sign = FixedDot(a="ue4m3", b="e2m1", weights="1,0,2", output="fp16", rounding="up")
    bins = coverage.collect(one_sign, stimulus.directed(one_sign)).bins
    assert "sums: zero" in bins and "sums: negative zero" not in bins
    spec = MultiplyAccumulate(a="e2m1", b="e2m1", output="fp16")
    none = stimulus.given({"clear": [1], "a": [2], "b": [2]})
    assert "sums: negative zero" in coverage.collect(spec, none).missed


def test_hardware():
    runs = [compiled.Run(spec, hwgen.verilog(spec), 300) for spec in UNITS]
    for spec, outcome in zip(UNITS, compiled.check(runs), strict=True):
        assert outcome.mismatches == 0, (spec.name, outcome.shown)


def test_hardware_on_all_inputs():
    """Of single sums, against the golden model that the tests above are of."""
    cases = [
        Case(MultiplyAccumulate(a="e3m2", b="e3m2", accumulator=f"e3m2:{m}"), {"clear": 1})
        for m in DIRECTED_MODES
    ]
    cases += [
        Case(DotProduct(a="e2m1", b="e2m1", lanes=2, output="e3m2", rounding=m), {"clear": 1})
        for m in DIRECTED_MODES
    ]
    for case, wrong in zip(cases, exhaustive.check(cases), strict=True):
        assert not wrong, (case.spec.name, wrong[:3])


def test_integer_sums_are_not_asked_for_a_sign():
    """Which would cost logic: none of these has any."""
    assert MultiplyAccumulate(a="int8", b="int8", output="fp32").zero_rounding is None
    assert MultiplyAccumulate(a="e2m1", b="e2m1").zero_rounding is None
    assert SumSquares(a="fp16", lanes=2, accumulator="fp32").zero_rounding is None
    assert isinstance(parse("mxint8").element, Integer)
    assert BlockDot(a="mxint8", b="mxint8", output="fp32").zero_rounding is None
