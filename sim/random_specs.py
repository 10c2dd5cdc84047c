"""Legal specs of any unit, drawn at random.

What is legal only the spec knows: fields are drawn by their names, or by their types, and a
draw that the spec refuses is made again. So a new unit is drawn as it is, unless a field that
it needs has a new name: that gets an entry in ``FIELDS``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from hwgen.errors import InputError
from hwgen.formats import ALIASES, NAMES
from hwgen.formats.block_encode import NONFINITE
from hwgen.formats.block_scale import RULES
from hwgen.formats.rounding import MODES
from hwgen.formats.scalar import OVERFLOWS
from hwgen.spec import MAPPINGS, MAX_PRODUCTS, UNITS, Spec
from hwgen.spec.array import DATAFLOWS, MOVEMENTS
from hwgen.spec.base import RANDOM_SOURCES, spec_fields

Draw = Callable[[np.random.Generator], Any]

#: Draws after which a unit is taken to have no legal spec among them.
TRIES = 10_000


def one_of(choices: Sequence[str]) -> Callable[[np.random.Generator], str]:
    """Each of them alike."""
    return lambda rng: choices[int(rng.integers(len(choices)))]


def up_to(largest: int) -> Draw:
    """Whole numbers from 1, small ones as often as large ones: their logarithm is uniform."""
    return lambda rng: int(np.exp2(rng.uniform(0, np.log2(largest + 1))))


def format_name(rng: np.random.Generator) -> str:
    """Usual formats, other integers and fixed point, and minifloats of any shape."""
    kind = rng.integers(4)
    if kind == 0:
        return one_of(NAMES)(rng)
    if kind == 1:
        return one_of(tuple(ALIASES))(rng)
    if kind == 2:
        bits = up_to(16)(rng)
        names = (f"int{bits}", f"uint{bits}", f"fixed{bits}_{rng.integers(0, bits + 3)}")
        return one_of(names)(rng)
    sign, special = one_of(("", "u"))(rng), one_of(("", "fn", "fnuz", "ieee"))(rng)
    exponent_bits, mantissa_bits = rng.integers(1, 9), rng.integers(0, 11)
    return f"{sign}e{exponent_bits}m{mantissa_bits}{special}"


def block_name(rng: np.random.Generator) -> str:
    """Small blocks of narrow elements with the scales that there are."""
    element = one_of(("int4", "e2m1", "e4m3fn", "e5m2ieee", "fixed8_6", "e0m3", "e3m2"))(rng)
    scale = one_of(("e8m0", "e8m0", "ue4m3", "ue5m3"))(rng)
    micro = one_of(("", "", "_m2x1", "_m4x2"))(rng)
    tensor_scale = one_of(("", "", "_fp32", "_bf16"))(rng)
    return f"{element}_b{one_of(('2', '4', '5'))(rng)}_{scale}{micro}{tensor_scale}"


def mode_names(rng: np.random.Generator) -> str:
    """Two to four modes, of integers or of minifloats, some of two formats."""
    integers = ("int8", "int4", "int2", "int3", "uint4", "uint8", "fixed6_2", "int1", "int12")
    minifloats = ("e4m3fn", "e5m2ieee", "e3m2", "e2m1", "e0m3", "ue4m3", "e4m3fnuz", "e3m0")
    draw = one_of((integers, minifloats)[int(rng.integers(2))])
    modes = [draw(rng) for _ in range(int(rng.integers(2, 5)))]
    return ",".join(f"{mode}:{draw(rng)}" if rng.random() < 0.3 else mode for mode in modes)


def weight_list(rng: np.random.Generator) -> str:
    """Whole numbers or fractions, small or large, some of one sign, some zero."""
    largest, step = 2 ** int(rng.integers(0, 9)), 2.0 ** int(rng.integers(-3, 3))
    least = -largest if rng.integers(3) else 0
    drawn = rng.integers(least, largest + 1, up_to(24)(rng))
    return ",".join(f"{step * number:g}" for number in drawn)


def accumulator_name(rng: np.random.Generator) -> str:
    """Of each kind, with roundings; ``aligned`` ones are for blocks alone."""
    bits, fraction_bits = int(rng.integers(2, 40)), int(rng.integers(-4, 12))
    fixed = f"fixed:{bits}:{fraction_bits}" + one_of(("", ":wrap"))(rng)
    aligned = f"aligned:{rng.integers(8, 80)}"
    usual = one_of((fixed, aligned, "exact", "fp32", "bf16", "fp16", "e4m3fn"))(rng)
    return usual if usual == "exact" else usual + one_of(("", *(f":{m}" for m in MODES)))(rng)


#: Draws for fields by name, for every unit that has one of that name.
FIELDS: dict[str, Draw] = {
    "formats": mode_names,
    "weights": weight_list,
    "lanes": up_to(24),
    "blocks": up_to(3),
    "rows": up_to(3),
    "columns": up_to(3),
    "dataflow": one_of(DATAFLOWS),
    "movement": one_of(MOVEMENTS),
    "bits": lambda rng: int(rng.integers(2, 80)),
    "lsb_exponent": lambda rng: int(rng.integers(-40, 20)),
    "scale": format_name,
    "accumulator": accumulator_name,
    "scale_rule": one_of(tuple(RULES)),
    "nonfinite": one_of(NONFINITE),
    "offset": up_to(8),
    "max_products": up_to(MAX_PRODUCTS),
    "stages": up_to(8),
    # Most units are tuned for no target.
    "tuned_for": one_of((*[""] * 5, "ecp5")),
    "rounding": one_of(MODES),
    "overflow": one_of(OVERFLOWS),
    "random": one_of(RANDOM_SOURCES),
    "random_seed": up_to(2**32 - 1),
    "tensor_scale": one_of(("port", "one")),
    "mapping": one_of(MAPPINGS),
}
#: And by type, as the field is annotated.
TYPES: dict[str, Draw] = {
    "Scalar": format_name,
    "Minifloat": format_name,
    "BlockFormat": block_name,
    "Format": lambda rng: (block_name if rng.integers(2) else format_name)(rng),
    "bool": lambda rng: bool(rng.integers(2)),
}


def legal_specs(seed: int) -> Iterator[Spec]:
    """Specs without end, of all units alike; the same ``seed`` gives the same ones."""
    rng = np.random.default_rng(seed)
    kinds = tuple(UNITS.values())
    while True:
        yield legal_spec(kinds[int(rng.integers(len(kinds)))], rng)


def examples(seed: int, count: int) -> list[Spec]:
    """``count`` legal specs of each unit."""
    rng = np.random.default_rng(seed)
    return [legal_spec(kind, rng) for kind in UNITS.values() for _ in range(count)]


def legal_spec(
    kind: type[Spec], rng: np.random.Generator, given: Mapping[str, Any] | None = None
) -> Spec:
    """A spec of the unit with the fields ``given``; of the others one with a default keeps it half
    the time.

    InputError if a field without default has no entry in ``FIELDS``, or no draw is legal.
    """
    fixed = given or {}
    draws = {}
    for field in spec_fields(kind):
        required = field.default is dataclasses.MISSING
        draw = FIELDS.get(field.name) or TYPES.get(str(field.type).partition(" ")[0])
        if field.name in fixed:
            continue
        if draw is not None:
            draws[field.name] = (draw, required)
        elif required:
            raise InputError(f"unit {kind.unit}: say how {field.name!r} is drawn, in FIELDS")
    for _ in range(TRIES):
        drawn = {
            name: draw(rng)
            for name, (draw, required) in draws.items()
            if required or rng.random() < 0.5
        }
        try:
            return kind(**drawn, **fixed)
        except InputError:
            continue
    raise InputError(f"unit {kind.unit}: none of {TRIES} drawn specs is legal")
