"""Writing results so that nothing half-written is ever left behind."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from hwgen.errors import InputError
from hwgen.processes import temporary_folder


def require_writable(folder: str | Path) -> Path:
    """InputError unless files can be written to ``folder``, or it can be made. Leaves nothing."""
    output = Path(folder)
    existing = output.absolute()
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    try:
        # Trying is the only sure test: permissions, read-only disks and quotas differ.
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise InputError(
            f"output folder '{output}' is not writable ({error.strerror} at '{existing}'): give "
            "a folder that you may write to"
        ) from error
    return output


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A name to write a file to, of the same ending, that becomes ``path`` at the end of the block.

    Readers see the old file or the new one.

    Raises:
        InputError: it cannot be written; ``path`` is as it was.

    """
    with writing(path), temporary_folder(next_to=path) as draft:
        new = draft / f"new{path.suffix}"
        yield new
        os.replace(new, path)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """What the system says in the block becomes an InputError that names ``path``."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"'{path}' cannot be written ({error.strerror}): free some space there, or give a "
            "place that you may write to"
        ) from error


def write_text(path: Path, text: str) -> Path:
    """Writes ``text`` to ``path`` as ``whole_file``."""
    with whole_file(path) as new:
        new.write_text(text, encoding="utf-8")
    return path


def require_between(path: Path, begin: str, end: str) -> tuple[str, str]:
    """What is before the one mark in the file, and after the other.

    InputError if the file has no such marks, or cannot be read.
    """
    try:
        before, begins, behind = path.read_text("utf-8").partition(begin)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: no page to put a table in ({error}): name another") from error
    _, ends, after = behind.partition(end)
    if not begins or not ends:
        raise InputError(f"{path}: no place for the table, which is between '{begin}' and '{end}'")
    return before, after


def write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder of ``files``, by name, as a whole, in place of what is there.

    Raises:
        InputError: it cannot be written.

    """
    with writing(path), temporary_folder(next_to=path) as draft:
        (draft / "new").mkdir()
        for name, content in files.items():
            (draft / "new" / name).write_bytes(content)
        if path.exists():
            os.replace(path, draft / "old")
        os.replace(draft / "new", path)


def write_between(path: Path, begin: str, end: str, text: str) -> Path:
    """Puts ``text`` between the two marks in the file, in place of what is there.

    InputError if the file has no such marks.
    """
    before, after = require_between(path, begin, end)
    return write_text(path, f"{before}{begin}\n\n{text}\n\n{end}{after}")
