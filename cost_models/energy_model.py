"""The model of energy: what toggles in any unit of products, from its step plan and its operands.

For each part of an activity (``cost_models.activity``), as for areas (``cost_models.model``):

1. *structural*: a non-negative combination of the amounts of logic and registers of the step plan
   (``cost_models.structure``), each times toggle rates of words that such logic has
   (``cost_models.operand_words``), so that more hardware, or more that changes, never takes less;
   of clocked registers the plan's own count;
2. *learned*: boosted trees on what a simulation counts of that, the same for all targets.

Each prediction has an interval from errors on designs that its fit did not see, by conformal
prediction; designs are held out with all their operands. ``python -m cost_models.energy_fit`` makes
``energy.npz`` of the simulations that ship.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
import numpy.typing as npt

import yosys_scripts
from cost_models import model
from cost_models.energy_structure import MULTIPLY, RATES_OF, zones
from cost_models.energy_terms import PARTS, Activity
from cost_models.model import UNKNOWN, Stratum
from cost_models.operand_words import RATES, Words
from cost_models.structure import Inputs, inputs
from cost_models.trees import Floats, Trees
from hwgen.errors import InputError
from hwgen.files import whole_file
from hwgen.spec import Spec

FILE = "energy.npz"
#: What is added before figures are compared: none is zero then.
OFFSET = 1.0
ENERGY, NOTHING = "energy", "nothing like it"


@dataclass(frozen=True)
class Part:
    """The fitted model of one part: coefficients by target, of the columns; trees for all."""

    columns: tuple[str, ...]
    coefficients: Mapping[str, Floats]
    trees: Trees


@dataclass(frozen=True)
class Prediction:
    """An activity, and how far its energy may be off: ``error``, larger ÷ smaller minus 1.

    ``checked``: whether designs like it were held out, as ``basis`` says.
    """

    activity: Activity
    error: float
    checked: bool
    basis: str


@dataclass(frozen=True)
class EnergyModel:
    """All parts; ``strata`` by target and the name of designs that are alike.

    ``settings``: those that the trees ask of; ``targets``: those that they tell apart; ``units``:
    those that were simulated; ``samples``: how many simulations there were.
    """

    parts: Mapping[str, Part]
    settings: tuple[str, ...]
    strata: Mapping[tuple[str, str], Stratum]
    units: frozenset[str]
    targets: tuple[str, ...]
    samples: int

    def predict(self, spec: Spec, target: str, words: Words) -> Prediction:
        """The activity of a unit on a target with operands of these words."""
        one, target = inputs(spec), counted_as(target, spec.mapping)
        if target not in self.targets:
            raise InputError(
                f"nothing of target {target!r} was simulated, and no energy can be predicted: use "
                f"one of {', '.join(self.targets)}, or a simulation"
            )
        of = sizes(spec, target)
        activity = Activity(*(self._part(name, spec, of, target, words) for name in PARTS))
        name = likeness(one)
        stratum = self.strata.get((target, name), UNKNOWN)
        if one.unit not in self.units or not math.isfinite(stratum.error):
            known = [s.error for s in self.strata.values() if math.isfinite(s.error)]
            error = (1 + max(known, default=1.0)) ** 2 - 1
            return Prediction(
                activity,
                error,
                False,
                f"within {error:.1%}, a guess: too few were simulated of {one.unit} on {target}",
            )
        return Prediction(
            activity,
            stratum.error,
            True,
            f"within {stratum.error:.1%}, as 90% of {stratum.count} simulations that were left out "
            f"({name})",
        )

    def _part(self, name: str, spec: Spec, of: Sizes, target: str, words: Words) -> float:
        part = self.parts[name]
        found = products(name, spec, of, words)
        row = np.array([found.get(column, 0.0) for column in part.columns])
        base = float(row @ part.coefficients[target])
        if base <= 0:
            return 0.0
        here = [float(one == target) for one in self.targets]
        learned = np.append(tree_row(inputs(spec), of, words, base, self.settings), here)
        log = float(part.trees.predict(learned[None, :])[0])
        return max((base + OFFSET) * math.exp(log) - OFFSET, 0.0)


@functools.cache
def counted_as(target: str, mapping: str) -> str:
    """The first target whose commands map designs so: its simulations are those of this one."""
    script = yosys_scripts.target(target).script(mapping)
    for name in yosys_scripts.TARGETS:
        other = yosys_scripts.target(name)
        if mapping in other.mappings and other.script(mapping) == script:
            return name
    return target


def likeness(one: Inputs) -> str:
    """What the errors of a unit are like."""
    if " mapped to lut" not in one.unit:
        return "units with DSP blocks"
    return one.group.replace(" of one lane", "")


#: LUTs and the like of a unit on a target, as the models of area predict them.
Sizes: TypeAlias = Mapping[str, float]


@functools.lru_cache(maxsize=8_000)
def sizes(spec: Spec, target: str) -> Sizes:
    """What the models of area say of a unit, whatever the store has."""
    return {name: model.of(target, name).predict(spec, target).value for name in model.AREA}


def products(part: str, spec: Spec, of: Sizes, words: Words) -> dict[str, float]:
    """What a part is a combination of: amounts times toggle rates, by the names of both."""
    if part == "clocked":
        return {"ff": of["ff"]}
    made_of, rates = zones(spec), words.rates
    found: dict[str, float] = {}
    if part == "dsp_toggles":
        if of["dsp"]:
            amounts = {"dsp": of["dsp"], **made_of.blocks}
            for name, amount in amounts.items():
                for rate in RATES_OF[MULTIPLY]:
                    found[f"{name} {rate}"] = amount * rates[rate]
        return found
    if part == "registers":
        # Of those of the plan a target may have fewer, in DSP blocks, or more.
        there = of["ff"] / (inputs(spec).registers or 1)
        for zone, bits in made_of.registers.items():
            for rate in RATES_OF[zone]:
                found[f"{zone} {rate}"] = bits * rates[rate] * there
        return found
    for (zone, name), amount in made_of.logic.items():
        for rate in RATES_OF[zone]:
            found[f"{zone} {name} {rate}"] = amount * rates[rate]
    for rate in RATES:
        found[f"lut {rate}"] = of["lut"] * rates[rate]
        found[f"carry {rate}"] = of["carry"] * rates[rate]
    found["inputs operand"] = inputs(spec).settings["input_bits"] * rates["operand"]
    return found


def tree_row(one: Inputs, of: Sizes, words: Words, base: float, settings: Sequence[str]) -> Floats:
    """What the trees ask of, but for the target: settings, words, size, shares of the amounts."""
    total = sum(one.amounts.values()) or 1.0
    shares = [one.amounts.get(name, 0.0) / total for name in SHARES]
    of_words = [*(words.rates[r] for r in RATES), words.zeros, words.negative, words.spread]
    numbers = [one.settings[name] for name in settings]
    areas = [of[name] / (of["lut"] + of["ff"] + 1) for name in model.AREA]
    return np.array([*numbers, *of_words, math.log(base + 1), *shares, *areas])


#: Amounts whose shares in all of them the trees ask of.
SHARES = (
    *("adder_bits", "short_adder_bits", "row_bits", "table_bits", "multiplier_bits"),
    *("multiplexer_bits", "shifter_bits", "gate_bits", "decoder_bits", "register_bits"),
)


@functools.cache
def shipped() -> EnergyModel:
    """The model that ships."""
    with resources.files("cost_models").joinpath(FILE).open("rb") as stream:
        return read(stream)


def write(file: Path, fitted: EnergyModel, data: str) -> None:
    """Writes a model, and the digest of the ``data`` that it was fitted to, as numbers alone."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    for name, part in fitted.parts.items():
        for field in ("feature", "threshold", "leaf"):
            arrays[f"{name}_{field}"] = getattr(part.trees, field)
        for target, coefficients in part.coefficients.items():
            arrays[f"{name}_{target}"] = coefficients
    about = {
        "data": data,
        "columns": {name: part.columns for name, part in fitted.parts.items()},
        "targets": fitted.targets,
        "settings": fitted.settings,
        "strata": [[*key, s.error, s.count] for key, s in fitted.strata.items()],
        "units": sorted(fitted.units),
        "samples": fitted.samples,
    }
    arrays["about"] = np.array(json.dumps(about))
    with whole_file(file) as new:
        np.savez_compressed(new, allow_pickle=False, **arrays)


def read(stream: IO[bytes]) -> EnergyModel:
    """The model that ``write`` wrote."""
    with np.load(stream, allow_pickle=False) as arrays:
        about = json.loads(str(arrays["about"]))
        parts = {
            name: Part(
                tuple(columns),
                {target: arrays[f"{name}_{target}"] for target in about["targets"]},
                Trees(*(arrays[f"{name}_{field}"] for field in ("feature", "threshold", "leaf"))),
            )
            for name, columns in about["columns"].items()
        }
    return EnergyModel(
        parts=parts,
        settings=tuple(about["settings"]),
        strata={(target, name): Stratum(e, n) for target, name, e, n in about["strata"]},
        units=frozenset(about["units"]),
        targets=tuple(about["targets"]),
        samples=about["samples"],
    )


def fitted_to() -> str:
    """The digest of the simulations, held out ones too, that the shipped model was made with."""
    file = resources.files("cost_models").joinpath(FILE)
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        return str(json.loads(str(arrays["about"]))["data"])
