"""Rotations, orders and narrowings: what they keep and what they gain."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen import InputError, Integer, parse
from hwgen.formats.block import NAMED, parse_block
from hwgen.formats.transforms import Hadamard, clip_symmetric, k_sort, narrow_codes


@pytest.mark.parametrize("size", [1, 2, 4, 16, 32, 128])
def test_rotation_is_orthogonal_with_equal_magnitudes(size):
    matrix = Hadamard(size, seed=3).matrix
    assert matrix.shape == (size, size)
    assert matrix @ matrix.T == pytest.approx(np.eye(size), abs=1e-14)
    assert np.abs(matrix) == pytest.approx(np.full((size, size), size**-0.5), rel=1e-15)


def test_rotation_by_hand():
    rotation = Hadamard(2, seed=0)
    signs = np.sign(rotation.matrix[:, 0])
    assert (rotation.matrix == signs[:, None] * np.array([[1, 1], [1, -1]]) / np.sqrt(2)).all()
    x = np.array([[3.0, 5.0, 1.0, -2.0]])
    a, b = signs * [3, 5], signs * [1, -2]
    expected = np.array([a[0] + a[1], a[0] - a[1], b[0] + b[1], b[0] - b[1]]) / np.sqrt(2)
    assert rotation.apply(x)[0] == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize("axis", [0, 1, 2, -2])
def test_inverse(axis):
    x = np.random.default_rng(0).normal(size=(8, 16, 24))
    rotation = Hadamard(8, seed=1)
    turned = rotation.apply(x, axis)
    assert turned.shape == x.shape and np.abs(turned - x).max() > 0.5
    assert rotation.inverse(turned, axis) == pytest.approx(x, abs=1e-13)


def test_products_stay_the_same():
    rng = np.random.default_rng(1)
    x, w = rng.normal(size=(5, 64)), rng.normal(size=(64, 7))
    rotation = Hadamard(32, seed=2)
    matrix = np.kron(np.eye(2), rotation.matrix)
    assert rotation.apply(x) == pytest.approx(x @ matrix, abs=1e-13)
    assert rotation.apply(w, axis=0) == pytest.approx(matrix.T @ w, abs=1e-13)
    assert rotation.apply(x) @ rotation.apply(w, axis=0) == pytest.approx(x @ w, abs=1e-12)


def test_seeds_give_other_signs_and_the_same_ones_again():
    first, other = Hadamard(32, 1), Hadamard(32, 2)
    assert (first.matrix != other.matrix).any()
    assert (first.matrix == Hadamard(32, 1).matrix).all()
    # A rotation without signs would put a constant block's all into one number.
    assert np.abs(first.apply(np.ones(32))).max() < 5


def test_rotation_helps_blocks_with_outliers():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(200, 32))
    x[:, 5] *= 30
    f = NAMED["mxint4"]
    rotation = Hadamard(32)

    def error(rotated):
        return np.square(rotated - x).sum()

    turned = rotation.inverse(f.quantize(rotation.apply(x), scale_rule="ceil"))
    assert error(turned) < 0.75 * error(f.quantize(x, scale_rule="ceil"))


def test_an_outlier_alone_is_spread_over_the_block():
    x = np.zeros(32)
    x[7] = 8.0
    assert np.abs(Hadamard(32).apply(x)) == pytest.approx(np.full(32, 8 / np.sqrt(32)))


@pytest.mark.parametrize("size", [0, 3, 48, -4, 8192])
def test_sizes_are_powers_of_two(size):
    with pytest.raises(InputError, match=f"size={size}: .*power of two"):
        Hadamard(size)


def test_rotation_needs_whole_blocks():
    with pytest.raises(InputError, match=r"shape \(3, 33\).*size 32"):
        Hadamard(32).apply(np.ones((3, 33)))
    with pytest.raises(InputError, match="axis=2"):
        Hadamard(2).apply(np.ones((2, 2)), axis=2)
    with pytest.raises(InputError, match="axis=-1"):
        Hadamard(2).apply(1.0)
    assert Hadamard(4).apply(np.empty((0, 4))).shape == (0, 4)


# --- K-sort -----------------------------------------------------------------------------------


def test_k_sort_by_hand():
    keys = np.array([[1.0, 0], [0, 3], [2, 0], [0.5, 0], [9, 0], [0, 1], [1, 1], [0, 7]])
    order, queries = k_sort(keys)
    assert order.tolist() == [4, 7, 1, 2, 6, 0, 5, 3] and queries.tolist() == order.tolist()
    order, _ = k_sort(keys, heads=2)
    assert order.tolist() == [1, 2, 0, 3, 4, 7, 6, 5]
    # Pairs (0, 2), (1, 3) and (4, 6), (5, 7); then (0, 1), (2, 3), …
    order, _ = k_sort(keys, heads=2, rope="halves")
    assert order.tolist() == [1, 0, 3, 2, 4, 5, 6, 7]
    order, _ = k_sort(keys, heads=2, rope="neighbours")
    assert order.tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    order, _ = k_sort(keys, rope="neighbours")
    assert order.tolist() == [4, 5, 6, 7, 0, 1, 2, 3]


def test_k_sort_leaves_equals_in_their_order():
    for size in (8, 128, 1000):
        assert k_sort(np.ones((size, 2)))[0].tolist() == list(range(size))


def turned(channels, angles, layout):
    """A rotary embedding of one head's channels."""
    half = len(channels) // 2
    pairs = [(i, i + half) if layout == "halves" else (2 * i, 2 * i + 1) for i in range(half)]
    result = np.empty_like(channels)
    for (a, b), angle in zip(pairs, angles, strict=True):
        result[a] = channels[a] * np.cos(angle) - channels[b] * np.sin(angle)
        result[b] = channels[a] * np.sin(angle) + channels[b] * np.cos(angle)
    return result


