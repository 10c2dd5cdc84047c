"""L-Mul: the adder form's exact result, rounded once to the output format."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from hwgen.formats.rounding import RANDOM_BITS, STOCHASTIC
from hwgen.spec import LMul
from sim import lmul, rounding
from sim.models import Patterns, Reach
from sim.models.mul import extreme_pairs


def expected(spec: LMul, inputs: Patterns) -> Patterns:
    """See ``sim.models.Model``."""
    result = rounding.round_to(
        lmul.lmul(spec.a, spec.b, inputs["a"], inputs["b"], spec.offset),
        spec.output,
        spec.rounding,
        spec.overflow,
        random_bits=inputs["random_bits"] if spec.rounding == STOCHASTIC else None,
        nan=None if spec.output.has_nan else 0.0,
    )
    return {"result": result}


def reach(spec: LMul) -> Reach:
    """See ``sim.coverage``."""
    # Of normal numbers: subnormal operands count as zero.
    smallest = math.prod(2.0 ** (f.lsb_exponent + f.mantissa_bits) for f in (spec.a, spec.b))
    bits = max(spec.a.precision, spec.b.precision, spec.offset + 1)
    return Reach(spec.a.max * spec.b.max, bits, smallest=smallest)


def directed(spec: LMul) -> Patterns:
    """All pairs of extreme codes."""
    a, b = extreme_pairs(spec.a, spec.b)
    found: Patterns = {"a": a, "b": b}
    if spec.rounding == STOCHASTIC:
        extremes = np.array([0, 2**31, 2**RANDOM_BITS - 1], np.uint64)
        found["random_bits"] = np.resize(extremes, len(a))[:, None]
    return found


def restrict(
    spec: LMul, inputs: Patterns, counted: npt.NDArray[np.intp], rng: np.random.Generator
) -> None:
    """All codes are allowed."""
