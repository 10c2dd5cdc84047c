"""Quantization to one block: the block format's own encoding of the decoded numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.formats.block_encode import IN_ELEMENT
from hwgen.formats.rounding import RANDOM_BITS, STOCHASTIC
from hwgen.spec import Quantizer
from sim.models import Patterns

#: Exponents of the largest magnitude among the directed blocks.
EXPONENTS = 9

Floats = npt.NDArray[np.float64]


def expected(spec: Quantizer, inputs: Patterns) -> Patterns:
    """See ``sim.models.Model``; of what elements cannot be, see the spec."""
    element = spec.b.element
    given = spec.a.decode(inputs["a"])
    values, lost = given, np.zeros(given.shape, np.bool_)
    if spec.nonfinite == IN_ELEMENT and not element.has_nan:
        lost = np.isnan(given) if element.has_infinity else ~np.isfinite(given)
        values = np.where(lost, 0.0, given)
    codes = spec.b.encode(
        values,
        scale_rule=spec.scale_rule,
        rounding=spec.rounding,
        symmetric=spec.symmetric,
        nonfinite=spec.nonfinite,
        random_bits=inputs["random_bits"] if spec.rounding == STOCHASTIC else None,
    )
    low = -element.max if spec.symmetric and element.signed else element.min
    bounds = np.clip(np.where(np.isnan(given), 0.0, given), low, element.max)
    elements = np.where(lost, element.encode(bounds), codes.elements[:, 0, :])
    return {"elements": elements, "scale": codes.scales}


def directed(spec: Quantizer) -> Patterns:
    """Blocks of zeros, of one number, and with one larger than the rest; largest magnitudes at
    and beside what changes the scale, over the whole range; elements and ties between them."""
    from sim.stimulus import extreme_codes

    f, lane = spec.a, np.arange(spec.lanes)
    peaks, others = _largest_magnitudes(spec), _elements_and_ties(spec)
    extremes = extreme_codes(f).astype(np.int64)
    special = extremes[~np.isfinite(f.decode(extremes.astype(f.code_dtype)))]
    rows: list[npt.NDArray[Any]] = []

    def add(row: npt.ArrayLike) -> None:
        rows.append(np.broadcast_to(np.asarray(row, np.int64), spec.lanes))

    for code in extremes:
        add(code)
    for first in range(0, len(extremes), max(1, spec.lanes // 2)):
        add(np.resize(np.roll(extremes, -first), spec.lanes))
    plus, minus = (int(code) for code in f.encode([0.0, -0.0]))
    add(np.where(lane % 2, plus, minus))
    for index, (peak, exponent) in enumerate(peaks):
        hot = lane == index % spec.lanes
        add(np.where(hot, peak, np.where(lane % 2, plus, minus)))
        add(peak)
        # Around the scale that such a block gets; what has no such place in the source rounds.
        start = index * (spec.lanes - 1) % len(others)
        rest = np.resize(np.roll(others, -start), spec.lanes)
        rest = np.ldexp(rest, exponent) * np.where((lane + index) % 2, -1.0, 1.0)
        codes = f.encode(rest, nan=None).astype(np.int64)
        if index % 3 == 0:
            codes = (codes + lane % 3 - 1) & (2**f.bits - 1)
        add(np.where(hot, peak, codes))
    for index, code in enumerate(special):
        add(np.where(lane == index % spec.lanes, code, rows[-1 - index]))
    patterns = np.array(rows).astype(f.code_dtype)
    if spec.rounding != STOCHASTIC:
        return {"a": patterns}
    drawn = np.array([0, 1, 2**31 - 1, 2**31, 2**RANDOM_BITS - 1], np.uint64)
    random = np.resize(drawn, patterns.shape)
    return {"a": patterns, "random_bits": random}


def _largest_magnitudes(spec: Quantizer) -> list[tuple[int, int]]:
    """Codes of the source that change the scale, and those beside them, with the exponent of a
    scale near theirs."""
    f, element = spec.a, spec.b.element
    emax = int(np.frexp(element.max)[1]) - 1
    fraction = element.max / 2.0**emax
    significands = [1.0, fraction, 2 - 2.0**-element.precision, 2 - 2.0 ** -(element.precision + 1)]
    low, high = (int(np.frexp(v)[1]) - 1 for v in (f.smallest, max(f.max, -f.min)))
    scale = [int(np.frexp(v)[1]) - 1 + emax for v in (spec.b.scale.smallest, spec.b.scale.max)]
    exponents = np.concatenate(
        [
            np.linspace(low, high, EXPONENTS).astype(np.int64),
            *[np.arange(e - 1, e + 2) for e in (0, low, high, *scale)],
        ]
    )
    found: set[tuple[int, int]] = set()
    for exponent in np.unique(exponents[(exponents >= low - 1) & (exponents <= high + 1)]):
        for significand in significands:
            code = int(f.encode(np.ldexp(significand, int(exponent))))
            for near in (code - 1, code, code + 1):
                found.add((near & (2**f.bits - 1), int(exponent) - emax))
    return sorted(found)


def _elements_and_ties(spec: Quantizer) -> Floats:
    """Values of elements, the middles between them, and a bit beside, in no order."""
    element = spec.b.element
    codes = np.arange(2 ** min(element.bits, 12)).astype(element.code_dtype)
    values = element.decode(codes)
    values = np.unique(np.abs(values[np.isfinite(values)]))
    middles = (values[1:] + values[:-1]) / 2
    chosen = np.concatenate([values, middles, middles * (1 + 2.0**-6), middles * (1 - 2.0**-6)])
    return np.asarray(np.random.default_rng(1).permutation(chosen))


def restrict(
    spec: Quantizer, inputs: Patterns, counted: npt.NDArray[np.intp], rng: np.random.Generator
) -> None:
    """All codes are allowed; of uniform ones of a float one number dwarfs the others, so half
    the blocks become normally distributed, and a quarter multiples of half a step."""
    f, element = spec.a, spec.b.element
    rows = np.flatnonzero(rng.random(len(inputs["a"])) < 0.75)
    low, high = (int(np.frexp(v)[1]) for v in (f.smallest, max(f.max, -f.min)))
    exponents = rng.integers(low, high + 1, (len(rows), 1))
    values = rng.standard_normal((len(rows), spec.lanes))
    steps = rng.integers(-(2**6), 2**6, values.shape) * 2.0 ** (element.lsb_exponent - 1)
    values = np.where(rng.random((len(rows), 1)) < 1 / 3, steps, values)
    inputs["a"][rows] = f.encode(np.ldexp(values, exponents))
