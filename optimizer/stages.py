"""The stages of a long job: how long each took, and what is told meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

#: Takes a line of text for a person who waits.
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Stages:
    """``seconds`` of each stage by name, in their order; ``progress`` is told when one ends."""

    progress: Progress
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Times what is done in the context as the stage called ``name``, unless it fails."""
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start
        self.progress(f"{name}: {self.seconds[name]:.1f} s")
