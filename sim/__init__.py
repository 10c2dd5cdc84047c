"""Golden model, stimulus and benches: does the hardware compute what its spec says?"""

from hwgen.installed import require_own_packages

require_own_packages(__name__)

from sim import golden
from sim.matmul import matmul
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
