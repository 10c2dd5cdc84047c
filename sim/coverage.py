"""What a stimulus exercises: bins that a unit declares, and how often each was hit.

A bin is declared where the spec can reach it. That follows from the formats alone (largest
number, unit of the exact numbers), never from the stimulus, so that a class which a stimulus
misses shows. Bins are counted on valid inputs, by the golden model's numbers:

- control: bubbles, stalls, and what follows what;
- operands: classes of codes at each port, extremes and specials in every lane, every exponent;
- words that are no codes: all zeros, all ones, alternating ones, each bit at 0 and at 1;
- roundings: exact numbers, ties to either side, numbers beside ties, in the subnormal and in the
  normal range; overflow of each sign, underflow; numbers of each exponent, NaN, infinities;
- exact sums: zeros of either sign;
- results that are no codes: each bit at 0 and at 1;
- running sums: carries along every number of bits, to the next power of two.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.accumulator import Float
from hwgen.formats import Minifloat, Scalar
from hwgen.formats.rounding import TOWARD_ZERO
from hwgen.formats.widths import signed_width
from hwgen.spec import Array, DotProduct, Port, Spec
from sim import golden, models, rounding
from sim.models import Reach
from sim.stimulus import Inputs, Stimulus, candidates, concatenate, given, word_extremes

Counts = dict[str, int]
Booleans = npt.NDArray[np.bool_]

#: Wider exponents' fields have no bin each.
EXPONENT_BITS = 5
#: How the names of bins of roundings begin.
ROUNDING = "to "
#: Inputs among which those of a rare rounding are looked for: so many times so many.
TRIES, CANDIDATES = 8, 4096
#: Rows that are kept for each bit which alone decides a rounding.
LONE_BITS = 2
#: Formats of up to this many bits have their ties listed.
TABLE_BITS = 16
#: A number is beside a tie if it is nearer than this part of a step.
BESIDE = 2.0**-4


@dataclass(frozen=True)
class Coverage:
    """How often each declared bin was hit, by the bin's name."""

    bins: Counts

    @property
    def missed(self) -> tuple[str, ...]:
        """Bins that were declared and not hit."""
        return tuple(name for name, count in self.bins.items() if not count)

    @property
    def complete(self) -> bool:
        """Bins were declared, and every one was hit."""
        return bool(self.bins) and not self.missed

    def __str__(self) -> str:
        missed = f", missed: {', '.join(self.missed)}" if self.missed else ""
        return f"{len(self.bins) - len(self.missed)} of {len(self.bins)} bins{missed}"


def filled(spec: Spec, stimulus: Stimulus, seed: int = 1, lone_tries: int = 1) -> Stimulus:
    """``stimulus``, and inputs that hit what it misses of the roundings, and such as are one bit
    above a value or a tie, for each such bit: found among random ones by the golden model, where
    they are not too rare. ``lone_tries``: how often the latter are looked for."""
    found = collect(spec, stimulus)
    if not any(name.startswith(ROUNDING) for name in found.bins):
        return stimulus
    wanted = {name for name in found.missed if name.startswith(ROUNDING)}
    lone: Counts = {}
    rng = np.random.default_rng([seed, 2])
    parts = [stimulus]
    for tried in range(TRIES):
        if tried >= lone_tries and not wanted:
            break
        inputs = candidates(spec, CANDIDATES, rng)
        with rounding.watched() as seen:
            golden.expected(spec, inputs)
        rows: list[int] = []
        for rounded in seen:
            for name, hit in _places(rounded, reach(spec)).items():
                bin_name = f"{ROUNDING}{rounded.target}: {name}"
                if bin_name in wanted and len(hit) == CANDIDATES and hit.any():
                    wanted.remove(bin_name)
                    rows += np.flatnonzero(hit.reshape(CANDIDATES, -1).any(axis=1))[:8].tolist()
            if tried < lone_tries and len(rounded.values) == CANDIDATES:
                rows += _new_lone_bits(rounded, lone)
        if rows:
            rows = list(dict.fromkeys(rows))
            parts.insert(0, given({name: patterns[rows] for name, patterns in inputs.items()}))
    return concatenate(*parts)


