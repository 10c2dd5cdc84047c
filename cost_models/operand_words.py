"""How much words inside a unit change from cycle to cycle, from samples of its operands alone.

The words are those that any unit of products has: codes, their exponent fields, significands'
products, aligned products, their sums in a tree, the running sum. No hardware is made, nothing is
simulated: numbers are multiplied and added, and the bits in which a word differs from the one
before are counted. What a unit of another kind makes of its operands, the codes tell as far as they
do.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cost_models.operands import Operands, Tensor, elements, operands
from hwgen.formats import Scalar
from hwgen.spec import Spec

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
#: Toggles a bit and cycle, by word.
RATES = ("operand", "exponent", "significand", "product", "sum", "accumulator", "result")
#: Numbers that are sampled of each operand, and cycles, at least and at most.
SAMPLE, LEAST_CYCLES, MOST_CYCLES = 8192, 256, 1024
#: Bits of words that are looked at: those below the largest number that occurs.
WINDOW = 60
#: Bits of a result as a float beside its significand: a sign, and the low ones of its exponent.
SIGN_AND_EXPONENT = 6
#: Bits of the significand of a result that is not rounded to a float, at most, as of one that is.
MOST_PRECISION = 16
SEED = 20


@dataclass(frozen=True)
class Words:
    """Toggles a bit and cycle of the words of a unit (``RATES``), and shares of special numbers.

    ``zeros``: of products that are zero; ``negative``: of operands that are negative; ``spread``:
    the standard deviation of the products' exponents, in bits.
    """

    rates: Mapping[str, float]
    zeros: float
    negative: float
    spread: float


def words(spec: Spec, given: Mapping[str, Operands]) -> Words:
    """The words of ``spec`` with these operands."""
    ports = elements(spec)
    formats = {name: port.format for name, port in ports.items()}
    a = formats["a"]
    assert a is not None
    weights = getattr(spec, "weights", None)
    lanes = ports["a"].count
    b = formats.get("b")
    if b is None and weights is not None:
        b = spec.b  # type: ignore[attr-defined]
        one: Operands = operands("b", np.tile(weights.values, LEAST_CYCLES))
    elif b is None:
        b, one = a, given["a"]
    else:
        one = given["b"]
    run = max(getattr(spec, "max_products", 1) // lanes, 1)
    shared = "b" not in formats and weights is None
    return _words(a, b, lanes, run, _precision(spec), given["a"], one, shared)


@functools.lru_cache(maxsize=4_000)
def _words(
    a: Scalar,
    b: Scalar,
    lanes: int,
    run: int,
    precision: int,
    of_a: Operands,
    of_b: Operands,
    shared: bool,
) -> Words:
    rng = np.random.default_rng(SEED)
    cycles = min(max(SAMPLE // lanes, LEAST_CYCLES), MOST_CYCLES)
    codes_a = _codes(of_a, a, (cycles, lanes), rng)
    codes_b = codes_a if shared else _codes(of_b, b, (cycles, lanes), rng)
    cycles = min(len(codes_a), len(codes_b))
    codes = [(a, codes_a[:cycles]), (b, codes_b[:cycles])][: 1 if shared else 2]
    x, y = a.decode(codes_a[:cycles]), b.decode(codes_b[:cycles])
    products = np.where(np.isfinite(x) & np.isfinite(y), x * y, 0.0)
    products[~np.isfinite(products)] = 0.0
    exponents = np.frexp(products)[1][products != 0]
    return Words(
        rates={
            "operand": float(np.mean([_code_rate(c, f.bits) for f, c in codes])),
            "exponent": float(np.mean([_exponent_rate(f, c) for f, c in codes])),
            "significand": _significand_rate(a, b, x, y),
            **_sum_rates(a, b, products, run, precision),
        },
        zeros=float(np.mean(products == 0)),
        negative=float(np.mean([np.mean(f.decode(c) < 0) for f, c in codes])),
        spread=float(exponents.std()) if exponents.size else 0.0,
    )


def _codes(
    given: Operands, f: Scalar, shape: tuple[int, int], rng: np.random.Generator
) -> npt.NDArray[Any]:
    if isinstance(given, Tensor):
        return given.codes(f, shape[1])
    return given.codes(f, shape, rng)


def _code_rate(codes: npt.NDArray[Any], bits: int) -> float:
    return float(np.bitwise_count(codes[1:] ^ codes[:-1]).mean()) / bits


def _exponent_rate(f: Scalar, codes: npt.NDArray[Any]) -> float:
    if not f.exponent_bits:
        return 0.0
    fields = (codes.astype(np.int64) >> f.mantissa_bits) & ((1 << f.exponent_bits) - 1)
    return _code_rate(fields, f.exponent_bits)


def _significand_rate(a: Scalar, b: Scalar, x: Floats, y: Floats) -> float:
    """Of the products of significands: magnitudes of those of floats, else with their sign."""
    bits = min(a.factor_bits + b.factor_bits, WINDOW)
    product = _significands(a, x) * _significands(b, y)
    if any(f.is_integer and f.signed for f in (a, b)):
        product *= np.where(np.signbit(x) != np.signbit(y), -1, 1)
    return _toggles(product, bits) / bits


def _significands(f: Scalar, numbers: Floats) -> Integers:
    finite = np.where(np.isfinite(numbers), np.abs(numbers), 0.0)
    if f.is_integer or not f.exponent_bits:
        return np.ldexp(finite, -f.lsb_exponent).astype(np.int64)
    return np.ldexp(np.frexp(finite)[0], min(f.precision, 30)).astype(np.int64)


def _sum_rates(
    a: Scalar, b: Scalar, products: Floats, run: int, precision: int
) -> dict[str, float]:
    """Of products in fixed point, of their sums in a tree, and of the running sum."""
    lanes = products.shape[1]
    lsb = a.lsb_exponent + b.lsb_exponent
    full = math.log2(max(a.max, -a.min)) + math.log2(max(b.max, -b.min)) - lsb + 1
    largest = float(np.abs(products).max()) or 1.0
    # The highest bits that change: sums of all samples fit 62 bits.
    room = math.log2(largest) + math.log2(products.size) + 1
    shift = max(lsb, math.ceil(room) - WINDOW)
    fixed = np.floor(np.ldexp(products, -shift)).astype(np.int64)
    lost = shift - lsb
    level, width, nodes, toggled = fixed, full, 0.0, 0.0
    while level.shape[1] > 1:
        half = level.shape[1] // 2
        pairs = level[:, : 2 * half].reshape(-1, half, 2).sum(axis=2)
        level = np.concatenate([pairs, level[:, 2 * half :]], axis=1)
        width += 1
        nodes += half * width
        toggled += _toggles(pairs, width - lost) * half
    cycle = fixed.sum(axis=1)
    starts = np.arange(len(cycle)) // run
    total = np.cumsum(cycle)
    before = np.concatenate([[0], total])[starts * run]
    running = total - before
    of_products, wide = _toggles(fixed, full - lost), full + math.log2(lanes * run)
    return {
        "product": of_products / full,
        "sum": toggled / nodes if nodes else of_products / full,
        "accumulator": _toggles(running[:, None], wide - lost) / wide,
        "result": _toggles(_as_float(running, precision)[:, None])
        / (precision + SIGN_AND_EXPONENT),
    }


def _precision(spec: Spec) -> int:
    """Bits of the significand that a result, or what a float accumulator holds, has."""
    accumulator = getattr(spec, "accumulator", None)
    f = getattr(spec, "output", None) or getattr(accumulator, "format", None)
    if f is None or not f.exponent_bits:
        return MOST_PRECISION
    return min(int(f.precision), MOST_PRECISION)


def _as_float(numbers: Integers, precision: int) -> Integers:
    """Each number as a sign, an exponent and the first bits of its significand, side by side."""
    fraction, exponent = np.frexp(np.abs(numbers).astype(np.float64))
    words = np.ldexp(fraction, precision).astype(np.int64)
    words |= (exponent.astype(np.int64) & ((1 << SIGN_AND_EXPONENT - 1) - 1)) << precision
    return np.asarray(words | (numbers < 0).astype(np.int64) << (precision + SIGN_AND_EXPONENT))


def _toggles(words: Integers, width: float = 63) -> float:
    """Bits of ``width`` in which a word differs from the one before, on average.

    ``words``: (cycles, n).
    """
    # Masked, as numpy counts the bits of magnitudes.
    changed = (words[1:] ^ words[:-1]) & ((1 << min(max(math.ceil(width), 1), 63)) - 1)
    return float(np.bitwise_count(changed).mean()) if changed.size else 0.0
