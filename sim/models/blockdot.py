"""The block-scaled dot product: OCP MX 1.0's DotGeneral, rounded once."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from hwgen.formats import BlockFormat
from hwgen.formats.rounding import RANDOM_BITS, STOCHASTIC
from hwgen.spec import BlockDot
from sim.blocks import Blocks, block_dot
from sim.models import Patterns, Reach
from sim.rounding import round_to


def expected(spec: BlockDot, inputs: Patterns) -> Patterns:
    """See ``sim.models.Model``."""
    a, b = (_blocks(spec, f, name, inputs) for name, f in (("a", spec.a), ("b", spec.b)))
    random = inputs["random_bits"][:, 0] if spec.rounding == STOCHASTIC else None
    nan = None if spec.output.has_nan else 0.0
    code = round_to(
        block_dot(a, b), spec.output, spec.rounding, spec.overflow, random_bits=random, nan=nan
    )
    return {"result": code[:, None]}


def _blocks(spec: BlockDot, f: BlockFormat, name: str, inputs: Patterns) -> Blocks:
    shape = (len(inputs[name]), spec.blocks, f.block_size)
    return Blocks(
        element_format=f.element,
        elements=inputs[name].reshape(shape),
        scale_format=f.scale,
        scales=inputs[f"{name}_scale"],
    )


def reach(spec: BlockDot) -> Reach:
    """See ``sim.coverage``."""
    of_each = (max(f.element.max, -f.element.min) * f.scale.max for f in (spec.a, spec.b))
    return Reach(spec.lanes * math.prod(of_each))


def directed(spec: BlockDot) -> Patterns:
    """Scales at their ends, in the middle and NaN, equal and different by block; elements at
    their extremes, zero, cancelling; results about the output's largest and smallest."""
    from sim.stimulus import extreme_codes

    rng = np.random.default_rng(7)
    found: dict[str, list[npt.NDArray[np.uint64]]] = {name: [] for name in ("a", "b")}
    found |= {f"{name}_scale": [] for name in found}
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
                for name, scale in (("a", scale_a), ("b", scale_b)):
                    codes = rng.choice(elements[name], spec.lanes)
                    if kind == 1:  # The same in all lanes.
                        codes = np.full(spec.lanes, codes[0])
                    if kind == 2:  # One lane alone.
                        codes = np.where(
                            np.arange(spec.lanes) == rng.integers(spec.lanes), codes, 0
                        )
                    near = np.full(spec.blocks, scale)
                    if kind == 3:  # Blocks of different scale.
                        near = rng.choice(scales[name], spec.blocks)
                    found[name].append(codes)
                    found[f"{name}_scale"].append(near)
    patterns: Patterns = {name: np.array(rows) for name, rows in found.items()}
    if spec.rounding == STOCHASTIC:
        shape = (len(patterns["a"]), 1)
        patterns["random_bits"] = rng.integers(0, 2**RANDOM_BITS, shape, np.uint64)
    return patterns


def restrict(
    spec: BlockDot, inputs: Patterns, counted: npt.NDArray[np.intp], rng: np.random.Generator
) -> None:
    """All codes are allowed; half of the cycles have scales near one, whose results are not
    all beyond the output's range."""
    near = rng.random(len(inputs["a"])) < 0.5
    for name, f in (("a", spec.a), ("b", spec.b)):
        one = int(f.scale.encode(1.0))
        wide = rng.integers(-6, 7, inputs[f"{name}_scale"].shape)
        scales = np.clip(one + wide, 0, 2**f.scale.bits - 2)
        inputs[f"{name}_scale"] = np.where(near[:, None], scales, inputs[f"{name}_scale"]).astype(
            inputs[f"{name}_scale"].dtype
        )
