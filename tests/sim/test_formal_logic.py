"""What proofs are made of: words of literals, claims that are solved, and plain definitions."""

import time
from itertools import product

import numpy as np
import pytest

from hwgen import parse
from hwgen.formats.rounding import NEAREST_AWAY, NEAREST_EVEN, TOWARD_ZERO, UP
from hwgen.spec import AccumulatorToFloat
from sim import golden
from sim.formal import references
from sim.formal.aig import FALSE, Aig, every_pattern
from sim.formal.solve import Claim, abc, holds, solve
from sim.formal.words import Word, select, total
from sim.models import accumulator_to_float


def soon(seconds=60):
    return time.monotonic() + seconds


def number(aig, word):
    """Of a constant word."""
    bits = holds(aig, word.bits, {})
    return sum(bit << i for i, bit in enumerate(bits[:-1])) - (bits[-1] << (len(bits) - 1))


def test_words_are_whole_numbers():
    rng = np.random.default_rng(1)
    aig = Aig()
    for _ in range(200):
        x, y, z = (int(v) for v in rng.integers(-100, 100, 3))
        a, b, c = (Word.constant(aig, v) for v in (x, y, z))
        assert number(aig, a * b - c) == x * y - z
        assert number(aig, total([a, b, c])) == x + y + z
        assert number(aig, abs(a)) == abs(x)
        assert number(aig, a << abs(Word.constant(aig, z % 8))) == x << z % 8
        assert number(aig, select(a < b, -a, b)) == (-x if x < y else y)
        assert bool(a < y) == (x < y) and a.equals(y) == (x == y)


def adders(aig, bits):
    """Two orders of a sum of three."""
    a, b, c = (Word.signed(aig, aig.inputs(name, bits)) for name in "abc")
    return ((a + b) + c).cut(bits + 2), (a + (b + c)).cut(bits + 2), (a, b, c)


@pytest.mark.parametrize("bits", [4, 12])  # a truth table, and abc
def test_equal_words_are_proved_and_unequal_ones_are_not(bits):
    aig = Aig()
    left, right, (a, b, c) = adders(aig, bits)
    assert solve(Claim("sum", aig, list(zip(left, right, strict=True))), soon()).result == "proved"
    # A rare fault: where all bits are set.
    all_set = aig.all([*a.bits, *b.bits, *c.bits])
    right[1] = aig.xor(right[1], all_set)
    answer = solve(Claim("sum", aig, list(zip(left, right, strict=True))), soon())
    assert answer.result == "disproved"
    assert holds(aig, [all_set], answer.inputs) == [1]
    assert answer.engines[-1] == ("truth table" if bits == 4 else "abc cec")


def test_abc_and_the_truth_table_agree():
    rng = np.random.default_rng(2)
    for _ in range(12):
        aig = Aig()
        nodes = aig.inputs("x", 5)
        for _ in range(25):
            x, y = rng.choice(nodes, 2)
            nodes.append(aig.and_(int(x) ^ int(rng.integers(2)), int(y) ^ int(rng.integers(2))))
        literal = nodes[-1]
        inputs = aig.support([literal])
        if not inputs:
            continue
        (word,) = aig.evaluated([literal], every_pattern(inputs))[0]
        is_false = int(word) & (2**2 ** len(inputs) - 1) == 0
        assert (abc(aig, [literal], soon()).result == "proved") == is_false


def test_a_case_is_proved_by_itself():
    aig = Aig()
    x, y = aig.inputs("x", 2)
    pairs = [(aig.and_(x, y), FALSE)]
    assert solve(Claim("no", aig, pairs, [{x >> 1: 0}]), soon()).result == "proved"
    answer = solve(Claim("no", aig, pairs, [{x >> 1: 0}, {x >> 1: 1}]), soon())
    assert answer.result == "disproved" and answer.inputs == {x >> 1: 1, y >> 1: 1}


def test_what_is_late_is_not_proved():
    aig = Aig()
    left, right, _ = adders(aig, 12)
    answer = solve(Claim("sum", aig, list(zip(left, right, strict=True))), soon(-1))
    assert answer.result == "not proved" and "time" in answer.reason


@pytest.mark.parametrize(
    "name", ["int5", "uint3", "fixed6_2", "e2m1", "e3m2", "e0m3", "ue3m2finite"]
)
def test_plain_values_are_the_formats(name):
    f = parse(name)
    aig = Aig()
    for code in range(2**f.bits):
        word = references.value(aig, [(code >> bit) & 1 for bit in range(f.bits)], f)
        assert number(aig, word) == float(f.decode([code])[0]) * 2.0**-f.lsb_exponent


@pytest.mark.parametrize(
    ("b", "overflow", "lsb_exponent"),
    [
        ("e3m2", "saturate", -3),
        ("e2m1", "saturate", 0),
        ("e3m2ieee", "special", 0),
        ("int4", "saturate", -2),
    ],
)
def test_one_code_alone_is_the_rounded_one(b, overflow, lsb_exponent):
    """The definition against the golden model: all sums, all codes, several modes."""
    for rounding in (NEAREST_EVEN, NEAREST_AWAY, TOWARD_ZERO, UP):
        # Directed rounding stops at the largest on one side, which infinity is not for.
        if overflow == "special" and rounding in (TOWARD_ZERO, UP):
            continue
        spec = AccumulatorToFloat(
            bits=7, lsb_exponent=lsb_exponent, b=parse(b), rounding=rounding, overflow=overflow
        )
        sums = np.arange(2**spec.bits, dtype=np.uint64)
        codes = golden.expected(spec, {"sum": sums[:, None]})["result"][:, 0]
        aig = Aig()
        s, code = aig.inputs("sum", spec.bits), aig.inputs("code", spec.b.bits)
        is_right = accumulator_to_float.is_rounded(aig, spec, s, code)
        nodes = [literal >> 1 for literal in (*s, *code)]
        (words,) = aig.evaluated([is_right], every_pattern(nodes))
        is_rounded = np.unpackbits(words.view(np.uint8), bitorder="little").reshape(
            -1, 2**spec.bits
        )
        wanted = np.arange(2**spec.b.bits)[:, None] == codes
        assert (is_rounded == wanted).all(), rounding


def test_the_cases_by_leading_one_are_all():
    aig = Aig()
    s = aig.inputs("sum", 5)
    cases = accumulator_to_float.leading_one_cases(s)
    for values in product((0, 1), repeat=5):
        given = dict(zip((literal >> 1 for literal in s), values, strict=True))
        assert sum(all(given[node] == bit for node, bit in c.items()) for c in cases) == 1
