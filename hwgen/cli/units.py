"""``hwgen units``: the units and their options."""

from __future__ import annotations

import argparse
import dataclasses
import textwrap
from typing import Any

from hwgen.arguments import Parser
from hwgen.cli.parser import command, json_option, print_json
from hwgen.spec import UNITS
from hwgen.spec.base import spec_fields


def add(sub: Parser) -> None:
    """Add the options of the command."""
    command(sub, run)
    json_option(sub)


def run(options: argparse.Namespace) -> int:
    """List the units and their options; returns the exit code."""
    rows: list[dict[str, Any]] = [
        {
            "unit": name,
            "summary": (kind.__doc__ or "").partition("\n")[0].replace("``", ""),
            "options": {
                f"--{f.name.replace('_', '-')}": (
                    None if f.default is dataclasses.MISSING else str(f.default)
                )
                for f in spec_fields(kind)
            },
        }
        for name, kind in UNITS.items()
    ]
    if options.json:
        print_json({"units": rows})
        return 0
    for row in rows:
        print(f"{row['unit']}: {row['summary']}")
        shown = [
            f"[{flag} …]" if value in ("", "0", "None") else f"{flag} {value or '…'}"
            for flag, value in row["options"].items()
        ]
        for line in textwrap.wrap("  ".join(shown), 92, break_on_hyphens=False):
            print(f"    {line}")
    return 0
