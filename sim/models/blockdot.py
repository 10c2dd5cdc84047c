"""The block-scaled dot product: OCP MX 1.0's DotGeneral, rounded once."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.accumulator import Aligned
from hwgen.formats import BlockFormat, Scalar
from hwgen.formats.rounding import RANDOM_BITS, STOCHASTIC
from hwgen.formats.widths import signed_width
from hwgen.sizes.dsp_multiplier import SIZED
from hwgen.spec import MAPPINGS, Array, BlockDot
from sim.blocks import Blocks, aligned_block_dot, block_dot
from sim.draws import one_of
from sim.extremes import extreme_codes
from sim.formal.references import DEFINED_MODES
from sim.models import dot
from sim.rounding import round_to
from sim.unit_model import Patterns, Reach, UnitModel

#: The group of proofs of blocks whose products share multipliers.
PACKED = "packed blocks"


def expected(spec: BlockDot, inputs: Patterns) -> Patterns:
    """Each cycle's sum of scaled products, rounded once to the output format.

    ``inputs`` and the outputs as of ``sim.unit_model.UnitModel``; NaN is zero in a format without
    it.
    """
    a, b = (_blocks(spec, f, name, inputs) for name, f in (("a", spec.a), ("b", spec.b)))
    random = inputs["random_bits"][:, 0] if spec.rounding == STOCHASTIC else None
    nan = None if spec.output.has_nan else 0.0
    accumulator = spec.accumulator
    if isinstance(accumulator, Aligned):
        numbers = aligned_block_dot(a, b, accumulator)
    else:
        numbers = block_dot(a, b)
    code = round_to(numbers, spec.output, spec.rounding, spec.overflow, random_bits=random, nan=nan)
    return {"result": code[:, None]}


def _blocks(spec: BlockDot, f: BlockFormat, name: str, inputs: Patterns) -> Blocks:
    shape = (len(inputs[name]), spec.lanes // f.block_size, f.block_size)
    exponents = None
    if f.micro_bits:
        micro = np.repeat(inputs[f"{name}_micro"].astype(np.int64), f.micro_block, axis=1)
        exponents = -micro.reshape(shape)
    return Blocks(
        element_format=f.element,
        elements=inputs[name].reshape(shape),
        scale_format=f.scale,
        scales=inputs[f"{name}_scale"],
        exponents=exponents,
    )


def reach(spec: BlockDot) -> Reach:
    """The largest sum of scaled products, and its significant bits where one block has them all."""
    largest = (max(f.element.max, -f.element.min) * f.scale.max for f in (spec.a, spec.b))
    bits = signed_width(*spec.block_range) - 1 if spec.blocks == 1 else math.inf
    return Reach(spec.lanes * math.prod(largest), bits)


def directed(spec: BlockDot) -> Patterns:
    """Scales at their ends, in the middle and NaN, equal and different by block.

    Elements at their extremes, zero, cancelling; micro-exponents at both ends; results about the
    output's largest and smallest; several blocks that cancel beside one that is far below.
    """
    rng = np.random.default_rng(7)
    rows: dict[str, list[npt.NDArray[Any]]] = {port.name: [] for port in spec.inputs}
    scales = {
        name: np.unique(
            np.concatenate([extreme_codes(f.scale), f.scale.encode([0.25, 0.5, 1.0, 2.0, 8.0])])
        )
        for name, f in (("a", spec.a), ("b", spec.b))
    }
    elements = {name: extreme_codes(f.element) for name, f in (("a", spec.a), ("b", spec.b))}
    for scale_a in scales["a"]:
        for scale_b in scales["b"]:
            for kind in range(4):
                for name, f, scale in (("a", spec.a, scale_a), ("b", spec.b, scale_b)):
                    codes = rng.choice(elements[name], spec.lanes)
                    if kind == 1:  # The same in all lanes.
                        codes = np.full(spec.lanes, codes[0])
                    if kind == 2:  # One lane alone.
                        codes = np.where(
                            np.arange(spec.lanes) == rng.integers(spec.lanes), codes, 0
                        )
                    blocks = spec.lanes // f.block_size
                    block_scales = np.full(blocks, scale)
                    if kind == 3:  # Blocks of different scale.
                        block_scales = rng.choice(scales[name], blocks)
                    rows[name].append(codes)
                    rows[f"{name}_scale"].append(block_scales)
                    if f.micro_bits:
                        ends = (0, (1 << f.micro_bits) - 1)
                        count = blocks * f.micro_exponents
                        micro = np.full(count, ends[kind % 2])
                        rows[f"{name}_micro"].append(rng.choice(ends, count) if kind else micro)
    if spec.rounding == STOCHASTIC:
        rows["random_bits"] = list(rng.integers(0, 2**RANDOM_BITS, (len(rows["a"]), 1)))
    patterns: Patterns = {name: np.array(codes) for name, codes in rows.items()}
    if spec.blocks > 1:
        _spread(spec, patterns, np.arange(len(patterns["a"])) % 5 == 4, rng)
    return patterns


def restrict(
    spec: BlockDot, inputs: Patterns, counted: npt.NDArray[np.intp], rng: np.random.Generator
) -> None:
    """All codes are allowed, but few uniform ones make results in the output's range.

    So half of the cycles have scales near one, whose results are not all beyond it, a quarter such
    as make results anywhere in it, and with several blocks a quarter have some that cancel.
    """
    kind = scales_near_one(spec, inputs, rng)
    _reach_output(spec, inputs, np.flatnonzero((kind > 0.5) & (kind < 0.75)), rng)
    if spec.blocks > 1:
        _spread(spec, inputs, kind > 0.75, rng)


def scales_near_one(
    spec: BlockDot | Array, inputs: Patterns, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Sets scales near one in half of the cycles, at random.

    Those are the cycles where the numbers, (cycles,), from 0 to 1 that it returns are below 0.5.
    """
    kind = rng.random(len(inputs["a"]))
    is_near = kind < 0.5
    for name, f in (("a", spec.a), ("b", spec.b)):
        assert f.scale is not None
        code_of_one = int(f.scale.encode(1.0))
        wide = rng.integers(-6, 7, inputs[f"{name}_scale"].shape)
        scales = np.clip(code_of_one + wide, 0, 2**f.scale.bits - 2)
        inputs[f"{name}_scale"] = np.where(
            is_near[:, None], scales, inputs[f"{name}_scale"]
        ).astype(inputs[f"{name}_scale"].dtype)
    return kind


