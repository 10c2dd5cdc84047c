"""Work on several cores: threads, because numpy releases the interpreter's lock.

BLAS is limited to one thread meanwhile: the threads here are the parallelism, and BLAS threads on
top of them would only wait for each other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

Item = TypeVar("Item")
Result = TypeVar("Result")


def default_workers() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def one_blas_thread() -> AbstractContextManager[Any]:
    """BLAS works on the thread that calls it: on small matrices its threads wait for each other."""
    limits: AbstractContextManager[Any] = threadpool_limits(1, user_api="blas")
    return limits


@contextmanager
def _pool(workers: int) -> Iterator[ThreadPoolExecutor]:
    pool = ThreadPoolExecutor(workers)
    try:
        with one_blas_thread():
            yield pool
    finally:
        # After an error or Ctrl-C the waiting tasks are dropped, not computed.
        pool.shutdown(wait=True, cancel_futures=True)


def in_parallel(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int | None = None
) -> Iterator[Result]:
    """``function`` of each item, in the items' order, each as soon as it is known."""
    with _pool(workers or default_workers()) as pool:
        yield from pool.map(function, items)
