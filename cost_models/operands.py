"""What comes in at the operand ports, as energy depends on it: a distribution, or a tensor.

``uniform``: each code of a finite number as likely. ``gaussian:sigma=S``: normal numbers of
standard deviation S, rounded to the nearest of the format, larger ones to its largest; of formats
without sign their magnitudes. ``gaussian:crest=C``: those whose standard deviation is the format's
largest number divided by C. A tensor: its numbers in their order, lane by lane and then cycle by
cycle.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from hwgen.errors import InputError
from hwgen.fields import shown
from hwgen.formats import Scalar
from hwgen.formats.scalar import SATURATE
from hwgen.spec import Port, Spec
from sim import stimulus as stimuli
from sim.stimulus import Stimulus

UNIFORM, GAUSSIAN = "uniform", "gaussian"
SIGMA, CREST = "sigma", "crest"
HOW = "use 'uniform', 'gaussian:sigma=S', 'gaussian:crest=C' or an array of numbers"
#: Cycles of a tensor that are used, at most, and the fewest that have a toggle.
MOST_CYCLES, FEWEST_CYCLES = 4096, 2
#: Beside the operands: scales of blocks are powers of two around 1.
SCALES = (-2, 3)
Codes: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True)
class Distribution:
    """Numbers that are drawn independently; ``name`` parses back to it.

    ``parameter``: of Gaussian ones, which of the standard deviation and the crest factor ``value``
    is.
    """

    kind: str
    parameter: str = ""
    value: float = 0.0

    @property
    def name(self) -> str:
        """What it is called on the command line and in rows."""
        return self.kind if not self.parameter else f"{self.kind}:{self.parameter}={self.value:g}"

    def codes(self, f: Scalar, shape: tuple[int, int], rng: np.random.Generator) -> Codes:
        """Codes of ``f``."""
        if self.kind == UNIFORM:
            return _uniform(f, shape, rng)
        sigma = self.value if self.parameter == SIGMA else f.symmetric_max / self.value
        numbers = rng.standard_normal(shape) * sigma
        return f.encode(numbers if f.signed else np.abs(numbers), overflow=SATURATE)


@dataclass(frozen=True, eq=False)
class Tensor:
    """Numbers in their order; equal where they are the same numbers."""

    numbers: npt.NDArray[np.float64]
    name: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tensor) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def codes(self, f: Scalar, lanes: int) -> Codes:
        """Codes of ``f``, (cycles, lanes).

        Raises:
            InputError: fewer numbers than two cycles take; one that the format does not have room
                for.

        """
        cycles = min(len(self.numbers) // lanes, MOST_CYCLES)
        if cycles < FEWEST_CYCLES:
            raise InputError(
                f"a tensor of {len(self.numbers)} numbers: {lanes} lanes take at least "
                f"{FEWEST_CYCLES * lanes}, so that something changes"
            )
        low, high = float(self.numbers.min()), float(self.numbers.max())
        if (low < f.min and not (low >= 0 > -f.smallest)) or high > f.max:
            raise InputError(
                f"a tensor of numbers from {low:g} to {high:g} does not fit {f}, whose numbers are "
                f"from {f.min:g} to {f.max:g}: scale it first"
            )
        numbers = self.numbers[: cycles * lanes].reshape(cycles, lanes)
        return f.encode(numbers, overflow=SATURATE)


Operands: TypeAlias = Distribution | Tensor


def operands(name: str, given: Any) -> Operands:
    """What is ``given`` for the operand ``name``: a text, an array of numbers, or such an object.

    Raises:
        InputError: an unknown distribution, a parameter that is not positive and finite, an array
            that is empty or has something that is no finite number.

    """
    if isinstance(given, Distribution | Tensor):
        return given
    if isinstance(given, str):
        return _distribution(name, given)
    try:
        if np.iscomplexobj(given):
            raise TypeError
        numbers = np.asarray(given, dtype=np.float64).ravel()
    except (TypeError, ValueError):
        raise InputError(f"{name}={shown(given)}: {HOW}") from None
    if given is None or not numbers.size:
        raise InputError(f"{name}={shown(given)}: {HOW}")
    if not np.isfinite(numbers).all():
        raise InputError(
            f"{name}: the tensor has {int((~np.isfinite(numbers)).sum())} numbers that are not "
            "finite: give finite ones"
        )
    digest = hashlib.sha256(numbers.tobytes()).hexdigest()[:16]
    return Tensor(numbers, f"a tensor of {numbers.size:,} numbers ({digest})")


def _distribution(name: str, text: str) -> Distribution:
    kind, colon, rest = text.partition(":")
    if kind == UNIFORM and not colon:
        return Distribution(UNIFORM)
    match = re.fullmatch(rf"({SIGMA}|{CREST})=(.+)", rest)
    if kind != GAUSSIAN or match is None:
        raise InputError(f"{name}={shown(text)}: no distribution: {HOW}")
    try:
        value = float(match[2])
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise InputError(
            f"{name}={shown(text)}: {match[1]} is to be a positive, finite number, such as 4"
        )
    return Distribution(GAUSSIAN, match[1], value)


def _uniform(f: Scalar, shape: tuple[int, int], rng: np.random.Generator) -> Codes:
    codes = rng.integers(0, 1 << f.bits, shape).astype(f.code_dtype)
    while not (finite := np.isfinite(f.decode(codes))).all():
        codes[~finite] = rng.integers(0, 1 << f.bits, np.count_nonzero(~finite))
    return codes


def elements(spec: Spec) -> dict[str, Port]:
    """The ports of a unit whose codes are drawn as its operands: ``a``, and ``b`` if it has one."""
    return {p.name: p for p in spec.inputs if p.name in ("a", "b") and p.format is not None}


def stimulus(spec: Spec, given: Mapping[str, Operands], cycles: int, seed: int) -> Stimulus:
    """Valid cycles with the operands as they are ``given``; all else is drawn from ``seed``.

    ``cycles``: so many, or as many as the shortest tensor has. Sums are as long as they may be. An
    addend is as ``a``.
    """
    rng = np.random.default_rng(seed)
    ports = elements(spec)
    tensors = {
        name: one.codes(port.format, port.count)
        for name, port in ports.items()
        if isinstance(one := given[name], Tensor) and port.format is not None
    }
    cycles = min([cycles, *(len(codes) for codes in tensors.values())])
    inputs: dict[str, Codes] = {}
    for port in spec.inputs:
        shape = (cycles, port.count)
        operand = next((name for name, one in ports.items() if one.name == port.name), None)
        if operand in tensors:
            inputs[port.name] = tensors[operand][:cycles]
        elif operand is not None or (port.name == "c" and port.format is not None):
            one = given[operand or "a"]
            drawn = one if isinstance(one, Distribution) else Distribution(UNIFORM)
            assert port.format is not None
            inputs[port.name] = drawn.codes(port.format, shape, rng)
        elif port.name == "clear":
            run = max(getattr(spec, "max_products", 4096) // getattr(spec, "lanes", 1), 1)
            inputs[port.name] = (np.arange(cycles) % run == 0).astype(np.uint8)[:, None]
        elif port.format is not None:
            inputs[port.name] = port.format.encode(2.0 ** rng.integers(*SCALES, shape))
        else:
            inputs[port.name] = stimuli.uniform_patterns(rng, port, cycles)
    return stimuli.given(inputs)
