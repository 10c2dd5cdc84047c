"""Golden model, stimulus and benches.

Does the hardware compute what its spec says?
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwgen.installed import require_own_packages
from hwgen.public_names import on_demand

require_own_packages(__name__)

if TYPE_CHECKING:
    from sim import golden
    from sim.matrix_product import matmul
    from sim.stream import StreamVerification, verify_stream
    from sim.verification import Verification, verify, verify_inputs

#: The public names, by the module that has them. Each simulation imports its bench from here, and
#: nothing else.
__getattr__ = on_demand(
    __name__,
    {
        "sim.golden": (),
        "sim.matrix_product": ("matmul",),
        "sim.stream": ("StreamVerification", "verify_stream"),
        "sim.verification": ("Verification", "verify", "verify_inputs"),
    },
)

__all__ = [
    "StreamVerification",
    "Verification",
    "golden",
    "matmul",
    "verify",
    "verify_inputs",
    "verify_stream",
]
