"""``hwgen completion``: what a shell needs to complete the command line."""

from __future__ import annotations

import argparse

from hwgen.cli.parser import Commands, command

SHELLS = ("bash", "zsh", "tcsh")


def add(commands: Commands) -> None:
    """Add the command and its options."""
    sub = command(commands, "completion", run, "print a script that completes hwgen in a shell")
    sub.add_argument("shell", choices=SHELLS, metavar="SHELL", help=f"one of {', '.join(SHELLS)}")
    sub.epilog = 'bash: eval "$(hwgen completion bash)" in ~/.bashrc'


def run(options: argparse.Namespace) -> int:
    """Print the script; returns the exit code."""
    import shtab

    from hwgen.cli import command_line_parser

    print(shtab.complete(command_line_parser(), options.shell))
    return 0
