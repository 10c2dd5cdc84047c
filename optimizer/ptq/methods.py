"""The methods by name: what ``--ptq`` takes, what is used unless told otherwise.

A new method is a file with a function, and an entry here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwgen.errors import InputError
from hwgen.fields import unknown
from optimizer.ptq.gptq import gptq
from optimizer.ptq.learned_rounding import learned_rounding
from optimizer.ptq.moments import Floats
from optimizer.ptq.power_of_two import powers_below_largest, powers_of_two
from optimizer.ptq.range_kl import kl
from optimizer.ptq.range_minmax import minmax
from optimizer.ptq.range_mse import mse
from optimizer.ptq.range_percentile import percentile
from optimizer.ptq.range_problem import RangeProblem
from optimizer.ptq.rounding import Problem, Rounded, nearest

#: Ranges of weights and activations.
RANGES: dict[str, Callable[[RangeProblem], npt.NDArray[np.floating]]] = {
    "mse": mse,
    "minmax": minmax,
    "percentile": percentile,
    "kl": kl,
}
#: Methods of ranges that are rules of block scales too (``hwgen.formats.block_scale``).
BLOCK_RULES = ("mse",)
#: Scales that cost no multiplier: asked for, never chosen.
POWERS: dict[str, Callable[[Floats], Floats]] = {
    "pow2": powers_of_two,
    "pow2-group": powers_below_largest,
}
#: Roundings of weights.
ROUNDINGS: dict[str, Callable[[Problem], Rounded]] = {
    "nearest": nearest,
    "gptq": gptq,
    "learned": learned_rounding,
}
#: Factors of channels between two layers.
EQUALIZATIONS = ("cross-layer", "smoothquant")
UNSIGNED, BIAS, NONE = "unsigned", "bias", "none"
ASYMMETRIC, HADAMARD = "asymmetric", "hadamard"

#: What each name stands for, for ``--help``.
SUMMARIES: dict[str, str] = {
    "mse": "ranges of least squared error",
    "minmax": "ranges of all values",
    "percentile": "ranges of 99.9% of the values",
    "kl": "ranges of least divergence",
    "pow2": "scales are powers of two",
    "pow2-group": "scales are powers of two times one number",
    UNSIGNED: "formats without sign where activations are never negative",
    ASYMMETRIC: "zero points of activations, folded into biases",
    "cross-layer": "weights of neighbouring layers equalised",
    "smoothquant": "ranges moved from activations into weights",
    HADAMARD: "operands rotated in blocks, activations at run time",
    BIAS: "bias correction",
    "gptq": "rounding with error feedback",
    "learned": "rounding by coordinate descent",
}
DEFAULT = (UNSIGNED, "mse", ASYMMETRIC, "cross-layer", "smoothquant", BIAS, "gptq")


@dataclass(frozen=True)
class Methods:
    """The methods that may be used.

    ``ranges``: the first is used where nothing is measured; ``power_of_two``: a name of ``POWERS``
    or None; ``roundings``: of ``ROUNDINGS`` beside the nearest; ``equalizations``: of
    ``EQUALIZATIONS``; ``asymmetric``: zero points of activations; ``hadamard``: rotations.
    """

    ranges: tuple[str, ...] = ("mse",)
    power_of_two: str | None = None
    unsigned: bool = False
    equalizations: tuple[str, ...] = ()
    bias: bool = False
    roundings: tuple[str, ...] = ()
    asymmetric: bool = False
    hadamard: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """As ``methods`` takes them."""
        flags = (
            (UNSIGNED, self.unsigned),
            (ASYMMETRIC, self.asymmetric),
            (HADAMARD, self.hadamard),
            (BIAS, self.bias),
        )
        return (
            *self.ranges,
            *([self.power_of_two] if self.power_of_two else []),
            *(name for name, wanted in flags if wanted),
            *self.equalizations,
            *self.roundings,
        )

    def scales(self, problem: RangeProblem) -> tuple[npt.NDArray[np.float32], ...]:
        """The scales (columns,) of each method of ranges."""
        scales = (problem.scales(RANGES[name](problem)) for name in self.ranges)
        return tuple(map(self.allowed, scales))

    @property
    def block_rules(self) -> tuple[str | None, ...]:
        """The rules that blocks of weights may have their scales by, None for the format's own."""
        return (None, *(name for name in self.ranges if name in BLOCK_RULES))

    def allowed(self, scale: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """``scale``, as a power of two where that is asked for: as large or larger."""
        if self.power_of_two is None:
            return scale
        return POWERS[self.power_of_two](scale.astype(np.float64)).astype(np.float32)


@dataclass(frozen=True)
class Recipe:
    """How weights are rounded, a name of ``ROUNDINGS``, and whether biases change.

    ``ranges``: of several ranges each layer has the one of least output error, as it has with all
    recipes but the plain one. ``asymmetric``: activations have zero points where the layer's output
    error is less with one.
    """

    rounding: str = "nearest"
    bias: bool = False
    ranges: bool = False
    asymmetric: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The methods that it has beside the plain one."""
        named = (
            (ASYMMETRIC, self.asymmetric),
            (BIAS, self.bias),
            (self.rounding, self.rounding != "nearest"),
        )
        return tuple(name for name, used in named if used)


#: Every number to its nearest, ranges of least squared error.
PLAIN = Methods()


def methods(names: Iterable[str] | None = None) -> Methods:
    """The methods called ``names``, default ``DEFAULT``; ``none`` alone is ``PLAIN``.

    InputError for an unknown name, for ``none`` with others and for two kinds of powers of two.
    """
    asked = DEFAULT if names is None else tuple(dict.fromkeys(names))
    if others := [name for name in asked if name not in (*SUMMARIES, NONE)]:
        raise unknown("PTQ method", others[0], SUMMARIES, ", or none")
    if NONE in asked and len(asked) > 1:
        raise InputError("ptq: none goes with no other method: leave it out, or the others")
    powers = [name for name in asked if name in POWERS]
    if len(powers) > 1:
        raise InputError(f"ptq: {' and '.join(powers)} exclude each other: use one of them")
    return Methods(
        tuple(name for name in asked if name in RANGES) or PLAIN.ranges,
        powers[0] if powers else None,
        UNSIGNED in asked,
        tuple(name for name in asked if name in EQUALIZATIONS),
        BIAS in asked,
        tuple(name for name in asked if name in ROUNDINGS),
        ASYMMETRIC in asked,
        HADAMARD in asked,
    )
