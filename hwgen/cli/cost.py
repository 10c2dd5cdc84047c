"""``hwgen cost``: measured or estimated."""

from __future__ import annotations

import argparse

from hwgen.cli.parser import Commands, json_option, print_json, target_option, unit_command
from hwgen.cli.spec_options import spec_of


def add(commands: Commands) -> None:
    """Add the command and its options."""
    sub = unit_command(
        commands, "cost", run, "what a unit costs: measured if known, else estimated"
    )
    target_option(sub)
    sub.add_argument(
        "--energy", action="store_true", help="also energy, from a gate-level simulation"
    )
    json_option(sub)


def run(options: argparse.Namespace) -> int:
    """Print what a unit costs, measured or predicted; returns the exit code."""
    import cost_models

    spec = spec_of(options)
    # Energy first: it synthesises the unit, whose area is then measured.
    energy = cost_models.energy(spec, options.target) if options.energy else None
    cost = cost_models.estimate(spec, options.target)
    fields = {**spec.to_dict(), "target": options.target, **cost.to_dict()}
    if energy is not None:
        fields["energy_pj"] = energy.to_dict()
    if options.json:
        print_json(fields)
    else:
        print(f"{spec.name} on {options.target}")
        print(cost_models.table(fields))
    return 0
