"""Proofs of units that keep what no port shows: fast sums, which are rounded where they go out."""

import pytest

from hwgen import emit
from hwgen.spec import MultiplyAccumulate
from sim import formal
from sim.formal import hidden_state, properties

FAST = MultiplyAccumulate(a="e2m1", b="e2m1", accumulator="e3m2ieee:fast")


def test_registers_of_both_circuits_are_found():
    """Each bit of the sum by its name; of a NaN, which never comes, too."""
    subject = properties.Subject(FAST)
    least = properties.least_stages(FAST)
    found = hidden_state.ties((least, FAST), (subject.least, subject.unit))
    names = [
        {r.node: {name for name in r.names if name.startswith("running")} for r in c.registers}
        for c in (subject.least, subject.unit)
    ]
    for first, second in found:
        assert [names[0][node] for node, _ in first] == [names[1][node] for node, _ in second]
    kept = {name for first, _ in found for node, _ in first for name in names[0][node]}
    assert {"running[0]", "running_nan[0]", "running_kept_zero_sign[0]"} <= kept
    assert not hidden_state.is_hidden(MultiplyAccumulate(a="e2m1", b="e2m1", accumulator="e3m2"))


def test_a_pipeline_and_a_netlist_are_proved():
    assert formal.prove(FAST, "pipeline").result == "proved"
    proof = formal.prove(FAST, "netlist", target="ecp5")
    assert (proof.result, proof.claims) == ("proved", 7)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("running <= step_total;", "running <= step_total ^ 9'h1;"),
        (
            "running_positive_infinity <= next_nan_and & ~next_nan;",
            "running_positive_infinity <= next_nan_and;",
        ),
        ("running_kept_zero_sign <= next_zero_sign;", "running_kept_zero_sign <= 1'b0;"),
        ("running <= 9'h0;", "running <= 9'h1;"),
    ],
)
def test_a_fault_in_what_is_kept_is_found(old, new):
    text = emit.verilog(FAST)
    assert text.count(old) == 1
    # Of one of them the solver finds no counterexample soon, or not: it is not proved either way.
    proof = formal.prove(FAST, "pipeline", verilog=text.replace(old, new), timeout_s=40)
    assert proof.result != "proved"
