"""``hwgen completion``: what a shell needs to complete the command line."""

from __future__ import annotations

import argparse

from hwgen.arguments import Parser
from hwgen.cli.parser import command

SHELLS = ("bash", "zsh", "tcsh")


def add(sub: Parser) -> None:
    """Add the options of the command."""
    command(sub, run)
    sub.add_argument("shell", choices=SHELLS, metavar="SHELL", help=f"one of {', '.join(SHELLS)}")
    sub.epilog = 'bash: eval "$(hwgen completion bash)" in ~/.bashrc'


def run(options: argparse.Namespace) -> int:
    """Print the script; returns the exit code."""
    import shtab

    from hwgen.cli import command_line_parser

    print(shtab.complete(command_line_parser().with_all_options(), options.shell))
    return 0
