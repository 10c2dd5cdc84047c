"""Whole units in the simulator: pipelines of every length, stalls, wide ports, random bits."""

import pytest

from hwgen.spec import Convert, LMul, Multiply
from sim import stimulus as stimuli
from sim import verification, verify

SPECS = [
    Multiply(a="e4m3fn", b="e5m2ieee", stages=1),
    Multiply(a="int16", b="e4m3ext", stages=4, mapping="dsp"),
    LMul(a="bf16", b="bf16", stages=3),
    LMul(a="e4m3fn", b="fp16", output="int8", stages=1),
    LMul(a="e5m2ieee", b="e4m3fn", stages=4, rounding="stochastic", overflow="special"),
    Convert(a="fp32", b="e4m3fn", stages=1, overflow="special"),
    Convert(a="fp16", b="e2m1", stages=2, rounding="stochastic"),
    Convert(a="int16", b="bf16", stages=3, rounding="up"),
]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_unit_equals_golden_model(spec):
    outcome = verify(spec, vectors=300)
    assert outcome.passed, outcome.shown
    assert outcome.vectors > 300


def test_a_product_of_hundreds_of_bits():
    spec = Multiply(a="fp32", b="fp32", stages=2)
    assert spec.product_width == 555
    cycles = stimuli.concatenate(stimuli.random(spec, 300, 1), stimuli.flush(spec))
    cycles.inputs["b"][:2] = 0x7F800000  # infinity
    outcome = verification.run(spec, cycles)
    assert outcome.passed, outcome.shown


def test_a_pipeline_that_does_not_stall_is_found():
    spec = LMul(a="e2m1", b="e2m1", stages=3)
    verilog = spec.verilog()
    faulty = verilog.replace("if (enable)", "if (1'b1)")
    assert faulty != verilog
    stimulus = stimuli.concatenate(stimuli.random(spec, 200, 1), stimuli.flush(spec))
    outcome = verification.run(spec, stimulus, verilog=faulty)
    assert not outcome.passed and set(outcome.shown[0].inputs) == {"a", "b"}
