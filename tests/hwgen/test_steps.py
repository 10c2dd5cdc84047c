"""A unit's step plan: of the spec alone, what limits stages, and what the hardware is built by."""

import statistics
import time

import numpy as np
import pytest
from amaranth.hdl import Fragment, Signal

import hwgen
from hwgen import DotProduct, InputError
from hwgen.plan.logic import Logic, path_of
from hwgen.spec import UNITS, from_dict
from hwgen.units.array import ArrayUnit
from sim.random_specs import legal_spec

KINDS = sorted(UNITS)


def drawn(unit, count, seed, **given):
    rng = np.random.default_rng([seed, *unit.encode()])
    return [legal_spec(UNITS[unit], rng, given) for _ in range(count)]


def with_stages(spec, stages):
    return from_dict({**spec.to_dict(), "stages": stages})


@pytest.mark.parametrize("unit", KINDS)
def test_the_limits_of_stages_are_the_places_of_the_plan(unit):
    """A register in front of each step, and those of the outputs; as many as are asked for."""
    specs = [*drawn(unit, 12, 1, pipeline_target=""), *drawn(unit, 12, 2, pipeline_target="ecp5")]
    for spec in specs:
        places, state = len(spec.steps), spec.state_step
        if spec.loop is not None:  # Of partial sums: some of its steps stay together.
            places -= spec.loop.last - spec.loop.first - spec.loop.most_inside
        behind = int(state is not None and state < places - 1)
        for stages in {1 + behind, places + 1, (2 + behind + places) // 2}:
            staged = with_stages(spec, stages)
            assert staged.steps == spec.steps  # Whatever the stages.
            assert len(staged.register_boundaries) + 1 + behind == stages
        for stages in (behind or -1, places + 2):  # Zero is the usual number of some units.
            with pytest.raises(InputError, match=f"from {1 + behind} to {places + 1}"):
                with_stages(spec, stages)
        names = [step.name for step in spec.steps]
        assert len(set(names)) == len(spec.steps)


def test_a_stage_for_each_level_of_the_bins():
    """E4M3's lanes are summed in bins, whose sums are steps too."""
    spec = DotProduct(a="e4m3", b="e4m3", lanes=8, stages=9)
    assert [step.name for step in spec.steps][-2:] == ["merged1", "accumulate"]
    assert spec.most_stages == 9


@pytest.mark.parametrize("unit", KINDS)
def test_a_plan_makes_no_hardware(unit, monkeypatch):
    specs = [*drawn(unit, 5, 3, pipeline_target=""), *drawn(unit, 5, 3, pipeline_target="ecp5")]

    def refused(*_, **__):
        raise AssertionError("a signal is made")

    monkeypatch.setattr(Signal, "__init__", refused)
    for spec in specs:
        assert from_dict(spec.to_dict()).steps == spec.steps


@pytest.mark.parametrize("unit", KINDS)
def test_a_plan_takes_well_under_a_millisecond_or_a_few(unit):
    """With a bound that a busy machine keeps: the median of some specs, in ms."""
    taken = []
    for spec in [
        *drawn(unit, 8, 4, pipeline_target=""),
        *drawn(unit, 8, 4, pipeline_target="ecp5"),
    ]:
        spec = from_dict(spec.to_dict())
        start = time.process_time()
        assert type(spec).steps.func(spec) == spec.steps
        taken.append(1000 * (time.process_time() - start))
    print(f"{unit}: {statistics.median(taken):.2f} ms, at most {max(taken):.2f} ms")
    assert statistics.median(taken) < 10


@pytest.mark.parametrize("unit", KINDS)
def test_steps_name_what_builds_them_and_what_they_are_made_of(unit):
    for spec in [
        *drawn(unit, 4, 5, pipeline_target=""),
        *drawn(unit, 4, 5, pipeline_target="ecp5"),
    ]:
        component = hwgen.component(spec)
        component._MustUse__silence = True
        builders = [component.builder]
        if isinstance(component, ArrayUnit):
            builders.append(component._element_builder)
        for step in spec.steps:
            if step.build:  # Weights that stay, and sums that go down, are the array's own affair.
                assert any(hasattr(builder, step.build) for builder in builders), step
            assert step.path == path_of(step.logic)
            assert all(isinstance(one, Logic) and one.count >= 0 for one in step.primitives)


@pytest.mark.parametrize("unit", KINDS)
def test_hardware_with_registers_at_every_place_has_the_segments_of_the_plan(unit):
    """Which building asserts: a segment that the plan has not, or that has another name."""
    for spec in drawn(unit, 2, 6, pipeline_target="ecp5"):
        Fragment.get(hwgen.component(with_stages(spec, spec.most_stages)), None)
