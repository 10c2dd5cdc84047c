"""Factors that move the range of activations into the weights behind them: SmoothQuant.

Xiao, Lin, Seznec, Wu, Demouth and Han, "SmoothQuant: Accurate and Efficient Post-Training
Quantization for Large Language Models", arXiv 2211.10438, equation 4: X·W = (X·S⁻¹)·(S·W) with
s_j = max|X_j|^α / max|W_j|^(1−α), α = ½ by default. S⁻¹ becomes part of the layer in front. With
α = 1 all channels of the activations get the same range, which costs nothing where each channel's
weights have a scale of their own: in a depthwise layer.
"""

from __future__ import annotations

import numpy as np

from optimizer.ptq.moments import Floats

#: α, "migration strength".
STRENGTH = 0.5


def smoothing_factors(activations: Floats, weights: Floats, strength: float = STRENGTH) -> Floats:
    """What each channel of the activations is divided by, (channels,), relative to their mean.

    ``activations``, ``weights``: the largest magnitudes of each channel, (channels,). 1 for a
    channel that is never anything but zero, or that no weight reads. The factors' geometric mean is
    1: a common factor would change nothing.
    """
    known = (activations > 0) & (weights > 0)
    if not known.any():
        return np.ones_like(activations)
    logarithm = strength * np.log(activations[known])
    logarithm -= (1 - strength) * np.log(weights[known])
    result = np.ones_like(activations)
    result[known] = np.exp(logarithm - logarithm.mean())
    return result
