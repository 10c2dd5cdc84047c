"""Random numbers in blocks, and the noise that formats make of them."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from hwgen.formats import BlockFormat
from hwgen.formats.block import parse_block

Floats = npt.NDArray[np.float64]
#: Blocks that are quantised at a time.
CHUNK = 2**14


def decibels(signal: float, noise: float) -> float:
    """10·log10(signal / noise), infinite without noise."""
    return math.inf if noise == 0 else 10 * math.log10(signal / noise)


def quantized(values: Floats, number_format: str | BlockFormat) -> Floats:
    """``values`` (…, k) in a block format with the scales of *INT v.s. FP* (arXiv 2510.25602).

    Powers of two are rounded up, so that nothing is clipped; finer scales to the nearest.
    """
    f = parse_block(number_format)
    rule = "ceil" if f.scale.precision == 1 else None
    return np.asarray(f.quantize(values, scale_rule=rule))


def qsnr_db(values: Floats, number_format: str | BlockFormat) -> float:
    """Signal to quantisation noise of all ``values`` (…, k) together, in dB."""
    error = values - quantized(values, number_format)
    return decibels(float(np.square(values).sum()), float(np.square(error).sum()))


def gaussian(rng: np.random.Generator, blocks: int, size: int) -> Floats:
    """Standard normal numbers, (blocks, size), each block times a random power 2^u, 0 ≤ u < 1.

    Without the factor the scale, a power of two, would follow from the crest factor.
    """
    return rng.standard_normal((blocks, size)) * np.exp2(rng.random((blocks, 1)))


def with_outliers(
    rng: np.random.Generator, blocks: int, size: int, largest: float
) -> Iterator[Floats]:
    """As ``gaussian``, in chunks, one number of each block times a factor from 1 to ``largest``.

    The logarithm of the factor is uniform.
    """
    for first in range(0, blocks, CHUNK):
        count = min(CHUNK, blocks - first)
        values = gaussian(rng, count, size)
        values[:, 0] *= np.exp(rng.random(count) * math.log(largest))
        yield values


def crests(values: Floats) -> Floats:
    """The crest factor of each block, largest magnitude over root mean square: (…, k) to (…)."""
    return np.asarray(np.abs(values).max(axis=-1) / np.sqrt(np.square(values).mean(axis=-1)))


def crossing(x: Floats, y: Floats, weights: Floats) -> tuple[float, float]:
    """Where ``y`` over ``x`` (rising, (n,)) goes through zero, and its standard error.

    By a parabola through the points with the least squares, weighted. NaN if it does not within
    them. The error is from the points' scatter about the parabola.
    """
    fit, covariance = np.polyfit(x, y, 2, w=np.sqrt(weights), cov=True)
    roots = [r.real for r in np.roots(fit) if abs(r.imag) < 1e-9 and x[0] <= r.real <= x[-1]]
    if not roots:
        return math.nan, math.nan
    # The one where the points themselves change their sign.
    change = x[np.argmin(np.abs(y))]
    at = min(roots, key=lambda root: abs(root - change))
    powers = np.array([at**2, at, 1.0])
    spread = math.sqrt(powers @ covariance @ powers) / abs(2 * fit[0] * at + fit[1])
    return float(at), float(spread)
