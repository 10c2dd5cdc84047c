"""The store of results: one SQLite file of the user's, and the lines that ship with each room.

A result is a row, a JSON object, of a kind: a measurement, a proof, a score of mutants, the
verdict on a case of the regression. Its key is a digest of everything that it depends on
(hardware, flow, tools, options), so that a stale one is never found. Each finished one is
committed at once: a kill loses none. A row that is not what its kind says is named in a warning,
and passed over.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import json
import os
import re
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib import resources
from operator import itemgetter
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar

import platformdirs

from hwgen import records
from hwgen.errors import InputError, ToolError
from hwgen.files import write_text
from hwgen.progress import doing

T = TypeVar("T")
#: A result as it is kept: plain JSON types by field.
Row: TypeAlias = dict[str, Any]

ENVIRONMENT = "HWGEN_STORE"
#: A process that waits for another's result looks for it so often.
_LOOK_AGAIN_S = 0.1
_TABLE = """
CREATE TABLE IF NOT EXISTS results (
    key TEXT PRIMARY KEY, kind TEXT NOT NULL, row TEXT NOT NULL
)
"""
#: Files that earlier versions made hold measurements alone, of which three columns are JSON.
_BEFORE = "measurements"
_COPY = f"""
INSERT OR IGNORE INTO results SELECT key, 'measurement', '{{"key": "' || key || '", "kind": "'
    || kind || '", "spec": ' || spec || ', "target": "' || target || '", "result": ' || result
    || ', "tools": ' || tools || ', "created": "' || created || '"}}' FROM {_BEFORE}
"""


def digest(*inputs: Any) -> str:
    """A key from everything that a result depends on (JSON types).

    32 hexadecimal digits of the SHA-256 of their JSON.
    """
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:32]


def today() -> str:
    """The date, UTC, as a result states it."""
    return datetime.now(UTC).strftime("%Y-%m-%d")


#: Of the user's store and of what it could not take, each: which file it is, its size, its time.
State: TypeAlias = tuple[tuple[int, int, int] | None, ...]
#: Files that changed so lately may change again within a tick of the clock that dates them.
_SETTLED_NS = 1_000_000_000


def state() -> State | None:
    """What is the same as long as the user's store has the same results.

    None while it is being written: then nothing that was read before is to be trusted.
    """
    file = os.fspath(path())
    found: list[tuple[int, int, int] | None] = []
    for name in (file, f"{file}.kept.jsonl"):
        try:
            stat = os.stat(name)
        except (OSError, ValueError):  # There is none, or no such name can be.
            found.append(None)
            continue
        if time.time_ns() - stat.st_mtime_ns < _SETTLED_NS:
            return None
        found.append((stat.st_ino, stat.st_size, stat.st_mtime_ns))
    return tuple(found)


def path() -> Path:
    """The user's store: ``$HWGEN_STORE``, or a file in the user's data folder."""
    given = os.environ.get(ENVIRONMENT)
    home = os.environ.get("HOME"), os.environ.get("XDG_DATA_HOME")
    return _path(given) if given else _usual_path(*home)


@functools.lru_cache(maxsize=4)
def _path(given: str) -> Path:
    return Path(given)


@functools.lru_cache(maxsize=4)
def _usual_path(home: str | None, data_home: str | None) -> Path:
    """The user's data folder, which hangs on these variables."""
    return platformdirs.user_data_path("hwgen") / "measurements.sqlite"


#: The key of a row that has it in a field of that name, and where its line says it.
_KEY, _KEY_IN_LINE = itemgetter("key"), re.compile(r'"key": "([^"\\]+)"')