@pytest.mark.parametrize("layout", [None, "halves", "neighbours"])
@pytest.mark.parametrize(("heads", "query_heads"), [(1, 1), (2, 2), (2, 6)])
def test_k_sort_keeps_scores(layout, heads, query_heads):
    rng = np.random.default_rng(3)
    size, inputs = 8, 5
    keys = rng.normal(size=(heads * size, inputs)) * np.exp(rng.normal(size=(heads * size, 1)))
    queries = rng.normal(size=(query_heads * size, inputs))
    key_order, query_order = k_sort(keys, heads=heads, query_heads=query_heads, rope=layout)
    assert sorted(key_order) == list(range(heads * size))
    assert sorted(query_order) == list(range(query_heads * size))
    assert (key_order != np.arange(heads * size)).any()
    x, y = rng.normal(size=inputs), rng.normal(size=inputs)
    frequencies = np.array([0.1, 0.7, 1.3, 2.9])

    def score(k, q, head, query_head, frequencies):
        k, q = (k @ x).reshape(heads, size)[head], (q @ y).reshape(query_heads, size)[query_head]
        if layout is not None:
            k, q = turned(k, 4 * frequencies, layout), turned(q, 9 * frequencies, layout)
        return k @ q

    for query_head in range(query_heads):
        head = query_head // (query_heads // heads)
        within = key_order[head * size : (head + 1) * size] - head * size
        moved = frequencies
        if layout == "halves":
            assert (within[4:] == within[:4] + 4).all()
            moved = frequencies[within[:4]]
        elif layout == "neighbours":
            assert (within[1::2] == within[::2] + 1).all()
            moved = frequencies[within[::2] // 2]
        before = score(keys, queries, head, query_head, frequencies)
        after = score(keys[key_order], queries[query_order], head, query_head, moved)
        assert after == pytest.approx(before, rel=1e-12)


def test_k_sort_helps_block_floating_point():
    rng = np.random.default_rng(4)
    keys = rng.normal(size=(128, 64))
    # Every block of 32 has some channels that are far larger than the rest.
    keys[::14] *= 20
    order, _ = k_sort(keys)
    activations = rng.normal(size=(50, 64))
    f = parse_block("bfp4_b32")

    def error(weights):
        k = activations @ weights.T
        return np.square(f.quantize(k) - k).sum()

    assert error(keys[order]) < 0.75 * error(keys)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": 3}, "heads=3"),
        ({"heads": 0}, "heads=0"),
        ({"heads": 2, "query_heads": 3}, "query_heads=3: give a multiple of heads=2"),
        ({"query_heads": 0}, "query_heads=0"),
        ({"rope": "pairs"}, "rope='pairs'.*halves, neighbours"),
        ({"heads": 8, "rope": "halves"}, "heads of 1 rows"),
    ],
)
def test_k_sort_refuses(options, message):
    with pytest.raises(InputError, match=message):
        k_sort(np.ones((8, 3)), **options)


