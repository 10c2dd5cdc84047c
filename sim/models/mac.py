"""The multiply-accumulate unit: a dot product of one lane."""

from __future__ import annotations

import dataclasses

from hwgen.formats.rounding import DOWN, NEAREST_EVEN
from sim.formal.references import DEFINED_MODES
from sim.models import dot
from sim.unit_model import ProofRow


def _zero_signs() -> list[ProofRow]:
    floats = {"a": "e2m1", "b": "e2m1"}
    rows: list[ProofRow] = []
    for mode in DEFINED_MODES:
        accumulator = {"accumulator": f"e3m2:{mode}"}
        if mode not in (NEAREST_EVEN, DOWN):
            rows.append(({**floats, **accumulator}, ("reference",)))
            continue
        rows.append(({**floats, **accumulator}, ("reference", "netlist", "pipeline")))
        for b in ("e2m1", "int4"):
            rows.append(({"a": "int4", "b": b, **accumulator}, ("reference",)))
        rows.append(({**floats, "output": "e3m2", "rounding": mode}, ("reference",)))
    return rows


MODEL = dataclasses.replace(
    dot.MODEL,
    settings=(
        {"max_products": 32},
        {"max_products": 32, "accumulator": "bf16:toward_zero"},
        {"max_products": 32, "accumulator": "fixed:20:4:wrap"},
        {"max_products": 32, "output": "e5m2ieee", "overflow": "special"},
        {"max_products": 32, "accumulator": "e4m3:stochastic"},
        {"max_products": 32, "accumulator": "fp32:fast"},
        {"max_products": 32, "accumulator": "bf16:interleave:3"},
        {"max_products": 32, "accumulator": "e4m3:stochastic:interleave:7"},
    ),
    long=(),
    example={"a": "e2m1", "b": "int4"},
    proofs={
        dot.ZERO_SIGNS: _zero_signs(),
        "partial sums": [
            ({"a": a, "b": a, "accumulator": f"{f}:interleave:{count}"}, of)
            for a, f, count, of in (
                ("e2m1", "e3m2", 3, ("reference", "netlist", "pipeline")),
                ("e2m1", "e2m3:down", 4, ("reference", "pipeline")),
                ("e1m1", "e2m1:toward_zero", 2, ("reference", "netlist", "pipeline")),
                ("int3", "e3m2:up", 2, ("reference", "netlist", "pipeline")),
            )
        ],
        "fast sums": [
            ({"a": "e2m1", "b": "e2m1", "accumulator": f"{f}:fast"}, of)
            for f, of in (
                ("e3m2", ("reference", "netlist", "pipeline")),
                ("e2m3", ("reference", "netlist", "pipeline")),
                ("e3m2ieee", ("netlist", "pipeline")),
            )
        ],
    },
)