def _new_lone_bits(rounded: rounding.Rounded, known: Counts) -> list[int]:
    """Rows whose number is a value or a tie of the target, and one bit more: a few for each such
    bit, and counted in ``known``. Only they tell whether that bit counts."""
    place, odd = _place(rounded)
    rows = []
    for name, above in (("value", place), ("tie", np.where(odd, 0.0, place - 0.5))):
        fraction, exponent = np.frexp(above.reshape(CANDIDATES, -1))
        for row, column in zip(*np.nonzero(fraction == 0.5), strict=True):
            bit = f"{rounded.target}: {name} and a bit {exponent[row, column]}"
            known[bit] = known.get(bit, 0) + 1
            if known[bit] <= LONE_BITS:
                rows.append(int(row))
    return rows


def collect(spec: Spec, stimulus: Stimulus) -> Coverage:
    """The bins of ``spec``, and how often ``stimulus`` hits each."""
    counted = np.flatnonzero(stimulus.enable & stimulus.valid)
    inputs = {name: patterns[counted] for name, patterns in stimulus.inputs.items()}
    with rounding.watched() as seen:
        results = golden.expected(spec, inputs)
    bins = _named("control", control_bins(stimulus))
    for port in spec.inputs:
        bins |= _named(port.name, port_bins(port, inputs[port.name]))
    for target in dict.fromkeys(rounded.target for rounded in seen):
        found = [rounded for rounded in seen if rounded.target == target]
        bins |= _named(f"{ROUNDING}{target}", rounding_bins(found, reach(spec)))
    formats = [port.format for port in spec.inputs if port.format is not None]
    infinite = any(f.has_infinity for f in formats)
    for rounded in seen:
        specials = {
            "NaN": (np.isnan, infinite or any(f.has_nan for f in formats)),
            "infinity": (np.isinf, infinite),
        }
        for name, (found_in, possible) in specials.items():
            if possible:
                bin_name = f"{ROUNDING}{rounded.target}: {name}"
                bins[bin_name] = bins.get(bin_name, 0) + int(found_in(rounded.values).sum())
    if getattr(spec, "zero_rounding", None) is not None:
        bins |= _named("sums", zero_bins(seen))
    for port in spec.outputs:
        if port.format is None and (infinite or "infinity" not in port.name):
            bins |= _named(port.name, bit_bins(port.bits, results[port.name], port.signed))
    if isinstance(spec, DotProduct | Array) and "accumulator" in results:
        bins |= _named("accumulator", carry_bins(spec, inputs, results["accumulator"]))
    unreachable = getattr(models.of(spec), "unreachable", lambda spec: ())(spec)
    return Coverage({name: n for name, n in bins.items() if name not in unreachable})


def reach(spec: Spec) -> Reach:
    """What the unit can be asked to round, by its model; anything, if that does not say."""
    found: Reach = getattr(models.of(spec), "reach", lambda spec: Reach())(spec)
    return found


def _named(what: str, bins: Mapping[str, int]) -> Counts:
    return {f"{what}: {name}": count for name, count in bins.items()}


def control_bins(stimulus: Stimulus) -> Counts:
    """Bubbles and stalls, and what follows what."""
    valid, enable = stimulus.valid, stimulus.enable
    moving = valid[enable]
    hits = {
        "two inputs without a gap": moving[1:] & moving[:-1],
        "an input after a bubble": moving[1:] & ~moving[:-1],
        "two bubbles": ~moving[1:] & ~moving[:-1],
        "a stall with an input waiting": ~enable & valid,
        "a stall in a bubble": ~enable & ~valid,
        "two stalls": ~enable[1:] & ~enable[:-1],
        "a stall between inputs": valid[:-2] & enable[:-2] & ~enable[1:-1] & valid[2:] & enable[2:],
    }
    return {name: int(hit.sum()) for name, hit in hits.items()}