def _reach_output(
    spec: BlockDot, inputs: Patterns, rows: npt.NDArray[np.intp], rng: np.random.Generator
) -> None:
    """In the chosen ``rows`` scales that make products as large as the output's numbers.

    Any of its exponents alike, and some beyond.
    """
    shape = (len(rows), spec.blocks)
    low, high = math.log2(spec.output.smallest) - 4, math.log2(_largest(spec.output)) + 2
    wanted = rng.uniform(low, high, (len(rows), 1)) + rng.integers(-2, 3, shape)
    # What is left for the scales, given elements of middling size.
    top = math.log2(_largest(spec.a.element) * _largest(spec.b.element))
    wanted -= rng.uniform(spec.lsb_exponent, top)
    ends = {f: (math.log2(f.scale.smallest), math.log2(f.scale.max)) for f in (spec.a, spec.b)}
    first = np.clip(wanted * rng.random((len(rows), 1)), *ends[spec.a])
    for name, f, exponents in (("a", spec.a, first), ("b", spec.b, wanted - first)):
        exponents = exponents[:, :: f.block_size // spec.block_size]
        scales = f.scale.encode(np.exp2(np.clip(exponents, *ends[f])))
        inputs[f"{name}_scale"][rows] = scales


def _largest(number_format: Scalar) -> float:
    """Of either sign: one signed bit has no number above zero."""
    return max(number_format.max, -number_format.min)


def _spread(
    spec: BlockDot,
    inputs: Patterns,
    chosen: npt.NDArray[np.bool_],
    rng: np.random.Generator,
) -> None:
    """In the ``chosen`` cycles blocks of different size, some of which cancel.

    Few elements are not zero; one operand's scales are at and near such distances as decide what is
    kept of sums; and in some cycles a block is another's negative.
    """
    rows = np.flatnonzero(chosen)
    shape = (len(rows), spec.blocks)
    lanes = (*shape, spec.block_size)
    distance = rng.choice([0, 0, 1, 2, spec.kept_bits - 1, spec.gap - 1, spec.gap], shape)
    steps = distance + rng.integers(-1, 2, shape)
    steps *= rng.integers(0, spec.blocks, shape)
    for name, f in (("a", spec.a), ("b", spec.b)):
        finite = np.isfinite(f.element.decode(inputs[name][rows]))
        is_kept = finite & (rng.random((len(rows), spec.lanes)) < 2 / f.block_size)
        codes = np.where(is_kept, inputs[name][rows], f.element.encode(0.0)).reshape(lanes)
        # The wider of the scales is spread, from the top of what it can be or from the middle.
        codes_of_scale = inputs[f"{name}_scale"][rows]
        largest = int(f.scale.encode(f.scale.max))
        wider = "a" if spec.a.scale.bits >= spec.b.scale.bits else "b"
        if f.scale.bits > 1:
            top = rng.integers(largest // 2, largest + 1, (len(rows), 1))
            own_steps = steps[:, :: f.block_size // spec.block_size]
            codes_of_scale = np.clip(top - own_steps * (name == wider), 0, largest)
        twins = rng.random(len(rows)) < 0.5
        codes[twins, 1] = codes[twins, 0]
        if name == "a":
            negated = f.element.encode(-f.element.decode(codes[:, 0]))
            codes[twins, 1] = negated[twins]
        same = twins if name == "b" else rng.random(len(rows)) < 0.9
        if f.block_size == spec.block_size:  # The larger blocks' scale may be the only one.
            codes_of_scale[same, 1] = codes_of_scale[same, 0]
        inputs[name][rows] = codes.reshape(len(rows), spec.lanes)
        inputs[f"{name}_scale"][rows] = codes_of_scale


MODEL = UnitModel(
    expected=expected,
    directed=directed,
    restrict=restrict,
    reach=reach,
    settings=(
        {"output": "fp32"},
        {"output": "bf16", "rounding": "toward_zero"},
        {"output": "fp16", "stages": 3},
        {"output": "e5m2ieeens", "blocks": 2},
        {"output": "e8m0", "blocks": 3, "stages": 8},
        # Where no two products fit a multiplier, the next of the settings is taken.
        {"output": "fp32", "mapping": "dsp18x18"},
    ),
    draws={"mapping": one_of((*MAPPINGS, *SIZED))},
    typical=(
        {"a": "e2m1_b4_ue4m3", "b": "int4_b4_ue4m3", "output": "bf16"},
        {"a": "int4_b4_e8m0", "b": "int4_b4_e8m0", "output": "fp32"},
        {"a": "e4m3fn_b2_e8m0", "b": "e4m3fn_b2_e8m0", "output": "fp16", "rounding": "up"},
    ),
    example={"a": "mxfp4", "b": "mxfp4", "output": "bf16"},
    proofs={
        "blocks of two sizes": [
            ({"a": "e1m1_b1_ue1m1", "b": "e1m0_b2_ue1m1", "output": "e3m2"}, ("reference",)),
            ({"a": "int2_b2_ue1m1", "b": "e1m1_b1_ue1m1", "output": "fp16"}, ("reference",)),
            ({"a": "uint1_b4_ue1m1", "b": "e1m0_b2_ue1m0", "output": "e4m2"}, ("reference",)),
        ],
        PACKED: [
            (
                {"a": a, "b": b, "output": "e3m2", "mapping": "dsp18x18"},
                ("reference", "netlist"),
            )
            for a, b in (("int2_b2_ue1m1", "int2_b2_ue1m1"), ("e2m1_b2_ue1m0", "int2_b2_ue1m0"))
        ],
        dot.ZERO_SIGNS: [
            (
                {**dict.fromkeys("ab", "e1m1_b2_ue1m1"), "output": "e3m2", "rounding": mode},
                ("reference",),
            )
            for mode in DEFINED_MODES
        ],
    },
)
