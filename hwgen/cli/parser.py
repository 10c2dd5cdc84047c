"""What the commands' parsers are made of."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable
from typing import Any, NoReturn, TypeAlias

from hwgen.cli.spec_options import SPEC_OPTIONS
from hwgen.errors import InputError
from hwgen.spec import UNITS

#: What each command's module adds its parser to.
Commands: TypeAlias = "argparse._SubParsersAction[Parser]"


class Parser(argparse.ArgumentParser):
    """Reports a wrong command line as every other error: one line, exit 2."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message} (see '{self.prog} --help')")


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows the default of an option that has one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default is None else super()._get_help_string(action)


def command(
    commands: Commands, name: str, run: Callable[[Any], int], summary: str
) -> argparse.ArgumentParser:
    """A command without options yet; ``run`` returns the exit code."""
    sub = commands.add_parser(
        name,
        help=summary,
        description=summary,
        allow_abbrev=False,
        formatter_class=HelpFormatter,
    )
    sub.set_defaults(run=run)
    return sub


def unit_command(
    commands: Commands, name: str, run: Callable[[Any], int], summary: str
) -> argparse.ArgumentParser:
    """A command that takes a unit and its spec's fields."""
    sub = command(commands, name, run, summary)
    sub.add_argument("unit", metavar="UNIT", help=f"one of {', '.join(UNITS)}")
    # Values, and no options, are also lists that begin with a negative number.
    sub._negative_number_matcher = re.compile(r"-\.?\d")
    for name, (kind, metavar, summary) in SPEC_OPTIONS.items():
        sub.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar=metavar, help=summary)
    sub.add_argument(
        "--fmax-mhz",
        type=float,
        metavar="F",
        help="as few stages as a clock of F needs on the target, by its delay model",
    )
    return sub


def json_option(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--json", action="store_true", help="print one JSON object and nothing else")


def unit_or_all(sub: argparse.ArgumentParser) -> None:
    """Without a unit with --all only, as the command itself says."""
    unit = next(action for action in sub._actions if action.dest == "unit")
    unit.nargs = "?"


def stream_option(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--stream", action="store_true", help="the unit with AXI4-Stream ports")


def target_option(sub: argparse.ArgumentParser) -> None:
    from yosys_scripts import TARGETS

    # Not restricted here: yosys_scripts checks the name itself, for callers from Python too.
    sub.add_argument("--target", default="ecp5", metavar="|".join(TARGETS), help="FPGA family")


def clock_target_option(sub: argparse.ArgumentParser) -> None:
    from yosys_scripts import TARGETS

    sub.add_argument(
        "--target",
        metavar="|".join(TARGETS),
        help="FPGA family that --fmax-mhz is for (default: ecp5)",
    )


def comma_list(text: str | None) -> list[str]:
    """The parts between commas; none of nothing."""
    return [part for part in text.split(",") if part] if text else []


def print_json(fields: dict[str, Any]) -> None:
    print(json.dumps(fields, indent=2))
