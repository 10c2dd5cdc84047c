"""The command line: a module here for each command, with ``add`` and ``run``.

A command imports what it needs when it runs, and nothing before.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

from hwgen.cli import (
    cost,
    formats,
    generate,
    mutate,
    optimize,
    prove,
    regress,
    sweep,
    synth,
    units,
    verify,
)
from hwgen.cli.parser import Parser
from hwgen.errors import InputError, ToolError

#: In the order in which the help lists them.
COMMANDS = (
    *(formats, units, generate, verify, regress, mutate, prove),
    *(synth, cost, sweep, optimize),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code: 0, 1 for a mismatch, 2 for bad input."""
    try:
        given = sys.argv[1:] if arguments is None else list(arguments)
        options = _parser().parse_args(given)
        options.arguments = given
        code: int = options.run(options)
        sys.stdout.flush()
        return code
    except (InputError, ToolError) as error:
        print(f"hwgen: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("hwgen: interrupted; finished measurements are kept", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader has gone (``hwgen … | head``); keep Python from flushing into the pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _parser() -> Parser:
    parser = Parser(
        prog="hwgen",
        description="Datapaths for FPGAs in any number format: Verilog, proof, cost.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"hwgen {version('hwgen')}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add(commands)
    return parser
