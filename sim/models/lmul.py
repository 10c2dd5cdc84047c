"""L-Mul: the adder form's exact result, rounded once to the output format."""

from __future__ import annotations

import math

import numpy as np

from hwgen.formats.rounding import RANDOM_BITS, STOCHASTIC
from hwgen.spec import LMul
from sim import lmul, rounding
from sim.draws import up_to
from sim.models import dot
from sim.models.mul import extreme_pairs
from sim.tried_formats import MIXED_SCALARS
from sim.unit_model import Patterns, Reach, UnitModel


def expected(spec: LMul, inputs: Patterns) -> Patterns:
    """Each approximate product (``sim.lmul``), rounded once to the output format.

    ``inputs`` and the outputs as of ``sim.unit_model.UnitModel``.
    """
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
    """The largest and the smallest product, and its significant bits."""
    # Of normal numbers: subnormal operands count as zero.
    smallest = math.prod(2.0 ** (f.lsb_exponent + f.mantissa_bits) for f in (spec.a, spec.b))
    bits = max(spec.a.precision, spec.b.precision, spec.offset + 1)
    return Reach(spec.a.max * spec.b.max, bits, smallest=smallest)


def directed(spec: LMul) -> Patterns:
    """All pairs of extreme codes."""
    a, b = extreme_pairs(spec.a, spec.b)
    patterns: Patterns = {"a": a, "b": b}
    if spec.rounding == STOCHASTIC:
        extremes = np.array([0, 2**31, 2**RANDOM_BITS - 1], np.uint64)
        patterns["random_bits"] = np.resize(extremes, len(a))[:, None]
    return patterns


MODEL = UnitModel(
    expected=expected,
    directed=directed,
    reach=reach,
    settings=({}, {"output": "bf16", "rounding": "up"}, {"offset": 3, "stages": 1}),
    draws={"offset": up_to(8)},
    every_input=lambda: ({"a": a, "b": b} for a, b in MIXED_SCALARS),
    example={"a": "e4m3", "b": "e4m3"},
    proofs={dot.ZERO_SIGNS: [({"a": "e4m3", "b": "e4m3"}, ("reference",))]},
)
