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

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hwgen.spec import Spec
from sim import golden, rounding, unit_model
from sim.bins import bit_bins, place_of, places_of, port_bins, rounding_bins, zero_bins
from sim.stimulus import Stimulus, candidates, concatenate, given
from sim.unit_model import Counts

#: How the names of bins of roundings begin.
ROUNDING = "to "
#: Inputs among which those of a rare rounding are looked for: so many times so many.
TRIES, CANDIDATES = 8, 4096
#: Rows that are kept for each bit which alone decides a rounding.
LONE_BITS = 2


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
    """``stimulus``, and before it inputs that hit the roundings which it misses.

    Also such as are one bit above a value or a tie, for each such bit. They are looked for among
    random inputs from ``seed`` by the golden model, and found where they are not too rare.
    ``lone_tries``: how often the latter are looked for.
    """
    coverage = collect(spec, stimulus)
    if not any(name.startswith(ROUNDING) for name in coverage.bins):
        return stimulus
    wanted = {name for name in coverage.missed if name.startswith(ROUNDING)}
    lone: Counts = {}
    rng, reach = np.random.default_rng([seed, 2]), unit_model.of(spec).reach(spec)
    parts = [stimulus]
    for attempt in range(TRIES):
        if attempt >= lone_tries and not wanted:
            break
        inputs = candidates(spec, CANDIDATES, rng)
        with rounding.watched() as seen:
            golden.expected(spec, inputs)
        rows: list[int] = []
        for rounded in seen:
            for name, hit in places_of(rounded, reach).items():
                bin_name = f"{ROUNDING}{rounded.target}: {name}"
                if bin_name in wanted and len(hit) == CANDIDATES and hit.any():
                    wanted.remove(bin_name)
                    rows += np.flatnonzero(hit.reshape(CANDIDATES, -1).any(axis=1))[:8].tolist()
            if attempt < lone_tries and len(rounded.values) == CANDIDATES:
                rows += _new_lone_bits(rounded, lone)
        if rows:
            rows = list(dict.fromkeys(rows))
            parts.insert(0, given({name: patterns[rows] for name, patterns in inputs.items()}))
    return concatenate(*parts)


def _new_lone_bits(rounded: rounding.Rounded, known: Counts) -> list[int]:
    """Rows whose number is a value or a tie of the target, and one bit more.

    A few for each such bit, which are counted in ``known``: only they tell whether that bit counts.
    """
    place, odd = place_of(rounded)
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
    model = unit_model.of(spec)
    bins = _named("control", control_bins(stimulus))
    for port in spec.inputs:
        bins |= _named(port.name, port_bins(port, inputs[port.name]))
    for target in dict.fromkeys(rounded.target for rounded in seen):
        roundings = [rounded for rounded in seen if rounded.target == target]
        bins |= _named(f"{ROUNDING}{target}", rounding_bins(roundings, model.reach(spec)))
    formats = [port.format for port in spec.inputs if port.format is not None]
    infinite = any(f.has_infinity for f in formats)
    for rounded in seen:
        specials = {
            "NaN": (np.isnan, infinite or any(f.has_nan for f in formats)),
            "infinity": (np.isinf, infinite),
        }
        for name, (is_special, possible) in specials.items():
            if possible:
                bin_name = f"{ROUNDING}{rounded.target}: {name}"
                bins[bin_name] = bins.get(bin_name, 0) + int(is_special(rounded.values).sum())
    if spec.zero_rounding is not None:
        bins |= _named("sums", zero_bins(seen))
    for port in spec.outputs:
        if port.format is None and (infinite or "infinity" not in port.name):
            bins |= _named(port.name, bit_bins(port.bits, results[port.name], port.signed))
    bins |= model.bins(spec, inputs, results)
    unreachable = model.unreachable(spec)
    return Coverage({name: n for name, n in bins.items() if name not in unreachable})


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