def port_bins(port: Port, patterns: npt.NDArray[Any]) -> Counts:
    """Of an input port's elements, (cycles, count)."""
    if port.format is not None:
        return code_bins(port.format, patterns)
    names = {"all zeros": 0, "all ones": (1 << port.bits) - 1}
    names |= {f"alternating from {v & 1}": v for v in word_extremes(port.bits)[2:]}
    whole = {name: int((patterns == v).sum()) for name, v in names.items()} if port.bits > 1 else {}
    return {**whole, **bit_bins(port.bits, patterns)}


def code_bins(number_format: Scalar, codes: npt.NDArray[Any]) -> Counts:
    """Classes of codes, (cycles, lanes); a class that the format lacks has no bin."""
    f = number_format
    values, whole = f.decode(codes), codes.astype(np.int64)
    zero = values == 0
    lanes: dict[str, Booleans] = {"largest": values == f.max, "lowest": values == f.min}
    if f.encode(0.0, nan=None) is not None and f.decode(f.encode(0.0)) == 0:
        lanes["zero"] = zero
    if f.has_nan:
        lanes["NaN"] = np.isnan(values)
    if f.has_infinity:
        lanes["infinity"] = np.isinf(values)
    some: dict[str, Booleans] = {}
    if f.max > 0:
        some["smallest"] = values == f.smallest
    if f.min < 0:
        some["smallest negative"] = values == -f.smallest
    if np.signbit(f.decode(f.encode(-0.0))):
        some["negative zero"] = zero & np.signbit(values)
    if isinstance(f, Minifloat) and f.exponent_bits <= EXPONENT_BITS:
        field = (whole >> f.mantissa_bits) & ((1 << f.exponent_bits) - 1)
        some |= {f"exponent field {e}": field == e for e in range(1 << f.exponent_bits)}
    found = {name: int(hit.sum()) for name, hit in some.items()}
    for name, hit in lanes.items():
        found |= {f"{name} in lane {i}": n for i, n in enumerate(hit.sum(axis=0).tolist())}
    return {**found, **bit_bins(f.bits, codes)}


def bit_bins(bits: int, patterns: npt.NDArray[Any], signed: bool = False) -> Counts:
    """Each bit of any element at 0 and at 1."""
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


def carry_bins(spec: DotProduct | Array, inputs: Inputs, sums: npt.NDArray[Any]) -> Counts:
    """How far carries go when a cycle's sum is added to the first accumulator of ``sums``,
    (cycles, count): so many bits at least. A sum that crosses zero upward carries along all bits
    above those of the two numbers."""
    if isinstance(spec.accumulator, Float):
        return {}
    width = spec.accumulator_width
    low, high = spec.product_range
    longest = width - signed_width(low, high) if low < 0 < high else 0
    counts = {f"a carry along {1 << i} bits": 0 for i in range(longest.bit_length())}
    mask, ends = (1 << width) - 1, {-1 << (width - 1), (1 << (width - 1)) - 1}
    words = [int(word) for word in sums[:, 0].tolist()]
    clear = inputs["clear"][:, 0].tolist()
    for before, after, cleared in zip(words, words[1:], clear[1:], strict=False):
        if cleared or after in ends:  # At an end it may not be the sum.
            continue
        term = (after - before) & mask
        # Bits that hand on the carry that comes in.
        run, bits = (before ^ after ^ term) & (before ^ term) & mask, 1
        while run:
            name = f"a carry along {bits} bits"
            if name in counts:
                counts[name] += 1
            for _ in range(bits):
                run &= run >> 1
            bits *= 2
    return counts


def rounding_bins(seen: Iterable[rounding.Rounded], reach: Reach) -> Counts:
    """Where exact numbers, within ``reach``, lie among the values of their one target format."""
    found: Counts = {}
    for rounded in seen:
        for name, hit in _places(rounded, reach).items():
            found[name] = found.get(name, 0) + int(hit.sum())
    return found


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


