"""Which scale a block of numbers gets.

A rule is data: the real number that a block's scale should be, and the direction in which that
number is rounded to the scale's format. The same rules so serve powers of two (E8M0), finer
scales (UE4M3) and the exponents that the parts of a block share. A new rule is one entry in
``RULES``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from hwgen.errors import InputError
from hwgen.fields import require_choice
from hwgen.formats.rounding import DOWN, NEAREST_EVEN, UP
from hwgen.formats.scalar import Scalar

Floats = npt.NDArray[np.float64]

#: Element formats of up to this many bits have their best scale on a Gaussian computed.
GAUSSIAN_BITS = 12


@dataclass(frozen=True)
class ScaleRule:
    """How to choose a block's scale.

    ``wanted(blocks, element)``: finite numbers (float64, shape (…, k)) and the element format
    to the real number, shape (…), that the scale should be. ``rounding``: the direction to the
    scale's format. ``search``: that is only the start, and scales around it are tried (see
    ``search_offsets``). ``of_largest``: the scale follows from the block's largest magnitude
    alone. ``source``: where the rule is from.
    """

    wanted: Callable[[Floats, Scalar], Floats]
    rounding: str
    source: str
    search: bool = False
    of_largest: bool = True

    @property
    def divides_by_largest(self) -> bool:
        """By the element's largest value; else by its largest power of two."""
        return self.wanted is _over_largest


def largest_power(element: Scalar) -> int:
    """Exponent of the largest power of two that is not above ``element``'s largest value."""
    return int(np.frexp(element.max)[1]) - 1


def largest_magnitude(blocks: Floats) -> Floats:
    """The largest magnitude along the last axis: shape (…, k) to (…)."""
    return np.asarray(np.abs(blocks).max(axis=-1))


def _over_largest_power(blocks: Floats, element: Scalar) -> Floats:
    return np.asarray(np.ldexp(largest_magnitude(blocks), -largest_power(element)))


def _over_largest(blocks: Floats, element: Scalar) -> Floats:
    return np.asarray(largest_magnitude(blocks) / element.symmetric_max)


def _rounded_over_largest_power(blocks: Floats, element: Scalar) -> Floats:
    """As ``_over_largest_power``, of the largest magnitude rounded as the largest element is.

    Ties are away from zero.
    """
    fraction, exponent = np.frexp(largest_magnitude(blocks))
    step = element.max - float(element.quantize(np.nextafter(element.max, 0), DOWN))
    bits = largest_power(element) - int(np.frexp(step)[1]) + 2
    rounded = np.floor(np.ldexp(fraction, bits) + 0.5)
    return np.asarray(np.ldexp(rounded, exponent - bits - largest_power(element)))


@lru_cache(maxsize=64)
def gaussian_scale(element: Scalar) -> float:
    """The scale of ``element`` that has the least mean squared error on standard normal numbers.

    For e2m1 it is 0.48708. Of integers the most negative is left out.

    Raises:
        InputError: elements of more than 12 bits.

    """
    if element.bits > GAUSSIAN_BITS:
        raise InputError(
            f"scale rule 'quest' with elements of {element.bits} bits ({element}): use elements "
            f"of at most {GAUSSIAN_BITS} bits or another rule"
        )
    # Optimisation routines take long to import, and only this rule needs them.
    from hwgen.formats.theory import best_gaussian_scale

    levels = element.finite_values()
    return best_gaussian_scale(levels[levels >= -element.max])[0]


def _gaussian(blocks: Floats, element: Scalar) -> Floats:
    # The root of the mean square is the deviation of numbers that are known to have mean zero.
    # Dividing by the largest keeps the squares in range.
    largest = largest_magnitude(blocks)
    safe = np.where(largest > 0, largest, 1.0)
    deviation = largest * np.sqrt(np.mean(np.square(blocks / safe[..., None]), axis=-1))
    return np.asarray(gaussian_scale(element) * deviation)


