"""What cleans up behind a process, however that ends: ``python watcher.py MARK``.

Started by ``hwgen.processes`` before the first program or temporary folder of a process. It reads
lines on its standard input: ``+group N``, ``-group N``, ``+folder PATH``, ``-folder PATH`` (the
path in JSON). The end of the input is the end of that process, even by SIGKILL: what is still
listed then is ended and removed. Imports nothing of this package, so that it starts quickly.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

#: The environment variable by which programs are known as a process's own: marks of the process
#: and of those that it was started by, joined by dots.
ENVIRONMENT = "HWGEN_STARTED_BY"
#: So long a folder is tried to be removed while ended programs may still write to it.
PATIENCE_S = 5.0


def end_group(leader: int) -> None:
    """Kills a process group, or a process that is yet to make it its own, if it is there."""
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(leader, signal.SIGKILL)


def end_marked(mark: str) -> None:
    """Kill all processes that were started with the mark, whatever their group.

    Only where there is a /proc.
    """
    marked = mark.encode()
    for _ in range(10):  # Until none has started another one meanwhile.
        killed = False
        for folder in Path("/proc").glob("[0-9]*"):
            pid = int(folder.name)
            if pid == os.getpid():
                continue
            with contextlib.suppress(OSError):  # It has ended, or is another user's.
                for entry in (folder / "environ").read_bytes().split(b"\0"):
                    name, _, value = entry.partition(b"=")
                    if name == ENVIRONMENT.encode() and marked in value.split(b"."):
                        os.kill(pid, signal.SIGKILL)
                        killed = True
        if not killed:
            return
        time.sleep(0.02)


def remove(folder: str) -> None:
    """Removes a folder, again while something is still written to it."""
    deadline = time.monotonic() + PATIENCE_S
    while os.path.lexists(folder) and time.monotonic() < deadline:
        shutil.rmtree(folder, ignore_errors=True)
        if os.path.lexists(folder):
            time.sleep(0.05)


def main() -> None:
    """Follow the lines on standard input to their end, then end and remove what is still listed."""
    # Whoever ends the process and all around it, by Ctrl-C for one, does not end its watcher.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    folders: set[str] = set()
    for line in sys.stdin:
        kind, _, name = line.rstrip("\n").partition(" ")
        if kind == "+group":
            groups.add(int(name))
        elif kind == "-group":
            groups.discard(int(name))
        elif kind == "+folder":
            folders.add(json.loads(name))
        elif kind == "-folder":
            folders.discard(json.loads(name))
    for group in groups:
        end_group(group)
    end_marked(sys.argv[1])
    for folder in folders:
        remove(folder)


if __name__ == "__main__":
    main()
