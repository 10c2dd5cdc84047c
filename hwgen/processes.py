"""Programs and temporary folders that do not outlive the process that made them.

Every program of this package is started here, in a process group of its own: a time limit, an
error or a signal ends the whole group. Temporary folders are made here, and a tool's temporary
files go to the folder that it works in. A watcher (``hwgen.watcher``), a process of its own, sees
to both when this process is killed and can do nothing itself any more.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import uuid
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import platformdirs

from hwgen import watcher
from hwgen.errors import ToolError
from hwgen.watcher import ENVIRONMENT

#: Signals that ask a command to end.
SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
#: A command that was asked to end, and is still in a long calculation then, ends all the same.
GRACE_S = 10.0
#: What a tool says when the machine has too little of something, and what then helps.
_SHORTAGES = {
    r"No space left on device|ENOSPC|[Dd]isk quota exceeded|File too large|[Ff]ile size limit": (
        "no space is left for its files in '{folder}'",
        "free some, or use a folder on another disk (for temporary files: TMPDIR)",
    ),
    r"[Cc]annot allocate memory|[Oo]ut of memory|memory exhausted|bad_alloc|MemoryError|mmap failed"
    r"|[Kk]illed signal|failed to map segment|allocate.*TLS": (
        "there is not enough memory",
        "free some, raise the limit that is set ('ulimit -v'), or make the design smaller",
    ),
}
#: A disk with fewer free bytes is full: a tool's file that is cut short was cut by that.
_LITTLE_SPACE = 2**20
_SPACE = "free some space, or use a folder on another disk (for temporary files: TMPDIR)"
_RIGHTS = "use a place that you may write to"
#: What is the machine's state, and no fault of this package, and what to do.
_OUTSIDE = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), _SPACE),
    **dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), _RIGHTS),
    **dict.fromkeys((errno.ENOMEM, errno.EAGAIN), "free some memory, or raise the limits (ulimit)"),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "raise the limit of open files ('ulimit -n')"),
    errno.EIO: "look at the disk",
}
#: What make and shells take apart in a path.
_PLAIN = re.compile(r"[\w./+,@=~-]+")
_FURTHER_FOLDERS = ("/tmp", "/var/tmp")


class Ended(KeyboardInterrupt):
    """A signal other than Ctrl-C's asked this command to end. It is treated as Ctrl-C."""


class _Own:
    """What this process has, and no process that is forked from it."""

    def __init__(self, marks: str = "") -> None:
        self.mark = uuid.uuid4().hex
        self.marks = f"{marks}.{self.mark}".lstrip(".")
        self.lock = threading.RLock()
        #: Its writing end; none before there is a watcher.
        self.pipe: int | None = None
        self.groups: set[int] = set()
        #: The number of the signal by which this process was asked to end, if it was.
        self.ended_by: int | None = None

    def tell(self, line: str) -> None:
        """A line to the watcher, which is started before the first one."""
        with self.lock:
            if self.pipe is None:
                reading_end, self.pipe = os.pipe()
                started = subprocess.Popen(
                    [sys.executable, "-I", "-S", watcher.__file__, self.mark],
                    stdin=reading_end,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    cwd="/",
                    start_new_session=True,
                )
                os.close(reading_end)
                started.returncode = 0  # It outlives this process, which does not wait for it.
            with contextlib.suppress(OSError):  # It was killed; this process does without.
                os.write(self.pipe, f"{line}\n".encode())


_own = _Own(os.environ.get(ENVIRONMENT, ""))


def _after_fork() -> None:
    """In the new process: it is watched by a watcher of its own.

    It keeps no pipe open by whose end its parent's watcher knows the parent's.
    """
    global _own
    inherited = _own
    _own = _Own(inherited.marks)
    if inherited.pipe is not None:
        os.close(inherited.pipe)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def watch_group(leader: int) -> None:
    """The process group ends with this process, if not before."""
    with _own.lock:
        if _own.ended_by is not None:  # It was started while the others were ended.
            watcher.end_group(leader)
        _own.groups.add(leader)
        _own.tell(f"+group {leader}")


def forget_group(leader: int) -> None:
    """The process group has ended."""
    with _own.lock:
        _own.groups.discard(leader)
        _own.tell(f"-group {leader}")


@contextlib.contextmanager
def temporary_folder(next_to: Path | None = None) -> Iterator[Path]:
    """A new folder, which is removed with all that is in it when the block is left.

    Or when this process ends in any way. It is where temporary files go (``TMPDIR``), or next to
    the file or folder ``next_to``, hidden; its path has no space.

    Raises:
        ToolError: it cannot be made; beside something, OSError.

    """
    if next_to is None:
        name = Path(_temporary_root()) / f"hwgen-{uuid.uuid4().hex[:12]}"
    else:
        name = next_to.absolute().parent / f".{next_to.name[:100]}-{uuid.uuid4().hex[:12]}"
    path = json.dumps(str(name))
    _own.tell(f"+folder {path}")
    try:
        try:
            name.mkdir(mode=0o700)
        except OSError as error:
            if next_to is not None:
                raise
            raise ToolError(
                f"no temporary folder can be made in '{name.parent}' ({error.strerror}): "
                "set TMPDIR to a folder that you may write to"
            ) from error
        yield name
    finally:
        shutil.rmtree(name, ignore_errors=True)
        if not name.exists():
            _own.tell(f"-folder {path}")


