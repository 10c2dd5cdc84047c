"""Writing results so that nothing half-written is ever left behind."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hwgen.errors import InputError


def require_folder(path: Path) -> Path:
    """``path`` as a folder that can be written to, made if need be. InputError if not."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise InputError(
            f"cannot write to the folder {path}: {error.strerror or error}; "
            "give another with --out"
        ) from error
    return path


def write_text(path: Path, text: str) -> Path:
    """Writes ``text`` to ``path`` as a whole: readers see the old file or the new one."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        # mkstemp's files are private; a result has the usual rights.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
    return path
