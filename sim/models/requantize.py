"""A fixed-point sum times a scale, rounded once to a format."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hwgen.formats.rounding import RANDOM_BITS, STOCHASTIC
from hwgen.spec import Requantize
from sim.exact import ExactArray, decode, multiply
from sim.models import Patterns
from sim.rounding import round_to


def expected(spec: Requantize, inputs: Patterns) -> Patterns:
    """See ``sim.models.Model``."""
    half = 1 << (spec.bits - 1)
    sums = (inputs["sum"].astype(object) + half) % (2 * half) - half
    numbers = ExactArray(sums, spec.lsb_exponent, np.zeros(sums.shape))
    if spec.scale is not None:
        numbers = multiply(numbers, decode(spec.scale, inputs["scale"]))
    random = inputs["random_bits"] if spec.rounding == STOCHASTIC else None
    nan = None if spec.b.has_nan else 0.0
    code = round_to(numbers, spec.b, spec.rounding, spec.overflow, random_bits=random, nan=nan)
    return {"result": code}


def directed(spec: Requantize) -> Patterns:
    """Sums at both ends, every power of two and its neighbours, small numbers; with every
    extreme scale."""
    from sim.stimulus import extreme_codes

    powers = [1 << bit for bit in range(spec.bits)]
    near = {p + d for p in powers for d in (-1, 0, 1)} | {3 * p for p in powers}
    near |= {-v for v in near} | set(range(-40, 41))
    mask = (1 << spec.bits) - 1
    sums = np.array(sorted({v & mask for v in near}), dtype=object)
    if spec.bits <= 63:
        sums = sums.astype(np.uint64)
    found: Patterns = {"sum": sums[:, None]}
    if spec.scale is not None:
        scales = extreme_codes(spec.scale)
        count = max(len(sums), len(scales))
        rng = np.random.default_rng(3)
        found = {
            "sum": np.resize(sums, 2 * count)[:, None],
            "scale": np.concatenate([np.resize(scales, count), rng.choice(scales, count)])[:, None],
        }
    if spec.rounding == STOCHASTIC:
        shape = (len(found["sum"]), 1)
        found["random_bits"] = np.random.default_rng(1).integers(
            0, 2**RANDOM_BITS, shape, np.uint64
        )
    return found


def restrict(
    spec: Requantize, inputs: Patterns, counted: npt.NDArray[np.intp], rng: np.random.Generator
) -> None:
    """All patterns are allowed; half of the sums are small."""
    small = rng.integers(0, 1 << min(spec.bits, 8), inputs["sum"].shape)
    chosen = rng.random(inputs["sum"].shape) < 0.5
    inputs["sum"] = np.where(chosen, small.astype(inputs["sum"].dtype), inputs["sum"])