@dataclass(frozen=True)
class Kind(Generic[T]):
    """What the results of a kind are.

    ``made``: the result that a row describes; ValueError, TypeError or KeyError if it is none.
    ``final``: whether a result answers what was asked; one that does not is made again.
    ``ships``: the file of the results that come with the package, in the folder of a room.
    """

    name: str
    made: Callable[[Row], T]
    final: Callable[[T], bool] = lambda result: True
    key: Callable[[Row], str] = _KEY
    ships: str = ""

    @cached_property
    def shipped(self) -> dict[str, T]:
        """The results that come with the package, by key."""
        return self.read(self.ships) if self.ships else {}

    def one_shipped(self, key: str) -> T | None:
        """Of those the one with this key, or None; it is quick, as the others are not read."""
        if self.key is _KEY and "shipped" not in vars(self):
            line = self._shipped_lines.get(key)
            if line is None:
                return None
            found = dict(records.rows(line, self.ships, self.keyed))
            if key in found:
                return found[key]
        return self.shipped.get(key)

    @property
    def first_shipped(self) -> T | None:
        """One of those, the first, or None; the others are not read either."""
        line = next(iter(self._shipped_lines.values()), "")
        return next(iter(dict(records.rows(line, self.ships, self.keyed)).values()), None)

    @cached_property
    def _shipped_lines(self) -> dict[str, str]:
        """The lines of what ships by all that may be their keys, without reading them."""
        lines = _text_of(self.ships).split("\n") if self.ships else []
        return {match[1]: line for line in lines for match in _KEY_IN_LINE.finditer(line)}

    def read(self, name: str) -> dict[str, T]:
        """The results by key of a file in the folder of a room; none if it is not there."""
        return dict(records.rows(_text_of(name), name.partition("/")[2], self.keyed))

    def keyed(self, row: Row) -> tuple[str, T]:
        """A row's key and result, for a dictionary in which later lines replace earlier ones."""
        return self.key(row), self.made(row)


def _text_of(name: str) -> str:
    """What a file in the folder of a room says; nothing if it is not there."""
    room, _, file = name.partition("/")
    place = resources.files(room).joinpath(file)
    return place.read_text("utf-8") if place.is_file() else ""


class Store(Generic[T]):
    """The results of a kind in the user's store, and those that ship."""

    def __init__(self, kind: Kind[T]) -> None:
        self.kind = kind

    def find(self, key: str) -> T | None:
        """The final result with this key, or None."""
        return next(filter(self.kind.final, self._known(key)), None)

    def add(self, row: Row) -> None:
        """Commits a result.

        ToolError if that fails: it is then in the file that the message names, where ``find``
        sees it if it stands beside the store.
        """
        try:
            with _open() as connection:
                _insert(connection, self.kind.key(row), self.kind.name, json.dumps(row))
        except InputError as error:
            raise ToolError(f"{error}; the result is kept in {_keep(row)}") from error

    def once(self, key: str, make: Callable[[], Row]) -> tuple[T, bool]:
        """The final result with this key, and whether it was known.

        If not, what ``make`` returns is added to it. Another process or thread that wants it
        meanwhile waits, and takes it.
        """
        if (known := self.find(key)) is not None:
            return known, True
        with self._alone(key):
            if (known := self.find(key)) is not None:
                return known, True
            row = json.loads(json.dumps({"key": key, **make()}))
            self.add(row)
        return self.kind.made(row), False

    def distinct(self, *fields: str) -> set[tuple[Any, ...]]:
        """What the rows of the user's store have in these fields, each combination once.

        ``fields``: names, of objects within objects with dots (``spec.lanes``). None where a row
        has no such field.
        """
        rows = records.read(_kept_file(), dict)
        found = {tuple(_field(row, name) for name in fields) for row in rows}
        if os.path.exists(path()):
            columns = ", ".join(f"json_extract(row, '$.{name}')" for name in fields)
            query = f"SELECT DISTINCT {columns} FROM results WHERE kind = ? AND json_valid(row)"
            with _open() as connection:
                found.update(connection.execute(query, (self.kind.name,)))
        return found

    def _known(self, key: str) -> Iterator[T]:
        if (text := _text(key)) is not None:
            result = records.row(text, f"the {self.kind.name} {key} of {path()}", self.kind.made)
            if result is not None:
                yield result
        # What could not be stored when it was made.
        yield from records.read(
            _kept_file(), lambda row: self.kind.made(row) if row.get("key") == key else None
        )
        if (shipped := self.kind.one_shipped(key)) is not None:
            yield shipped

    def _alone(self, key: str) -> AbstractContextManager[None]:
        require_writable()
        return making(key)


