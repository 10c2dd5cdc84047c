"""Scales that are powers of two, or powers of two times one number for all channels.

Wu, Yao and He, "ZeroQuant-FP", arXiv 2307.09782, section 3: the scale's multiplication becomes an
addition of exponents. M1 rounds each scale up to a power of two, S' = 2^⌈log2 S⌉. M2 keeps
the largest S_max of a group exact and divides it by powers of two, S'_i = S_max / 2^k_i with k_i =
⌊log2(S_max / S_i)⌋, so that no scale becomes smaller and nothing more saturates (the paper's text
leaves the direction open).
"""

from __future__ import annotations

import numpy as np

from optimizer.ptq.moments import Floats

#: log2 of a power of two that comes out with an error is still that power.
TOLERANCE = 1e-9


def powers_of_two(scale: Floats) -> Floats:
    """M1: each scale, above 0 and of any shape, to the next power of two above or equal."""
    return np.exp2(np.ceil(np.log2(scale) - TOLERANCE))


def powers_below_largest(scale: Floats) -> Floats:
    """M2: the largest of all scales over powers of two, each at least as large as the scale."""
    largest = scale.max()
    return np.asarray(largest / np.exp2(np.floor(np.log2(largest / scale) + TOLERANCE)))
