"""The exact product of two numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hwgen.formats import Scalar
from hwgen.spec import Multiply
from sim import exact
from sim.models import Patterns


def expected(spec: Multiply, inputs: Patterns) -> Patterns:
    """See ``sim.models.Model``."""
    product = exact.product(spec.a, spec.b, inputs["a"], inputs["b"])
    found = {"product": product.integers}
    if spec.has_specials:
        for name in ("nan", "positive_infinity", "negative_infinity"):
            found[name] = getattr(product, name).astype(np.uint8)
    return found


def directed(spec: Multiply) -> Patterns:
    """All pairs of extreme codes."""
    a, b = extreme_pairs(spec.a, spec.b)
    return {"a": a, "b": b}


def extreme_pairs(
    a_format: Scalar, b_format: Scalar
) -> tuple[npt.NDArray[np.integer], npt.NDArray[np.integer]]:
    """Every extreme code of one format with every one of the other, (pairs, 1) each."""
    from sim.stimulus import extreme_codes

    a_codes, b_codes = extreme_codes(a_format), extreme_codes(b_format)
    return np.repeat(a_codes, len(b_codes))[:, None], np.tile(b_codes, len(a_codes))[:, None]


def restrict(
    spec: Multiply, inputs: Patterns, counted: npt.NDArray[np.intp], rng: np.random.Generator
) -> None:
    """All codes are allowed."""
