"""What a regression runs: lists of cases, made of formats and of what the units' models say.

A new unit is in every matrix as it is: what the settings of its model do not say is drawn
(``sim.random_specs``).
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from hwgen.errors import InputError
from hwgen.fields import unknown
from hwgen.formats import parse
from hwgen.spec import UNITS, Spec, from_dict
from hwgen.spec.base import spec_fields
from sim import unit_model
from sim.compiled import SIMULATORS
from sim.exhaustive import MAX_INPUT_BITS
from sim.random_specs import legal_spec, legal_specs
from sim.tried_formats import BLOCK_PARTNERS, ELEMENT_PARTNERS, MIXED, NAMED, SCALAR_PARTNERS
from sim.verification import require_counts
from yosys_scripts import TARGETS

RTL = "rtl"
#: How a case is checked: cycles of a bench, or every input of the logic.
BENCH, EXHAUSTIVE = "bench", "exhaustive"
VECTORS, LONG_VECTORS = 200, 2_000_000

#: Targets whose netlists the matrix of levels simulates, beside the RTL.
LEVEL_TARGETS = ("ecp5", "xc7", "ice40")
#: Operands of the three specs of each unit there, by type.
LEVEL_FORMATS: dict[str, tuple[str, ...]] = {
    "Scalar": ("int4", "e2m1", "e4m3fn"),
    "FloatingPoint": ("e2m1", "e3m2", "e4m3fn"),
    "Modes": ("int8,int4,int2", "e4m3fn,e2m1", "e4m3fn:e2m1,e5m2ieee"),
    "BlockFormat": ("e2m1_b4_ue4m3", "int4_b4_e8m0", "e4m3fn_b2_e8m0"),
}


@dataclass(frozen=True)
class Case:
    """One thing to check: a spec at a level, by cycles of a bench or by every input.

    ``level``: ``rtl``, or a target for its netlist. ``check``: ``bench``, with ``vectors`` random
    cycles from ``seed`` in a ``simulator``, or ``exhaustive``. ``lint``: also by two linters.
    ``coverage``: the cycles also have to hit every bin (``sim.coverage``). InputError for an
    unknown level, check or simulator and for bad counts.
    """

    spec: Spec
    level: str = RTL
    check: str = BENCH
    vectors: int = VECTORS
    seed: int = 1
    simulator: str = "verilator"
    lint: bool = False
    coverage: bool = False

    def __post_init__(self) -> None:
        require_level(self.level)
        require_simulator(self.simulator)
        require_counts(self.vectors, self.seed)
        if self.check not in (BENCH, EXHAUSTIVE):
            raise InputError(f"check {self.check!r}: use {BENCH} or {EXHAUSTIVE}")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {**values, "spec": self.spec.to_dict()}

    @cached_property
    def command(self) -> str:
        """The command line that runs this case alone."""
        words = ["hwgen", "regress", "--spec", json.dumps(self.spec.to_dict())]
        # Every input is checked in one way: the others say nothing then.
        options = ("vectors", "seed", "simulator") if self.check == BENCH else ()
        for name in ("level", "check", *options):
            words += [f"--{name}", str(getattr(self, name))]
        flags = [f"--{name}" for name in ("lint", "coverage") if getattr(self, name)]
        return shlex.join([*words, *flags])

    @property
    def title(self) -> str:
        """The spec's module, and what is not usual about the check."""
        qualifiers = [self.level, self.simulator if self.check == BENCH else self.check]
        return f"{self.spec.name} ({', '.join(qualifiers)}, seed {self.seed})"


def case_of(fields: Mapping[str, Any]) -> Case:
    """The case that ``to_dict`` described."""
    return Case(**{**fields, "spec": from_dict(fields["spec"])})


@dataclass(frozen=True)
class Refused:
    """A named format that no setting of the unit takes as that operand, and why."""

    unit: str
    operand: str
    format: str
    reason: str


@dataclass(frozen=True)
class Matrix:
    """The cases, and what the units do not take."""

    cases: tuple[Case, ...]
    refused: tuple[Refused, ...] = ()


