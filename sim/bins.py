"""Bins of what the ports of a unit can show, and of what it rounds.

Names, and how often each was hit. Which there are follows from the formats alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.accumulator import Float
from hwgen.formats import Scalar
from hwgen.formats.rounding import TOWARD_ZERO
from hwgen.formats.widths import signed_width
from hwgen.spec import Array, DotProduct, Port
from sim import rounding
from sim.extremes import word_extremes
from sim.unit_model import Counts, Patterns, Reach

Booleans = npt.NDArray[np.bool_]

#: Wider exponents' fields have no bin each.
EXPONENT_BITS = 5
#: Formats of up to this many bits have their ties listed.
TABLE_BITS = 16
#: A number is beside a tie if it is nearer than this part of a step.
NEAR_TIE = 2.0**-4


def port_bins(port: Port, patterns: npt.NDArray[Any]) -> Counts:
    """Bins of an input port, and how often ``patterns``, (cycles, count), hit each.

    Of codes those of ``code_bins``; of words that are no codes each bit, and extremes.
    """
    if port.format is not None:
        return code_bins(port.format, patterns)
    names = {"all zeros": 0, "all ones": (1 << port.bits) - 1}
    names |= {f"alternating from {v & 1}": v for v in word_extremes(port.bits)[2:]}
    counts = (
        {name: int((patterns == v).sum()) for name, v in names.items()} if port.bits > 1 else {}
    )
    return {**counts, **bit_bins(port.bits, patterns)}


def code_bins(number_format: Scalar, codes: npt.NDArray[Any]) -> Counts:
    """Classes of codes, and how often ``codes``, (cycles, lanes), hit each.

    Extremes and specials by the lane, other classes in any lane; a class that the format lacks has
    no bin.
    """
    f = number_format
    values, integers = f.decode(codes), codes.astype(np.int64)
    zero = values == 0
    by_lane: dict[str, Booleans] = {"largest": values == f.max, "lowest": values == f.min}
    if f.encode(0.0, nan=None) is not None and f.decode(f.encode(0.0)) == 0:
        by_lane["zero"] = zero
    if f.has_nan:
        by_lane["NaN"] = np.isnan(values)
    if f.has_infinity:
        by_lane["infinity"] = np.isinf(values)
    anywhere: dict[str, Booleans] = {}
    if f.max > 0:
        anywhere["smallest"] = values == f.smallest
    if f.min < 0:
        anywhere["smallest negative"] = values == -f.smallest
    if np.signbit(f.decode(f.encode(-0.0))):
        anywhere["negative zero"] = zero & np.signbit(values)
    if 0 < f.exponent_bits <= EXPONENT_BITS:
        field = (integers >> f.mantissa_bits) & ((1 << f.exponent_bits) - 1)
        anywhere |= {f"exponent field {e}": field == e for e in range(1 << f.exponent_bits)}
    counts = {name: int(hit.sum()) for name, hit in anywhere.items()}
    for name, hit in by_lane.items():
        counts |= {f"{name} in lane {i}": n for i, n in enumerate(hit.sum(axis=0).tolist())}
    return {**counts, **bit_bins(f.bits, codes)}


def bit_bins(bits: int, patterns: npt.NDArray[Any], signed: bool = False) -> Counts:
    """Each of ``bits`` bits at 0 and at 1, in any element: 1 where it was seen so, else 0.

    ``patterns``: of any shape; of ``signed`` ports the numbers themselves, in two's complement
    here.
    """
    mask = (1 << bits) - 1
    if patterns.dtype == object or bits > 63:
        numbers = [int(v) & mask for v in patterns.ravel().tolist()]
    else:
        numbers = np.unique(patterns.astype(np.int64) & mask).tolist()
    high, low = 0, 0
    for number in numbers:
        high, low = high | number, low | ~number
    return {
        f"bit {bit} at {value}": int(seen >> bit & 1)
        for bit in range(bits)
        for value, seen in ((0, low), (1, high))
    }


def carry_bins(spec: DotProduct | Array, inputs: Patterns, results: Patterns) -> Counts:
    """How far carries go when a cycle's sum is added to an accumulator, in fixed point.

    Of the first of the ``results``' accumulators, if they are shown: so many bits at least. A sum
    that crosses zero upward carries along all bits above those of the two numbers.
    """
    if "accumulator" not in results or isinstance(spec.accumulator, Float):
        return {}
    width = spec.accumulator_width
    low, high = spec.product_range
    longest = width - signed_width(low, high) if low < 0 < high else 0
    counts = {f"accumulator: a carry along {1 << i} bits": 0 for i in range(longest.bit_length())}
    mask, ends = (1 << width) - 1, {-1 << (width - 1), (1 << (width - 1)) - 1}
    words = [int(word) for word in results["accumulator"][:, 0].tolist()]
    clear = inputs["clear"][:, 0].tolist()
    for before, after, cleared in zip(words, words[1:], clear[1:], strict=False):
        if cleared or after in ends:  # At an end it may not be the sum.
            continue
        term = (after - before) & mask
        # Bits that hand on the carry that comes in.
        propagating, bits = (before ^ after ^ term) & (before ^ term) & mask, 1
        while propagating:
            name = f"accumulator: a carry along {bits} bits"
            if name in counts:
                counts[name] += 1
            for _ in range(bits):
                propagating &= propagating >> 1
            bits *= 2
    return counts


def rounding_bins(seen: Iterable[rounding.Rounded], reach: Reach) -> Counts:
    """Where exact numbers, within ``reach``, lie among the values of their one target format."""
    counts: Counts = {}
    for rounded in seen:
        for name, hit in places_of(rounded, reach).items():
            counts[name] = counts.get(name, 0) + int(hit.sum())
    return counts


def zero_bins(seen: Iterable[rounding.Rounded]) -> Counts:
    """Sums that are exactly zero, by the sign that their terms give them."""
    numbers = [rounded.values.ravel() for rounded in seen]
    zeros = np.concatenate([v[v == 0] for v in numbers])
    negative = int(np.signbit(zeros).sum())
    return {"zero": len(zeros) - negative, "negative zero": negative}


def _inside(rounded: rounding.Rounded) -> tuple[npt.NDArray[np.float64], Booleans]:
    """The numbers, zero for special ones, and whether they are within the target's range."""
    f, values = rounded.target, np.where(np.isfinite(rounded.values), rounded.values, 0.0)
    return values, (values >= f.min) & (values <= f.max) & (values != 0)


