"""Quantization to one block: the block format's own encoding of the decoded numbers.

Where a block's numbers are divided by a scale, in whole numbers, so that no quotient is rounded.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.formats.block_encode import IN_ELEMENT, NONFINITE
from hwgen.formats.block_scale import RULES, rule_called, smallest_tensor_scale
from hwgen.formats.rounding import RANDOM_BITS, STOCHASTIC
from hwgen.formats.scalar import PROPAGATE, SATURATE
from hwgen.spec import Quantizer
from sim import exact
from sim.draws import one_of
from sim.extremes import extreme_codes
from sim.rounding import round_to
from sim.unit_model import Patterns, UnitModel

#: Rules that divide by the element's largest value: said here again, as golden values share
#: nothing with the hardware that could be wrong in both.
BY_LARGEST = ("nearest", "ceil")
#: Bits below the point of quotients: below 2^-32 of the smallest step of any element or scale.
QUOTIENT_BITS = 400
#: Fine scales whose ties are tried.
FINE_SCALES = 12
#: Exponents of the largest magnitude among the directed blocks.
EXPONENTS = 9

Floats = npt.NDArray[np.float64]


def expected(spec: Quantizer, inputs: Patterns) -> Patterns:
    """Each block's elements and its scale.

    ``inputs`` and the outputs as of ``sim.unit_model.UnitModel``; of what elements cannot be, see
    the spec.
    """
    element = spec.b.element
    decoded = spec.a.decode(inputs["a"])
    values, lost = decoded, np.zeros(decoded.shape, np.bool_)
    if spec.nonfinite == IN_ELEMENT and not element.has_nan:
        lost = np.isnan(decoded) if element.has_infinity else ~np.isfinite(decoded)
        values = np.where(lost, 0.0, decoded)
    if spec.has_float_scale:
        return _divided(spec, inputs, decoded)
    codes = spec.b.encode(
        values,
        scale_rule=spec.scale_rule,
        rounding=spec.rounding,
        symmetric=spec.symmetric,
        nonfinite=spec.nonfinite,
        arithmetic="exact",
        # Where there is one it has no port here: numbers come divided by it.
        tensor_scale=None if spec.b.tensor_scale is None else 1.0,
        random_bits=inputs["random_bits"] if spec.rounding == STOCHASTIC else None,
    )
    low = -element.max if spec.symmetric and element.signed else element.min
    bounds = np.clip(np.where(np.isnan(decoded), 0.0, decoded), low, element.max)
    elements = np.where(lost, element.encode(bounds), codes.elements[:, 0, :])
    outputs = {"elements": elements, "scale": codes.scales}
    if codes.micro_exponents is not None:
        outputs["micro_exponents"] = codes.micro_exponents[:, 0, :]
    return outputs


def _divided(spec: Quantizer, inputs: Patterns, decoded: Floats) -> Patterns:
    """Numbers over their scales, exactly: ``decoded`` are the decoded numbers."""
    element, scale_format, rule = spec.b.element, spec.b.scale, rule_called(spec.scale_rule)
    finite = np.isfinite(decoded)
    numbers = np.where(finite, decoded, 0.0)
    counted = numbers if element.signed else np.maximum(numbers, 0.0)
    largest = np.abs(counted).max(axis=1)
    tensor_scales = np.ones(len(decoded))
    if "tensor_scale" in inputs:
        assert spec.b.tensor_scale is not None
        tensor_scales = spec.b.tensor_scale.decode(inputs["tensor_scale"][:, 0])
    if spec.scale_rule in BY_LARGEST:
        wanted = quotient(largest, tensor_scales, np.full(len(decoded), element.symmetric_max))
    else:  # A power of two times a number: that is exact.
        wanted = quotient(rule.wanted(counted, element), tensor_scales)
    scales = np.maximum(
        round_to(wanted, scale_format, rule.rounding), scale_format.encode(scale_format.smallest)
    )
    shape = decoded.shape
    divisors = [
        np.broadcast_to(v[:, None], shape) for v in (scale_format.decode(scales), tensor_scales)
    ]
    symmetric = spec.symmetric and element.is_integer
    random = inputs["random_bits"] if spec.rounding == STOCHASTIC else None
    ratios = quotient(numbers, *divisors)
    elements = round_to(ratios, element, spec.rounding, random_bits=random)
    # An exact zero has no sign there; encoding keeps it.
    elements = np.where(numbers == 0, element.encode(numbers), elements)
    if symmetric:
        least = element.encode(element.min if not element.signed else -element.max)
        elements = np.where(element.decode(elements) < -element.max, least, elements)
    not_finite = np.where(finite, 0.0, decoded)
    if spec.nonfinite == IN_ELEMENT:
        nan = None if element.has_nan else 0.0
        overflow = PROPAGATE if element.has_nan or element.has_infinity else SATURATE
        if symmetric and element.signed:
            not_finite = np.maximum(not_finite, -element.max)
        specials = element.encode(not_finite, overflow=overflow, nan=nan)
        elements = np.where(finite, elements, specials)
    else:
        lost = np.logical_not(np.all(finite, axis=-1))
        elements = np.where(lost[:, None], element.encode(0.0), elements)
        scales = np.where(lost, scale_format.encode(np.nan), scales)
    return {"elements": elements, "scale": scales[:, None]}


def quotient(values: Floats, *divisors: Floats) -> exact.ExactArray:
    """``values`` over all ``divisors`` (of the same shape, positive), rounded to odd.

    That is far below every place where a rounding to a format of up to 2^-300 changes its mind.
    """
    numerators = exact.from_values(values)
    denominator, exponent = np.full(values.shape, 1, object), 0
    for divisor in divisors:
        number = exact.from_values(divisor)
        denominator, exponent = denominator * number.integers, exponent + number.lsb_exponent
    # integers·2^lsb / (denominator·2^exponent), in units of 2^-QUOTIENT_BITS.
    shift = numerators.lsb_exponent - exponent + QUOTIENT_BITS
    magnitudes = np.abs(numerators.integers)
    magnitudes = magnitudes << shift if shift >= 0 else magnitudes
    denominator = denominator if shift >= 0 else denominator << -shift
    quotients = magnitudes // denominator
    odd = quotients | (quotients * denominator != magnitudes).astype(object)
    signed = np.where(numerators.integers < 0, -odd, odd)
    return exact.ExactArray(signed, -QUOTIENT_BITS, np.zeros(values.shape))


def unreachable(spec: Quantizer) -> tuple[str, ...]:
    """See ``sim.coverage``: a tensor's scale is positive, finite and not tiny."""
    scale_format = spec.b.tensor_scale
    if not spec.has_tensor_scale_port or scale_format is None:
        return ()
    lanes = ("lowest in lane 0", "zero in lane 0", "NaN in lane 0", "infinity in lane 0")
    names = ("smallest", "smallest negative", "negative zero", "exponent field 0", *lanes)
    sign = [f"bit {scale_format.bits - 1} at 1"] if scale_format.signed else []
    return tuple(f"tensor_scale: {name}" for name in (*names, *sign))