def operands(kind: type[Spec]) -> dict[str, str]:
    """The formats that a unit needs: types of the fields by name."""
    types = {f.name: _type(f) for f in spec_fields(kind) if _required(f)}
    return {
        name: kind_of_format for name, kind_of_format in types.items() if kind_of_format in NAMED
    }


def formats(seed: int, vectors: int) -> Matrix:
    """Each unit with each named format as each of its operands, and with mixed pairs."""
    cases: list[Case] = []
    refused = []
    for unit, kind in UNITS.items():
        specs: list[Spec] = []
        formats_needed = operands(kind)
        for operand, kind_of_format in formats_needed.items():
            for index, name in enumerate(NAMED[kind_of_format]):
                outcome = _first_legal(kind, {operand: name}, index)
                if isinstance(outcome, Spec):
                    specs.append(outcome)
                else:
                    refused.append(Refused(unit, operand, name, outcome))
        names = tuple(formats_needed)[:2]
        for index, pair in enumerate(MIXED.get(tuple(formats_needed[name] for name in names), ())):
            outcome = _first_legal(kind, dict(zip(names, pair, strict=True)), index)
            if isinstance(outcome, Spec):
                specs.append(outcome)
            else:
                refused.append(Refused(unit, "a × b", " × ".join(pair), outcome))
        if not formats_needed:
            specs += [legal_spec(kind, np.random.default_rng(i)) for i in range(20)]
        cases += [Case(spec, vectors=vectors, seed=seed) for spec in dict.fromkeys(specs)]
    return Matrix(tuple(cases), tuple(refused))


def _first_legal(kind: type[Spec], given: Mapping[str, Any], index: int) -> Spec | str:
    """The first legal spec with the fields ``given``, or why the last that was tried was refused.

    The unit's settings and partners fill in the rest, beginning with those of the number ``index``.
    """
    reason = ""
    for setting in _turned(unit_model.of(kind).settings, index):
        fields = {**setting, **given}
        missing = {n: t for n, t in operands(kind).items() if n not in fields}
        partners = [_partners(kind_of_format, given, index) for kind_of_format in missing.values()]
        for chosen in itertools.product(*partners):
            try:
                return _drawn(kind, {**fields, **dict(zip(missing, chosen, strict=True))}, index)
            except InputError as error:
                reason = str(error)
    return reason


def _partners(kind_of_format: str, given: Mapping[str, Any], index: int) -> Sequence[str]:
    blocks = [f for f in map(parse, given.values()) if f.scale is not None]
    if kind_of_format != "BlockFormat" and not (kind_of_format == "Format" and blocks):
        return _turned(SCALAR_PARTNERS, index)
    if not blocks:
        return _turned(BLOCK_PARTNERS, index)
    first = blocks[0]
    elements = _turned(ELEMENT_PARTNERS, index)
    return [f"{element}_b{first.block_size}_{first.scale}" for element in elements]


def _turned(choices: Sequence[Any], index: int) -> list[Any]:
    first = index % len(choices)
    return [*choices[first:], *choices[:first]]


def _drawn(kind: type[Spec], fields: Mapping[str, Any], index: int) -> Spec:
    """The spec; fields that it needs beside those given are drawn."""
    needed = [f.name for f in spec_fields(kind) if _required(f) and f.name not in fields]
    if needed:
        return legal_spec(kind, np.random.default_rng(index), fields)
    return kind(**fields)


def random(seed: int, vectors: int, count: int = 1000) -> Matrix:
    """Different legal specs of any unit, each linted by two tools too."""
    specs: dict[str, Spec] = {}
    for spec in legal_specs(seed):
        specs.setdefault(spec.name, spec)
        if len(specs) == count:
            break
    return Matrix(
        tuple(Case(spec, vectors=vectors, seed=seed, lint=True) for spec in specs.values())
    )


def levels(seed: int, vectors: int) -> Matrix:
    """Each unit at three formats, as RTL and as the netlist of two targets."""
    return Matrix(
        tuple(
            Case(spec, level=level, vectors=vectors, seed=seed, coverage=level == RTL)
            for spec in level_specs()
            for level in (RTL, *LEVEL_TARGETS)
        )
    )


