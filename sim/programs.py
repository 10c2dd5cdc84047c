"""Other programs, each in a process that a crash of it ends."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from hwgen.errors import ToolError


def run(command: Sequence[str], folder: Path, time_limit_s: float) -> tuple[int, list[str]]:
    """Exit code and lines of output, errors among them. ToolError after the time limit."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=time_limit_s,
        )
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"{Path(command[0]).name} took longer than {time_limit_s:g} s") from error
    return done.returncode, done.stdout.splitlines()
