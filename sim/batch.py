"""Many units in one simulation: a build of Verilator costs about the same for one as for ten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from hwgen import emit
from hwgen.errors import InputError
from hwgen.pins import pins
from hwgen.spec import Spec
from sim import stimulus as stimuli
from sim.stimulus import Stimulus
from sim.verification import DEFAULT_VECTORS, driven, simulate, whole_stimulus

TOP = "batch"
CLOCK = ("clk", "rst")


@dataclass(frozen=True)
class BatchRun:
    """Outcome of a run of several units.

    ``vectors``: clock cycles checked of each unit, by its name; ``mismatches``: cycles in which
    some unit was wrong; ``shown``: the first of them, with the unit's name.
    """

    vectors: dict[str, int]
    mismatches: int
    shown: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Every checked cycle of every unit agreed."""
        return self.mismatches == 0 and all(self.vectors.values())


def verify_batch(
    specs: Sequence[Spec], *, vectors: int = DEFAULT_VECTORS, seed: int = 1
) -> BatchRun:
    """As ``sim.verify``, of all ``specs`` in one simulation.

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

    InputError as for ``verify_batch``, ToolError as for ``sim.verification.run_bench``.
    """
    specs = [spec for spec, _ in cases]
    if len({spec.name for spec in specs}) != len(specs):
        raise InputError("give each spec once: their modules' names must differ")
    inputs: dict[str, list[int]] = {}
    outputs: dict[str, list[int | None]] = {}
    lengths = {}
    for index, (spec, stimulus) in enumerate(cases):
        unit_inputs, unit_outputs = driven(spec, stimulus)
        lengths[spec.name] = len(unit_inputs["enable"])
        inputs |= {f"u{index}_{name}": values for name, values in unit_inputs.items()}
        outputs |= {f"u{index}_{name}": values for name, values in unit_outputs.items()}
    longest = max(lengths.values())
    # A unit that is done stands still, and nobody looks at it.
    padded_inputs = {name: v + [0] * (longest - len(v)) for name, v in inputs.items()}
    padded_outputs = {name: [*v, *[None] * (longest - len(v))] for name, v in outputs.items()}
    verilog = "\n".join([emit.verilog(spec) for spec in specs] + [_top(specs)])
    result = simulate(verilog, TOP, padded_inputs, padded_outputs)
    return BatchRun(
        lengths, result["mismatches"], tuple(_shown(specs, result["shown"], padded_outputs))
    )


def _top(specs: Sequence[Spec]) -> str:
    """A module that has every unit's pins, with the unit's number before their names."""
    ports, body = ["input clk", "input rst"], []
    for index, spec in enumerate(specs):
        own = [pin for pin in pins(spec) if pin.name not in CLOCK]
        ports += [
            f"{'output' if pin.output else 'input'} {pin.range}u{index}_{pin.name}" for pin in own
        ]
        wires = [f".{name}({name})" for name in CLOCK]
        wires += [f".{pin.name}(u{index}_{pin.name})" for pin in own]
        body.append(f"  {spec.name} u{index} ({', '.join(wires)});")
    return "\n".join([f"module {TOP}({', '.join(ports)});", *body, "endmodule", ""])


def _shown(
    specs: Sequence[Spec], mismatches: list[dict[str, Any]], outputs: dict[str, list[int | None]]
) -> list[str]:
    lines = []
    for mismatch in mismatches:
        cycle = mismatch["cycle"]
        for port, got in mismatch["got"].items():
            expected = outputs[port][cycle]
            if expected is not None and got != expected:
                unit, _, pin = port.partition("_")
                name = specs[int(unit[1:])].name
                lines.append(f"{name} cycle {cycle}: {pin} expected {expected} got {got}")
    return lines
