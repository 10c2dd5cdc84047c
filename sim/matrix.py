"""What a regression runs, as data: lists of formats and settings from which specs are made.

A new unit is in every matrix as it is: what its settings do not say is drawn
(``sim.random_specs``). An entry in ``SETTINGS`` chooses them.
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
from hwgen.formats import GROUPS, BlockFormat, Minifloat, parse, parse_scalar
from hwgen.spec import UNITS, Convert, DotProduct, LMul, Multiply, Spec, from_dict
from hwgen.spec.base import spec_fields
from sim.compiled import SIMULATORS
from sim.random_specs import legal_spec, legal_specs
from sim.verification import require_counts
from yosys_scripts import TARGETS

RTL = "rtl"
#: How a case is checked: cycles of a bench, or every input of the logic.
BENCH, EXHAUSTIVE = "bench", "exhaustive"
VECTORS = 200

#: Every format with a name of its own.
SCALARS = tuple(name for group, names in GROUPS.items() if group != "blocks" for name in names)
BLOCKS = GROUPS["blocks"]


def _two_modes(name: str) -> str:
    """The format once as a and once as b, with one of its kind: integers or minifloats."""
    usual, else_ = ("e2m1", "e4m3fn") if isinstance(parse(name), Minifloat) else ("int4", "int8")
    other = usual if name != usual else else_
    return f"{name}:{other},{other}:{name}"


#: Those that a field can be, by its type.
NAMED: dict[str, tuple[str, ...]] = {
    "Scalar": SCALARS,
    "Minifloat": tuple(name for name in SCALARS if isinstance(parse(name), Minifloat)),
    "BlockFormat": BLOCKS,
    "Modes": tuple(map(_two_modes, SCALARS)),
    "Format": (*SCALARS, *BLOCKS),
}

#: The other operand of a named format; the first that the spec takes.
SCALAR_PARTNERS = ("int4", "e2m1", "e4m3fn", "int8", "e5m2ieee")
BLOCK_PARTNERS = ("e2m1_b4_e8m0", "int4_b4_e8m0", "e4m3fn_b2_e8m0", "e2m1_b4_ue4m3")
#: And of a block format, with its block size.
ELEMENT_PARTNERS = ("int4", "e2m1", "e4m3fn", "fixed8_6")

MIXED_SCALARS = (
    *(("int4", "int8"), ("int8", "int2"), ("uint8", "int8"), ("int16", "int4"), ("uint4", "e2m1")),
    *(("e2m1", "int4"), ("e4m3fn", "int8"), ("int8", "e5m2ieee"), ("e2m1", "e4m3fn")),
    *(("e4m3fn", "e5m2ieee"), ("e5m2ieee", "e4m3fnuz"), ("e3m2", "e2m3"), ("e3m4", "int6")),
    *(("fixed8_6", "e4m3"), ("bf16", "int4"), ("int4", "fp16"), ("fp16", "e4m3fn")),
    *(("bf16", "e2m1"), ("fp32", "int8"), ("Binary8p3se", "e0m3")),
)
MIXED_MINIFLOATS = (
    *(("e2m1", "e4m3fn"), ("e4m3fn", "e5m2ieee"), ("e5m2ieee", "e4m3fnuz"), ("e3m2", "e2m3")),
    *(("fp16", "e4m3fn"), ("bf16", "e2m1"), ("fp32", "e4m3fn"), ("e3m4ieee", "e3m0")),
    *(("e4m3", "e5m2"), ("e2m1", "bf16"), ("tf32", "fp16"), ("e3m0", "e4m3fnuz")),
    *(("Binary8p3se", "e4m3fn"), ("e5m2", "Binary8p4se"), ("e8m0", "e2m1"), ("ue4m3", "e4m3")),
    *(("fp16", "bf16"), ("e2m3", "fp32"), ("e5m2fnuz", "e3m4"), ("ue5m3", "e2m2")),
)
MIXED_BLOCKS = (
    *(("mxfp4", "mxint8"), ("mxint4", "mxfp4"), ("mxfp8_e4m3", "mxfp4"), ("nvfp4", "nvint4")),
    *(("mxfp8_e5m2", "mxfp8_e4m3"), ("mxfp6_e2m3", "mxfp6_e3m2"), ("mxint8", "mxfp6_e3m2")),
    *(("nvfp4", "msfp12"), ("msfp16", "nvint4"), ("msfp12", "msfp14"), ("mxint6", "mxint4")),
    *(("e2m1_b4_ue4m3", "int4_b4_e8m0"), ("e4m3fn_b4_e8m0", "e2m1_b4_ue5m3")),
    *(("int8_b8_e8m0", "e2m1_b8_ue4m3"), ("e0m3_b4_e8m0", "int4_b4_ue5m3")),
    *(("e5m2ieee_b2_ue4m3", "e4m3fn_b2_e8m0"), ("fixed8_6_b2_e8m0", "e3m2_b2_ue4m3")),
    *(("e2m3_b5_e8m0", "e3m2_b5_e8m0"), ("int2_b8_e8m0", "int8_b8_ue4m3")),
    ("e5m2ieee_b3_e8m0", "int4_b3_ue5m3"),
)
MIXED_SCALAR_BLOCK = (
    *(("fp32", "mxfp4"), ("bf16", "mxfp8_e4m3"), ("fp16", "mxint8"), ("fp32", "mxfp6_e2m3")),
    *(("bf16", "mxint4"), ("fp16", "mxfp8_e5m2"), ("fp32", "msfp12"), ("bf16", "msfp16")),
    *(("int8", "mxint4"), ("int16", "mxfp4"), ("e4m3fn", "mxfp4"), ("e5m2ieee", "mxfp6_e3m2")),
    *(("uint8", "e2m1_b8_e8m0"), ("fixed8_6", "int4_b4_e8m0"), ("tf32", "e4m3fn_b4_e8m0")),
    *(("e4m3fnuz", "e2m1_b4_e8m0"), ("fp16", "e0m3_b5_e8m0"), ("bf16", "int2_b8_e8m0")),
    *(("fp32", "e5m2ieee_b2_e8m0"), ("e5m2fnuz", "fixed8_6_b4_e8m0")),
)
#: By the types of a unit's operands.
MIXED: dict[tuple[str, ...], tuple[tuple[str, str], ...]] = {
    ("Scalar", "Scalar"): MIXED_SCALARS,
    ("Minifloat", "Minifloat"): MIXED_MINIFLOATS,
    ("BlockFormat", "BlockFormat"): MIXED_BLOCKS,
    ("Scalar", "BlockFormat"): MIXED_SCALAR_BLOCK,
    ("Format", "Format"): (*MIXED_SCALARS[::2], *MIXED_BLOCKS[::2]),
}

#: Settings of the units, taken in turn; operands that are not said are partners, and other
#: fields without default are drawn.
SETTINGS: dict[str, tuple[dict[str, Any], ...]] = {
    "dot": (
        {"lanes": 4, "max_products": 64},
        {"lanes": 3, "max_products": 48, "accumulator": "fp32"},
        {"lanes": 5, "max_products": 40, "accumulator": "fixed:24:8"},
        {"lanes": 2, "max_products": 32, "output": "bf16"},
        {"lanes": 2, "max_products": 32, "accumulator": "bf16:stochastic"},
        {"lanes": 3, "max_products": 48, "accumulator": "fp32:stochastic"},
    ),
    "fixeddot": (
        {"weights": "3,-5,7,0,-8,6,1,-3", "max_products": 64},
        {"weights": "1.5,-6,0,0.5,3,-4", "max_products": 48, "accumulator": "fp32"},
        {"weights": "2,-2,1,0,1", "max_products": 40, "accumulator": "fixed:24:8"},
        {"weights": "1,0,1", "max_products": 32, "output": "bf16"},
        {"weights": "0,-1", "max_products": 32},
        {"weights": "1,1", "max_products": 32},
        {"weights": "0", "max_products": 22, "accumulator": "fp16"},
    ),
    "sumsquares": (
        {"lanes": 4, "max_products": 64},
        {"lanes": 3, "max_products": 48, "accumulator": "fp32"},
        {"lanes": 5, "max_products": 40, "output": "bf16"},
    ),
    "multidot": (
        {"lanes": 2, "max_products": 64},
        {"lanes": 3, "max_products": 48, "output": "bf16"},
        {"lanes": 4, "max_products": 64, "stages": 3},
    ),
    "mac": (
        {"max_products": 32},
        {"max_products": 32, "accumulator": "bf16:toward_zero"},
        {"max_products": 32, "accumulator": "fixed:20:4:wrap"},
        {"max_products": 32, "output": "e5m2ieee", "overflow": "special"},
        {"max_products": 32, "accumulator": "e4m3:stochastic"},
    ),
    "blockdot": (
        {"output": "fp32"},
        {"output": "bf16", "rounding": "toward_zero"},
        {"output": "fp16", "stages": 3},
        {"output": "e5m2ieeens", "blocks": 2},
        {"output": "e8m0", "blocks": 3, "stages": 8},
    ),
    "array": (
        {"rows": 2, "columns": 1, "max_products": 256},
        {
            **{"rows": 2, "columns": 2, "max_products": 256},
            **{"dataflow": "weight_stationary", "movement": "systolic"},
        },
        {"rows": 1, "columns": 2, "movement": "systolic", "max_products": 256, "output": "bf16"},
    ),
    "mul": ({}, {"stages": 1}, {"mapping": "dsp", "stages": 3}),
    "lmul": ({}, {"output": "bf16", "rounding": "up"}, {"offset": 3, "stages": 1}),
    "convert": (
        {},
        {"rounding": "toward_zero", "stages": 1},
        {"rounding": "nearest_away", "overflow": "special"},
        {"rounding": "stochastic", "stages": 3},
    ),
    "quantizer": ({}, {"rounding": "stochastic"}, {"symmetric": False, "stages": 2}),
    "requantize": (
        {"bits": 24, "lsb_exponent": -4},
        {"bits": 20, "rounding": "nearest_away", "stages": 5},
        {"bits": 33, "lsb_exponent": -12, "rounding": "stochastic"},
    ),
    "accumulator_to_float": (
        {"bits": 20},
        {"bits": 48, "lsb_exponent": -18, "rounding": "up"},
        {"bits": 72, "lsb_exponent": -32, "rounding": "stochastic", "stages": 1},
    ),
}

#: Targets whose netlists the matrix of levels simulates, beside the RTL.
LEVEL_TARGETS = ("ecp5", "xc7", "ice40")
#: Operands of the three specs of each unit there, by type.
LEVEL_FORMATS: dict[str, tuple[str, ...]] = {
    "Scalar": ("int4", "e2m1", "e4m3fn"),
    "Minifloat": ("e2m1", "e3m2", "e4m3fn"),
    "Modes": ("int8,int4,int2", "e4m3fn,e2m1", "e4m3fn:e2m1,e5m2ieee"),
    "BlockFormat": ("e2m1_b4_ue4m3", "int4_b4_e8m0", "e4m3fn_b2_e8m0"),
}
#: And where those make no such unit, or not a typical one: fields of the specs.
LEVELS: dict[str, tuple[dict[str, Any], ...]] = {
    "fixeddot": (
        {"a": "int4", "b": "int8", "weights": "3,-5,7,0,-128,127,64,5,-3,85"},
        {"a": "e2m1", "b": "int4", "weights": "-7,-5,-1,-6"},
        {"a": "e4m3fn", "b": "e2m1", "weights": "6,-0.5,1.5,0,3,-3"},
    ),
    "blockdot": (
        {"a": "e2m1_b4_ue4m3", "b": "int4_b4_ue4m3", "output": "bf16"},
        {"a": "int4_b4_e8m0", "b": "int4_b4_e8m0", "output": "fp32"},
        {"a": "e4m3fn_b2_e8m0", "b": "e4m3fn_b2_e8m0", "output": "fp16", "rounding": "up"},
    ),
    "array": (
        {"a": "int4", "b": "int4", "rows": 2, "columns": 2, "max_products": 64},
        {
            **{"a": "e2m1", "b": "int8", "rows": 2, "columns": 2, "max_products": 64},
            **{"dataflow": "weight_stationary", "movement": "systolic"},
        },
        {
            **{"a": "e2m1_b4_ue4m3", "b": "int4_b4_ue4m3", "rows": 1, "columns": 2},
            **{"max_products": 64, "movement": "systolic", "output": "bf16"},
        },
    ),
    "convert": (
        {"a": "fp16", "b": "e4m3fn"},
        {"a": "int8", "b": "e2m1"},
        {"a": "e5m2ieee", "b": "int4", "rounding": "stochastic"},
    ),
    "quantizer": (
        {"a": "fp16", "b": "e2m1_b4_e8m0"},
        {"a": "e5m2ieee", "b": "int4_b4_e8m0"},
        {"a": "bf16", "b": "e4m3fn_b2_e8m0"},
    ),
    "requantize": (
        {"bits": 16, "scale": "e8m0", "b": "int4"},
        {"bits": 12, "scale": "ufixed8_6", "b": "e2m1"},
        {"bits": 16, "scale": "bf16", "b": "e4m3fn"},
    ),
    "accumulator_to_float": (
        {"bits": 16, "b": "int4", "lsb_exponent": -6},
        {"bits": 20, "b": "e2m1"},
        {"bits": 28, "b": "e4m3fn", "lsb_exponent": -12},
    ),
}

#: Pairs of operands of the dot products of many vectors, and those vectors.
LONG_PAIRS = (
    *(("int8", "int8"), ("int4", "int4"), ("e2m1", "e2m1"), ("e4m3", "e4m3"), ("e2m1", "int4")),
    *(("e4m3fn", "e4m3fn"), ("int8", "e4m3"), ("e3m2", "e2m3")),
)
LONG_LANES, LONG_VECTORS = 32, 2_000_000


@dataclass(frozen=True)
class Case:
    """One thing to check: a spec at a level (``rtl`` or a target, for its netlist), by
    ``vectors`` random cycles from ``seed`` in a simulator, or by every input; ``lint``: also by
    two linters; ``coverage``: the cycles also have to hit every bin (``sim.coverage``)."""

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
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {**plain, "spec": self.spec.to_dict()}

    @cached_property
    def command(self) -> str:
        """The command line that runs this case alone."""
        words = ["hwgen", "regress", "--spec", json.dumps(self.spec.to_dict())]
        # Every input is checked in one way: the others say nothing then.
        beside = ("vectors", "seed", "simulator") if self.check == BENCH else ()
        for name in ("level", "check", *beside):
            words += [f"--{name}", str(getattr(self, name))]
        flags = [f"--{name}" for name in ("lint", "coverage") if getattr(self, name)]
        return shlex.join([*words, *flags])

    @property
    def title(self) -> str:
        """The spec's module, and what is not usual about the check."""
        beside = [self.level, self.simulator if self.check == BENCH else self.check]
        return f"{self.spec.name} ({', '.join(beside)}, seed {self.seed})"


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
    return {name: found for name, found in types.items() if found in NAMED}


