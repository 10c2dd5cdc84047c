"""``hwgen cost``: measured or estimated."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from hwgen.arguments import Mode, Parser, mode
from hwgen.cli.parser import json_option, print_json, unit_command
from hwgen.cli.spec_options import spec_of, spec_options
from hwgen.cli.weights import array
from hwgen.errors import InputError
from hwgen.spec import Spec

if TYPE_CHECKING:
    from cost_models.energy_query import Energy

#: Operands whose statistics can be said.
OPERANDS = ("a", "b")
_ALL = ("unit", "fmax_mhz", "target", "device", "json")


def _modes() -> tuple[Mode, ...]:
    with_energy = ("energy", "simulate", *(f"operands_{name}" for name in OPERANDS))
    return (
        mode("--energy", lambda given: "energy" in given, *spec_options(), *_ALL, *with_energy),
        mode("a cost without energy", lambda given: True, *spec_options(), *_ALL),
    )


def add(sub: Parser) -> None:
    """Add the options of the command."""
    from yosys_scripts import TARGETS

    unit_command(sub, run, _modes())
    sub.add_argument(
        "--target",
        metavar="|".join(TARGETS),
        help="FPGA family (default: ecp5, or that of the device)",
    )
    sub.add_argument(
        "--device", metavar="NAME", help="also what it takes of a device, such as LFE5U-25F"
    )
    sub.add_argument("--energy", action="store_true", help="also the energy of an operation")
    sub.add_argument(
        "--simulate",
        action="store_true",
        help="energy from a simulation of the netlist, in place of the model",
    )
    for name in OPERANDS:
        sub.add_argument(
            f"--operands-{name}",
            metavar="HOW",
            help=f"energy of operands {name} that are uniform (default), gaussian:sigma=S, "
            "gaussian:crest=C, or the numbers of a file .npy in their order",
        )
    json_option(sub)


def run(options: argparse.Namespace) -> int:
    """Print what a unit costs, measured or predicted; returns the exit code."""
    import cost_models

    device = None if options.device is None else cost_models.part(options.device)
    if device is not None and options.target not in (None, device.target):
        raise InputError(
            f"--target {options.target}: {device.name} is a device of {device.target}: leave "
            "--target out"
        )
    target = options.target or ("ecp5" if device is None else device.target)
    options.target = target
    spec = spec_of(options)
    energy = _energy(options, spec, target)
    cost = cost_models.estimate(spec, target)
    fields = {**spec.to_dict(), "target": target, **cost.to_dict()}
    if energy is not None:
        fields[energy.field] = energy.to_dict()
    if device is not None:
        fields["device"] = device.to_dict(cost)
    if options.json:
        print_json(fields)
    else:
        print(f"{spec.name} on {target}")
        print(cost_models.table(fields))
    if device is not None:
        _warn(fields["device"])
    return 0


def _energy(options: argparse.Namespace, spec: Spec, target: str) -> Energy | None:
    """The energy, if it is asked for."""
    import cost_models

    if not options.energy:
        return None
    given = {name: getattr(options, f"operands_{name}") for name in OPERANDS}
    operands = {
        name: array(how, f"operands-{name}") for name, how in given.items() if how is not None
    }
    return cost_models.energy(spec, target, **operands, simulate=options.simulate)


def _warn(taken: dict[str, Any]) -> None:
    """Say on standard error that a device has no room, or may have none."""
    for words in ("does_not_fit", "may_not_fit"):
        if taken[words] is not None:
            print(f"hwgen: warning: it {words.replace('_', ' ')}: {taken[words]}", file=sys.stderr)
            return