#: Every rule by its name. With E8M0 scales, and M = max|x| of the block:
#:
#: - ``floor``: 2^(⌊log2 M⌋ − emax), emax the element's largest exponent. The largest numbers of
#:   a block may clip.
#: - ``ceil``: 2^⌈log2(M/Q)⌉, Q the element's largest value. Nothing clips.
#: - ``ceil_power``: 2^(⌈log2 M⌉ − emax). Nothing clips here either.
#: - ``nearest``: M/Q to the nearest scale: for finer scales.
#: - ``even``: as ``floor`` after M is rounded to the element's precision.
#: - ``quest``: 2^⌊log2(g·σ)⌋, σ² the block's mean square, g ``gaussian_scale``. (Quartet's code
#:   subtracts the block's mean before squaring: not here, where a constant block has a scale.)
#: - ``mse``: the scale around ``ceil``'s with the least squared error of the block (elements
#:   rounded to nearest even), and such micro-exponents. Of equal errors ``ceil``'s scale, else
#:   the larger, and the smaller micro-exponent.
RULES: dict[str, ScaleRule] = {
    "floor": ScaleRule(_over_largest_power, DOWN, "OCP Microscaling Formats 1.0, section 6.3"),
    "ceil": ScaleRule(
        _over_largest, UP, "INT v.s. FP, arXiv 2510.25602; torchao, ScaleCalculationMode.RCEIL"
    ),
    "ceil_power": ScaleRule(_over_largest_power, UP, "torchao, ScaleCalculationMode.CEIL"),
    "nearest": ScaleRule(_over_largest, NEAREST_EVEN, "NVFP4"),
    "even": ScaleRule(_rounded_over_largest_power, DOWN, "torchao, ScaleCalculationMode.EVEN"),
    "quest": ScaleRule(_gaussian, DOWN, "Quartet, arXiv 2505.14669", of_largest=False),
    "mse": ScaleRule(_over_largest, UP, "exhaustive search", search=True, of_largest=False),
}


def rule_called(name: str) -> ScaleRule:
    """The rule of that name; InputError if there is none."""
    require_choice("scale_rule", name, tuple(RULES))
    return RULES[name]


def search_offsets(scale: Scalar) -> list[int]:
    """What ``mse`` adds to the code that ``ceil`` chose: up to an octave each way.

    In at most 8 steps.

    The scale as it is comes first and larger ones before smaller ones, so that of equal errors the
    first is the one to keep.
    """
    # Codes of consecutive values are consecutive; an octave has 2^(precision − 1) of them.
    finer = min(scale.precision - 1, 3)
    stride = 1 << (scale.precision - 1 - finer)
    steps = range(1 << finer, -(1 << finer) - 1, -1)
    return [0] + [step * stride for step in steps if step]


def nearest_power(ratios: Floats, rounding: str) -> npt.NDArray[np.int64]:
    """Exponents of the powers of two that positive ``ratios`` (any shape) round to.

    ``rounding``: ``down``, ``up``, or else to the nearest, ties up as in E8M0.
    """
    fraction, exponent = np.frexp(ratios)
    # The fraction is from 0.5 on and below 1; from the bound on the power above is taken.
    bound = {DOWN: 1.0, UP: np.nextafter(0.5, 1.0)}.get(rounding, 0.75)
    return np.asarray(exponent - 1 + (fraction >= bound), dtype=np.int64)


def smallest_tensor_scale(tensor_format: Scalar) -> float:
    """The smallest scale of a tensor: of smaller ones the reciprocal is no float32 number."""
    return max(tensor_format.smallest, 2.0**-127)


def tensor_scale(largest: float, element: Scalar, scale: Scalar, tensor_format: Scalar) -> float:
    """The scale, in ``tensor_format``, of a whole tensor of largest magnitude ``largest``.

    largest / (Q·S), Q and S the largest values of elements and block scales, to the nearest
    value of that format, so that the block with the largest number gets the largest block scale
    (NVFP4: largest / (6·448)). One for a tensor of zeros.
    """
    if largest == 0:
        return 1.0
    wanted = largest / (element.symmetric_max * scale.max)
    lowest = smallest_tensor_scale(tensor_format)
    return float(tensor_format.quantize(np.clip(wanted, lowest, tensor_format.max)))
