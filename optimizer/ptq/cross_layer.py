"""Factors that make the channels between two layers alike: cross-layer equalisation.

Nagel, van Baalen, Blankevoort and Welling, "Data-Free Quantization Through Weight Equalization and
Bias Correction", arXiv 1906.04721, section 4.1: with f(s·x) = s·f(x) for s > 0 between two layers,
W2·f(W1·x + b1) = (W2·S)·f(S⁻¹·W1·x + S⁻¹·b1). Channel i gets s_i = √(r1_i · r2_i) / r2_i, r1 and
r2 the ranges of its weights in either layer, and both then have the range √(r1_i · r2_i).
"""

from __future__ import annotations

import numpy as np

from optimizer.ptq.moments import Floats


def cross_layer_factors(first: Floats, second: Floats) -> Floats:
    """What each channel of the first layer is divided by and of the second multiplied, (channels,).

    ``first``, ``second``: the largest magnitude of the channel's weights in the layer that makes it
    and in the one that reads it, (channels,). 1 for a channel that either has no weights for.
    """
    known = (first > 0) & (second > 0)
    ratio = np.divide(first, second, out=np.ones_like(first), where=known)
    return np.sqrt(ratio)
