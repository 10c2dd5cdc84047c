"""Energy of one operation of a unit: predicted in a moment, or from a simulation of its netlist.

What toggles (``cost_models.activity``), times what that takes on the target
(``cost_models.energy_terms``). Where published measurements tell what it takes, an answer is in pJ;
elsewhere it is a ratio to a named design on the same target. Dynamic energy alone: what a device
takes that does nothing, and what its clock network takes with nothing at it, are not in it. The
simulations have no delays, and so no glitches: what those add is in the iCE40's net term as far as
the multiplier that was measured glitches alike, and in that of no other target.
"""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from typing import Any

import yosys_scripts
from cost_models import energy_model, measurement
from cost_models.energy_terms import PARTS, STAND_IN, Activity, Terms, terms
from cost_models.operand_words import words
from cost_models.operands import UNIFORM, Operands, elements, operands, stimulus
from hwgen.errors import InputError
from hwgen.fields import require_kind
from hwgen.spec import DotProduct, Spec
from hwgen.spec.base import require_spec

PREDICTED, SIMULATED = "predicted", "simulated"
#: Cycles of a simulation, and the seed of what is drawn for it.
CYCLES, SEED = 1000, 1
_LANE = "one multiply-accumulate of one lane"
#: Units that energy is known of, and what an operation of each is.
OPERATIONS = {
    **{"dot": _LANE, "fixeddot": _LANE, "blockdot": _LANE},
    "sumsquares": "one square of one lane, added",
    **{"mul": "one product", "lmul": "one product"},
}
#: The design that ratios are to, with uniform codes.
REFERENCE = {"a": "int8", "b": "int8", "lanes": 4}


@dataclass(frozen=True)
class Energy:
    """Energy of one operation, and what it stands on.

    ``value``: the best estimate, ``low`` to ``high`` its interval: that of the activity, if it is
    predicted, times that of the terms. In pJ, or, if a ``reference`` is named, in energies of that
    design's operation. ``parts``: shares of nets, registers' outputs, clocks and DSP blocks.
    ``activity``: of a clock cycle of the whole unit. ``source``: predicted or simulated.
    """

    value: float
    low: float
    high: float
    source: str
    operation: str
    operands: dict[str, str]
    activity: dict[str, float]
    parts: dict[str, float]
    reference: str | None
    basis: str

    @property
    def field(self) -> str:
        """What the value is called beside other figures of a unit."""
        return "energy_pj" if self.reference is None else "energy_ratio"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return dataclasses.asdict(self)


def energy(
    spec: Spec, target: str, a: Any = UNIFORM, b: Any = UNIFORM, *, simulate: bool = False
) -> Energy:
    """Energy of one operation of ``spec`` on ``target``, with operands like ``a`` and ``b``.

    Operands: ``"uniform"``, ``"gaussian:sigma=S"``, ``"gaussian:crest=C"``, or an array of numbers
    in their order, lane by lane (``cost_models.operands``). With ``simulate`` the unit is
    synthesised and its netlist simulated, and compared with the golden model; the store keeps what
    was counted. Else it takes a moment, and no tool.

    Raises:
        InputError: a unit that energy is not known of, an unknown target or mapping, operands that
            are none or do not fit their format, or ``b`` of a unit that has no such port.
        ToolError: as for a synthesis and a simulation.

    """
    require_spec(spec)
    require_kind("target", target, ("str",))
    require_kind("simulate", simulate, ("bool",))
    if spec.unit not in OPERATIONS:
        raise InputError(
            f"energy of unit {spec.unit} is not known yet: use {', '.join(OPERATIONS)}"
        )
    measurement.require_mapping(target, spec.mapping)
    given = {"a": operands("a", a)}
    if "b" in elements(spec):
        given["b"] = operands("b", b)
    elif not (isinstance(b, str) and b == UNIFORM):
        raise InputError(f"b: unit {spec.unit} has no operand b: leave it out")
    if simulate:
        return _simulated(spec, target, given)
    return _predicted(spec, target, tuple(given.items()))


@functools.lru_cache(maxsize=4_000)
def _predicted(spec: Spec, target: str, given: tuple[tuple[str, Operands], ...]) -> Energy:
    model, of_target = energy_model.shipped(), terms(target)
    found = model.predict(spec, target, words(spec, dict(given)))
    basis = f"activity {found.basis}, of {model.samples} simulations fitted"
    return _told(spec, of_target, dict(given), found.activity, found.error, basis, PREDICTED)


def _simulated(spec: Spec, target: str, given: dict[str, Operands]) -> Energy:
    from cost_models import activity  # Tools, which a prediction does without.

    cycles = stimulus(spec, given, CYCLES, SEED)
    (counted,) = activity.simulated(spec, target, [cycles])
    basis = f"activity of {len(cycles)} cycles of the mapped netlist, without delays"
    of_target = terms(target)
    found = Activity.of_row(counted.result)
    return _told(spec, of_target, given, found, 0.0, basis, SIMULATED)


def _told(
    spec: Spec,
    of_target: Terms,
    given: dict[str, Operands],
    found: Activity,
    error: float,
    basis: str,
    source: str,
) -> Energy:
    lanes = elements(spec)["a"].count
    whole = of_target.energy(found)
    value, reference = whole / lanes, None
    low, high = of_target.low, of_target.high
    if not of_target.absolute:
        other = DotProduct(**REFERENCE)  # type: ignore[arg-type]
        value /= _reference(of_target.target)
        low = high = 1.0
        reference = f"{other.name} on {of_target.target}, uniform codes"
        basis = (
            f"{basis}; nothing was measured on {of_target.target}: a ratio to a predicted "
            f"operation of {other.name} there, by the weights of {STAND_IN}"
        )
    else:
        basis = f"{basis}; terms from {of_target.basis}"
    parts = of_target.parts(found)
    return Energy(
        value=round(value, 4),
        low=round(value * low / (1 + error), 4),
        high=round(value * high * (1 + error), 4),
        source=source,
        operation=OPERATIONS[spec.unit],
        operands={name: one.name for name, one in given.items()},
        activity={part: round(n, 2) for part, n in found.to_dict().items()},
        parts={part: round(parts[part] / whole, 4) if whole else 0.0 for part in PARTS},
        reference=reference,
        basis=basis,
    )


@functools.cache
def _reference(target: str) -> float:
    """A lane's energy of the reference design, by the terms that stand in."""
    spec = DotProduct(**REFERENCE)  # type: ignore[arg-type]
    yosys_scripts.target(target)
    given = {name: operands(name, UNIFORM) for name in ("a", "b")}
    found = energy_model.shipped().predict(spec, target, words(spec, given)).activity
    return terms(target).energy(found) / spec.lanes