def directed(spec: Quantizer) -> Patterns:
    """Blocks of zeros, of one number, and with one larger than the others.

    Largest magnitudes at and beside what changes the scale, over the whole range; elements and ties
    between them.
    """
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
        scaled = np.resize(np.roll(others, -start), spec.lanes)
        scaled = np.ldexp(scaled, exponent) * np.where((lane + index) % 2, -1.0, 1.0)
        codes = f.encode(scaled, nan=None).astype(np.int64)
        if index % 3 == 0:
            codes = (codes + lane % 3 - 1) & (2**f.bits - 1)
        add(np.where(hot, peak, codes))
    for index, code in enumerate(special):
        add(np.where(lane == index % spec.lanes, code, rows[-1 - index]))
    patterns = np.array(rows).astype(f.code_dtype)
    tensor_scales = np.resize(_tensor_scales(spec), len(patterns))
    if spec.has_float_scale:
        tie_rows, tie_scales = _at_ties_of_fine_scales(spec)
        patterns = np.concatenate([patterns, tie_rows])
        tensor_scales = np.append(tensor_scales, tie_scales)
    inputs: Patterns = {"a": patterns}
    if spec.has_tensor_scale_port:
        assert spec.b.tensor_scale is not None
        inputs["tensor_scale"] = spec.b.tensor_scale.encode(tensor_scales)[:, None]
    if spec.rounding == STOCHASTIC:
        drawn = np.array([0, 1, 2**31 - 1, 2**31, 2**RANDOM_BITS - 1], np.uint64)
        inputs["random_bits"] = np.resize(drawn, patterns.shape)
    return inputs


def _tensor_scales(spec: Quantizer) -> Floats:
    """Scales of tensors to try: one, with all bits, and the extremes."""
    scale_format = spec.b.tensor_scale
    if not spec.has_tensor_scale_port or scale_format is None:
        return np.ones(1)
    low = smallest_tensor_scale(scale_format)
    largest = scale_format.max
    wanted = [1.0, 1.5, 1.2345678, 2.0**-20, 2.0**-7 / 3, low, low * 1.9, 2.0**90 / 7, largest]
    return np.asarray(scale_format.quantize(np.clip(wanted, low, largest)))