def formats(seed: int, vectors: int) -> Matrix:
    """Each unit with each named format as each of its operands, and with mixed pairs."""
    cases: list[Case] = []
    refused = []
    for unit, kind in UNITS.items():
        found: list[Spec] = []
        wanted = operands(kind)
        for operand, kind_of_format in wanted.items():
            for index, name in enumerate(NAMED[kind_of_format]):
                made = _first_legal(kind, {operand: name}, index)
                if isinstance(made, Spec):
                    found.append(made)
                else:
                    refused.append(Refused(unit, operand, name, made))
        names = tuple(wanted)[:2]
        for index, pair in enumerate(MIXED.get(tuple(wanted[name] for name in names), ())):
            made = _first_legal(kind, dict(zip(names, pair, strict=True)), index)
            if isinstance(made, Spec):
                found.append(made)
            else:
                refused.append(Refused(unit, "a × b", " × ".join(pair), made))
        if not wanted:
            found += [legal_spec(kind, np.random.default_rng(i)) for i in range(20)]
        cases += [Case(spec, vectors=vectors, seed=seed) for spec in dict.fromkeys(found)]
    return Matrix(tuple(cases), tuple(refused))


def _first_legal(kind: type[Spec], given: Mapping[str, Any], index: int) -> Spec | str:
    """A spec with the fields ``given`` and the unit's settings and partners, beginning with those
    of the number ``index``; or why the last was refused."""
    reason = ""
    settings = SETTINGS.get(kind.unit, ({},))
    for setting in _turned(settings, index):
        fields = {**setting, **given}
        missing = {n: t for n, t in operands(kind).items() if n not in fields}
        partners = [_partners(kind_of_format, given, index) for kind_of_format in missing.values()]
        for chosen in itertools.product(*partners):
            try:
                found = _drawn(kind, {**fields, **dict(zip(missing, chosen, strict=True))}, index)
            except InputError as error:
                reason = str(error)
            else:
                return found
    return reason


