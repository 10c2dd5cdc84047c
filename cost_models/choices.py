"""Which pair of formats is the cheapest that is good enough for given numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cost_models.query import Cost, predict
from hwgen.errors import InputError
from hwgen.fields import require_kind, shown
from hwgen.formats import NAMES, Scalar, parse_scalar
from hwgen.spec import DotProduct

Floats = npt.NDArray[np.float64]
#: Scales that are tried of each format: the largest magnitude may be clipped, down to this part.
CLIPPED, SCALES = 0.25, 48


@dataclass(frozen=True)
class Choice:
    """A ``dot`` whose operands are good enough, what it costs, and how good they are.

    ``a_db``, ``b_db``: the ratio of signal to quantization noise (QSNR) of each operand, in dB.
    """

    spec: DotProduct
    cost: Cost
    a_db: float
    b_db: float


def qsnr_db(values: npt.ArrayLike, number_format: str | Scalar) -> float:
    """The QSNR of ``values`` in a format with the best scale for all of them, in dB.

    It is 10·log10(Σx² / Σ(x − q)²), infinite where each is a value of the format. The scale is any
    positive number; of those tried the best is taken.

    Raises:
        InputError: no number, numbers that are not finite, or zeros alone.

    """
    x, f = _numbers("values", values), parse_scalar(number_format)
    largest, power = float(np.abs(x).max()), float(np.square(x).sum())
    least = math.inf
    for part in np.geomspace(CLIPPED, 1.0, SCALES):
        scale = part * largest / f.max
        error = float(np.square(x - scale * f.quantize(x / scale)).sum())
        least = min(least, error)
    return math.inf if least == 0 else 10 * math.log10(power / least)


def cheapest_pairs(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    *,
    least_db: float,
    target: str,
    lanes: int = 16,
    formats: Sequence[str | Scalar] = NAMES,
) -> list[Choice]:
    """The dot products of ``lanes`` lanes whose operands keep ``least_db``, the cheapest first.

    ``a``, ``b``: samples of what the operands are, such as activations and weights; any shape.
    ``formats``: those that are tried for both. By predicted LUTs. Empty if no pair is good enough.

    Raises:
        InputError: samples as of ``qsnr_db``, a bound that is no finite number, and as a ``dot``.

    """
    require_kind("least_db", least_db, ("float", "int"))
    if not math.isfinite(least_db):
        raise InputError(f"least_db={shown(least_db)}: give a finite number of dB, such as 30")
    if isinstance(formats, str) or not isinstance(formats, Sequence) or not formats:
        raise InputError(f"formats={shown(formats)}: give a list of formats, such as ['int4']")
    tried = [parse_scalar(f) for f in formats]
    good = []
    for values, name in ((a, "a"), (b, "b")):
        x = _numbers(name, values)
        decibels = [(f, qsnr_db(x, f)) for f in tried]
        good.append([(f, db) for f, db in decibels if db >= least_db])
    choices = []
    for f, a_db in good[0]:
        for g, b_db in good[1]:
            spec = DotProduct(a=f, b=g, lanes=lanes)
            choices.append(Choice(spec, predict(spec, target), a_db, b_db))
    return sorted(choices, key=lambda choice: (choice.cost.lut.value, choice.spec.name))


def _numbers(name: str, values: npt.ArrayLike) -> Floats:
    try:
        x = np.asarray(values, dtype=np.float64).ravel()
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}={shown(values)}: give an array of numbers") from error
    if not len(x) or not np.isfinite(x).all() or not x.any():
        raise InputError(f"{name}: give finite numbers, one or more that is not zero")
    return x