def _at_ties_of_fine_scales(spec: Quantizer) -> tuple[npt.NDArray[Any], Floats]:
    """Blocks whose largest number asks for a scale, or for the middle between two.

    Their others are elements and middles times that scale; and the codes on both sides of all.
    Returns the rows of codes, and each row's tensor scale.
    """
    f, element, scale = spec.a, spec.b.element, spec.b.scale
    largest = element.symmetric_max
    if spec.scale_rule not in BY_LARGEST:
        largest = 2.0 ** (int(np.frexp(element.max)[1]) - 1)
    codes = np.arange(2 ** min(scale.bits, 16))
    scales = np.unique(np.abs(scale.decode(codes[codes < 2**scale.bits])))
    scales = scales[np.isfinite(scales) & (scales > 0)]
    chosen = np.unique(np.concatenate([np.arange(4), np.linspace(4, len(scales) - 2, FINE_SCALES)]))
    lower = scales[chosen.astype(int) % len(scales)]
    upper = scales[np.minimum(chosen.astype(int) % len(scales) + 1, len(scales) - 1)]
    others, tensor_scales = _elements_and_ties(spec), _tensor_scales(spec)
    lane, rows, row_scales = np.arange(spec.lanes), [], []
    wanted = np.stack([lower, (lower + upper) / 2], axis=1).reshape(-1)
    for index, value in enumerate(wanted):
        tensor_scale = tensor_scales[index // 2 % len(tensor_scales)]
        scaled = np.resize(np.roll(others, -index * (spec.lanes - 1)), spec.lanes)
        scaled = scaled * np.where((lane + index) % 2, -1.0, 1.0) * value * tensor_scale
        row = np.where(lane == index % spec.lanes, largest * value * tensor_scale, scaled)
        row = f.encode(row, nan=None).astype(np.int64)
        for step in (-1, 0, 1):
            rows.append((row + step) & (2**f.bits - 1))
            row_scales.append(tensor_scale)
    return np.array(rows).astype(f.code_dtype), np.array(row_scales)


def _largest_magnitudes(spec: Quantizer) -> list[tuple[int, int]]:
    """Codes of the source that change the scale, and those beside them.

    Each with the exponent of a scale near its own.
    """
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
    peaks: set[tuple[int, int]] = set()
    for exponent in np.unique(exponents[(exponents >= low - 1) & (exponents <= high + 1)]):
        for significand in significands:
            code = int(f.encode(np.ldexp(significand, int(exponent))))
            for neighbour in (code - 1, code, code + 1):
                peaks.add((neighbour & (2**f.bits - 1), int(exponent) - emax))
    return sorted(peaks)


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
    """All codes are allowed; three quarters of the blocks get more even ones.

    Of uniform codes of a float one number dwarfs the others, so half the blocks become normally
    distributed, and a quarter multiples of half a step.
    """
    f, element = spec.a, spec.b.element
    rows = np.flatnonzero(rng.random(len(inputs["a"])) < 0.75)
    low, high = (int(np.frexp(v)[1]) for v in (f.smallest, max(f.max, -f.min)))
    exponents = rng.integers(low, high + 1, (len(rows), 1))
    values = rng.standard_normal((len(rows), spec.lanes))
    steps = rng.integers(-(2**6), 2**6, values.shape) * 2.0 ** (element.lsb_exponent - 1)
    values = np.where(rng.random((len(rows), 1)) < 1 / 3, steps, values)
    inputs["a"][rows] = f.encode(np.ldexp(values, exponents))
    if not spec.has_tensor_scale_port:
        return
    # Of a tensor whose largest block is up to some powers of two larger than this one.
    scale_format = spec.b.tensor_scale
    assert scale_format is not None
    numbers = f.decode(inputs["a"])
    peak = np.abs(np.where(np.isfinite(numbers), numbers, 0.0)).max(axis=1)
    wanted = peak / (element.symmetric_max * spec.b.scale.max)
    wanted = np.ldexp(wanted, rng.integers(-2, 12, len(wanted))) * rng.uniform(0.5, 1, len(wanted))
    fixed = rng.choice(_tensor_scales(spec), len(wanted))
    wanted = np.where(rng.random(len(wanted)) < 0.25, fixed, wanted)
    wanted = np.clip(wanted, smallest_tensor_scale(scale_format), scale_format.max)
    inputs["tensor_scale"] = scale_format.encode(wanted)[:, None]


MODEL = UnitModel(
    expected=expected,
    directed=directed,
    restrict=restrict,
    unreachable=unreachable,
    settings=({}, {"rounding": "stochastic"}, {"symmetric": False, "stages": 2}),
    draws={
        "scale_rule": one_of(tuple(RULES)),
        "nonfinite": one_of(NONFINITE),
        "tensor_scale": one_of(("port", "one")),
    },
    typical=(
        {"a": "fp16", "b": "e2m1_b4_e8m0"},
        {"a": "e5m2ieee", "b": "int4_b4_e8m0"},
        {"a": "bf16", "b": "e4m3fn_b2_e8m0"},
    ),
    example={"a": "e5m2", "b": "e2m1_b4_e8m0"},
)