def level_specs() -> list[Spec]:
    """Three specs of each unit: those that are simulated as netlists too."""
    specs = []
    for kind in UNITS.values():
        model = unit_model.of(kind)
        rows = model.typical or tuple(
            {
                **model.settings[0],
                **{
                    name: LEVEL_FORMATS[kind_of_format][i]
                    for name, kind_of_format in operands(kind).items()
                },
            }
            for i in range(3)
        )
        specs += [_drawn(kind, row, index) for index, row in enumerate(rows)]
    return specs


def exhaustive(seed: int, vectors: int) -> Matrix:
    """Every input of the specs that the units' models name, of those with up to 16 bits of it."""
    specs = []
    for kind in UNITS.values():
        for fields in unit_model.of(kind).every_input():
            try:
                spec = kind(**fields)
            except InputError:
                continue
            if sum(port.width for port in spec.inputs) <= MAX_INPUT_BITS:
                specs.append(spec)
    return Matrix(tuple(Case(spec, check=EXHAUSTIVE) for spec in dict.fromkeys(specs)))


def long(seed: int, vectors: int) -> Matrix:
    """Specs that are simulated for millions of vectors."""
    specs = [kind(**fields) for kind in UNITS.values() for fields in unit_model.of(kind).long]
    return Matrix(tuple(Case(spec, vectors=LONG_VECTORS, seed=seed) for spec in specs))


def full(seed: int, vectors: int) -> Matrix:
    """All of the others, the random one as usual."""
    matrices = [make(seed, vectors) for name, make in MATRICES.items() if name != "full"]
    return Matrix(
        tuple(dict.fromkeys(case for matrix in matrices for case in matrix.cases)),
        tuple(refused for matrix in matrices for refused in matrix.refused),
    )


#: The matrices by name.
MATRICES: dict[str, Callable[[int, int], Matrix]] = {
    "formats": formats,
    "random": random,
    "levels": levels,
    "exhaustive": exhaustive,
    "long": long,
    "full": full,
}


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _type(field: dataclasses.Field[Any]) -> str:
    return str(field.type).partition(" ")[0]


def chosen(
    name: str,
    *,
    seed: int = 1,
    vectors: int = VECTORS,
    count: int = 1000,
    units: Sequence[str] = (),
    levels: Sequence[str] = (),
    simulators: Sequence[str] = ("verilator",),
) -> Matrix:
    """The matrix of that ``name``, of the ``units`` and ``levels`` only, if some are given.

    Each case of a bench comes once for each of the ``simulators``. InputError for an unknown name,
    a bad count, or no case at all.
    """
    if name not in MATRICES:
        raise InputError(f"matrix {name!r}: use one of {', '.join(MATRICES)}")
    for unit in units:
        if unit not in UNITS:
            raise unknown("unit", unit, UNITS)
    for level in levels:
        require_level(level)
    for simulator in simulators:
        require_simulator(simulator)
    require_counts(vectors, seed)
    if count < 1:
        raise InputError(f"count={count}: use a whole number of at least 1")
    matrix = random(seed, vectors, count) if name == "random" else MATRICES[name](seed, vectors)
    cases = [
        dataclasses.replace(case, simulator=simulator)
        for case in matrix.cases
        for simulator in (simulators if case.check == BENCH else ("verilator",))
        if (not units or case.spec.unit in units) and (not levels or case.level in levels)
    ]
    if not cases:
        raise InputError(
            f"matrix {name} has no case of unit {', '.join(units) or 'any'} at level "
            f"{', '.join(levels) or 'any'}: give others"
        )
    return Matrix(tuple(cases), tuple(r for r in matrix.refused if not units or r.unit in units))


def require_level(level: str) -> None:
    """InputError unless it is ``rtl`` or a target."""
    if level != RTL and level not in TARGETS:
        raise InputError(f"level {level!r}: use one of {', '.join((RTL, *TARGETS))}")


def require_simulator(simulator: str) -> None:
    """InputError for a simulator that is not one of ``sim.compiled.SIMULATORS``."""
    if simulator not in SIMULATORS:
        raise InputError(f"simulator {simulator!r}: use one of {', '.join(SIMULATORS)}")
