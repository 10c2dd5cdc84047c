"""Plans of sums of numbers times constants: exact, and of few additions."""

from itertools import pairwise

import numpy as np
import pytest

from hwgen.plan import constant_sum
from hwgen.plan.constant_sum import digits_plan, made_of, shared_plan, signed_digits


def total_of(plan, numbers):
    """The sum as the plan makes it; every node is in its range."""
    values = list(numbers)
    for node in plan.nodes[plan.inputs :]:
        low = -values[node.low] if node.low_negative else values[node.low]
        high = -values[node.high] if node.high_negative else values[node.high]
        values.append(low + (high << node.shift))
        assert node.least <= values[-1] <= node.most
        assert node.level > max(plan.nodes[node.low].level, plan.nodes[node.high].level)
    return 0 if plan.total is None else values[plan.total]


def drawn(rng, count, bits):
    weights = rng.integers(-(2**bits), 2**bits, count)
    weights[rng.random(count) < 0.2] = 0
    weights[0] |= 1
    kind = rng.integers(4)
    if kind == 0:
        weights = -np.abs(weights)
    if kind == 1:
        weights[:] = weights[0]
    return tuple(weights.tolist())


@pytest.mark.parametrize("make", [digits_plan, shared_plan])
@pytest.mark.parametrize(("least", "most"), [(-8, 7), (0, 7), (-12, 12), (-1, 0)])
def test_the_sum_is_exact_and_in_its_range(make, least, most):
    rng = np.random.default_rng(1)
    for case in range(200):
        count = int(rng.integers(1, 12))
        weights = drawn(rng, count, int(rng.integers(1, 12)))
        plan = make(weights, least, most)
        ends = [sorted((w * least, w * most)) for w in weights]
        assert plan.range == (sum(e[0] for e in ends), sum(e[1] for e in ends)), case
        worst = [most if w > 0 else least for w in weights]
        for numbers in (worst, *rng.integers(least, most + 1, (5, count)).tolist()):
            wanted = sum(w * x for w, x in zip(weights, numbers, strict=True))
            assert total_of(plan, numbers) == wanted, weights


def test_signed_digits_are_few_and_apart():
    for number in range(-1000, 1001):
        digits = signed_digits(number)
        assert sum(digit << place for place, digit in digits) == number
        places = [place for place, _ in digits]
        assert all(b - a > 1 for a, b in pairwise(places))
    # As few as any: a known sequence (OEIS A007302) of the numbers 0 to 15.
    few = [len(signed_digits(number)) for number in range(16)]
    assert few == [0, 1, 1, 2, 1, 2, 2, 2, 1, 2, 2, 3, 2, 3, 2, 2]


def test_odd_numbers_are_made_of_two_made_before():
    numbers = {3, 5, 7, 11, 45, 173, 683, 2739, 43691, 54613}
    made = made_of(numbers)
    assert numbers <= set(made)
    known = {1}
    for number, parts in made.items():
        assert sum(part * factor << shift for part, factor, shift in parts) == number
        assert {part for part, _, _ in parts} <= known and len(parts) == 2
        known.add(number)


def adders(weights):
    return constant_sum.plan(tuple(weights), -128, 127).adders


def test_counts_of_additions():
    # Nothing for zeros, one for each further lane, one more for each odd number but 1.
    assert adders([0, 0]) == 0 and adders([1]) == 0 and adders([0, 8, 0, 1]) == 1
    assert adders([3, 3, 3, 3]) == adders([3, -6, 3, 12]) == 4
    assert adders([1, 3, 5, 7]) == 3 + 3
    # 45 is 5·9: two additions, where its four signed digits take three.
    assert adders([45]) == 2 and len(signed_digits(45)) == 4
    # One negative number is negated; a difference only changes sides.
    assert adders([-1]) == 1 and adders([-3]) == 1 and adders([-1, 4]) == 1


def test_shared_sums_take_fewer_bits_than_digits():
    weights = tuple(int(w) for w in np.round(np.random.default_rng(1).standard_normal(32) * 40))
    digits, shared = (make(weights, -128, 127) for make in (digits_plan, shared_plan))
    assert shared.bits < 0.8 * digits.bits
    assert constant_sum.plan(weights, -128, 127) == shared
    few = constant_sum.plan((3, 11), 0, 1)
    assert few.bits == min(make((3, 11), 0, 1).bits for make in (digits_plan, shared_plan))


def test_plans_of_the_largest_sums_are_made_soon():
    weights = np.random.default_rng(2).integers(-(2**15), 2**15, 256) | 1
    plan = constant_sum.plan(tuple(weights.tolist()), -(2**15), 2**15 - 1)
    assert plan.adders < 2.1 * 256 and plan.levels < 20
