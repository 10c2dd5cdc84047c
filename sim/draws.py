"""Values of specs' fields, drawn at random."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hwgen.accumulator import MAX_INTERLEAVE
from hwgen.formats import ALIASES, NAMES
from hwgen.formats.rounding import MODES
from hwgen.formats.scalar import OVERFLOWS
from hwgen.spec import MAPPINGS, MAX_PRODUCTS
from hwgen.spec.random_bits import RANDOM_SOURCES

Draw = Callable[[np.random.Generator], Any]


def one_of(choices: Sequence[str]) -> Callable[[np.random.Generator], str]:
    """Each of the ``choices`` as likely as the others."""
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


def accumulator_name(rng: np.random.Generator) -> str:
    """Of each kind, with roundings; ``aligned`` ones are for blocks alone."""
    bits, fraction_bits = int(rng.integers(2, 40)), int(rng.integers(-4, 12))
    fixed = f"fixed:{bits}:{fraction_bits}" + one_of(("", ":wrap"))(rng)
    aligned = f"aligned:{rng.integers(8, 80)}"
    name = one_of((fixed, aligned, "exact", "fp32", "bf16", "fp16", "e4m3fn"))(rng)
    if name == "exact":
        return name
    # Of a format in some of the draws with another loop, which fewer units can have.
    loops = ("", "", "", ":fast", ":fast", f":interleave:{up_to(MAX_INTERLEAVE)(rng)}")
    loop = one_of(loops)(rng) if ":" not in name else ""
    return name + one_of(("", *(f":{m}" for m in MODES)))(rng) + loop


#: Draws for fields that several units have, by name; those of one unit say their models.
FIELDS: dict[str, Draw] = {
    "lanes": up_to(24),
    "blocks": up_to(3),
    "accumulator": accumulator_name,
    "max_products": up_to(MAX_PRODUCTS),
    "stages": up_to(8),
    # Most units are tuned for no target.
    "pipeline_target": one_of((*[""] * 5, "ecp5")),
    "rounding": one_of(MODES),
    "overflow": one_of(OVERFLOWS),
    "random": one_of(RANDOM_SOURCES),
    "random_seed": up_to(2**32 - 1),
    "mapping": one_of(MAPPINGS),
}
#: And by type, as the field is annotated.
TYPES: dict[str, Draw] = {
    "Scalar": format_name,
    "FloatingPoint": format_name,
    "BlockFormat": block_name,
    "Format": lambda rng: (block_name if rng.integers(2) else format_name)(rng),
    "bool": lambda rng: bool(rng.integers(2)),
}
