"""Golden model, stimulus and benches.

Does the hardware compute what its spec says?
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hwgen.installed import require_own_packages

require_own_packages(__name__)

if TYPE_CHECKING:
    from sim import golden
    from sim.matrix_product import matmul
    from sim.stream import StreamVerification, verify_stream
    from sim.verification import Verification, verify, verify_inputs

__all__ = [
    "StreamVerification",
    "Verification",
    "golden",
    "matmul",
    "verify",
    "verify_inputs",
    "verify_stream",
]


def __getattr__(name: str) -> Any:
    """A public name, imported when it is first used.

    Each simulation imports its bench from here, and nothing else. AttributeError for other names.
    """
    if name == "golden":
        return import_module("sim.golden")
    if name in __all__:
        for module in ("verification", "stream", "matrix_product"):
            value = getattr(import_module(f"sim.{module}"), name, None)
            if value is not None:
                globals()[name] = value
                return value
    raise AttributeError(f"module 'sim' has no attribute {name!r}")
