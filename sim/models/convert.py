"""Conversion of one format to another: the format's own rounding of the decoded number."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.formats import NAMES, Scalar
from hwgen.formats.rounding import RANDOM_BITS, STOCHASTIC
from hwgen.spec import Convert
from sim import rounding
from sim.extremes import extreme_codes
from sim.tried_formats import scalars
from sim.unit_model import Fields, Patterns, Reach, UnitModel

#: Formats of up to this many bits have all their codes among the directed cases.
EXHAUSTIVE_BITS = 10
#: Values of the other format whose ties are tried.
TIES = 2**11


def rounded(
    target: Scalar,
    values: npt.NDArray[np.float64],
    rounding: str,
    overflow: str,
    random_bits: npt.NDArray[Any] | None,
) -> npt.NDArray[Any]:
    """Codes of ``values`` in ``target`` as the hardware has them: NaN is zero where there is none.

    Of the shape of ``values``; ``random_bits``: of that shape too, for stochastic rounding.
    """
    nan = None if target.has_nan else 0.0
    return target.encode(values, rounding, overflow, random_bits=random_bits, nan=nan)


def expected(spec: Convert, inputs: Patterns) -> Patterns:
    """Each number rounded once to the other format.

    ``inputs`` and the outputs as of ``sim.unit_model.UnitModel``.
    """
    values = spec.a.decode(inputs["a"])
    rounding.note(spec.b, values, spec.a.lsb_exponent)
    random = inputs["random_bits"] if spec.rounding == STOCHASTIC else None
    return {"result": rounded(spec.b, values, spec.rounding, spec.overflow, random)}


def reach(spec: Convert) -> Reach:
    """The largest magnitude and the precision of the format that is converted."""
    return Reach(max(spec.a.max, -spec.a.min), spec.a.precision)


def directed(spec: Convert) -> Patterns:
    """All codes of a small format, or those about the other's values and ties.

    Of a larger one: its extremes, and the codes at and beside the other's values and ties.
    """
    codes = interesting_codes(spec.a, spec.b)[:, None]
    patterns = {"a": codes}
    if spec.rounding == STOCHASTIC:
        extremes = np.array([0, 1, 2**31, 2**RANDOM_BITS - 1], np.uint64)
        patterns = {
            "a": np.repeat(codes, len(extremes), axis=0),
            "random_bits": np.tile(extremes, len(codes))[:, None],
        }
    return patterns


def interesting_codes(source: Scalar, target: Scalar) -> npt.NDArray[Any]:
    """Codes of ``source`` that show how it rounds to ``target``, (codes,), each once, rising.

    All of a small format; else extremes, and codes at and beside the target's values and ties.
    """
    if source.bits <= EXHAUSTIVE_BITS:
        return np.arange(2**source.bits, dtype=source.code_dtype)
    span = np.arange(2 ** min(target.bits, 16), dtype=target.code_dtype)
    values = target.decode(span)
    values = np.unique(values[np.isfinite(values)])
    # Pairs of neighbours: of one, the lower is odd.
    places = np.arange(0, len(values), max(1, 2 * len(values) // TIES))
    lower = np.unique(np.concatenate([places, places + 1]).clip(0, len(values) - 2))
    middles = (values[lower] + values[lower + 1]) / 2
    points = np.concatenate([values[lower], middles, [target.max, target.max * 2]])
    codes = source.encode(np.concatenate([points, -points]), nan=None).astype(np.int64)
    neighbours = (codes[:, None] + [-1, 0, 1]).reshape(-1) & (2**source.bits - 1)
    chosen = np.concatenate([neighbours, extreme_codes(source).astype(np.int64)])
    return np.unique(chosen).astype(source.code_dtype)


def _every_input() -> Iterator[Fields]:
    """Every ordered pair of named formats of up to 16 bits."""
    return ({"a": a, "b": b} for a in scalars(16) for b in scalars(16) if a != b)


#: The listed formats, and of up to 8 bits with special codes, of OCP and IEEE kinds.
PROVED = (*NAMES, "e4m3fn", "e5m2ieee", "e4m3fnuz")

MODEL = UnitModel(
    expected=expected,
    directed=directed,
    reach=reach,
    settings=(
        {},
        {"rounding": "toward_zero", "stages": 1},
        {"rounding": "nearest_away", "overflow": "special"},
        {"rounding": "stochastic", "stages": 3},
    ),
    typical=(
        {"a": "fp16", "b": "e4m3fn"},
        {"a": "int8", "b": "e2m1"},
        {"a": "e5m2ieee", "b": "int4", "rounding": "stochastic"},
    ),
    every_input=_every_input,
    example={"a": "e4m3fn", "b": "e2m1"},
    proofs={"converters": [({"a": a, "b": b}, ("reference",)) for a in PROVED for b in PROVED]},
)
