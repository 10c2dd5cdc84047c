"""What the commands' parsers are made of."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable
from typing import Any

from hwgen.arguments import Mode, Parser, count, number

#: The fastest clock that can be asked for, in MHz.
FASTEST_MHZ = 10_000.0
#: What the uses of a command with --all, and without, are called.
ALL, ONE = "--all", "a unit"
#: The largest seed, and the longest time limit in seconds: a month.
MOST_SEED, MOST_SECONDS = 2**63 - 1, 2_592_000
#: The most random cycles of a run that holds all of them in memory.
MOST_VECTORS = 1_000_000


def command(
    sub: Parser, run: Callable[[argparse.Namespace], int], modes: tuple[Mode, ...] = ()
) -> None:
    """Make ``sub`` the parser of a command, without options yet.

    ``run`` returns the exit code; ``modes``: its uses, if not every option acts in each.
    """
    words = "show this help message and exit"
    sub.add_argument("-h", "--help", action=_Help, default=argparse.SUPPRESS, nargs=0, help=words)
    sub.modes = modes
    sub.set_defaults(run=run, parser=sub)


class _Help(argparse.Action):
    """The help of a command; of a unit that is named before it, with that unit's options alone."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        *given: object,
    ) -> None:
        if getattr(namespace, "unit", None) is not None:
            from hwgen.cli.spec_options import spec_options  # Specs, which few commands need.
            from hwgen.spec import UNITS
            from hwgen.spec.base import spec_fields

        if getattr(namespace, "unit", None) is not None and namespace.unit in UNITS:
            fields = {field.name for field in spec_fields(UNITS[namespace.unit])}
            for action in parser._actions:
                if action.dest in spec_options() and action.dest not in fields:
                    action.help = argparse.SUPPRESS
        parser.print_help()
        parser.exit()


def unit_command(
    sub: Parser, run: Callable[[argparse.Namespace], int], modes: tuple[Mode, ...] = ()
) -> None:
    """As ``command``, of one that takes a unit and its spec's fields."""
    from hwgen.cli.spec_options import spec_options  # As above.
    from hwgen.spec import UNITS

    command(sub, run, modes)
    sub.add_argument(
        "unit", metavar="UNIT", help=f"one of {', '.join(UNITS)}; UNIT --help shows its options"
    )
    # Values, and no options, are also lists that begin with a negative number.
    sub._negative_number_matcher = re.compile(r"-\.?\d")
    for name, (kind, metavar, summary) in spec_options().items():
        sub.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar=metavar, help=summary)
    sub.add_argument(
        "--fmax-mhz",
        type=number(0, FASTEST_MHZ, above=True),
        metavar="F",
        help="as few stages as a clock of F needs on the target, by its delay model",
    )


def json_option(sub: Parser) -> None:
    """Add ``--json``."""
    sub.add_argument("--json", action="store_true", help="print one JSON object and nothing else")


def unit_or_all(sub: Parser) -> None:
    """Without a unit with --all only, as the command itself says."""
    unit = next(action for action in sub._actions if action.dest == "unit")
    unit.nargs = "?"


def stream_option(sub: Parser) -> None:
    """Add ``--stream``."""
    sub.add_argument("--stream", action="store_true", help="the unit with AXI4-Stream ports")


def vectors_option(sub: Parser, usual: int, words: str, most: int = MOST_VECTORS) -> None:
    """Add ``--vectors``, of ``usual`` many unless given."""
    sub.add_argument("--vectors", type=count(1, most), default=usual, metavar="N", help=words)


def seed_option(sub: Parser, words: str) -> None:
    """Add ``--seed``."""
    sub.add_argument("--seed", type=count(0, MOST_SEED), default=1, metavar="S", help=words)


def timeout_option(sub: Parser, usual: int, words: str) -> None:
    """Add ``--timeout``, in seconds."""
    sub.add_argument(
        "--timeout", type=count(1, MOST_SECONDS), default=usual, metavar="S", help=words
    )


def target_option(sub: Parser, others: str = "") -> None:
    """Add ``--target``; ``others``: what else than a family it takes, for people."""
    from yosys_scripts import TARGETS

    # Not restricted here: yosys_scripts checks the name itself, for callers from Python too.
    words = ", ".join(part for part in ("FPGA family", others) if part)
    sub.add_argument("--target", default="ecp5", metavar="|".join(TARGETS), help=words)


def clock_target_option(sub: Parser) -> None:
    """Add ``--target``, the family that ``--fmax-mhz`` is for."""
    from yosys_scripts import TARGETS

    sub.add_argument(
        "--target",
        metavar="|".join(TARGETS),
        help="FPGA family that --fmax-mhz is for (default: ecp5)",
    )


def print_json(fields: dict[str, Any]) -> None:
    """Print an object as JSON, for a program that reads it."""
    print(json.dumps(fields, indent=2))
