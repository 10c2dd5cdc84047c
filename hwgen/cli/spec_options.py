"""Fields of specs as options, and the spec that a command line means."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from typing import Any

from hwgen.arguments import truth, whole
from hwgen.cli.weights import constants, weights
from hwgen.errors import InputError
from hwgen.fields import unknown
from hwgen.pipelining import pipelined
from hwgen.plan.delay import USUAL_TARGET
from hwgen.sizes.dsp_multiplier import SIZED
from hwgen.spec import MAPPINGS, MAX_LANES, UNITS, Spec
from hwgen.spec.base import OPTION, spec_fields

#: How an option is read, by the type of its field; others are text that the spec reads.
READERS: dict[str, Callable[[str], Any]] = {
    "int": whole,
    "bool": truth,
    "Weights": weights,
    "Matrix": constants,
}
#: What stands for the value, and help, of fields that several units have. Others say it themselves
#: (``hwgen.spec.base.option``).
SHARED: dict[str, tuple[str, str]] = {
    "a": ("FORMAT", "format of operand a, or of what comes in"),
    "b": ("FORMAT", "format of operand b, or of what comes out"),
    "lanes": ("N", f"lanes, 1 to {MAX_LANES}"),
    "blocks": ("N", "blocks that are summed"),
    "max_products": ("N", "products that the accumulator sums exactly"),
    "accumulator": (
        "KIND",
        "exact, fixed:W, fixed:W:F, or a format such as fp32; of blocks exact or aligned:W",
    ),
    "output": ("FORMAT", "format that results are rounded to"),
    "rounding": ("MODE", "how results round, such as nearest_even"),
    "overflow": ("RULE", "saturate, special or propagate"),
    "stages": ("N", "register stages; as many as a usual clock needs if not given"),
    "pipeline_target": ("TARGET", "place the registers by this target's delay model"),
    "random": ("port|lfsr", "where stochastic rounding has its random bits from"),
    "random_seed": ("N", "what a shift register inside the unit begins with"),
    "mapping": ("|".join((*MAPPINGS, *SIZED)), "where multiplications go"),
}


def spec_options() -> dict[str, tuple[Callable[[str], Any], str, str]]:
    """The fields of all units' specs as options, by name.

    Each has how it is read, what stands for its value, and help. A unit takes those that its spec
    has.
    """
    options: dict[str, tuple[Callable[[str], Any], str, str]] = {}
    for field in (field for kind in UNITS.values() for field in spec_fields(kind)):
        if field.name not in options:
            metavar, summary = field.metadata.get(OPTION) or SHARED[field.name]
            reader = READERS.get(str(field.type).partition(" ")[0], str)
            options[field.name] = (reader, metavar, summary)
    return options


#: Commands whose target is that of --fmax-mhz and of nothing else.
TIMED_ONLY = ("generate", "verify", "mutate")


def spec_of(options: argparse.Namespace) -> Spec:
    """The spec that a command line means.

    Raises:
        InputError: an unknown unit, an option that it has not or that is missing, or a value that
            it refuses.

    """
    if options.unit not in UNITS:
        raise unknown("unit", options.unit, UNITS)
    kind = UNITS[options.unit]
    given = {name: getattr(options, name) for name in spec_options()}
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
                "--fmax-mhz says how fast it has to be there, or --pipeline-target"
            )
        return kind(**given)
    for name in ("stages", "pipeline_target"):
        if name in given:
            raise InputError(
                f"--fmax-mhz chooses the stages and places them: leave out {flags[name]}, or give "
                "it alone"
            )
    return pipelined(
        kind(**given), fmax_mhz=options.fmax_mhz, target=options.target or USUAL_TARGET
    )
