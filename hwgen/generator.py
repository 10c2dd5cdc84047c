"""What the hardware of a spec depends on beside the spec: the generator."""

from __future__ import annotations

import functools
import hashlib
from importlib import metadata
from pathlib import Path

#: What has no say in it: rooms and modules that no datapath is made with.
_OTHERS = (
    *("cli", "package", "arguments.py", "files.py", "installed.py", "processes.py", "progress.py"),
    *("public_names.py", "records.py", "store.py", "templates.py", "waivers.py", "watcher.py"),
)


@functools.cache
def generator_digest() -> str:
    """SHA-256 of the generator: of its sources, and of the version of Amaranth.

    The same spec and digest give the same RTLIL, so that both identify hardware without making it.
    """
    digest = hashlib.sha256(metadata.version("amaranth").encode())
    folder = Path(__file__).parent
    for file in sorted([*folder.rglob("*.py"), *folder.rglob("*.toml")]):
        name = file.relative_to(folder)
        if name.parts[0] not in _OTHERS:
            content = file.read_bytes()
            digest.update(f"{name.as_posix()} {len(content)}\n".encode())
            digest.update(content)
    return digest.hexdigest()
