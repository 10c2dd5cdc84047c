"""A Dask cluster that this package's work runs on.

Its workers have this package installed, and stores of their own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from hwgen.errors import InputError, ToolError
from hwgen.progress import doing

T = TypeVar("T")
#: A scheduler has so long to answer.
PATIENCE_S = 10.0
#: What fails for another reason than a tool, or with its worker, is tried again so often.
RETRIES = 3


@contextmanager
def executor(scheduler: str) -> Iterator[Executor]:
    """The workers of the scheduler at an address such as ``tcp://host:8786``.

    What still waits or runs when the block is left is cancelled.

    Raises:
        InputError: Dask is not installed, or no scheduler answers.

    """
    try:
        from distributed import Client  # An extra, and slow to import.
    except ImportError as error:
        raise InputError(
            "scheduler: it takes Dask, which is not installed: pip install 'hwgen[dask]'"
        ) from error
    with _silent():
        try:
            # In a thread of its own: the caller's may have a loop already, as in a notebook.
            with ThreadPoolExecutor(1) as apart:
                apart.submit(asyncio.run, _require_scheduler(scheduler)).result()
            client = Client(scheduler, timeout=PATIENCE_S)
        except Exception as error:  # Of an address of any kind.
            why = (
                str(error) or f"nothing within {PATIENCE_S:g} s"
            )  # Without a word: its time is up.
            raise InputError(
                f"scheduler={scheduler!r}: no Dask scheduler answers there: {why}"
            ) from error
        with client, doing("using a cluster", detail=lambda: _workers(client)):
            pool = client.get_executor(pure=False, retries=RETRIES)
            try:
                yield _ByName(pool)
            finally:
                pool.shutdown(wait=False)


class _ByName(Executor):
    """Has a worker import what it calls.

    One that cannot says so; that Dask imports it there would end the worker.
    """

    def __init__(self, pool: Executor) -> None:
        self._pool = pool

    def submit(self, function: Callable[..., T], /, *given: Any, **named: Any) -> Future[T]:
        module, name = function.__module__, function.__name__

        def call(*given: Any, **named: Any) -> T:
            import importlib  # It runs on another machine.

            result: T = getattr(importlib.import_module(module), name)(*given, **named)
            return result

        return self._pool.submit(call, *given, **named)


@contextmanager
def _silent() -> Iterator[None]:
    """What Dask logs of lost connections, errors here say in a line."""
    names = [name for name in logging.root.manager.loggerDict if name.startswith("distributed")]
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def _workers(client: Any) -> str:
    count = len(client.scheduler_info()["workers"])
    return f"{count} worker{'s' * (count != 1)}"


async def _require_scheduler(address: str) -> None:
    """What else listens there may never answer, and the client would wait for it."""
    from distributed.core import rpc  # An extra.
    from distributed.security import Security

    arguments = Security().get_connection_args("client")
    async with rpc(address, connection_args=arguments, timeout=PATIENCE_S) as remote:
        identity = await asyncio.wait_for(remote.identity(), PATIENCE_S)
    if identity["type"] != "Scheduler":
        raise ValueError(f"it is a {identity['type']}")


def result(future: Future[T], scheduler: str, failed: Callable[..., T]) -> T:
    """What a worker returned; ``failed`` of a ``failure`` if its work killed several workers.

    Raises:
        InputError: it could not begin its work.
        ToolError: the scheduler has gone.

    """
    from distributed.scheduler import KilledWorker  # An extra.

    try:
        return future.result()
    except KilledWorker as error:
        return failed(failure=_one_line(error))
    except CancelledError as error:
        raise ToolError(
            f"the scheduler at {scheduler} has gone: start it, and the same command again"
        ) from error
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"scheduler={scheduler!r}: a worker cannot work ({_one_line(error)}): look at that "
            "machine, and at the version of hwgen that is installed there"
        ) from error


def _one_line(error: Any) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