class Lines(Store[T]):
    """The results of a kind in a file of their own, a line each.

    One command at a time adds to it; a later line of the same key replaces an earlier one.
    InputError if the file cannot be read.
    """

    def __init__(self, kind: Kind[T], path: Path) -> None:
        super().__init__(kind)
        self.path = path
        #: By key.
        self.results = dict(records.read(path, kind.keyed))

    def add(self, row: Row) -> None:
        """Append a result to the file."""
        records.append(self.path, row)
        self.results |= [self.kind.keyed(row)]

    def _known(self, key: str) -> Iterator[T]:
        if key in self.results:
            yield self.results[key]

    def _alone(self, key: str) -> AbstractContextManager[None]:
        return contextlib.nullcontext()


def at(kind: Kind[T], file: Path | None) -> Store[T]:
    """The store of a kind: a file of lines, or, where none is given, the user's."""
    return Store(kind) if file is None else Lines(kind, file)


def export(file: Path, rows: Iterable[Row]) -> None:
    """Writes rows as those that ship: a line each, whole or not at all, none twice."""
    lines = [json.dumps(row, sort_keys=True) + "\n" for row in rows]
    write_text(file, "".join(dict.fromkeys(lines)))


def require_writable() -> None:
    """InputError if ``Store.add`` would fail: to be asked before long work."""
    with _open() as connection:
        connection.execute("BEGIN IMMEDIATE")
        _insert(connection, "", "", "")
        connection.rollback()


@contextmanager
def making(key: str) -> Iterator[None]:
    """While one process, or thread, makes what has this key, others that want to wait here.

    The lock is the system's, on a file beside the store: it goes with its process, however that
    ends. ``require_writable`` comes first.
    """
    folder = path().with_name(path().name + ".locks")
    file = folder / key
    try:
        folder.mkdir(exist_ok=True)
        with doing("waiting for another process, which makes the same result"):
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


def _field(row: Row, name: str) -> Any:
    value: Any = row
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _kept_file() -> Path:
    return path().with_name(path().name + ".kept.jsonl")


def _keep(row: Row) -> Path:
    """Write a result that the store does not take to a file; returns that.

    It is beside the store, or else where temporary files go.
    """
    for file in (_kept_file(), Path(tempfile.gettempdir()) / f"hwgen-{row['key']}.kept.jsonl"):
        try:
            records.append(file, row)
        except InputError:
            continue
        return file
    raise ToolError(f"no file can be written for the result: {json.dumps(row)}")


def _insert(connection: sqlite3.Connection, key: str, kind: str, row: str) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO results (key, kind, row) VALUES (?, ?, ?)", (key, kind, row)
    )


def _text(key: str) -> str | None:
    """The row with this key in the user's store, which is not made for that."""
    now = state()
    if now is not None and key not in _keys(now):
        return None
    if not os.path.exists(path()):  # Which, other than Path's, takes names that no system has.
        return None
    with _open() as connection:
        row = connection.execute("SELECT row FROM results WHERE key = ?", (key,)).fetchone()
    return row and str(row[0])


@functools.lru_cache(maxsize=1)
def _keys(now: State) -> frozenset[str]:
    """The keys of all rows in the user's store, while it is as it is ``now``."""
    if not os.path.exists(path()):
        return frozenset()
    with _open() as connection:
        return frozenset(key for (key,) in connection.execute("SELECT key FROM results"))


@contextmanager
def _open() -> Iterator[sqlite3.Connection]:
    file = path()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # Several processes may add at once; they wait for each other's commits.
        connection = sqlite3.connect(file, timeout=60)
    except (OSError, sqlite3.Error) as error:
        raise _unusable(file, error) from error
    try:
        with connection, doing(f"using the store {file}"):
            _require_table(connection)
            yield connection
    except sqlite3.Error as error:
        raise _unusable(file, error) from error
    finally:
        connection.close()


def _require_table(connection: sqlite3.Connection) -> None:
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if "results" not in tables:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(_TABLE)
        if _BEFORE in tables:
            connection.execute(_COPY)
        connection.commit()


def _unusable(file: Path, error: Exception) -> InputError:
    return InputError(
        f"the store of results {file} cannot be used: {error}; "
        f"set {ENVIRONMENT} to a file in a writable folder, or delete a damaged file"
    )
