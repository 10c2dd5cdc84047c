"""The store of measurements: one SQLite file of the user's, and the ones that ship.

A measurement's key is a digest of everything that its result depends on (hardware, target,
flow, tool versions), so a stale one is never found. Each finished result is committed at
once: a kill loses none.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import json
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import platformdirs

from hwgen import records
from hwgen.errors import InputError, ToolError

ENVIRONMENT = "HWGEN_STORE"

_COLUMNS = ("key", "kind", "spec", "target", "result", "tools", "created")
#: Those that hold JSON.
_OBJECTS = ("spec", "result", "tools")
#: Figures, where a result has them, are of these types and not negative.
_FIGURES: dict[str, records.Kind] = {
    **dict.fromkeys(("lut", "carry", "ff", "dsp", "cycles"), int),
    **dict.fromkeys(("toggles_per_cycle", "seconds"), (int, float)),
    "fmax_mhz": (int, float, type(None)),
}
#: Those that a kind of measurement has.
_NEEDED = {
    "synthesis": ("lut", "carry", "ff", "dsp", "fmax_mhz"),
    "activity": ("toggles_per_cycle",),
}
#: A process that waits for another's result looks for it so often.
_LOOK_AGAIN_S = 0.1

_SCHEMA = """
CREATE TABLE IF NOT EXISTS measurements (
    key TEXT PRIMARY KEY, kind TEXT NOT NULL, spec TEXT NOT NULL, target TEXT NOT NULL,
    result TEXT NOT NULL, tools TEXT NOT NULL, created TEXT NOT NULL
)
"""


@dataclass(frozen=True)
class Measurement:
    """One result of the tools.

    ``kind`` is what was measured (``synthesis``, ``activity``); ``result`` its figures;
    ``tools`` the versions that gave it; ``created`` the date, UTC.
    """

    key: str
    kind: str
    spec: dict[str, Any]
    target: str
    result: dict[str, Any]
    tools: dict[str, str]
    created: str


def digest(*parts: Any) -> str:
    """A key from everything that a result depends on (JSON types)."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def now() -> str:
    """Today, UTC, as a measurement states it."""
    return datetime.now(UTC).strftime("%Y-%m-%d")


def path() -> Path:
    """The user's store: ``$HWGEN_STORE``, or a file in the user's data folder."""
    given = os.environ.get(ENVIRONMENT)
    return Path(given) if given else platformdirs.user_data_path("hwgen") / "measurements.sqlite"


def find(key: str) -> Measurement | None:
    """The measurement with this key, from the user's store or the shipped ones."""
    if path().exists():
        with _open() as connection:
            row = connection.execute(
                f"SELECT {', '.join(_COLUMNS)} FROM measurements WHERE key = ?", (key,)
            ).fetchone()
        if row is not None:
            try:
                return _from_row(row)
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                records.pass_over(f"the measurement {key} of {path()}", error)
    # What could not be stored when it was measured.
    for found in records.read(_beside(), checked):
        if found.key == key:
            return found
    return _shipped_by_key().get(key)


def require_writable() -> None:
    """InputError if ``add`` would fail: to be asked before a long measurement."""
    with _open() as connection:
        connection.execute("BEGIN IMMEDIATE")
        _insert(connection, Measurement("", "", {}, "", {}, {}, ""))
        connection.rollback()


def add(measurement: Measurement) -> None:
    """Commits one result to the user's store.

    ToolError if that fails: the result is then in the file that the message names, where
    ``find`` sees it if it stands beside the store.
    """
    try:
        with _open() as connection:
            _insert(connection, measurement)
    except InputError as error:
        raise ToolError(f"{error}; the result is kept in {_keep(measurement)}") from error


def _insert(connection: sqlite3.Connection, m: Measurement) -> None:
    connection.execute(
        f"INSERT OR REPLACE INTO measurements ({', '.join(_COLUMNS)}) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            *(m.key, m.kind, json.dumps(m.spec), m.target),
            *(json.dumps(m.result), json.dumps(m.tools), m.created),
        ),
    )


def _beside() -> Path:
    return path().with_name(path().name + ".kept.jsonl")


def _keep(measurement: Measurement) -> Path:
    """Writes a result that the store does not take to a file: beside it, or else where temporary
    files go."""
    for file in (_beside(), Path(tempfile.gettempdir()) / f"hwgen-{measurement.key}.kept.jsonl"):
        try:
            records.append(file, asdict(measurement))
        except InputError:
            continue
        return file
    raise ToolError(f"no file can be written for the result: {json.dumps(asdict(measurement))}")


@contextmanager
def measuring(key: str) -> Iterator[None]:
    """While one process, or thread, measures what has this key, others that want to wait here.

    The lock is the system's, on a file beside the store: it goes with its process, however that
    ends. ``require_writable`` comes first.
    """
    folder = path().with_name(path().name + ".locks")
    file = folder / key
    try:
        folder.mkdir(exist_ok=True)
        descriptor = _locked(file)
    except OSError as error:
        raise _unusable(path(), error) from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            file.unlink()
        os.close(descriptor)


def _locked(file: Path) -> int:
    while True:
        descriptor = os.open(file, os.O_CREAT | os.O_RDWR, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever had it before may have removed it meanwhile.
            if file.exists() and os.path.samestat(os.fstat(descriptor), file.stat()):
                return descriptor
        except BlockingIOError:
            time.sleep(_LOOK_AGAIN_S)
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def checked(row: dict[str, Any]) -> Measurement:
    """The measurement that a line or a row describes. ValueError, TypeError, KeyError if it is not
    what a tool could have measured."""
    texts = dict.fromkeys(("key", "kind", "target", "created"), str)
    records.require(row, {**texts, "spec": dict, "result": dict, "tools": dict})
    result = row["result"]
    records.require(result, {name: kind for name, kind in _FIGURES.items() if name in result})
    records.require(result, {name: _FIGURES[name] for name in _NEEDED.get(row["kind"], ())})
    if result.get("fmax_mhz") == 0:
        raise ValueError("its fmax_mhz is 0")
    return Measurement(**row)


@functools.cache
def shipped() -> tuple[Measurement, ...]:
    """The measurements that come with the package (``hwgen sweep`` made them)."""
    return read("measurements.jsonl")


def read(name: str) -> tuple[Measurement, ...]:
    """The measurements of a file that comes with the package."""
    text = resources.files("cost_models").joinpath(name).read_text("utf-8")
    return tuple(records.rows(text, name, checked))


def to_line(measurement: Measurement) -> str:
    """One line of the shipped file."""
    return json.dumps(asdict(measurement), sort_keys=True) + "\n"


@functools.cache
def _shipped_by_key() -> dict[str, Measurement]:
    return {m.key: m for m in shipped()}


def _from_row(row: tuple[str, ...]) -> Measurement:
    found = dict(zip(_COLUMNS, row, strict=True))
    return checked({**found, **{name: json.loads(found[name]) for name in _OBJECTS}})


@contextmanager
def _open() -> Iterator[sqlite3.Connection]:
    file = path()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # Several processes may measure at once; they wait for each other's commits.
        connection = sqlite3.connect(file, timeout=60)
    except (OSError, sqlite3.Error) as error:
        raise _unusable(file, error) from error
    try:
        with connection:
            connection.execute(_SCHEMA)
            yield connection
    except sqlite3.Error as error:
        raise _unusable(file, error) from error
    finally:
        connection.close()


def _unusable(file: Path, error: Exception) -> InputError:
    return InputError(
        f"the store of measurements {file} cannot be used: {error}; "
        f"set {ENVIRONMENT} to a file in a writable folder, or delete a damaged file"
    )
