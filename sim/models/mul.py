"""The exact product of two numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from hwgen.formats import Scalar
from hwgen.spec import MAPPINGS, Multiply
from sim import exact
from sim.extremes import extreme_codes
from sim.formal.circuit import Circuit
from sim.formal.references import by_truth_table, has_plain_value, value
from sim.formal.run import Start, compared, result
from sim.formal.solve import Claim
from sim.tried_formats import scalars
from sim.unit_model import Fields, Patterns, ProofRow, UnitModel


def expected(spec: Multiply, inputs: Patterns) -> Patterns:
    """Each exact product, and flags of what is infinite or NaN.

    ``inputs`` and the outputs as of ``sim.unit_model.UnitModel``.
    """
    product = exact.product(spec.a, spec.b, inputs["a"], inputs["b"])
    outputs = {"product": product.integers}
    if spec.has_specials:
        for name in ("nan", "positive_infinity", "negative_infinity"):
            outputs[name] = getattr(product, name).astype(np.uint8)
    return outputs


def directed(spec: Multiply) -> Patterns:
    """All pairs of extreme codes."""
    a, b = extreme_pairs(spec.a, spec.b)
    return {"a": a, "b": b}


def extreme_pairs(
    a_format: Scalar, b_format: Scalar
) -> tuple[npt.NDArray[np.integer], npt.NDArray[np.integer]]:
    """Every extreme code of one format with every one of the other, (pairs, 1) each."""
    a_codes, b_codes = extreme_codes(a_format), extreme_codes(b_format)
    return np.repeat(a_codes, len(b_codes))[:, None], np.tile(b_codes, len(a_codes))[:, None]


def _reference(start: Start, spec: Multiply, unit: Circuit) -> Iterable[Claim]:
    """The product of the codes' numbers, or a truth table where they are not plain."""
    if not (has_plain_value(spec.a) and has_plain_value(spec.b)):
        yield from by_truth_table(start, spec, unit)
        return
    got = result(start, spec, unit, "unit")
    product = value(start.aig, got.first["a"], spec.a) * value(start.aig, got.first["b"], spec.b)
    ports = {"product": (got.outputs["product"], product.cut(spec.product_width))}
    yield compared("product", start, got.cycles, ports)


#: Bits of significands whose products are proved on every target.
SIGNIFICAND_BITS = range(1, 7)


def _proofs(pairs: Iterable[tuple[str, str]], *properties: str) -> list[ProofRow]:
    return [
        ({"a": a, "b": b, "mapping": mapping}, properties) for a, b in pairs for mapping in MAPPINGS
    ]


def _every_input() -> Iterator[Fields]:
    """Every ordered pair of named formats of up to 8 bits."""
    return ({"a": a, "b": b} for a in scalars(8) for b in scalars(8))


MODEL = UnitModel(
    expected=expected,
    directed=directed,
    settings=({}, {"stages": 1}, {"mapping": "dsp", "stages": 3}),
    every_input=_every_input,
    example={"a": "int4", "b": "e2m1"},
    proofs={
        "8-bit products": [
            ({"a": name, "b": name, "mapping": mapping}, ("reference", "netlist"))
            for name in ("int8", "uint8")
            for mapping in ("lut", "dsp")
        ],
        # The largest first, of unsigned integers: each pair of widths of significands.
        "products": _proofs(
            ((f"uint{x}", f"uint{y}") for y in reversed(SIGNIFICAND_BITS) for x in range(y, 0, -1)),
            *("reference", "netlist"),
        ),
        "signed products": _proofs(
            (("int6", "int6"), ("e2m5", "e2m5"), ("e3m3", "int5")), "netlist"
        ),
    },
    reference=_reference,
)
