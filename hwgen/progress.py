"""What a command is at, on standard error, once it has taken some seconds.

Code that can take long says what it does (``doing``), how far it is, and how long it may take at
most where there is a limit. Nothing is printed by a library: ``shown`` is of the command line. In
a terminal one line is written over and over; elsewhere there is a line now and then.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

#: Nothing is printed before, and elsewhere than in a terminal a line so often at most.
QUIET_S, EVERY_S = 5.0, 30.0


@dataclass(frozen=True)
class _Task:
    text: str
    limit_s: float | None
    about_s: float | None
    detail: Callable[[], str]
    started: float

    def __str__(self) -> str:
        notes = [self.detail()] if self.detail is not _nothing else []
        seconds = time.monotonic() - self.started
        if self.about_s is not None:
            notes.append(f"of about {max(self.about_s, seconds):.0f} s")
        if self.limit_s is not None:
            notes.append(f"{max(self.limit_s - seconds, 0):.0f} s more at most")
        notes = [text for text in notes if text]
        return f"{self.text} for {seconds:.0f} s" + (f" ({', '.join(notes)})" if notes else "")


class Pace:
    """How far work of ``total`` like parts has come, and when it ends at this pace."""

    def __init__(self, total: int) -> None:
        self.total, self.ended, self.made = total, 0, 0
        self._started = time.monotonic()

    def part_done(self, *, known: bool = False) -> None:
        """Count one more part.

        ``known``: its result was there already, which says nothing of how long the others take.
        """
        self.ended += 1
        self.made += not known

    def __str__(self) -> str:
        """Such as ``12/40, 2:05 left``."""
        seconds = time.monotonic() - self._started
        return f"{self.ended}/{self.total}{time_left(seconds, self.made, self.total - self.ended)}"


def time_left(seconds: float, made: int, more: int) -> str:
    """``, M:SS left``, if ``made`` parts took ``seconds`` and there are ``more`` of them.

    Nothing before the first is made and after the last.
    """
    if not made or not more:
        return ""
    left_s = seconds / made * more
    return f", {left_s // 60:.0f}:{left_s % 60:02.0f} left"


#: Whether nobody wants to be told.
quiet = False
_printing = False

#: What is being done, by thread; within a thread the innermost last.
_tasks: dict[int, list[_Task]] = {}


def _nothing() -> str:
    return ""


@contextlib.contextmanager
def doing(
    text: str,
    *,
    limit_s: float | None = None,
    about_s: float | None = None,
    detail: Callable[[], str] = _nothing,
) -> Iterator[None]:
    """In the block ``text`` is what this thread does: "mapping mul_int4_int4 to ecp5", say.

    ``limit_s``: how long it may take, in seconds, before it is ended; ``about_s``: how long it will
    take, by an estimate; ``detail``: called for how far it is.
    """
    mine = _tasks.setdefault(threading.get_ident(), [])
    mine.append(_Task(text, limit_s, about_s, detail, time.monotonic()))
    try:
        yield
    finally:
        mine.pop()
        if not mine:
            _tasks.pop(threading.get_ident(), None)


def now() -> str:
    """What all threads do, the longest first, and how far the work is that it is a part of.

    Nothing if nobody said.
    """
    doing = [(tasks[-1], tasks[:-1]) for tasks in map(list, list(_tasks.values())) if tasks]
    doing.sort(key=lambda entry: entry[0].started)
    return "; ".join(
        ": ".join([*filter(None, (task.detail() for task in around)), str(task)])
        for task, around in doing
    )


def tell(line: str, end: str = "\n") -> None:
    """Print on standard error how far a command is, unless it is to be quiet."""
    if not quiet:
        print(line, end=end, file=sys.stderr, flush=True)


@contextlib.contextmanager
def shown() -> Iterator[None]:
    """While the block runs for long, what is done in it is printed on standard error."""
    global _printing
    over = threading.Event()
    _printing = True
    printer = threading.Thread(target=_show, args=(over,), daemon=True)
    printer.start()
    try:
        yield
    finally:
        _printing = False
        over.set()
        printer.join(1)


def printing() -> bool:
    """Whether somebody reads what is being done: an estimate is worth some time then."""
    return _printing


def _show(over: threading.Event) -> None:
    started = time.monotonic()
    live, written = sys.stderr.isatty(), False
    wait_s = QUIET_S
    while not over.wait(wait_s):
        wait_s = 1.0 if live else EVERY_S
        with contextlib.suppress(Exception):  # Of a picture of what others change meanwhile.
            text = now()
            if quiet or not text:
                continue
            line = f"hwgen: {time.monotonic() - started:.0f} s: {text}"
            # A terminal's line is no longer than that, and is cleared for the next.
            print(
                f"\r\033[K{line[:110]}" if live else line, end="" if live else "\n", file=sys.stderr
            )
            sys.stderr.flush()
            written = True
    if live and written:
        with contextlib.suppress(Exception):
            print("\r\033[K", end="", file=sys.stderr, flush=True)