# --- integer codes ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["int2", "int4", "int8", "int16", "fixed8_6"])
def test_clip_symmetric_changes_one_code(name):
    f = parse(name)
    codes = np.arange(2**f.bits)
    lowest = 1 << (f.bits - 1)
    got = clip_symmetric(codes, f)
    assert got[lowest] == lowest + 1
    others = codes != lowest
    assert (got[others] == codes[others]).all() and got.dtype == f.code_dtype
    assert f.decode(got).min() == -f.max


def test_narrowing_by_hand():
    high, low = Integer(8), Integer(4)
    whole = np.array([0, 7, 8, 9, 24, -8, -24, 120, 127, -128, -121, 112])
    codes = narrow_codes(whole & 255, high, low)
    # 8/16 and 24/16 are ties to even; 120/16 = 7.5 rounds to 8, beyond 7.
    expected = [0, 0, 0, 1, 2, 0, -2, 7, 7, -8, -8, 7]
    assert low.decode(codes).tolist() == expected
    cut = low.decode(narrow_codes(whole & 255, high, low, rounding="down"))
    assert cut.tolist() == [0, 0, 0, 0, 1, -1, -2, 7, 7, -8, -8, 7]
    away = low.decode(narrow_codes(whole & 255, high, low, rounding="nearest_away"))
    assert away.tolist() == [0, 0, 1, 1, 2, -1, -2, 7, 7, -8, -8, 7]


@settings(max_examples=100, deadline=None)
@given(st.integers(2, 12), st.integers(0, 8))
def test_narrowing_all_codes(low_bits, more):
    high, low = Integer(min(low_bits + more, 16)), Integer(low_bits)
    codes = np.arange(2**high.bits)
    whole = [c - (c >> (high.bits - 1) << high.bits) for c in codes.tolist()]
    drop = high.bits - low.bits
    got = low.decode(narrow_codes(codes, high, low)).tolist()
    top = 2 ** (low.bits - 1) - 1
    # Python's round is to nearest even, and exact here.
    assert got == [min(round(w / 2**drop), top) for w in whole]
    cut = narrow_codes(codes, high, low, rounding="down")
    assert (cut == codes >> drop).all()


def test_rounding_loses_less_than_truncation():
    high, low = Integer(8), Integer(4)
    codes = np.arange(256)
    values = high.decode(codes)
    rounded = low.decode(narrow_codes(codes, high, low)) * 16
    cut = low.decode(narrow_codes(codes, high, low, rounding="down")) * 16
    assert np.square(rounded - values).mean() < 0.4 * np.square(cut - values).mean()


def test_narrowing_of_fixed_point_and_to_itself():
    high, low = Integer(8, fraction_bits=6), Integer(6, fraction_bits=4)
    codes = high.encode([0.5, -1.0, 1.5])
    assert low.decode(narrow_codes(codes, high, low)).tolist() == [0.5, -1.0, 1.5]
    every = np.arange(256)
    assert (narrow_codes(every, Integer(8), Integer(8)) == every).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((Integer(4), Integer(8)), "int4 to int8"),
        ((Integer(8, signed=False), Integer(4)), "uint8: give a signed integer"),
        ((Integer(8), parse("e2m1")), "e2m1: give a signed integer"),
        ((Integer(8), Integer(4), "stochastic"), "stochastic"),
        ((Integer(8), Integer(4), "even"), "rounding='even'"),
    ],
)
def test_narrowing_refuses(arguments, message):
    with pytest.raises(InputError, match=message):
        narrow_codes([1, 2], *arguments)
    with pytest.raises(InputError, match="codes of int8"):
        narrow_codes([300], Integer(8), Integer(4))
