"""``hwgen synth``: synthesise and measure."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from hwgen.arguments import Parser
from hwgen.cli.parser import json_option, print_json, target_option, unit_command
from hwgen.cli.spec_options import spec_of


def add(sub: Parser) -> None:
    """Add the options of the command."""
    unit_command(sub, run)
    sub.add_argument(
        "--combinational",
        action="store_true",
        help="its arithmetic alone, without registers: of an exact accumulator the sum that it "
        "takes, of a float one the step to the next",
    )
    target_option(sub, "or 'gates' (two-input gates), or 'liberty:FILE' (a library's cells)")
    json_option(sub)


def run(options: argparse.Namespace) -> int:
    """Synthesise a unit for a target and print what it takes; returns the exit code."""
    import cost_models
    from cost_models import chip

    spec = spec_of(options)
    combinational = options.combinational
    if chip.is_chip(options.target):
        found = chip.gates(spec, options.target, combinational=combinational)
        if options.json:
            print_json({**spec.to_dict(), "target": options.target, **asdict(found)})
        else:
            print(chip.line(spec, options.target, found, combinational=combinational))
        return 0
    fields = cost_models.synthesise(spec, options.target, combinational=combinational)
    if options.json:
        print_json(fields)
        return 0
    fmax, too_large = fields["fmax_mhz"], fields.get("too_large")
    if fmax is not None:
        clock = f"Fmax {fmax:.1f} MHz"
    else:
        clock = f"not placed: {too_large}" if too_large else "not placed"
    design = f"{spec.name}, without registers," if combinational else spec.name
    print(
        f"{design} on {options.target}: {fields['lut']} LUT, {fields['carry']} carry cells, "
        f"{fields['ff']} registers, {fields['dsp']} DSP, "
        + clock
        + f" ({', '.join(f'{k} {v}' for k, v in fields['tools'].items())}, "
        f"{fields['seconds']:.1f} s{', from the store' if fields['stored'] else ''})"
    )
    if fields["does_not_fit"] is not None:
        print(f"does not fit {options.target}: {fields['does_not_fit']}")
    return 0
