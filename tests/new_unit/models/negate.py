"""The negative of an integer, from its number."""

from __future__ import annotations

import numpy as np

from sim.draws import one_of
from sim.extremes import extreme_codes
from sim.unit_model import UnitModel


def expected(spec, inputs):
    """See ``sim.unit_model.UnitModel``."""
    numbers = -spec.a.decode(inputs["a"])
    if spec.lowest == "wrap":
        numbers = np.where(numbers > spec.a.max, spec.a.min, numbers)
    return {"result": spec.a.encode(numbers)}


def directed(spec):
    """The extremes."""
    return {"a": extreme_codes(spec.a)}


MODEL = UnitModel(
    expected=expected,
    directed=directed,
    settings=({}, {"lowest": "wrap", "stages": 2}),
    draws={"lowest": one_of(("saturate", "wrap"))},
    typical=({"a": "int4"}, {"a": "int8"}, {"a": "fixed6_2", "lowest": "wrap"}),
    every_input=lambda: ({"a": f"int{bits}"} for bits in range(2, 10)),
    example={"a": "int8"},
    proofs={"negatives": [({"a": "int6"}, ("reference",))]},
)
