"""How much data may be loaded: known before it is."""

from __future__ import annotations

import os
import resource
from pathlib import Path

from hwgen.errors import InputError

#: The data may take this part of the memory: the network's tensors need room too.
SHARE = 0.25
#: Limits of a container, of control groups version 2 and 1.
CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def usable_bytes() -> int:
    """The least of the machine's memory, the container's and the process' own limit."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    process_limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if process_limit != resource.RLIM_INFINITY:
        limits.append(process_limit)
    for path in CGROUP_LIMITS:
        try:
            limits.append(int(path.read_text()))
        except (OSError, ValueError):  # no such limit, or "max"
            continue
    return min(limits)


def require_room(where: str, needed: int) -> None:
    """InputError if ``needed`` bytes are more than the data's share of the memory."""
    usable = usable_bytes()
    if needed > SHARE * usable:
        raise InputError(
            f"{where} needs {needed / 2**20:,.0f} MiB of memory when it is read, and may take "
            f"{SHARE:.0%} of the {usable / 2**20:,.0f} MiB that there are: give fewer images"
        )
