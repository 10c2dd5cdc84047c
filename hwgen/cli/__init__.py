"""The command line: a module here for each command, with ``add`` and ``run``.

A command imports what it needs when it runs, and nothing before.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from importlib.metadata import version

from hwgen import processes, progress
from hwgen.arguments import Parser, complete, one_line, require_text
from hwgen.cli import (
    compare,
    cost,
    formats,
    generate,
    mutate,
    optimize,
    prove,
    regress,
    reproduce,
    sweep,
    synth,
    units,
    verify,
)
from hwgen.cli import map as map_command
from hwgen.errors import FAULT, InputError, ToolError, fault
from hwgen.installed import HiddenPackage, require_own_packages
from hwgen.processes import outside
from hwgen.records import PassedOver

#: In the order in which the help lists them.
COMMANDS = (
    *(formats, units, generate, verify, regress, mutate, prove),
    *(synth, map_command, cost, compare, sweep, optimize, reproduce),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code.

    It is 0, 1 for a mismatch, 2 for bad input, 70 for a fault of this package, 128 and its number
    for a signal that ended it.
    """
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    if sys.stdout is None:
        print(
            "hwgen: error: standard output is closed: open it, or send it to a file",
            file=sys.stderr,
        )
        return 2
    for stream in (sys.stdout, sys.stderr):
        # What a terminal's encoding lacks is written as its number.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    with processes.ended_by_signals(), warnings.catch_warnings(), progress.shown():
        warnings.simplefilter("always", PassedOver)
        warnings.showwarning = _show_warning
        code = _run(arguments)
        number = processes.ended_by()
        return code if number is None else 128 + number


def _leave_standard_output() -> None:
    """Python's last flush, at its end, shall find nothing that it cannot write."""
    with contextlib.suppress(OSError, ValueError):  # A caller may have put something else there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _show_warning(message: Warning | str, *place: object, **more: object) -> None:
    """A warning in a line, without the place in this package that it comes from."""
    print(f"hwgen: warning: {message}", file=sys.stderr)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        require_own_packages()
        given = sys.argv[1:] if arguments is None else list(arguments)
        require_text(given)
        try:
            options = command_line_parser().parse_args(given)
        except SystemExit:  # --help and --version have printed.
            sys.stdout.flush()
            raise
        complete(options.parser, options)
        options.arguments = given
        code: int = options.run(options)
        sys.stdout.flush()
        return code
    except InputError as error:
        print(f"hwgen: error: {one_line(str(error))}", file=sys.stderr)
        return 2
    except (ToolError, HiddenPackage) as error:
        print(f"hwgen: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        number = processes.ended_by() or signal.SIGINT
        how = (
            "interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}"
        )
        print(f"hwgen: {how}; results that were finished are kept", file=sys.stderr)
        # Half-made hardware goes without Amaranth's word on each part of it.
        if (unused := sys.modules.get("amaranth._unused")) is not None:
            unused.MustUse._MustUse__silence = True
        return 128 + number
    except BrokenPipeError:
        _leave_standard_output()  # The reader has gone (``hwgen … | head``).
        return 141
    except Exception as error:
        what = outside(error)
        print(f"hwgen: error: {what or fault(error)}", file=sys.stderr)
        if what and isinstance(error, OSError):
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.flush()
            _leave_standard_output()
        return 2 if what else FAULT


def command_line_parser() -> Parser:
    """The parser of all commands.

    What it returns has only the options that are given, until ``hwgen.arguments.complete`` has seen
    them.
    """
    parser = Parser(
        prog="hwgen",
        description="Datapaths for FPGAs in any number format: Verilog, proof, cost.",
    )
    parser.add_argument("--version", action="version", version=f"hwgen {version('hwgen')}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add(commands)
    return parser