def _temporary_root() -> str:
    """Where temporary folders go: the usual place, if tools can work there."""
    try:
        usual = tempfile.gettempdir()
    except OSError as error:
        raise ToolError(
            f"no folder for temporary files is writable ({error.strerror}): set TMPDIR to one"
        ) from error
    for folder in (usual, *_FURTHER_FOLDERS):
        if _PLAIN.fullmatch(folder) and os.access(folder, os.W_OK | os.X_OK):
            return folder
    raise ToolError(
        f"the folder of temporary files, '{usual}', has a space or another sign in its path that "
        f"make takes apart, and {' and '.join(_FURTHER_FOLDERS)} cannot be written to: set TMPDIR"
    )


def _variables(folder: Path) -> dict[str, str]:
    """Environment variables for a program that works in ``folder``.

    It is known by them as this process's own, and its temporary files go to ``folder``, as do those
    that it would keep for its next run where nothing can be kept.
    """
    variables = {ENVIRONMENT: _own.marks, "TMPDIR": str(folder.absolute())}
    cache = platformdirs.user_cache_path()
    try:  # Rights do not tell: in /proc, say, nobody can make a folder.
        cache.mkdir(parents=True, exist_ok=True)
        writable = os.access(cache, os.W_OK | os.X_OK)
    except OSError:
        writable = False
    if not writable:
        warnings.warn(
            f"'{cache}' cannot be written to, so tools are prepared anew each time: set "
            "XDG_CACHE_HOME to a folder that you may write to",
            stacklevel=2,
        )
        variables["XDG_CACHE_HOME"] = str(folder.absolute() / "cache")
    return variables


def shortage(text: str, folder: Path) -> str | None:
    """What the machine had too little of and what to do, if a tool's ``text`` says so.

    ``folder``: where its files are.
    """
    for words, (reason, remedy) in _SHORTAGES.items():
        if re.search(words, text):
            return f"{reason.format(folder=folder)}: {remedy}"
    return None


def outside(error: BaseException) -> str | None:
    """What is to be done about an error that is the machine's state; None for others.

    A full disk, too little memory, missing rights: no fault of this package.
    """
    if isinstance(error, MemoryError):
        return (
            "there is not enough memory: free some, raise the limit that is set ('ulimit -v'), or "
            "ask for less"
        )
    if isinstance(error, OSError):
        if error.errno not in _OUTSIDE:
            return None
        where = f"'{error.filename}'" if error.filename else "a file, or standard output,"
        return f"{where} cannot be used ({error.strerror}): {_OUTSIDE[error.errno]}"
    # A library that cannot be loaded, say, for want of memory.
    return shortage(f"{type(error).__name__}: {error}", Path(tempfile.gettempdir()))


def read_json(file: Path) -> Any:
    """What a program wrote to a file of its folder as JSON.

    Raises:
        ToolError: it is cut short, as on a disk that is full.

    """
    try:
        return json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        free = shutil.disk_usage(file.parent).free
        message = "No space left on device" if free < _LITTLE_SPACE else str(error)
        why = shortage(message, file.parent) or f"{type(error).__name__}: {error}"
        raise ToolError(f"'{file.name}', which a tool wrote, is not whole ({why})") from error


@contextlib.contextmanager
def program(
    command: Sequence[str], folder: Path, *, env: dict[str, str] | None = None, **options: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """A program that works in ``folder``, and ends with the block.

    It leads a process group, all of which is killed when the block is left or this process ends in
    any way. ``env``: variables beside this process's own, ``options``: those of ``Popen``.

    Raises:
        ToolError: it cannot be started.

    """
    _own.tell("")  # The watcher is there first.
    try:
        process: subprocess.Popen[bytes] = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **(env or {}), **_variables(folder)},
            start_new_session=True,
            **options,
        )
    except OSError as error:
        raise ToolError(
            f"{Path(command[0]).name} cannot be started: {error.strerror} ('{command[0]}')"
        ) from error
    watch_group(process.pid)
    try:
        yield process
    finally:
        watcher.end_group(process.pid)
        process.wait()
        forget_group(process.pid)


def run(
    command: Sequence[str],
    folder: Path,
    time_limit_s: float,
    *,
    env: dict[str, str] | None = None,
) -> tuple[int, list[str]]:
    """Exit code and lines of output, errors among them, of a program that works in ``folder``.

    ToolError after the time limit, or if it cannot be started.
    """
    with program(
        command,
        folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        try:
            output, _ = process.communicate(timeout=time_limit_s)
        except subprocess.TimeoutExpired as error:
            name = Path(command[0]).name
            raise ToolError(f"{name} took longer than {time_limit_s:g} s") from error
    return process.returncode, output.decode(errors="replace").splitlines()


def ended_by() -> int | None:
    """The number of the signal by which this process was asked to end, if it was."""
    return _own.ended_by


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Within the block the first of ``SIGNALS`` ends all programs, and the main thread's work.

    It raises KeyboardInterrupt (``Ended``) there; a second one, or ``GRACE_S`` seconds, end the
    process, and the watcher what it leaves. Does nothing in another thread than the main one.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    timers: list[threading.Timer] = []

    def end(number: int, frame: FrameType | None) -> None:
        if _own.ended_by is not None:
            os._exit(128 + number)
        _own.ended_by = number
        timers.append(threading.Timer(GRACE_S, os._exit, (128 + number,)))
        timers[0].daemon = True
        timers[0].start()
        for group in list(_own.groups):
            watcher.end_group(group)
        watcher.end_marked(_own.mark)
        raise KeyboardInterrupt if number == signal.SIGINT else Ended(number)

    # What the caller has this process ignore (nohup) stays so.
    saved = {n: old for n in SIGNALS if (old := signal.getsignal(n)) != signal.SIG_IGN}
    for number in saved:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number, old in saved.items():
            signal.signal(number, old)
        for timer in timers:
            timer.cancel()
        _own.ended_by = None
