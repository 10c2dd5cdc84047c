"""What a bench drives: directed extremes first, then seeded random patterns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.spec import Port, Spec
from sim import unit_model
from sim.extremes import extreme_codes, word_extremes

#: Parts of the random cycles, and of their elements, that are extremes.
EXTREME_CYCLES, EXTREME_LANES = 1 / 4, 1 / 4

#: Runs of cycles with zeros, and cycles of each.
ZERO_RUNS, ZERO_RUN = 48, 4

#: ``valid`` and ``enable`` of the first random cycles: whatever can follow what.
_BEGINNING = np.array(
    [[1, 1, 0, 0, 1, 1, 1, 1, 0, 1], [1, 1, 1, 1, 1, 0, 0, 1, 0, 1]],
    np.bool_,
)

#: Patterns of the elements of each port, (cycles, count), unsigned.
Inputs = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Stimulus:
    """A row a clock cycle: ``inputs`` by port, ``valid`` and ``enable`` (cycles,) bool."""

    inputs: Inputs
    valid: npt.NDArray[np.bool_]
    enable: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.valid)


def directed(spec: Spec) -> Stimulus:
    """The cases that the unit's model names, a valid cycle each.

    Of sums that become a float also zeros of either sign.
    """
    model = unit_model.of(spec)
    patterns = model.directed(spec)
    cases = given({port.name: patterns[port.name] for port in spec.inputs})
    cases = concatenate(cases, signed_zeros(spec)) if model.signs_zeros(spec) else cases
    return cases if spec.loop is None else _in_turn(cases, spec.loop.partial_sums)


def _in_turn(cases: Stimulus, partial_sums: int) -> Stimulus:
    """Valid cycles in such an order that each partial sum meets those of a part, one by one."""
    whole = len(cases) // partial_sums * partial_sums
    order = np.arange(whole).reshape(partial_sums, -1).T.ravel()
    order = np.append(order, np.arange(whole, len(cases)))
    return given({name: patterns[order] for name, patterns in cases.inputs.items()})


def signed_zeros(spec: Spec) -> Stimulus:
    """Runs of valid cycles whose operands are zeros, all positive, all negative or mixed.

    Some are beside other numbers; and there are numbers that are taken away again in the next
    cycle.
    """
    rng = np.random.default_rng(13)
    cycles = ZERO_RUNS * ZERO_RUN
    patterns = {port.name: _drawn(rng, port, cycles) for port in spec.inputs}
    unit_model.of(spec).restrict(spec, patterns, np.arange(cycles), rng)
    all_zero = rng.random(ZERO_RUNS) < 0.6
    second = (np.arange(cycles) % 2 == 1)[:, None]
    for port in spec.inputs:
        f, codes = port.format, patterns[port.name]
        if f is None or f.min > 0:
            continue
        before = np.roll(codes, 1, axis=0)
        if port.name in ("a", "c") and f.signed:
            before = f.encode(-f.decode(before), nan=0.0)
        numbers = np.where(second, before, codes)
        plus, minus = f.encode([0.0, -0.0])
        # The share of -0 in a run.
        share = np.repeat(rng.choice([0.0, 0.5, 1.0, 1.0], ZERO_RUNS), ZERO_RUN)[:, None]
        zeros = np.where(rng.random(codes.shape) < share, minus, plus)
        is_zero = np.repeat(all_zero | (rng.random(ZERO_RUNS) < 0.4), ZERO_RUN)[:, None]
        patterns[port.name] = np.where(is_zero, zeros, numbers).astype(codes.dtype)
    if "clear" in patterns:
        patterns["clear"][:, 0] |= np.arange(cycles) % ZERO_RUN == 0
    return given(patterns)


def random(spec: Spec, cycles: int, seed: int) -> Stimulus:
    """Random patterns with bubbles (valid low) and stalls (enable low), from ``seed``."""
    rng = np.random.default_rng(seed)
    valid = rng.random(cycles) < 0.85
    enable = rng.random(cycles) < 0.85
    first = min(cycles, len(_BEGINNING[0]))
    valid[:first], enable[:first] = (row[:first] for row in _BEGINNING)
    inputs = {port.name: _drawn(rng, port, cycles) for port in spec.inputs}
    unit_model.of(spec).restrict(spec, inputs, np.flatnonzero(valid & enable), rng)
    return Stimulus(inputs, valid, enable)


def beats(spec: Spec, count: int, seed: int) -> Inputs:
    """The directed inputs and ``count`` random ones from ``seed``, all of them valid."""
    rng = np.random.default_rng(seed)
    drawn = {port.name: _drawn(rng, port, count) for port in spec.inputs}
    unit_model.of(spec).restrict(spec, drawn, np.arange(count), rng)
    return concatenate(directed(spec), given(drawn)).inputs


def candidates(spec: Spec, count: int, rng: np.random.Generator) -> Inputs:
    """Random inputs, each for itself (sums restart), (``count``, elements) a port.

    They have many or few elements that are not zero, or not the largest.
    """
    patterns = {port.name: _drawn(rng, port, count) for port in spec.inputs}
    unit_model.of(spec).restrict(spec, patterns, np.arange(count), rng)
    density, full = rng.random((count, 1)) ** 2, rng.random((count, 1)) < 0.1
    for port in spec.inputs:
        if port.name == "clear":
            patterns["clear"][:] = 1
        elif port.format is not None and port.count > 1:
            is_kept = rng.random(patterns[port.name].shape) < density
            zero, largest = port.format.encode([0.0, port.format.max])
            replacement = np.where(full, largest, zero).astype(patterns[port.name].dtype)
            patterns[port.name] = np.where(is_kept, patterns[port.name], replacement)
    return patterns


def _drawn(rng: np.random.Generator, port: Port, cycles: int) -> npt.NDArray[Any]:
    """Uniform patterns; in some of the cycles some elements are extremes."""
    patterns = uniform_patterns(rng, port, cycles)
    if port.format is not None:
        extremes = extreme_codes(port.format)
    else:
        extremes = np.array(word_extremes(port.bits), patterns.dtype)
    chosen = (rng.random((cycles, 1)) < EXTREME_CYCLES) & (
        rng.random(patterns.shape) < EXTREME_LANES
    )
    return np.where(chosen, rng.choice(extremes, patterns.shape), patterns).astype(patterns.dtype)


def uniform_patterns(rng: np.random.Generator, port: Port, cycles: int) -> npt.NDArray[Any]:
    """Patterns of a port, each as likely, (``cycles``, elements)."""
    shape = (cycles, port.count)
    if port.bits <= 8:
        return rng.integers(0, 1 << port.bits, shape, dtype=np.uint8)
    if port.bits <= 64:
        return rng.integers(0, 1 << port.bits, shape, dtype=np.uint64)
    words = rng.integers(0, 1 << 32, (*shape, -(-port.bits // 32)), dtype=np.uint64)
    patterns = np.zeros(shape, object)
    for word in np.moveaxis(words, -1, 0):
        patterns = (patterns << 32) | word.astype(object)
    return np.asarray(patterns & ((1 << port.bits) - 1))


def given(inputs: Mapping[str, npt.ArrayLike]) -> Stimulus:
    """A valid cycle for each row of the ``inputs``.

    ``inputs``: unsigned patterns by port, (cycles, count), or (cycles,) for single elements.
    """
    arrays = {name: np.asarray(patterns) for name, patterns in inputs.items()}
    columns = {name: a[:, None] if a.ndim == 1 else a for name, a in arrays.items()}
    always = np.ones(len(next(iter(columns.values()))), np.bool_)
    return Stimulus(columns, always, always)


def concatenate(*parts: Stimulus) -> Stimulus:
    """One stimulus after the other."""
    return Stimulus(
        {name: _joined([part.inputs[name] for part in parts]) for name in parts[0].inputs},
        np.concatenate([part.valid for part in parts]),
        np.concatenate([part.enable for part in parts]),
    )


def _joined(patterns: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Patterns are never negative; numpy would make float64 of int64 and uint64."""
    if any(array.dtype == np.uint64 for array in patterns):
        patterns = [f if f.dtype == object else f.astype(np.uint64) for f in patterns]
    return np.concatenate(patterns)


def stall(spec: Spec) -> Stimulus:
    """One cycle with an input that is not taken."""
    inputs = {port.name: np.zeros((1, port.count), np.uint8) for port in spec.inputs}
    return Stimulus(inputs, np.ones(1, np.bool_), np.zeros(1, np.bool_))


def flush(spec: Spec) -> Stimulus:
    """Bubbles that let the last result reach the output."""
    cycles = spec.latency
    inputs = {port.name: np.zeros((cycles, port.count), np.uint8) for port in spec.inputs}
    return Stimulus(inputs, np.zeros(cycles, np.bool_), np.ones(cycles, np.bool_))
