"""The golden model against arithmetic on Python's fractions."""

from fractions import Fraction

import numpy as np
import pytest

from hwgen import (
    Array,
    DotProduct,
    FixedDot,
    MultiDot,
    MultiplyAccumulate,
    SumSquares,
    parse,
)
from hwgen.formats import NAMES
from sim import golden
from sim import stimulus as stimuli

RNG = np.random.default_rng(7)


def fractions(values):
    return [Fraction(float(v)) for v in np.ravel(values)]


def sums(spec, a, b, clear):
    """The accumulator after each valid cycle."""
    return golden.expected(spec, {"a": a, "b": b, "clear": clear[:, None]})["accumulator"][:, 0]


@pytest.mark.parametrize("a", NAMES)
@pytest.mark.parametrize("b", ["int8", "e2m1", "e4m3", "e5m2"])
def test_dot_is_the_exact_sum(a, b):
    spec = DotProduct(a=a, b=b, lanes=5, max_products=100)
    x = RNG.integers(0, 2**spec.a.bits, (20, 5), dtype=np.uint8)
    y = RNG.integers(0, 2**spec.b.bits, (20, 5), dtype=np.uint8)
    clear = RNG.random(20) < 0.3
    total = Fraction(0)
    for cycle, got in enumerate(sums(spec, x, y, clear)):
        row = zip(
            fractions(spec.a.decode(x[cycle])), fractions(spec.b.decode(y[cycle])), strict=True
        )
        total = sum((u * v for u, v in row), Fraction(0) if clear[cycle] else total)
        assert Fraction(got) * Fraction(2) ** spec.lsb_exponent == total


def test_dot_wraps_past_its_products():
    spec = DotProduct(a="int2", b="int2", lanes=1, max_products=1)
    minus_two = np.full((4, 1), 2, np.uint8)
    assert spec.accumulator_width == 4  # products from −2 to 4
    got = sums(spec, minus_two, minus_two, np.array([True, False, False, False]))
    assert got.tolist() == [4, -8, -4, 0]


#: Units, the codes that make the largest magnitude of a sum, and that of all cycles together.
LARGEST = [
    (DotProduct(a="int4", b="int4", lanes=2, max_products=16), {"a": 8, "b": 8}, 64 * 16),
    (DotProduct(a="uint8", b="int8", lanes=1, max_products=5), {"a": 255, "b": 128}, -32640 * 5),
    (
        DotProduct(a="int2", b="int2", lanes=1, addend="int8", max_products=3),
        {"a": 2, "b": 2, "c": 127},
        (4 + 127) * 3,
    ),
    (MultiplyAccumulate(a="int8", b="int4", max_products=7), {"a": 128, "b": 8}, 1024 * 7),
    (
        FixedDot(a="int8", b="int8", weights=[-128, -127], max_products=8),
        {"a": 128},
        128 * 255 * 4,
    ),
    (SumSquares(a="int8", lanes=2, max_products=8), {"a": 128}, 2**14 * 8),
    (
        MultiDot(formats="int8,int4", lanes=1, max_products=4),
        {"a": 128, "b": 128, "mode": 0},
        2**14 * 4,
    ),
    (
        Array(a="int8", b="int8", rows=2, columns=2, lanes=2, max_products=8),
        {"a": 128, "b": 128},
        2**14 * 8,
    ),
]


@pytest.mark.parametrize(
    ("spec", "codes", "largest"), LARGEST, ids=lambda case: getattr(case, "unit", "")
)
def test_the_largest_sum_of_all_products_does_not_wrap(spec, codes, largest):
    """Hardware and golden model have their width from the spec, and would wrap alike."""
    cycles = -(-spec.max_products // spec.lanes)
    inputs = {
        port.name: np.full((cycles, port.count), codes.get(port.name, 0), np.uint64)
        for port in spec.inputs
    }
    inputs["clear"][0] = 1
    sums = golden.expected(spec, inputs)["accumulator"]
    assert set(sums[-1].tolist()) == {largest}
    # And no bit is to spare.
    assert not -(2 ** (spec.accumulator_width - 2)) <= largest < 2 ** (spec.accumulator_width - 2)


@pytest.mark.parametrize(
    ("a", "b"), [("int8", "int8"), ("e4m3", "e4m3"), ("e5m2", "e5m2"), ("e5m2", "int3")]
)
@pytest.mark.parametrize("inner", [1, 31, 2000])
def test_matmul_is_the_exact_sum_rounded_once(a, b, inner):
    fa, fb = parse(a), parse(b)
    x = fa.decode(RNG.integers(0, 2**fa.bits, (3, inner)))
    y = fb.decode(RNG.integers(0, 2**fb.bits, (inner, 2)))
    x[0], y[:, 0] = fa.max, fb.min
    got = golden.matmul(fa, fb, x, y)
    for i in range(3):
        for j in range(2):
            exact = sum(
                (u * v for u, v in zip(fractions(x[i]), fractions(y[:, j]), strict=True)),
                Fraction(0),
            )
            assert got[i, j] == float(exact)


@pytest.mark.parametrize("name", ["int8", "e4m3", "e5m2"])
def test_matmul_of_stacks_is_that_of_each_matrix(name):
    """In float32, in float64 and in limbs; one stack is broadcast."""
    f = parse(name)
    x = f.decode(RNG.integers(0, 2**f.bits, (2, 3, 4, 40)))
    y = f.decode(RNG.integers(0, 2**f.bits, (3, 40, 5)))
    got = golden.matmul(f, f, x, y)
    assert got.shape == (2, 3, 4, 5)
    for i, j in np.ndindex(2, 3):
        np.testing.assert_array_equal(got[i, j], golden.matmul(f, f, x[i, j], y[j]))


def test_trace_by_a_plain_pipeline():
    """``trace`` against a register-by-register model of the pipeline."""
    spec = DotProduct(a="int4", b="e2m1", lanes=3, max_products=12)
    stimulus = stimuli.random(spec, 500, seed=3)
    valid_out, outputs = golden.trace(spec, stimulus)
    accumulator = outputs["accumulator"][:, 0]
    pipeline = [(False, 0, False)] * (spec.latency - 1)
    out_valid, total = False, 0
    for cycle in range(500):
        if stimulus.enable[cycle]:
            products = (
                spec.a.decode(stimulus.inputs["a"][cycle])
                * spec.b.decode(stimulus.inputs["b"][cycle])
            ).sum() * 2
            pipeline.append(
                (
                    bool(stimulus.valid[cycle]),
                    int(products),
                    bool(stimulus.inputs["clear"][cycle, 0]),
                )
            )
            out_valid, value, clear = pipeline.pop(0)
            if out_valid:
                total = value if clear else total + value
        assert valid_out[cycle] == out_valid and accumulator[cycle] == total
