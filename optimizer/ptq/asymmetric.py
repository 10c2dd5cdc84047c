"""Activations that are not as often negative as positive: formats without sign, zero points.

Behind a ReLU half of a signed format's codes would never occur: ``unsigned`` is the format of as
many bits without the sign. Elsewhere a zero point z moves the codes: x is stored as q = Q(x/s + z),
and a sum of products of q − z is that of q less z times the sum of the weights, which is known
before and becomes part of the bias (Jacob et al., arXiv 1712.05877, section 2.3; Krishnamoorthi,
"Quantizing deep convolutional networks for efficient inference", arXiv 1806.08342). Zeros of a
convolution's border are then the code z.

A layer's zero point is one more choice of its range, which it gets where the error of its output is
less. In hardware it costs nothing: the datapath is the same, and there is a bias already.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from hwgen.formats import Format, Scalar
from optimizer.ptq.grid import on_grid
from optimizer.ptq.moments import Floats
from optimizer.ptq.range_mse import SHRINK


def unsigned(number_format: Format) -> Format:
    """The format of equal bits without sign: ``uint4`` of ``int4``, ``ue2m2`` of ``e2m1``.

    A minifloat's free bit goes to the mantissa. A format that has no such relative is returned as
    it is.
    """
    f = number_format
    if not isinstance(f, Scalar) or not f.signed or f.has_nan or f.has_infinity:
        return f
    wider = {} if f.is_integer else {"mantissa_bits": f.mantissa_bits + 1}
    # Every kind of scalar format is a dataclass.
    relative: Scalar = dataclasses.replace(f, signed=False, **wider)  # type: ignore[type-var]
    return relative


def zero_point(
    number_format: Scalar, values: npt.NDArray[np.floating], low: float, high: float
) -> tuple[float, float]:
    """Scale and zero point, a whole number of an integer format, with the least squared error.

    ``values``: a sample; ``low`` and ``high``: the smallest and the largest number seen. The range
    is that from low to high, shrunk towards zero by the fractions of ``SHRINK``; zero is exact.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    bottom, top = number_format.min, number_format.max
    if high <= low:
        return 1.0, 0.0
    best, lowest = (1.0, 0.0), np.inf
    for factor in SHRINK.astype(np.float64):
        scale = (high - low) * factor / (top - bottom)
        zero = float(np.clip(np.rint(bottom - low * factor / scale), bottom, top))
        rounded = (on_grid(number_format, values / scale + zero) - zero) * scale
        squared = float(np.square(rounded - values).sum())
        if squared < lowest:
            best, lowest = (float(scale), zero), squared
    return best


def folded_bias(bias: Floats, weight: Floats, scale: float, zero: float) -> Floats:
    """The bias with z taken off: bias − z · s · Σ weight.

    ``weight``: (groups, K, N), as numbers of the network; ``bias``: (groups, N).
    """
    return np.asarray(bias - zero * scale * weight.sum(axis=1))
