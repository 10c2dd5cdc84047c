"""Public names of a package, each imported from its module when it is first used.

So a package starts in a moment, and what a caller does not use is not imported.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def on_demand(package: str, places: Mapping[str, Sequence[str]]) -> Callable[[str], Any]:
    """The ``__getattr__`` of ``package``: ``places`` has, by module, the names from there.

    The package's modules are names too; for others what it returns raises AttributeError.
    """
    modules = {name: module for module, names in places.items() for name in names}

    def attribute(name: str) -> Any:
        if name in modules:
            value = getattr(import_module(modules[name]), name)
            setattr(sys.modules[package], name, value)
            return value
        if (module := f"{package}.{name}") in places:
            return import_module(module)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return attribute
