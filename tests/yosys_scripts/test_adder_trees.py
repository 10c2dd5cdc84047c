"""Trees of adders on 7-series: the plan of their chains adds up, and netlists are proved equal."""

import itertools
import random

import pytest
from amaranth.hdl import Cat, Const, signed, unsigned

import yosys_scripts
from sim.formal.solve import PROVED
from tests.yosys_scripts.test_absorb import design, difference, with_carry
from yosys_scripts.bit_heap import HeapBit, luts, plan


def heap(heights, seed=1):
    draw = random.Random(seed)
    nets = iter(range(2, 10_000))
    return [[HeapBit(next(nets), draw.random() < 0.2) for _ in range(n)] for n in heights]


def summed(columns, chains, left, values):
    """What the chains make of values of the nets."""
    known = dict(values)

    def value(bit):
        return known[bit.net] ^ bit.inverted

    def function(bits, count):
        ones = sum(map(value, bits))
        return int(ones >= count) if count else ones & 1

    for number, chain in enumerate(chains):
        carry = value(chain.carry_in) if chain.carry_in else 0
        for column, slot in enumerate(chain.slots, chain.start):
            x, y = function(slot.x, slot.x_count), function(slot.y, slot.y_count)
            known[number, column] = (x + y + carry) & 1
            carry = (x + y + carry) >> 1
        known[number, None] = carry
    return sum(value(bit) << i for i, bit in enumerate(left) if bit is not None)


HEIGHTS = [
    [32] * 16 + [0] * 5,
    [31, *[16] * 9, 0, 0, 0, 1],
    [3] * 7 + [0, 0],
    [2] * 5 + [0],
    [1, 0, 2],
    [0, 7, 1, 9, 0, 0, 4, 0, 0],
    [40],
    [5, 5, 5],
]


@pytest.mark.parametrize("heights", HEIGHTS, ids=lambda heights: f"{len(heights)}x{max(heights)}")
def test_chains_add_up(heights):
    columns = heap(heights)
    chains, left = plan(columns)
    draw = random.Random(2)
    for _ in range(50):
        values = {bit.net: draw.getrandbits(1) for bits in columns for bit in bits}
        expected = sum(
            (values[bit.net] ^ bit.inverted) << i for i, bits in enumerate(columns) for bit in bits
        )
        assert summed(columns, chains, left, values) == expected % (1 << len(columns))


@pytest.mark.parametrize("heights", HEIGHTS, ids=lambda heights: f"{len(heights)}x{max(heights)}")
def test_slots_fit_a_slice(heights):
    """Six inputs, or five where O5 drives DI; a carry into the chain takes the bypass pin."""
    chains, _ = plan(heap(heights))
    for chain in chains:
        for i, slot in enumerate(chain.slots):
            bypass = len(slot.x) == 1 and not slot.x[0].inverted and not (i == 0 and chain.carry_in)
            inputs = len({*slot.x, *slot.y})
            assert inputs <= (6 if bypass or not slot.x else 5)
        assert chain.carry_in is None or not chain.carry_in.inverted


def test_sixteen_terms_take_about_half_the_luts():
    chains, _ = plan(heap([16] * 12 + [0] * 4))
    assert luts(chains, 16) < 0.6 * (8 * 13 + 4 * 14 + 2 * 15 + 16)


def total(*terms):
    """Each sum a `$alu`, in pairs."""
    level = list(terms)
    while len(level) > 1:
        pairs = [x + y for x, y in zip(level[::2], level[1::2], strict=False)]
        level = [*pairs, *level[len(pairs) * 2 :]]
    return level[0]


def bins(a, b, c, d):
    """The upper bits of a sum are added to, as where the sums of bins meet."""
    low, high = a + b, c + d
    return Cat(low[:3], low[3:].as_signed() + high)


TREES = {
    "three_signed": (total, [signed(6)] * 3),
    "four_unsigned": (total, [unsigned(5)] * 4),
    "differences": (
        lambda a, b, c, d: (a - b) + (c - d),
        [signed(6), unsigned(6), signed(7), signed(5)],
    ),
    "apart": (lambda a, b, c, d: (a + b) + ((c + d) << 4), [signed(6)] * 4),
    "carries": (
        lambda a, b, c, d, g, h, i: with_carry(with_carry(a, b, g), with_carry(c, d, h), i),
        [*[signed(6)] * 4, 1, 1, 1],
    ),
    "inner_sum_read_twice": (lambda a, b, c: Cat(a + b + c, a + b), [signed(6)] * 3),
    "inner_sum_wraps": (lambda a, b, c: (a + b)[:6].as_signed() + c, [signed(6)] * 3),
    "constant": (lambda a, b, c: a + b + c + Const(21), [signed(5)] * 3),
    "bins": (bins, [signed(6)] * 4),
    "same_twice": (lambda a, b: (a + b) + (a + a), [signed(6)] * 2),
}


def test_trees():
    """All of them, each of inputs of its own, as one design."""

    def everything(*inputs):
        left = iter(inputs)
        return Cat(
            function(*itertools.islice(left, len(shapes))) for function, shapes in TREES.values()
        )

    text = design(everything, *(shape for _, shapes in TREES.values() for shape in shapes))
    answer = difference(text, "xc7")
    assert answer.result == PROVED, answer


def test_a_tree_of_plain_terms_is_smaller():
    text = design(total, *[signed(8)] * 16)
    assert yosys_scripts.synthesise(text, "top", target="xc7", place=False).lut <= 80


def test_functions_of_six_bits_are_one_lut_each():
    """A product of two magnitudes of three bits has six bits, two of fewer inputs in a LUT6_2."""
    text = design(lambda x, y: x * y, 3, 3)
    assert yosys_scripts.synthesise(text, "top", target="xc7", place=False).lut == 5
