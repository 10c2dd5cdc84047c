"""Lanes and units against trying everything."""

from __future__ import annotations

import itertools
import math

import pytest
from graphs import crude_cost

from hwgen.errors import InputError
from hwgen.formats import parse
from hwgen.spec import DotProduct
from optimizer.network import Layer
from optimizer.sizing import Sizer, cycle_budget, cycles, sizes


@pytest.mark.parametrize(
    ("layers", "budget"),
    [
        ([Layer("l", "Conv", 144, 1254)], 5000),
        ([Layer("l", "Conv", 9, 1254)], 700),
        ([Layer("l", "Gemm", 64, 10)], 50000),
        ([Layer("l", "Gemm", 200, 100)], 1000),
        (
            [Layer("k", "Conv", 144, 125), Layer("l", "Conv", 27, 600), Layer("m", "Gemm", 64, 10)],
            2000,
        ),
    ],
)
def test_smallest_array_is_found(layers, budget):
    a, b = parse("e2m1"), parse("int5")
    size, spec, lut = Sizer(lambda specs: map(crude_cost, specs)).best(sizes(layers, budget), a, b)

    def lut_of(lanes, units):
        products = max(math.ceil(layer.dot_length / lanes) * lanes for layer in layers)
        unit = DotProduct(a=a, b=b, lanes=lanes, max_products=products)
        return round(units * crude_cost(unit).lut.value)

    most = max(layer.outputs for layer in layers)
    longest = min(64, max(layer.dot_length for layer in layers))
    everything = min(
        lut_of(lanes, next(u for u in range(1, most + 1) if cycles(layers, lanes, u) <= budget))
        for lanes in range(1, longest + 1)
        if cycles(layers, lanes, most) <= budget
    )
    assert lut.value == everything == lut_of(size.lanes, size.units)
    assert size.cycles == cycles(layers, size.lanes, size.units) <= budget
    assert spec.lanes == size.lanes
    for layer in layers:
        assert spec.max_products >= math.ceil(layer.dot_length / size.lanes) * size.lanes


def test_cycles_are_those_of_a_schedule():
    """What does not fill the array takes a round of its own.

    So do the last two of ten outputs on four units, and the last of seven products on two lanes.
    """
    assert cycles([Layer("l", "Gemm", 7, 10)], 2, 4) == 3 * 4
    assert cycles([Layer("k", "Conv", 8, 12), Layer("l", "Gemm", 7, 10)], 2, 4) == 3 * 4 + 3 * 4
    assert cycles([Layer("l", "Gemm", 7, 10)], 7, 10) == 1
    # A third of a clock of 50 MHz is no whole number of cycles: what is begun does not count.
    assert cycle_budget(50, 1000) == 50_000 and cycle_budget(50, 3) == 16_666_666


def test_sizes_do_not_dominate_each_other():
    arrays = sizes([Layer("l", "Conv", 576, 3136)], 50_000)
    for narrow, wide in itertools.pairwise(arrays):
        assert narrow.lanes < wide.lanes and narrow.units > wide.units


def test_each_spec_is_predicted_once():
    asked = []

    def predict(spec):
        asked.append(spec)
        return crude_cost(spec)

    sizer, candidates = (
        Sizer(lambda specs: map(predict, specs)),
        sizes([Layer("l", "Conv", 144, 1254)], 5000),
    )
    for _ in range(3):
        sizer.best(candidates, parse("int4"), parse("int4"))
    assert len(asked) == len(candidates) == len(set(asked)) == sizer.predictions


def test_too_fast():
    with pytest.raises(InputError, match="lower the frame rate or raise the clock"):
        sizes([Layer("far", "Gemm", 1000, 10)], 10)
    for fps, clock in ((0, 50), (-1, 50), (math.nan, 50), (1000, 0), (math.inf, 50)):
        with pytest.raises(InputError, match="must be positive"):
            cycle_budget(clock, fps)
