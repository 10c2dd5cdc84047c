"""What stimuli exercise: bins that the formats declare."""

import dataclasses

import numpy as np
import pytest

from hwgen import Convert, DotProduct, FixedDot
from hwgen.spec import BlockDot, LMul, Multiply, Quantizer, Requantize
from sim import stimulus as stimuli
from sim.coverage import collect, filled
from sim.verification import whole_stimulus

#: Of most units, with and without rounding.
SPECS = [
    DotProduct(a="int8", b="int8", lanes=3),
    DotProduct(a="e4m3fn", b="int4", lanes=2, output="bf16"),
    FixedDot(a="int8", b="int8", weights="3,-77,0,64"),
    FixedDot(a="e4m3fn", b="int4", weights="-3,0,7", output="bf16"),
    BlockDot(a="e2m1_b4_ue4m3", b="e4m3fn_b4_ue4m3", blocks=2, output="fp16"),
    Multiply(a="e4m3fn", b="e5m2ieee"),
    LMul(a="e4m3fn", b="e4m3fn"),
    Convert(a="fp16", b="e4m3fn"),
    Convert(a="fp32", b="bf16"),
    Quantizer(a="bf16", b="e2m1_b4_e8m0"),
    Requantize(bits=20, scale="fp16", b="int8"),
]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_the_usual_stimulus_hits_every_bin(spec):
    coverage = collect(spec, whole_stimulus(spec, 2000, 1))
    assert coverage.complete, coverage
    assert (
        len(coverage.bins) > 40
        and str(coverage) == f"{len(coverage.bins)} of {len(coverage.bins)} bins"
    )


def test_what_a_stimulus_leaves_out_shows():
    spec = Convert(a="fp16", b="e4m3fn")
    codes = spec.a.encode(np.linspace(-4, 4, 200))
    missed = set(collect(spec, stimuli.given({"a": codes})).missed)
    assert {
        "a: NaN in lane 0",
        "a: infinity in lane 0",
        "control: two stalls",
        "to e4m3fn: overflow",
        "to e4m3fn: smaller than the smallest",
    } <= missed
    # Ties between values are there: of 2.0 and 2.25, say.
    tie = stimuli.given({"a": spec.a.encode([2.125, 2.375, 2.25])})
    hit = collect(spec, tie).bins
    assert hit["to e4m3fn: normal, tie with the even below"] == 1
    assert hit["to e4m3fn: normal, tie with the odd below"] == 1
    assert hit["to e4m3fn: normal, exact"] == 1


def test_rare_roundings_are_looked_for():
    spec = DotProduct(a="e4m3", b="int8", lanes=4, output="e4m3fn")
    few = stimuli.random(spec, 20, 1)
    before = [name for name in collect(spec, few).missed if name.startswith("to e4m3fn")]
    after = [name for name in collect(spec, filled(spec, few)).missed if name.startswith("to ")]
    assert before and not after


def test_what_cannot_be_reached_is_not_asked_for():
    bins = collect(Convert(a="e2m1", b="fp32"), stimuli.given({"a": np.arange(16)})).bins
    assert "to e8m23ieee: normal, exact" in bins
    assert not [name for name in bins if "tie" in name or "overflow" in name or "NaN" in name]
    spec = DotProduct(a="int4", b="int4", lanes=2, output="fp32")
    wide = dataclasses.replace(spec, output="e4m3fn", overflow="")
    both = [collect(s, stimuli.random(s, 50, 1)).bins for s in (spec, wide)]
    assert not any("tie" in name for name in both[0]) and any("tie" in name for name in both[1])


def test_carries_are_as_long_as_they_are():
    spec = DotProduct(a="int4", b="int4", lanes=1)
    stimulus = stimuli.given(
        {"clear": [1, 0, 0, 0], "a": [1, 7, 15, 1], "b": [1, 1, 9, 15]}
    )  # 1 + 7: a carry along two bits; 8 + 7: none; 15 - 1: along all bits above the lowest four.
    bins = collect(spec, stimulus).bins
    names = [f"accumulator: a carry along {1 << i} bits" for i in range(5)]
    assert [bins.get(name) for name in names] == [2, 2, 1, 1, None]
    minus_one = stimuli.given({"clear": [1, 0], "a": [15, 1], "b": [1, 1]})
    assert collect(spec, minus_one).bins[names[3]] == 1
    unsigned = DotProduct(a="uint4", b="uint4", lanes=1)
    assert not [name for name in collect(unsigned, minus_one).bins if "carry" in name]


def test_numbers_of_each_exponent_and_specials():
    spec = Convert(a="e4m3fn", b="e5m2ieee")
    bins = collect(spec, stimuli.given({"a": np.arange(256)})).bins
    exponents = [int(name.split("^")[1]) for name in bins if "numbers from" in name]
    # From e4m3fn's smallest, 2^-9, to the binade of its 448; all of them in e5m2.
    assert exponents == list(range(-9, 9))
    assert bins["to e5m2ieee: NaN"] == 2 and "to e5m2ieee: infinity" not in bins
