"""The store of measurements: one SQLite file of the user's, and the ones that ship.

A measurement's key is a digest of everything that its result depends on (hardware, target,
flow, tool versions), so a stale one is never found. Each finished result is committed at
once: a kill loses none.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import platformdirs

from hwgen.errors import InputError

ENVIRONMENT = "HWGEN_STORE"

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
                "SELECT key, kind, spec, target, result, tools, created FROM measurements"
                " WHERE key = ?",
                (key,),
            ).fetchone()
        if row is not None:
            return _from_row(row)
    return _shipped_by_key().get(key)


def require_writable() -> None:
    """InputError if ``add`` would fail: to be asked before a long measurement."""
    with _open() as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.rollback()


def add(measurement: Measurement) -> None:
    """Commits one result to the user's store."""
    m = measurement
    with _open() as connection:
        connection.execute(
            "INSERT OR REPLACE INTO measurements VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                *(m.key, m.kind, json.dumps(m.spec), m.target),
                *(json.dumps(m.result), json.dumps(m.tools), m.created),
            ),
        )


@functools.cache
def shipped() -> tuple[Measurement, ...]:
    """The measurements that come with the package (``hwgen sweep`` made them)."""
    lines = resources.files("cost_models").joinpath("measurements.jsonl").read_text("utf-8")
    return tuple(Measurement(**json.loads(line)) for line in lines.splitlines())


def to_line(measurement: Measurement) -> str:
    """One line of the shipped file."""
    return json.dumps(asdict(measurement), sort_keys=True) + "\n"


@functools.cache
def _shipped_by_key() -> dict[str, Measurement]:
    return {m.key: m for m in shipped()}


def _from_row(row: tuple[str, ...]) -> Measurement:
    key, kind, spec, target, result, tools, created = row
    return Measurement(
        key, kind, json.loads(spec), target, json.loads(result), json.loads(tools), created
    )


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
