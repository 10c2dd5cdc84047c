"""The bias that gives the layer's output the right mean.

Nagel et al., arXiv 1906.04721, section 4.2, and Finkelstein, Almog and Grobman, "Fighting
Quantization Bias With Bias", arXiv 1906.03193: rounded weights and rounded activations shift the
mean of each output channel; the shift over the calibration images is taken off the bias. Layers are
corrected in their order, each with what the corrected ones in front of it give.
"""

from __future__ import annotations

import numpy as np

from optimizer.ptq.moments import Floats, Moments


def corrected_bias(bias: Floats, weight: Floats, moments: Moments) -> Floats:
    """``bias`` (groups, N) plus what is missing in the mean with ``weight`` (groups, K, N)."""
    return np.asarray(bias + moments.bias_change(weight))
