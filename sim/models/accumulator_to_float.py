"""A fixed-point sum rounded to a format: requantisation without a scale."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from hwgen.spec import AccumulatorToFloat
from sim.formal.aig import TRUE
from sim.formal.circuit import Circuit
from sim.formal.references import DEFINED_MODES, by_truth_table, is_rounded, leading_one_cases
from sim.formal.run import Start, compared, result
from sim.formal.solve import Claim
from sim.models import requantize


def _reference(start: Start, spec: AccumulatorToFloat, unit: Circuit) -> Iterable[Claim]:
    """The result is the one that the sum rounds to; by a truth table with random bits."""
    if spec.rounding not in DEFINED_MODES:
        yield from by_truth_table(start, spec, unit)
        return
    got = result(start, spec, unit, "unit")
    right = is_rounded(start.aig, spec, got.first["sum"], got.outputs["result"])
    ports = {"result is the one that the sum rounds to": ([right], [TRUE])}
    claim = compared("rounding", start, got.cycles, ports)
    yield dataclasses.replace(claim, cases=leading_one_cases(got.first["sum"]))


MODEL = dataclasses.replace(
    requantize.MODEL,
    settings=(
        {"bits": 20},
        {"bits": 48, "lsb_exponent": -18, "rounding": "up"},
        {"bits": 72, "lsb_exponent": -32, "rounding": "stochastic", "stages": 1},
    ),
    typical=(
        {"bits": 16, "b": "int4", "lsb_exponent": -6},
        {"bits": 20, "b": "e2m1"},
        {"bits": 28, "b": "e4m3fn", "lsb_exponent": -12},
    ),
    example={"bits": 20, "b": "bf16"},
    proofs={
        # To FP32: within its range, down to its subnormals, and past its largest.
        "rounders": [
            ({"bits": 32, "lsb_exponent": lsb, "b": "fp32"}, ("reference",))
            for lsb in (0, -160, 110)
        ]
    },
    reference=_reference,
)
