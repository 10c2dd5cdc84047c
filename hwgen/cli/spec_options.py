"""Fields of specs as options, and the spec that a command line means."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from typing import Any

from hwgen.arguments import truth, whole
from hwgen.arithmetic.dsp_multiplier import SIZED
from hwgen.cli.weights import weights
from hwgen.errors import InputError
from hwgen.pipelining import pipelined
from hwgen.spec import MAPPINGS, MAX_LANES, UNITS, Spec
from hwgen.spec.array import DATAFLOWS, MOVEMENTS
from hwgen.spec.base import spec_fields

#: Fields of specs as options: type, what stands for the value, help. A unit takes those that
#: its spec has.
SPEC_OPTIONS: dict[str, tuple[Callable[[str], Any], str, str]] = {
    "a": (str, "FORMAT", "format of operand a, or of what comes in"),
    "b": (str, "FORMAT", "format of operand b, or of what comes out"),
    "formats": (
        str,
        "LIST",
        "operand formats of each mode, such as int8,int4,int2 or int8:int4,int4",
    ),
    "weights": (
        weights,
        "LIST|FILE",
        "the constants, such as 3,-5,7, or a file of them: .npy, or text (.csv, .txt)",
    ),
    "lanes": (whole, "N", f"lanes, 1 to {MAX_LANES}"),
    "blocks": (whole, "N", "blocks that are summed"),
    "rows": (whole, "N", "rows of an array"),
    "columns": (whole, "N", "columns of an array"),
    "dataflow": (str, "|".join(DATAFLOWS), "what stays in an array's elements"),
    "movement": (str, "|".join(MOVEMENTS), "how operands come to an array's elements"),
    "max_products": (whole, "N", "products that the accumulator sums exactly"),
    "bits": (whole, "N", "bits of the sum that comes in"),
    "lsb_exponent": (whole, "N", "that sum counts units of 2^N"),
    "scale": (str, "FORMAT", "format of the scale that it is multiplied by"),
    "addend": (str, "FORMAT", "format of a number c that each dot product adds"),
    "accumulator": (
        str,
        "KIND",
        "exact, fixed:W, fixed:W:F, or a format such as fp32; of blocks exact or aligned:W",
    ),
    "output": (str, "FORMAT", "format that results are rounded to"),
    "offset": (whole, "L", "L-Mul adds 2^-L to the mantissas"),
    "rounding": (str, "MODE", "how results round, such as nearest_even"),
    "overflow": (str, "RULE", "saturate, special or propagate"),
    "stages": (whole, "N", "register stages"),
    "tuned_for": (str, "TARGET", "place the registers by this target's delay model"),
    "scale_rule": (str, "RULE", "how a block's scale is chosen, such as floor or ceil"),
    "symmetric": (truth, "True|False", "whether integers leave the most negative code unused"),
    "nonfinite": (str, "element|scale", "whether NaN and infinities make elements or blocks NaN"),
    "random": (str, "port|lfsr", "where stochastic rounding has its random bits from"),
    "random_seed": (whole, "N", "what a shift register inside the unit begins with"),
    "tensor_scale": (str, "port|one", "where the scale of the tensor comes from"),
    "mapping": (str, "|".join((*MAPPINGS, *SIZED)), "where multiplications go"),
}


#: Commands whose target is that of --fmax-mhz and of nothing else.
TIMED_ONLY = ("generate", "verify", "mutate")


def spec_of(options: argparse.Namespace) -> Spec:
    if options.unit not in UNITS:
        raise InputError(f"unknown unit {options.unit!r}: use one of {', '.join(UNITS)}")
    kind = UNITS[options.unit]
    given = {name: getattr(options, name) for name in SPEC_OPTIONS}
    given = {name: value for name, value in given.items() if value is not None}
    fields = {f.name: f for f in spec_fields(kind)}
    flags = {name: f"--{name.replace('_', '-')}" for name in fields}
    for name in given:
        if name not in fields:
            raise InputError(
                f"unit {options.unit} has no --{name.replace('_', '-')}: "
                f"use {', '.join(flags.values())}"
            )
    missing = [
        flags[name]
        for name, f in fields.items()
        if f.default is dataclasses.MISSING and name not in given
    ]
    if missing:
        raise InputError(f"unit {options.unit} needs {', '.join(missing)}")
    if options.fmax_mhz is None:
        if options.command in TIMED_ONLY and options.target is not None:
            raise InputError(
                f"--target {options.target}: the hardware is the same for every target, unless "
                "--fmax-mhz says how fast it has to be there, or --tuned-for"
            )
        return kind(**given)
    for name in ("stages", "tuned_for"):
        if name in given:
            raise InputError(
                f"--fmax-mhz chooses the stages and places them: leave out {flags[name]}, or give "
                "it alone"
            )
    return pipelined(kind(**given), fmax_mhz=options.fmax_mhz, target=options.target or "ecp5")