def place_of(rounded: rounding.Rounded) -> tuple[npt.NDArray[np.float64], Booleans]:
    """How far each number is above the target's value below its magnitude, and whether that is odd.

    The distance is in steps of the target there; 0 for numbers beyond the target's range.
    """
    f = rounded.target
    values, inside = _inside(rounded)
    below = np.abs(f.decode(f.encode(np.where(inside, values, 0.0), TOWARD_ZERO)))
    step = np.ldexp(1.0, step_exponent(f, np.abs(values)))
    place = np.where(inside, (np.abs(values) - below) / step, 0.0)
    return place, np.mod(below / step, 2) == 1


def places_of(rounded: rounding.Rounded, reach: Reach) -> dict[str, Booleans]:
    """Which numbers lie at each kind of place among the target's values, by the bin's name.

    Masks of the shape of ``rounded.values``. A place that no number within ``reach`` can have is
    left out.
    """
    f, unit = rounded.target, max(rounded.lsb_exponent, reach.lsb_exponent)
    values, inside = _inside(rounded)
    magnitude = np.abs(values)
    place, odd = place_of(rounded)
    subnormals = f.mantissa_bits > 0
    normal = 0.0 if f.is_integer else 2.0 ** (f.lsb_exponent + f.mantissa_bits)
    hits: dict[str, Booleans] = {}
    regions = {"normal": (magnitude >= normal, normal, min(reach.largest, f.max), 0)}
    if subnormals and reach.smallest < normal:
        # There a number has fewer bits in the target, and more of its own below them.
        regions["subnormal"] = (magnitude < normal, f.smallest, min(reach.largest, normal / 2), 1)
    for region, (where, bottom, top, fewer) in regions.items():
        in_region = inside & where
        if top < bottom or 2.0**unit > top:
            continue
        # Numbers are multiples of 2^unit; steps grow up to that of the region's top.
        finer = min(
            int(step_exponent(f, np.array([top]))[0]) - unit, reach.bits - f.precision + fewer
        )
        hits[f"{region}, exact"] = in_region & (place == 0)
        for name, parity, is_odd in (("even", ~odd, False), ("odd", odd, True)):
            if finer >= 1 and _ties(f, is_odd, bottom, top, unit, reach.bits):
                hits[f"{region}, tie with the {name} below"] = in_region & (place == 0.5) & parity
        if finer >= 2:
            hits[f"{region}, nearer below"] = in_region & (place > 0) & (place < 0.5)
            hits[f"{region}, nearer above"] = in_region & (place > 0.5)
        if finer > -math.log2(NEAR_TIE):
            near_tie = in_region & (np.abs(place - 0.5) < NEAR_TIE)
            hits[f"{region}, just below a tie"] = near_tie & (place < 0.5)
            hits[f"{region}, just above a tie"] = near_tie & (place > 0.5)
    if 0 < f.exponent_bits <= EXPONENT_BITS:
        lowest = f.lsb_exponent + f.mantissa_bits
        for e in range(lowest, math.frexp(min(reach.largest, f.max))[1]):
            if unit <= e and reach.smallest < 2.0 ** (e + 1):
                binade = (magnitude >= 2.0**e) & (magnitude < 2.0 ** (e + 1))
                hits[f"numbers from 2^{e}"] = inside & binade
    if reach.largest > f.max:
        hits["overflow"] = values > f.max
        if f.signed and (values < 0).any():
            hits["negative overflow"] = values < f.min
    if f.lsb_exponent > unit and reach.smallest < f.smallest:
        hits["smaller than the smallest"] = (magnitude > 0) & (magnitude < f.smallest)
    return hits


def _ties(f: Scalar, is_odd: bool, bottom: float, top: float, unit: float, bits: float) -> bool:
    """Whether the unit can make a tie with an odd, or an even, lower neighbour.

    A middle between neighbours from ``bottom`` to ``top`` has to be a multiple of 2^``unit`` of so
    many ``bits``. Of wide formats all are taken to be.
    """
    if f.bits > TABLE_BITS:
        return True
    values = f.finite_values()
    values = values[values >= 0]
    lower, upper = values[:-1], values[1:]
    middle = (lower + upper) / 2
    odd = np.mod(lower / np.ldexp(1.0, step_exponent(f, middle)), 2) == 1
    chosen = middle[(odd == is_odd) & (middle >= bottom) & (middle <= top)]
    if unit > -math.inf:
        chosen = chosen[np.mod(chosen, 2.0 ** max(unit, -1000)) == 0]
    fraction = np.frexp(chosen)[0]
    return bool((np.mod(fraction * 2.0 ** min(bits, 53), 1) == 0).any())


def step_exponent(f: Scalar, magnitude: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """log2 of the distance between the values of ``f`` about each magnitude."""
    if f.is_integer:
        return np.full(magnitude.shape, f.lsb_exponent, np.int64)
    exponent = np.frexp(magnitude)[1].astype(np.int64) - 1 - f.mantissa_bits
    return np.maximum(np.where(magnitude == 0, f.lsb_exponent, exponent), f.lsb_exponent)
