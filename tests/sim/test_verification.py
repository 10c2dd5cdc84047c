"""Units in the simulator; and that the bench finds faults that are put there."""

import functools

import numpy as np
import pytest
from netlists import require_equal_netlist

import hwgen
from hwgen import DotProduct, InputError, ToolError
from sim import golden, tools, verification, verify, verify_inputs
from sim import stimulus as stimuli
from sim.batch import verify_batch

#: (a, b, lanes): every kind of product, odd lane counts, wide and narrow accumulators.
MATRIX = [
    ("int2", "int7", 3),
    ("e4m3", "e4m3", 4),
    ("int8", "int8", 16),
    ("e2m1", "e2m1", 32),
    ("e2m1", "int4", 7),
    ("int6", "e3m4", 2),
    ("e5m2", "e2m3", 1),
    ("e5m2", "e5m2", 3),
    ("e3m1", "int3", 64),
]


def dot(a, b, lanes):
    return DotProduct(a=a, b=b, lanes=lanes, max_products=lanes * 8)


@pytest.mark.parametrize(("a", "b", "lanes"), MATRIX[:2])
def test_unit_equals_golden_model(a, b, lanes):
    outcome = verify(dot(a, b, lanes), vectors=500)
    assert outcome.passed, outcome.shown
    assert outcome.vectors > 500


def test_units_equal_golden_models():
    """In one simulation, without cocotb."""
    outcome = verify_batch([dot(*row) for row in MATRIX[2:]], vectors=500)
    assert outcome.passed, outcome.shown
    assert min(outcome.vectors.values()) > 500


@pytest.mark.parametrize("target", ["ecp5", "xc7", "ice40"])
@pytest.mark.parametrize("mapping", ["lut", "dsp"])
def test_mapped_netlist_equals_golden_model(target, mapping):
    """The netlist of the target's cells, with the vendor's cell models."""
    spec = DotProduct(a="e3m2", b="int5", lanes=3, max_products=48, mapping=mapping)
    cycles = (stimuli.directed(spec), stimuli.random(spec, 300, 1), stimuli.flush(spec))
    require_equal_netlist(spec, target, stimuli.concatenate(*cycles))


def test_same_seed_same_vectors():
    spec = DotProduct(a="int4", b="e3m2", lanes=4)
    first, again, other = (stimuli.random(spec, 100, seed) for seed in (5, 5, 6))
    assert (first.inputs["a"] == again.inputs["a"]).all() and (first.enable == again.enable).all()
    assert (first.inputs["a"] != other.inputs["a"]).any()


def test_directed_vectors_reach_the_accumulators_ends():
    spec = DotProduct(a="int8", b="e4m3", lanes=4, max_products=64)
    directed = stimuli.directed(spec)
    sums = golden.expected(spec, directed.inputs)["accumulator"][:, 0]
    low, high = spec.product_range
    assert max(sums) == high * 64 and min(sums) == low * 64


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("accumulate_terms_0 <= ", "accumulate_terms_0 <= 1 + "),  # off by one
        ("valid_out <= valid_", "valid_out <= !valid_"),
        ("accumulate_clear <= ", "accumulate_clear <= 1'b0 & "),
        ("if (enable)", "if (1'b1)"),
    ],
)
def test_a_fault_in_the_hardware_is_found(old, new):
    spec = DotProduct(a="e2m1", b="int4", lanes=2)
    verilog = hwgen.verilog(spec)
    faulty = verilog.replace(old, new)
    assert faulty != verilog
    outcome = driven(spec, faulty)
    assert not outcome.passed and outcome.mismatches > 0
    shown = outcome.shown[0]
    assert shown.expected != shown.got and len(shown.inputs["a"]) == 2
    assert driven(spec, verilog).passed


@functools.cache
def driven(spec, verilog):
    """What random cycles say of the Verilog, once."""
    stimulus = stimuli.concatenate(stimuli.random(spec, 200, 1), stimuli.flush(spec))
    return verification.run(spec, stimulus, verilog=verilog)


def test_given_operands():
    spec = DotProduct(a="int4", b="int4", lanes=2)
    a = np.array([[1, 2], [15, 8]], np.uint8)
    outcome = verify_inputs(spec, {"clear": [1, 0], "a": a, "b": a})
    assert outcome.passed and outcome.vectors == 2 + spec.latency


def test_broken_verilog_is_a_tool_error():
    spec = DotProduct(a="int4", b="int4", lanes=2)
    for text, message in ((f"module {spec.name}(;", "failed"), ("", "0 modules")):
        with pytest.raises(ToolError, match=message):
            verification.run(spec, stimuli.random(spec, 5, 1), verilog=text)


def test_missing_tools_are_named(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ToolError, match=r"c\+\+ .* make .* perl"):
        verify(DotProduct(a="int4", b="int4", lanes=2))


def test_a_space_in_the_path_is_explained(monkeypatch, tmp_path):
    monkeypatch.setattr(tools, "package_folder", lambda name: tmp_path / "a b")
    with pytest.raises(ToolError, match="space in its path"):
        verify(DotProduct(a="int4", b="int4", lanes=2))


@pytest.mark.parametrize("arguments", [{"vectors": 0}, {"vectors": -3}, {"seed": -1}])
def test_bad_counts(arguments):
    with pytest.raises(InputError, match="use a whole number"):
        verify(DotProduct(a="int4", b="int4", lanes=2), **arguments)
