"""``hwgen cost``: measured or estimated."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from hwgen.cli.parser import Commands, json_option, print_json, unit_command
from hwgen.cli.spec_options import spec_of
from hwgen.errors import InputError


def add(commands: Commands) -> None:
    """Add the command and its options."""
    from yosys_scripts import TARGETS

    sub = unit_command(
        commands, "cost", run, "what a unit costs: measured if known, else estimated"
    )
    sub.add_argument(
        "--target",
        metavar="|".join(TARGETS),
        help="FPGA family (default: ecp5, or that of the device)",
    )
    sub.add_argument(
        "--device", metavar="NAME", help="also what it takes of a device, such as LFE5U-25F"
    )
    sub.add_argument(
        "--energy", action="store_true", help="also energy, from a gate-level simulation"
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
    # Energy first: it synthesises the unit, whose area is then measured.
    energy = cost_models.energy(spec, target) if options.energy else None
    cost = cost_models.estimate(spec, target)
    fields = {**spec.to_dict(), "target": target, **cost.to_dict()}
    if energy is not None:
        fields["energy_pj"] = energy.to_dict()
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


def _warn(taken: dict[str, Any]) -> None:
    """Say on standard error that a device has no room, or may have none."""
    for words in ("does_not_fit", "may_not_fit"):
        if taken[words] is not None:
            print(f"hwgen: warning: it {words.replace('_', ' ')}: {taken[words]}", file=sys.stderr)
            return
