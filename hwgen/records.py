"""Results in files, a JSON object a line: appended one by one, and read with care.

A line that is not what it should be is named in a warning and passed over. The half line that a
kill in the middle of a write leaves at the end is none, and the next write replaces it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from hwgen.errors import InputError
from hwgen.files import writing

T = TypeVar("T")
#: No count, size or time is so large.
_BEYOND = 2**63


class PassedOver(UserWarning):
    """A stored result that is not what it should be, and is treated as if it were not there."""


def row(text: str, place: str, make: Callable[[dict[str, Any]], T | None]) -> T | None:
    """What ``make`` makes of the JSON object in ``text``.

    None, and a warning that names the ``place``, if there is none or ``make`` raises ValueError,
    TypeError or KeyError.
    """
    try:
        fields = json.loads(text)
        if not isinstance(fields, dict):
            raise ValueError(f"it is no JSON object but {text[:40]!r}")
        return make(fields)
    except KeyError as error:
        reason = f"it has no {error}"
    except (ValueError, TypeError, RecursionError) as error:
        reason = str(error) or type(error).__name__
    warnings.warn(f"{place} is passed over: {reason}", PassedOver, stacklevel=2)
    return None


def rows(text: str, name: str, make: Callable[[dict[str, Any]], T | None]) -> Iterator[T]:
    """``row`` of each line of the file ``name``, but of those of which it makes None."""
    *whole, half = text.split("\n")
    with contextlib.suppress(ValueError):
        json.loads(half)
        whole.append(half)
    for number, line in enumerate(whole, 1):
        if line.strip():
            result = row(line, f"{name}, line {number}", make)
            if result is not None:
                yield result


def read(path: Path, make: Callable[[dict[str, Any]], T | None]) -> list[T]:
    """``rows`` of a file, none if it is not there. InputError if it cannot be read."""
    try:
        text = path.read_text("utf-8", errors="replace") if path.exists() else ""
    except OSError as error:
        raise InputError(f"'{path}' cannot be read: {error.strerror}") from error
    return list(rows(text, str(path), make))


def append(path: Path, fields: Mapping[str, Any]) -> None:
    """Add one line, whole or not at all.

    Raises:
        InputError: it cannot be written.

    """
    line = json.dumps(fields) + "\n"
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+", buffering=0) as file:
            end = file.seek(0, os.SEEK_END)
            keep = _end_of_lines(file, end)
            if keep != end:
                file.truncate(keep)
            elif end and not _ends_a_line(file, end):
                line = "\n" + line
            whole = line.encode()
            try:
                if file.write(whole) < len(whole):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError:
                with contextlib.suppress(OSError):  # A device has no length.
                    file.truncate(keep)
                raise


def _ends_a_line(file: Any, end: int) -> bool:
    file.seek(end - 1)
    return bool(file.read(1) == b"\n")


def _end_of_lines(file: Any, end: int) -> int:
    """Where the last whole line ends: at the end, but for half an object behind it."""
    start = end
    while start and not _ends_a_line(file, start):
        start = max(start - 4096, 0)
        file.seek(start)
        before = file.read(end - start).rfind(b"\n")
        if before >= 0:
            start += before + 1
            break
    file.seek(start)
    try:
        json.loads(file.read(end - start) or b"0")
    except ValueError:
        return start
    return end


#: A type that a field has, or several.
FieldType: TypeAlias = type | tuple[type, ...]


def require(row: Mapping[str, Any], types: Mapping[str, FieldType]) -> None:
    """Check the named fields of a row, by the types that they have.

    Raises:
        ValueError: one is missing or of another type, a number is negative or beyond what a program
            counts in, or True stands for a number.

    """
    for name, kinds in types.items():
        if name not in row:
            raise ValueError(f"it has no {name}")
        value = row[name]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        right = isinstance(value, kinds) and (kinds is bool or not isinstance(value, bool))
        if not right or (number and not 0 <= value < _BEYOND):
            raise ValueError(f"its {name} is {json.dumps(value)[:60]}")
