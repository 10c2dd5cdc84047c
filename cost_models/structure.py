"""What a unit is made of, in bits: the inputs of the cost model, for any unit.

All of it is read from the spec and its step plan, without making the hardware.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import yosys_scripts
from hwgen.formats import BlockFormat, Scalar
from hwgen.formats.rounding import MODES, RANDOM_BITS
from hwgen.pipelining import timing_paths
from hwgen.plan import logic
from hwgen.plan.delay import USUAL_TARGET, models
from hwgen.sizes.dsp_multiplier import PACKED_FOR
from hwgen.spec import UNITS, DotProduct, Spec
from hwgen.spec.base import spec_fields

#: Fields in which two designs of one family differ.
NEARBY_FIELDS = ("lanes", "rows", "columns", "blocks", "stages", "pipeline_target", "max_products")
#: Fields that say how many of something there are.
SIZES = ("lanes", "rows", "columns", "blocks")
#: Bits of a product from which the mapping ``auto`` takes a DSP block (iCE40: two more).
WIDE_PRODUCT = 9


@dataclass(frozen=True)
class Inputs:
    """What the cost model reads of a spec.

    ``amounts``: of the structural part, by name; ``settings``: what else the trees ask for.
    ``registers``: bits of them; ``multipliers``: bits of both factors, and how many there are;
    ``kinds``: of what the plan counts itself the units of which that is exact, or not. ``unit``:
    with its mapping; ``group``: of units whose errors are alike. ``family``: a digest of the
    designs that differ in ``NEARBY_FIELDS`` alone, of which ``place`` tells one from the other.
    ``paths``: as of the function of that name.
    """

    amounts: Mapping[str, float]
    settings: Mapping[str, float]
    registers: int
    mapping: str
    multipliers: tuple[tuple[int, int, int], ...]
    unit: str
    kinds: Mapping[str, str]
    group: str
    family: str
    paths: tuple[tuple[float, float, float], ...]
    place: npt.NDArray[np.float64]


@functools.lru_cache(maxsize=8_000)
def inputs(spec: Spec) -> Inputs:
    """What the cost model reads of ``spec``; it is kept for the next time."""
    return read(spec)


def read(spec: Spec) -> Inputs:
    """What the cost model reads of ``spec``."""
    made_of, numbers, held = amounts(spec), settings(spec), registers(spec)
    dsp = spec.mapping != "lut"
    steps = len(spec.steps) or 1
    place = [sum(numbers[name] for name in SIZES)]
    place += [numbers[f"{which}registered"] / steps for which in ("", "first_", "last_")]
    rounds = getattr(spec, "output", None) is not None
    return Inputs(
        amounts={**made_of, "register_bits": held, "unit": 1.0},
        settings={**numbers, **{f"mapping_{m}": spec.mapping == m for m in ("lut", "dsp", "auto")}},
        registers=held,
        mapping=spec.mapping,
        multipliers=multipliers(spec),
        unit=f"{spec.unit} mapped to {spec.mapping}",
        kinds={
            "ff": f"{spec.unit}/{spec.mapping}/{getattr(spec, 'accumulator', '')}/{rounds}",
            "dsp": f"{spec.unit}/{spec.mapping}" if dsp else "none",
        },
        group=_group(spec, rounds),
        family=_family(type(spec), tuple((n, getattr(spec, n)) for n in _alike(type(spec)))),
        paths=paths(spec),
        place=np.array(place),
    )


@functools.cache
def _alike(kind: type[Spec]) -> tuple[str, ...]:
    """The fields that all designs of a family of this kind of unit have the same."""
    return tuple(f.name for f in spec_fields(kind) if f.name not in (*NEARBY_FIELDS, "weights"))


@functools.lru_cache(maxsize=10_000)
def _family(kind: type[Spec], alike: tuple[tuple[str, Any], ...]) -> str:
    fields = {"unit": kind.unit, **{name: str(value) for name, value in alike}}
    if kind.exchangeable:
        fields["a"], fields["b"] = sorted((fields["a"], fields["b"]))
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:16]


def _group(spec: Spec, rounds: bool) -> str:
    exact = str(getattr(spec, "accumulator", "")) == "exact"
    if spec.unit != "dot" or rounds or not exact or spec.mapping != "lut":
        return "other units and settings"
    assert isinstance(spec, DotProduct)
    return f"exact dot products{' of one lane' * (spec.lanes == 1)}"


def paths(spec: Spec) -> tuple[tuple[float, float, float], ...]:
    """What each path between registers passes: LUTs, carry chains, and bits along those."""
    lengths = []
    for path in timing_paths(spec):
        of_steps = [step.path for step in path.steps]
        luts, chains = sum(p.luts for p in of_steps), sum(p.chains for p in of_steps)
        lengths.append((luts, chains, sum(p.chain_bits for p in of_steps)))
    return tuple(lengths) or ((0.0, 0.0, 0.0),)


def path_ns(spec: Spec, target: str) -> float:
    """The slowest path between registers by the delay model of a target, in ns."""
    return float(paths_ns([inputs(spec)], target)[0])


def paths_ns(read: Sequence[Inputs], target: str) -> npt.NDArray[np.float64]:
    """The slowest path of each unit, as ``path_ns``; shape (n,)."""
    times = models().get(target, models()[USUAL_TARGET])
    luts, chains, chain_bits = np.array([path for one in read for path in one.paths]).T
    counts = [len(one.paths) for one in read]
    size = np.log2(np.maximum([one.settings["input_bits"] for one in read], 2)).repeat(counts)
    logic = luts * (times.lut_ns + times.lut_size_ns * size)
    logic += chains * (times.chain_ns + times.chain_size_ns * size)
    logic += chain_bits * times.chain_bit_ns
    starts = np.cumsum([0, *counts[:-1]])
    return times.register_ns + np.maximum.reduceat(logic, starts)


#: Adders and comparators of so few bits are logic on some targets; see ``yosys_scripts``.
SHORT = 5


def _chain(name: str) -> Callable[[Any], dict[str, float]]:
    def amounts(one: Any) -> dict[str, float]:
        length = "short_" if one.width <= SHORT else ""
        return {f"{length}{name}_bits": one.width, f"{length}{name}s": 1}

    return amounts


def _rows(one: Any) -> dict[str, float]:
    """Of a product of factors: its bits as a table, or rows in pairs."""
    if one.wide + one.narrow <= logic.FactorRows.SMALL:
        return {"table_bits": one.wide + one.narrow, "tables": 1}
    return {"row_bits": one.wide * one.narrow, "rows": (one.narrow + 1) // 2, "products": 1}


def _multiplier(one: Any) -> dict[str, float]:
    return {
        "multiplier_bits": one.wide * one.narrow,
        "multiplier_sides": one.wide + one.narrow,
        "multipliers": 1,
    }


#: Of each kind of primitive, what one of it adds to which amounts.
AMOUNTS: dict[type[logic.Logic], Callable[[Any], dict[str, float]]] = {
    logic.Adder: _chain("adder"),
    logic.Comparator: _chain("comparator"),
    logic.Magnitude: lambda one: {"magnitude_bits": one.width},
    logic.Negation: lambda one: {"negation_bits": one.width},
    logic.Gates: lambda one: {"gate_bits": one.width * one.levels},
    logic.Multiplexer: lambda one: {"multiplexer_bits": one.width},
    logic.Selection: lambda one: {"selection_bits": one.width * one.branches},
    logic.Shifter: lambda one: {"shifter_bits": one.width * one.levels},
    logic.AnyBit: lambda one: {"any_bits": max(one.width - 1, 0)},
    logic.Decoder: lambda one: {
        "decoders": 1,
        "decoder_exponent_bits": one.format.exponent_bits,
        "decoder_bits": one.format.bits,
    },
    logic.FactorRows: _rows,
    logic.Multiplier: _multiplier,
    logic.Square: lambda one: {"square_bits": one.width * (one.width + 1) / 2},
}


def amounts(spec: Spec) -> dict[str, float]:
    """Bits, or the number, of each kind of logic in the unit, by name.

    Products in DSP blocks are apart, under names with the mapping.
    """
    total: dict[str, float] = defaultdict(float)
    for step in spec.steps:
        for primitive in step.primitives:
            copies, mapping = primitive.count * step.copies, block_mapping(primitive, spec.mapping)
            for name, amount in AMOUNTS[type(primitive)](primitive).items():
                total[f"{name}_{mapping}" if mapping else name] += amount * copies
    return dict(total)


def multipliers(spec: Spec) -> tuple[tuple[int, int, int], ...]:
    """Of the products that may take DSP blocks bits of both factors, and how many there are."""
    if spec.mapping == "lut":
        return ()
    return tuple(
        (one.wide, one.narrow, one.count * step.copies)
        for step in spec.steps
        for one in step.primitives
        if isinstance(one, logic.FactorRows | logic.Multiplier)
    )


def counted(one: Inputs, resource: str, target: str) -> float:
    """What the plan itself says of registers, or of the DSP blocks of a target."""
    if resource == "ff":
        return one.registers
    return yosys_scripts.target(target).dsp_blocks(one.mapping, one.multipliers)


def block_mapping(primitive: logic.Logic, mapping: str) -> str:
    """The mapping of a product that takes DSP blocks; empty for all else."""
    if mapping == "lut" or not isinstance(primitive, logic.FactorRows | logic.Multiplier):
        return ""
    wide = primitive.wide + primitive.narrow >= WIDE_PRODUCT
    return mapping if mapping in PACKED_FOR or wide else ""


def registers(spec: Spec) -> int:
    """Bits of all registers: in front of steps, of what is held, of outputs, valid bits.

    As the hardware has them: synthesis may find some that are always as others, or never read.
    """
    places, state = set(spec.register_boundaries), spec.state_step
    if state is not None and state < len(spec.steps) - 1:
        places.add(state + 1)
    held = sum(spec.steps[place].register_bits for place in places)
    if spec.random_words is not None:
        held += RANDOM_BITS * spec.random_words.count
    return held + spec.storage_bits + spec.output_bits + spec.latency


def settings(spec: Spec) -> dict[str, float]:
    """What else tells units apart: formats, choices, and where the registers stand."""
    numbers = dict(_unit(spec.unit))
    names = ("a", "b", "output", "accumulator")
    fields: dict[str, Any] = {name: getattr(spec, name, None) for name in names}
    if spec.exchangeable:
        fields["a"], fields["b"] = sorted((fields["a"], fields["b"]), key=str)
    for name, value in fields.items():
        numbers.update(_format(name, value))
    for name in (*SIZES, "bits"):
        numbers[name] = math.log2(getattr(spec, name, None) or 1)
    numbers.update(_rounding(getattr(spec, "rounding", None)))
    return {**numbers, **_registers(spec)}


@functools.cache
def _unit(unit: str) -> dict[str, float]:
    return {f"unit_{name}": float(unit == name) for name in UNITS}


@functools.cache
def _rounding(rounding: str | None) -> dict[str, float]:
    return {f"rounds_{name}": float(rounding == name) for name in MODES}


@functools.lru_cache(maxsize=10_000)
def _format(name: str, value: Any) -> dict[str, float]:
    scale = value.scale if isinstance(value, BlockFormat) else None
    f = value.element if isinstance(value, BlockFormat) else value
    if not isinstance(f, Scalar):
        names = ("bits", "exponent_bits", "mantissa_bits", "signed", "specials", "scale")
        return {f"{name}_{part}": 0.0 for part in names}
    return {
        f"{name}_bits": f.bits,
        f"{name}_exponent_bits": f.exponent_bits,
        f"{name}_mantissa_bits": f.mantissa_bits,
        f"{name}_signed": f.signed,
        f"{name}_specials": getattr(f, "has_nan", False) + getattr(f, "has_infinity", False),
        f"{name}_scale": scale.bits if scale is not None else 0,
    }


def _registers(spec: Spec) -> dict[str, float]:
    """Where registers stand, and how many bits pass a step without one."""
    boundaries, steps = spec.register_boundaries, spec.steps
    passing = [(s.bits or 0) * s.copies for i, s in enumerate(steps) if i not in boundaries]
    path = longest = 0.0
    for index, step in enumerate(steps):
        levels = step.path.luts + step.path.chains
        path = levels if index in boundaries else path + levels
        longest = max(longest, path)
    return {
        "stages": spec.stages,
        "steps": len(steps),
        "registered": len(boundaries),
        "first_registered": min(boundaries, default=0),
        "last_registered": max(boundaries, default=0),
        "passing_bits": sum(passing),
        "most_passing_bits": max(passing, default=0),
        "longest_path": longest,
        "input_bits": spec.input_bits,
        "output_bits": spec.output_bits,
        "tuned": bool(spec.pipeline_target),
    }
