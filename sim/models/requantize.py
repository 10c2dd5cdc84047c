"""A fixed-point sum times a scale, rounded once to a format."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from hwgen.formats.rounding import RANDOM_BITS, STOCHASTIC
from hwgen.spec import Requantize
from sim.draws import format_name
from sim.exact import ExactArray, decode, integer_zeros, multiply
from sim.extremes import extreme_codes, word_extremes
from sim.models import dot
from sim.rounding import round_to
from sim.unit_model import Patterns, Reach, UnitModel

#: Values of the format about which sums are tried.
TIES = 2**9


def expected(spec: Requantize, inputs: Patterns) -> Patterns:
    """Each sum times its scale, rounded once to the format.

    ``inputs`` and the outputs as of ``sim.unit_model.UnitModel``; NaN is zero in a format without
    it.
    """
    half = 1 << (spec.bits - 1)
    sums = (inputs["sum"].astype(object) + half) % (2 * half) - half
    numbers = ExactArray(sums, spec.lsb_exponent, np.zeros(sums.shape))
    if spec.scale is not None:
        numbers = multiply(numbers, decode(spec.scale, inputs["scale"]))
        if spec.scale.is_integer:
            numbers = integer_zeros(numbers)
    random = inputs["random_bits"] if spec.rounding == STOCHASTIC else None
    nan = None if spec.b.has_nan else 0.0
    code = round_to(numbers, spec.b, spec.rounding, spec.overflow, random_bits=random, nan=nan)
    return {"result": code}


def reach(spec: Requantize) -> Reach:
    """The largest sum times the largest scale."""
    return Reach(
        math.ldexp(spec.scale.max if spec.scale else 1.0, spec.bits - 1 + spec.lsb_exponent)
    )


def directed(spec: Requantize) -> Patterns:
    """Sums at both ends, every power of two and its neighbours, small numbers.

    With every extreme scale.
    """
    powers = [1 << bit for bit in range(spec.bits)]
    numbers = {p + d for p in powers for d in (-1, 0, 1)} | {3 * p for p in powers}
    numbers |= {-v for v in numbers} | set(range(-40, 41)) | set(word_extremes(spec.bits))
    if spec.scale is None:
        numbers |= {v for v in _around(spec) if abs(v) < 1 << (spec.bits - 1)}
    mask = (1 << spec.bits) - 1
    sums = np.array(sorted({v & mask for v in numbers}), dtype=object)
    if spec.bits <= 63:
        sums = sums.astype(np.uint64)
    patterns: Patterns = {"sum": sums[:, None]}
    if spec.scale is not None:
        scales = extreme_codes(spec.scale)
        count = max(len(sums), len(scales))
        rng = np.random.default_rng(3)
        patterns = {
            "sum": np.resize(sums, 2 * count)[:, None],
            "scale": np.concatenate([np.resize(scales, count), rng.choice(scales, count)])[:, None],
        }
        # Halves of the smallest steps: ties.
        half = spec.scale.encode(2.0 ** (spec.b.lsb_exponent - 1 - spec.lsb_exponent))
        patterns["sum"] = np.concatenate([patterns["sum"], sums[:, None]])
        patterns["scale"] = np.append(patterns["scale"], np.full(len(sums), half, scales.dtype))[
            :, None
        ]
        # Zeros and their neighbours with every scale, of either sign.
        for sum_ in (0, 1, mask):
            same = np.full((len(scales), 1), sum_, sums.dtype)
            patterns["sum"] = np.concatenate([patterns["sum"], same])
            patterns["scale"] = np.concatenate([patterns["scale"], scales[:, None]])
        # Ties but for one bit, at every distance below the middle.
        for upper, lower in _near_ties(spec.bits):
            tie = spec.scale.encode(
                2.0 ** (spec.b.lsb_exponent - 1 - spec.lsb_exponent - float(upper))
            )
            for sum_ in ((1 << upper) + (1 << lower), -(1 << upper) - (1 << lower)):
                patterns["sum"] = np.append(patterns["sum"], [[sum_ & mask]], axis=0).astype(
                    sums.dtype
                )
                patterns["scale"] = np.append(patterns["scale"], [[tie]], axis=0)
        # One bit alone, wherever a scale can put it.
        largest = max(spec.scale.max, -spec.scale.min)
        low, high = (int(np.floor(np.log2(v))) for v in (spec.scale.smallest, largest))
        places = np.asarray(spec.scale.encode(np.exp2(np.arange(low, high + 1))), scales.dtype)
        for lone in (1, 1 << (spec.bits - 2), mask):
            alone = np.full((len(places), 1), lone, sums.dtype)
            patterns["sum"] = np.concatenate([patterns["sum"], alone])
            patterns["scale"] = np.concatenate([patterns["scale"], places[:, None]])
    if spec.rounding == STOCHASTIC:
        shape = (len(patterns["sum"]), 1)
        patterns["random_bits"] = np.random.default_rng(1).integers(
            0, 2**RANDOM_BITS, shape, np.uint64
        )
    return patterns


def _near_ties(bits: int) -> Iterator[tuple[int, int]]:
    """Places of two bits of a sum: at each distance, as low and as high as they can stand."""
    for distance in range(1, bits - 1):
        yield distance, 0
        yield bits - 2, bits - 2 - distance


def _around(spec: Requantize) -> set[int]:
    """Sums at and beside values of the format and the middles between them."""
    codes = np.arange(2 ** min(spec.b.bits, 16), dtype=spec.b.code_dtype)
    values = spec.b.decode(codes)
    values = np.unique(values[np.isfinite(values)])
    places = np.arange(0, len(values) - 1, max(1, 2 * len(values) // TIES))
    lower = np.unique(np.concatenate([places, places + 1])).clip(0, len(values) - 2)
    points = np.concatenate([values[lower], (values[lower] + values[lower + 1]) / 2])
    sums = np.ldexp(points, -spec.lsb_exponent)
    integers = {int(v) for v in sums[np.abs(sums) < 2.0**spec.bits].tolist()}
    return {v + d for v in integers for d in (-1, 0, 1)}


def restrict(
    spec: Requantize, inputs: Patterns, counted: npt.NDArray[np.intp], rng: np.random.Generator
) -> None:
    """All patterns are allowed; half of the sums are small."""
    small = rng.integers(0, 1 << min(spec.bits, 8), inputs["sum"].shape)
    chosen = rng.random(inputs["sum"].shape) < 0.5
    inputs["sum"] = np.where(chosen, small.astype(inputs["sum"].dtype), inputs["sum"])


MODEL = UnitModel(
    expected=expected,
    directed=directed,
    restrict=restrict,
    reach=reach,
    settings=(
        {"bits": 24, "lsb_exponent": -4},
        {"bits": 20, "rounding": "nearest_away", "stages": 5},
        {"bits": 33, "lsb_exponent": -12, "rounding": "stochastic"},
    ),
    draws={
        "bits": lambda rng: int(rng.integers(2, 80)),
        "lsb_exponent": lambda rng: int(rng.integers(-40, 20)),
        "scale": format_name,
    },
    typical=(
        {"bits": 16, "scale": "e8m0", "b": "int4"},
        {"bits": 12, "scale": "ufixed8_6", "b": "e2m1"},
        {"bits": 16, "scale": "bf16", "b": "e4m3fn"},
    ),
    example={"bits": 12, "scale": "ufixed8_7", "b": "int8"},
    proofs={dot.ZERO_SIGNS: [({"bits": 8, "scale": "e4m3", "b": "e3m2"}, ("reference",))]},
)
