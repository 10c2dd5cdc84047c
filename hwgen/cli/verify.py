"""``hwgen verify``: a unit in cocotb."""

from __future__ import annotations

import argparse
import sys

from hwgen.arguments import Parser
from hwgen.cli.parser import (
    clock_target_option,
    json_option,
    print_json,
    seed_option,
    stream_option,
    unit_command,
    vectors_option,
)
from hwgen.cli.spec_options import spec_of


def add(sub: Parser) -> None:
    """Add the options of the command."""
    unit_command(sub, run)
    vectors_option(sub, 2000, "random cycles, after the directed ones")
    seed_option(sub, "seed of the random ones")
    stream_option(sub)
    clock_target_option(sub)
    json_option(sub)


def run(options: argparse.Namespace) -> int:
    """Simulate a unit against its golden model; returns the exit code."""
    from hwgen.pins import module_name
    from sim import verify, verify_stream

    spec = spec_of(options)
    run = verify_stream if options.stream else verify
    outcome = run(spec, vectors=options.vectors, seed=options.seed)
    if options.json:
        print_json(outcome.to_dict())
    else:
        print(
            f"{module_name(spec, stream=options.stream)}: {outcome.vectors} "
            f"{'beats' if options.stream else 'cycles'} checked, {outcome.mismatches} mismatches "
            f"(seed {outcome.seed}, {outcome.seconds} s, {outcome.simulator})"
        )
    for mismatch in outcome.shown:
        print(f"mismatch: {mismatch}", file=sys.stderr)
    return 0 if outcome.passed else 1
