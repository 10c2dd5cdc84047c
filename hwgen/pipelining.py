"""As few register stages as a clock needs, by the delay model of a target."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

from hwgen.errors import InputError
from hwgen.fields import require_kind, shown
from hwgen.plan.delay import DelayModel, model
from hwgen.plan.logic import Path, in_turn
from hwgen.plan.registers import fewest_stages
from hwgen.plan.step import Step
from hwgen.spec import Spec, from_dict
from hwgen.spec.base import require_spec

AnySpec = TypeVar("AnySpec", bound=Spec)


#: The names of the registers of a state, and of the outputs.
STATE, OUTPUTS = "state", "outputs"


@dataclass(frozen=True)
class TimingPath:
    """What lies between two registers: the steps on it.

    ``end``: the name of the registers at its end (the step behind them, ``STATE`` or ``OUTPUTS``).
    ``start``: a register is in front, not an input port.
    """

    end: str
    steps: tuple[Step, ...]
    start: bool = True

    @property
    def path(self) -> Path:
        """Its longest path, if the longest paths of its steps meet."""
        return in_turn(step.path for step in self.steps)


def timing_paths(spec: Spec) -> list[TimingPath]:
    """The paths between the registers of the unit of ``spec``, in their order."""
    boundaries, paths = spec.register_boundaries, []
    passed_steps: list[Step] = []
    start = False
    for index, step in enumerate(spec.steps):
        if index in boundaries:
            paths.append(TimingPath(step.name, tuple(passed_steps), start))
            passed_steps, start = [], True
        passed_steps.append(step)
        if index == spec.state_step:
            paths.append(TimingPath(STATE, tuple(passed_steps), start))
            passed_steps, start = [], True
    if passed_steps:
        paths.append(TimingPath(OUTPUTS, tuple(passed_steps), start))
    # In front of the first step there is no logic between the ports and a register.
    return [path for path in paths if path.steps]


@dataclass(frozen=True)
class Clock:
    """What the delay model says of a unit.

    Its Fmax, the interval that held 90% of placed units that the model had not seen, and the steps
    between two registers that bound it.
    """

    fmax_mhz: float
    low_mhz: float
    high_mhz: float
    bounded_by: tuple[str, ...]


def modelled(spec: Spec) -> Clock:
    """The clock of a unit that is tuned for a target, from its slowest path.

    The path is between registers, or from a port to the first of them. Raises InputError for a unit
    that is not tuned for a target.
    """
    if not spec.pipeline_target:
        raise InputError(f"{spec.name} is not tuned for a target: see hwgen.pipelined")
    times, bits = model(spec.pipeline_target), spec.input_bits
    prices = [
        sum(times.price_fs(step.path, bits) for step in path.steps) for path in timing_paths(spec)
    ]
    slowest = timing_paths(spec)[prices.index(max(prices))]
    period = times.register_ns + max(prices) / 1e6
    return Clock(
        fmax_mhz=1000 / period,
        low_mhz=1000 / (period * (1 + times.error)),
        high_mhz=1000 / (period * max(1 - times.error, 0.01)),
        bounded_by=tuple(step.name for step in slowest.steps),
    )


def pipelined(spec: AnySpec, *, fmax_mhz: float, target: str) -> AnySpec:
    """``spec`` tuned for ``target``, with the fewest stages that reach ``fmax_mhz``.

    Those are the fewest whose modelled period, and the margin of the model, fit the clock; the
    stages that ``spec`` has do not count. Where no number of them does, and the unit has a loop
    that is faster and larger (``Spec.with_fast_loop``), it is made with that.

    Raises:
        InputError: a frequency that is not above zero, a target without a delay model (one that
            this flow cannot place), a mapping to DSP blocks, or a clock that no number of
            stages reaches: the best one is named, and the steps that bound it.

    """
    require_spec(spec)
    require_kind("target", target, ("str",))
    if (
        isinstance(fmax_mhz, bool)
        or not isinstance(fmax_mhz, int | float)
        or not 0 < fmax_mhz < math.inf
    ):
        raise InputError(
            f"fmax_mhz={shown(fmax_mhz)}: give a number of MHz above zero, such as 200"
        )
    times = model(target)
    any_stages = _with_stages(spec, 2, target)
    limit, state = times.allowed_fs(fmax_mhz), any_stages.state_step
    stages = fewest_stages(any_stages.step_delays, limit, state, any_stages.loop)
    if stages is not None:
        return _with_stages(spec, stages, target)
    faster = spec.with_fast_loop()
    if faster is not None:
        return pipelined(faster, fmax_mhz=fmax_mhz, target=target)
    best = modelled(_with_stages(spec, any_stages.most_stages, target))
    raise InputError(
        f"fmax_mhz={fmax_mhz:g}: no number of stages of this {spec.unit} reaches it on {target}; "
        f"the most is {_promised(best, times):.0f} MHz, which the step "
        f"{' and '.join(repr(name) for name in best.bounded_by)} bounds; {_modelled(times)}"
        f"{_with_partial_sums(spec, limit, target)}"
    )


def _with_partial_sums(spec: Spec, limit: int, target: str) -> str:
    """What is said of the fewest partial sums whose loop keeps ``limit``, if there are any."""
    count = 2 if spec.loop is None else spec.loop.partial_sums + 1
    while (other := spec.with_partial_sums(count)) is not None:
        tuned = _with_stages(other, 2, target)
        if fewest_stages(tuned.step_delays, limit, tuned.state_step, tuned.loop) is not None:
            name = other.to_dict()["accumulator"]
            return f"; {count} partial sums that take turns reach it, with accumulator={name!r}"
        count += 1
    return ""


def _promised(clock: Clock, times: DelayModel) -> float:
    """What a period with the margin in it allows, rounded down."""
    return math.floor(clock.fmax_mhz / (1 + times.margin))


def _modelled(times: DelayModel) -> str:
    return (
        f"the delay model adds {times.margin:.0%} to its periods, so that "
        f"{times.margin_share:.0%} of placed units were no slower"
    )


def _with_stages(spec: AnySpec, stages: int, target: str) -> AnySpec:
    """``spec`` tuned for ``target``, with ``stages`` stages."""
    tuned = from_dict({**spec.to_dict(), "pipeline_target": target, "stages": stages})
    assert isinstance(tuned, type(spec))
    return tuned
