"""Many units in one simulation: a build of Verilator costs about the same for one as for ten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy.typing as npt

from hwgen import emit
from hwgen.spec import Spec
from sim import compiled
from sim import stimulus as stimuli
from sim.stimulus import Stimulus
from sim.verification import DEFAULT_VECTORS, whole_stimulus


@dataclass(frozen=True)
class BatchRun:
    """Outcome of a run of several units.

    ``vectors``: clock cycles checked of each unit, by its name; ``mismatches``: those of all units
    that were wrong; ``shown``: the first of them, with the unit's name.
    """

    vectors: dict[str, int]
    mismatches: int
    shown: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Every checked cycle of every unit agreed."""
        return self.mismatches == 0 and all(self.vectors.values())


@dataclass(frozen=True)
class Driven(compiled.Run):
    """A unit that is driven with a stimulus of its own."""

    driven: Stimulus = field(kw_only=True)

    def stimulus(self, segment: int) -> Stimulus:
        """The one that is given."""
        return self.driven


def verify_batch(
    specs: Sequence[Spec], *, vectors: int = DEFAULT_VECTORS, seed: int = 1
) -> BatchRun:
    """As ``sim.verify``, of all ``specs`` in one simulation, without cocotb.

    InputError for two specs of the same name, and as ``sim.verify``.
    """
    return run_batch([(spec, whole_stimulus(spec, vectors, seed)) for spec in specs])


def verify_inputs_batch(cases: Sequence[tuple[Spec, Mapping[str, npt.ArrayLike]]]) -> BatchRun:
    """As ``sim.verify_inputs``, of all ``cases`` in one simulation.

    ``cases``: each a spec and patterns of its input ports, (cycles, count). InputError as for
    ``verify_batch``.
    """
    return run_batch(
        [
            (spec, stimuli.concatenate(stimuli.given(inputs), stimuli.flush(spec)))
            for spec, inputs in cases
        ]
    )


def run_batch(cases: Sequence[tuple[Spec, Stimulus]]) -> BatchRun:
    """Simulates each unit on its own stimulus, all in one simulation.

    InputError as for ``verify_batch``, ToolError as for ``sim.compiled.check``.
    """
    runs = [Driven(spec, emit.verilog(spec), 1, driven=stimulus) for spec, stimulus in cases]
    outcomes = compiled.check(runs)
    names = [spec.name for spec, _ in cases]
    return BatchRun(
        {name: outcome.cycles for name, outcome in zip(names, outcomes, strict=True)},
        sum(outcome.mismatches for outcome in outcomes),
        tuple(
            f"{name} {mismatch}"
            for name, outcome in zip(names, outcomes, strict=True)
            for mismatch in outcome.shown
        ),
    )
