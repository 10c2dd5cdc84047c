"""Post-training quantisation: scales, and weights on a format's grid.

A number x is stored as Q(x / scale), Q the format's rounding to nearest even with saturation.
Weights have one scale per output channel, activations one per layer. The scale maps a range
[-r, r] to the format's symmetric maximum; r is the absolute maximum times the factor of
``SHRINK`` that has the smallest mean squared error: for weights over the channel's weights,
for activations over a uniform sample of ``SAMPLE`` non-zero calibration activations (zeros are
exact in every format, so they do not choose between ranges). The absolute maximum is that of
all calibration activations: it bounds the ranges that are tried, and does not belong to the
sample unless it was drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from hwgen.formats import Scalar
from optimizer.network import Array
from optimizer.sampling import Sample

#: Candidate ranges as fractions of the absolute maximum: steps of 6%, far enough down for
#: layers in which a few values are tens of times larger than the others.
SHRINK: npt.NDArray[np.float32] = np.exp2(-np.arange(73) / 12).astype(np.float32)
#: Activations a layer that choose the range.
SAMPLE = 2**15


@dataclass(frozen=True, eq=False)
class LayerQuantization:
    """Operands of one layer: a activations, b weights, as in the datapath's spec.

    ``weight``: values of ``b_format``, float64 (dot length, output channels);
    ``weight_scale``: float64 (output channels,); ``activation_scale``: float32.
    """

    a_format: Scalar
    b_format: Scalar
    activation_scale: np.float32
    weight: npt.NDArray[np.float64]
    weight_scale: npt.NDArray[np.float64]

    @cached_property
    def output_scale(self) -> npt.NDArray[np.float64]:
        """What an exact sum is multiplied by, per output channel."""
        return self.weight_scale * float(self.activation_scale)


def best_scales(
    number_format: Scalar, values: Array, largest: npt.NDArray[np.float32] | None = None
) -> npt.NDArray[np.float32]:
    """The scale with the smallest squared error for each column of ``values`` (rows, columns).

    ``largest``: the magnitude (columns,) that the widest range tried reaches, default each
    column's own. A column of zeros gets the scale 1.
    """
    if largest is None:
        largest = np.abs(values).max(axis=0, initial=0)
    largest = np.where(largest > 0, largest, np.float32(number_format.symmetric_max))
    full = (largest / np.float32(number_format.symmetric_max)).astype(np.float32)
    best, lowest = full, np.full(full.shape, np.inf)
    for factor in SHRINK:
        scale = full * factor
        error = number_format.quantize(values / scale, dtype=np.float32)
        error *= scale
        error -= values
        squared = np.einsum("ij,ij->j", error, error)
        better = squared < lowest
        best, lowest = np.where(better, scale, best), np.where(better, squared, lowest)
    return best.astype(np.float32)


def quantize_weight(
    number_format: Scalar, weight: Array
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Values of the format, float64 (dot length, channels), and scales, float64 (channels,)."""
    scales = best_scales(number_format, weight)
    return number_format.quantize(weight / scales), scales.astype(np.float64)


def activation_scale(number_format: Scalar, sample: Sample) -> np.float32:
    """The layer's scale from a sample of its non-zero activations."""
    largest = np.array([sample.largest])
    scale: np.float32 = best_scales(number_format, sample.values[:, None], largest)[0]
    return scale