def _partners(kind_of_format: str, given: Mapping[str, Any], index: int) -> Sequence[str]:
    blocks = [f for f in map(parse, given.values()) if isinstance(f, BlockFormat)]
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
    found: dict[str, Spec] = {}
    for spec in legal_specs(seed):
        found.setdefault(spec.name, spec)
        if len(found) == count:
            break
    return Matrix(
        tuple(Case(spec, vectors=vectors, seed=seed, lint=True) for spec in found.values())
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
    """Three of each unit."""
    specs = []
    for unit, kind in UNITS.items():
        usual = SETTINGS.get(unit, ({},))[0]
        rows = LEVELS.get(unit) or tuple(
            {
                **usual,
                **{name: LEVEL_FORMATS[found][i] for name, found in operands(kind).items()},
            }
            for i in range(3)
        )
        specs += [_drawn(kind, row, index) for index, row in enumerate(rows)]
    return specs


def exhaustive(seed: int, vectors: int) -> Matrix:
    """Every input: products of every ordered pair of named formats of up to 8 bits, conversions
    of named formats of up to 16 bits, L-Mul of pairs."""
    narrow = [name for name in SCALARS if parse_scalar(name).bits <= 8]
    middle = [name for name in SCALARS if parse_scalar(name).bits <= 16]
    makers: list[Callable[[], Spec]] = [
        *(lambda a=a, b=b: Multiply(a=a, b=b) for a in narrow for b in narrow),
        *(lambda a=a, b=b: Convert(a=a, b=b) for a in middle for b in middle if a != b),
        *(lambda a=a, b=b: LMul(a=a, b=b) for a, b in MIXED_SCALARS),
    ]
    found = []
    for make in makers:
        try:
            spec = make()
        except InputError:
            continue
        if sum(port.width for port in spec.inputs) <= 16:
            found.append(spec)
    return Matrix(tuple(Case(spec, check=EXHAUSTIVE) for spec in dict.fromkeys(found)))


def long(seed: int, vectors: int) -> Matrix:
    """Dot products of many lanes and millions of vectors."""
    return Matrix(
        tuple(
            Case(DotProduct(a=a, b=b, lanes=LONG_LANES), vectors=LONG_VECTORS, seed=seed)
            for a, b in LONG_PAIRS
        )
    )


def full(seed: int, vectors: int) -> Matrix:
    """All of the others, the random one as usual."""
    found = [make(seed, vectors) for name, make in MATRICES.items() if name != "full"]
    return Matrix(
        tuple(dict.fromkeys(case for matrix in found for case in matrix.cases)),
        tuple(refused for matrix in found for refused in matrix.refused),
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
    """The matrix of that name, of the ``units`` and ``levels`` only, if some are given, in each
    of the ``simulators``. InputError for an unknown name, a bad count, or no case at all."""
    if name not in MATRICES:
        raise InputError(f"matrix {name!r}: use one of {', '.join(MATRICES)}")
    for unit in units:
        if unit not in UNITS:
            raise InputError(f"unknown unit {unit!r}: use one of {', '.join(UNITS)}")
    for level in levels:
        require_level(level)
    for simulator in simulators:
        require_simulator(simulator)
    require_counts(vectors, seed)
    if count < 1:
        raise InputError(f"count={count}: use a whole number of at least 1")
    found = random(seed, vectors, count) if name == "random" else MATRICES[name](seed, vectors)
    cases = [
        dataclasses.replace(case, simulator=simulator)
        for case in found.cases
        for simulator in (simulators if case.check == BENCH else ("verilator",))
        if (not units or case.spec.unit in units) and (not levels or case.level in levels)
    ]
    if not cases:
        raise InputError(
            f"matrix {name} has no case of unit {', '.join(units) or 'any'} at level "
            f"{', '.join(levels) or 'any'}: give others"
        )
    return Matrix(tuple(cases), tuple(r for r in found.refused if not units or r.unit in units))


def require_level(level: str) -> None:
    """InputError unless it is ``rtl`` or a target."""
    if level != RTL and level not in TARGETS:
        raise InputError(f"level {level!r}: use one of {', '.join((RTL, *TARGETS))}")


def require_simulator(simulator: str) -> None:
    """InputError for an unknown one."""
    if simulator not in SIMULATORS:
        raise InputError(f"simulator {simulator!r}: use one of {', '.join(SIMULATORS)}")
