"""What theory says of formats: quantisation noise, and how to split exponent and mantissa.

- Signal to quantisation noise (QSNR) of integers and minifloats on a Gaussian block, as a
  function of its crest factor: *INT v.s. FP* (arXiv 2510.25602), section 4.
- Mean squared error of a grid on the standard normal distribution, and the scale that makes
  it least: the figures of QuEST and *Quartet* (arXiv 2505.14669).
- The best split of a minifloat's bits by the floating-point scaling law of *Scaling Laws for
  Floating-Point Quantization Training* (arXiv 2501.02423).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq, minimize_scalar
from scipy.special import ndtr

from hwgen.errors import InputError
from hwgen.fields import checked, shown
from hwgen.formats.reals import real_numbers

#: Exponents of (E + 1/2) and (M + 1/2) in the law, arXiv 2501.02423, equation of the whole.
EXPONENT_POWER, MANTISSA_POWER = 3.1926, 2.9543


@checked
def integer_qsnr_db(
    bits: int, crest: float, *, rho: float = 1.5, exact_scale_block: int | None = None
) -> float:
    """QSNR in dB of an integer of ``bits`` bits on a Gaussian block of crest factor ``crest``.

    The crest factor is the largest magnitude over the standard deviation. ``rho``: how much larger
    than needed the scale is: 1 to 2 for a power of two, on average 1.5; 1 for a finer scale (E4M3).
    ``exact_scale_block``: size of a block whose largest element, with a finer scale, has no error.
    *INT v.s. FP* (arXiv 2510.25602), section 4.

    Raises:
        InputError: bits that are not 1 to 128, a ``crest`` or ``rho`` that is not above 0, a block
            of fewer than 2.

    """
    _require_whole("bits", bits, 1, 128)
    _require_crest(crest, rho, exact_scale_block)
    noise_free = 0.0
    if exact_scale_block is not None:
        noise_free = 10 * math.log10(exact_scale_block / (exact_scale_block - 1))
    return 4.78 + 6.02 * bits - 20 * math.log10(rho * crest) + noise_free


@checked
def minifloat_qsnr_db(
    mantissa_bits: int,
    bias: int,
    largest: float,
    crest: float,
    *,
    rho: float = 1.5,
    exact_scale_block: int | None = None,
) -> float:
    """QSNR in dB of a minifloat whose largest value is ``largest``, on a Gaussian block.

    Other arguments as for ``integer_qsnr_db``. Normal numbers have a relative error of
    1/(24·2^(2M)), subnormal ones an absolute one. *INT v.s. FP* (arXiv 2510.25602), section 4.

    Raises:
        InputError: as for ``integer_qsnr_db``, and a crest factor that a block of
            ``exact_scale_block`` elements cannot have.

    """
    _require_whole("mantissa_bits", mantissa_bits, 0, 128)
    _require_whole("bias", bias, -512, 512)
    _require_positive("largest", largest)
    _require_crest(crest, rho, exact_scale_block)
    alpha = 1 / (24 * 2 ** (2 * mantissa_bits))
    beta = 2.0 ** (2 * (1 - bias - mantissa_bits)) / (12 * largest**2)
    threshold = rho * crest / largest * 2.0 ** (1 - bias)
    density = math.exp(-(threshold**2) / 2) / math.sqrt(2 * math.pi)
    tail = float(ndtr(-threshold))
    normal_energy = 2 * (threshold * density + tail)
    subnormal = 1 - 2 * tail
    if exact_scale_block is not None:
        normal_energy -= crest**2 / exact_scale_block
        if normal_energy < 0:
            raise InputError(
                f"crest={crest:g}: a block of {exact_scale_block} has at most about "
                f"{math.sqrt(exact_scale_block):g}"
            )
    return -10 * math.log10(alpha * normal_energy + beta * (rho * crest) ** 2 * subnormal)


def _require_crest(crest: float, rho: float, exact_scale_block: int | None) -> None:
    _require_positive("crest", crest)
    _require_positive("rho", rho)
    if exact_scale_block is not None and exact_scale_block < 2:
        raise InputError(f"exact_scale_block={exact_scale_block}: use a size of 2 or more, or None")


def _require_positive(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise InputError(f"{name}={value:g}: use a number above 0")


def _require_whole(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise InputError(f"{name}={value}: use a whole number from {least} to {most}")


def _grid(levels: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """``levels`` in float64; InputError unless they are finite numbers, one at least."""
    grid = real_numbers(levels).floats.astype(np.float64)
    if grid.size == 0 or not np.isfinite(grid).all():
        raise InputError(f"levels={shown(levels)}: give finite numbers, at least one")
    return grid.ravel()


def crossover(
    first: Callable[[float], float], second: Callable[[float], float], highest: float = 30.0
) -> float:
    """The crest factor, from 1 to ``highest``, at which two QSNR functions of it are equal.

    ``first`` and ``second`` take a crest factor and return dB.

    Raises:
        InputError: their order is the same at both ends.

    """

    def difference(crest: float) -> float:
        return first(crest) - second(crest)

    if difference(1.0) * difference(highest) > 0:
        raise InputError(
            f"the two formats do not cross between the crest factors 1 and {highest:g}"
        )
    return float(brentq(difference, 1.0, highest, xtol=1e-10))


def gaussian_mse(levels: npt.ArrayLike) -> float:
    """Mean squared error of a standard normal number rounded to the nearest of ``levels``.

    Raises:
        InputError: levels that are not finite, or none.

    """
    grid = np.unique(_grid(levels))
    edges = np.concatenate([[-np.inf], (grid[1:] + grid[:-1]) / 2, [np.inf]])
    finite = np.where(np.isfinite(edges), edges, 0.0)
    density = np.where(np.isfinite(edges), np.exp(-(finite**2) / 2) / math.sqrt(2 * math.pi), 0)
    mass = np.diff(ndtr(edges))
    first_moment = -np.diff(density)
    second_moment = mass - np.diff(finite * density)
    return float(np.sum(second_moment - 2 * grid * first_moment + grid**2 * mass))


def best_gaussian_scale(levels: npt.ArrayLike) -> tuple[float, float]:
    """The factor on ``levels`` that makes ``gaussian_mse`` least, and that error.

    Raises:
        InputError: levels that are not finite, or zeros only.

    """
    grid = _grid(levels)
    largest = float(np.abs(grid).max())
    if not largest > 0:
        raise InputError("the levels are all zero: give at least one that is not")

    def error(scale: float) -> float:
        return gaussian_mse(grid * scale)

    # The best largest level of grids of 1 to 16 bits lies between these multiples of sigma.
    best = minimize_scalar(
        error, bounds=(0.1 / largest, 8.0 / largest), method="bounded", options={"xatol": 1e-12}
    )
    return float(best.x), float(best.fun)


@checked
def uniform_levels(bits: int) -> npt.NDArray[np.float64]:
    """2^``bits`` levels (1 to 24 bits), float64, evenly spaced from −1 to 1: the grid of QuEST."""
    _require_whole("bits", bits, 1, 24)
    return np.linspace(-1.0, 1.0, 2**bits)


@checked
def best_split(bits: int) -> tuple[int, int]:
    """Exponent and mantissa bits of the best minifloat of ``bits`` bits (3 to 128) with sign.

    By the floating-point scaling law (arXiv 2501.02423): the whole numbers nearest to its optimum.

    Raises:
        InputError: another number of bits.

    """
    if bits < 3:
        raise InputError(f"bits={bits}: a sign, an exponent and a mantissa need at least 3")
    _require_whole("bits", bits, 3, 128)

    def merit(exponent_bits: int) -> float:
        mantissa_bits = bits - 1 - exponent_bits
        return EXPONENT_POWER * math.log(exponent_bits + 0.5) + MANTISSA_POWER * math.log(
            mantissa_bits + 0.5
        )

    exponent_bits = max(range(bits), key=merit)
    return exponent_bits, bits - 1 - exponent_bits