def _place(rounded: rounding.Rounded) -> tuple[npt.NDArray[np.float64], Booleans]:
    """How far each number within the target's range is above the value below its magnitude, in
    steps of the target there (0 for others), and whether that value is odd."""
    f = rounded.target
    values, inside = _inside(rounded)
    below = np.abs(f.decode(f.encode(np.where(inside, values, 0.0), TOWARD_ZERO)))
    step = np.ldexp(1.0, step_exponent(f, np.abs(values)))
    place = np.where(inside, (np.abs(values) - below) / step, 0.0)
    return place, np.mod(below / step, 2) == 1


def _places(rounded: rounding.Rounded, reach: Reach) -> dict[str, Booleans]:
    f, unit = rounded.target, max(rounded.lsb_exponent, reach.lsb_exponent)
    values, inside = _inside(rounded)
    magnitude = np.abs(values)
    place, odd = _place(rounded)
    subnormals = isinstance(f, Minifloat) and f.mantissa_bits > 0
    normal = 2.0 ** (f.lsb_exponent + f.mantissa_bits) if isinstance(f, Minifloat) else 0.0
    found: dict[str, Booleans] = {}
    regions = {"normal": (magnitude >= normal, normal, min(reach.largest, f.max), 0)}
    if subnormals and reach.smallest < normal:
        # There a number has fewer bits in the target, and more of its own below them.
        regions["subnormal"] = (magnitude < normal, f.smallest, min(reach.largest, normal / 2), 1)
    for region, (where, bottom, top, fewer) in regions.items():
        here = inside & where
        if top < bottom or 2.0**unit > top:
            continue
        # Numbers are multiples of 2^unit; steps grow up to that of the region's top.
        finer = min(
            int(step_exponent(f, np.array([top]))[0]) - unit, reach.bits - f.precision + fewer
        )
        found[f"{region}, exact"] = here & (place == 0)
        for name, parity, is_odd in (("even", ~odd, False), ("odd", odd, True)):
            if finer >= 1 and _ties(f, is_odd, bottom, top, unit, reach.bits):
                found[f"{region}, tie with the {name} below"] = here & (place == 0.5) & parity
        if finer >= 2:
            found[f"{region}, nearer below"] = here & (place > 0) & (place < 0.5)
            found[f"{region}, nearer above"] = here & (place > 0.5)
        if finer > -math.log2(BESIDE):
            beside = here & (np.abs(place - 0.5) < BESIDE)
            found[f"{region}, just below a tie"] = beside & (place < 0.5)
            found[f"{region}, just above a tie"] = beside & (place > 0.5)
    if isinstance(f, Minifloat) and f.exponent_bits <= EXPONENT_BITS:
        lowest = f.lsb_exponent + f.mantissa_bits
        for e in range(lowest, math.frexp(min(reach.largest, f.max))[1]):
            if unit <= e and reach.smallest < 2.0 ** (e + 1):
                binade = (magnitude >= 2.0**e) & (magnitude < 2.0 ** (e + 1))
                found[f"numbers from 2^{e}"] = inside & binade
    if reach.largest > f.max:
        found["overflow"] = values > f.max
        if f.signed and (values < 0).any():
            found["negative overflow"] = values < f.min
    if f.lsb_exponent > unit and reach.smallest < f.smallest:
        found["smaller than the smallest"] = (magnitude > 0) & (magnitude < f.smallest)
    return found


def _ties(f: Scalar, is_odd: bool, bottom: float, top: float, unit: float, bits: float) -> bool:
    """Whether a middle between neighbours from ``bottom`` to ``top``, of which the lower is odd
    or even, is a multiple of 2^``unit`` of so many bits. Of wide formats all are taken to be."""
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
    if not isinstance(f, Minifloat):
        return np.full(magnitude.shape, f.lsb_exponent, np.int64)
    exponent = np.frexp(magnitude)[1].astype(np.int64) - 1 - f.mantissa_bits
    return np.maximum(np.where(magnitude == 0, f.lsb_exponent, exponent), f.lsb_exponent)
