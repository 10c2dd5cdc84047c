"""The product of a constant matrix and a vector, from decoded numbers."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.spec import FixedMatrix
from sim import exact
from sim.draws import up_to
from sim.extremes import extreme_codes
from sim.formal.circuit import Circuit
from sim.formal.references import by_truth_table, has_plain_value, value
from sim.formal.run import Start, compared, result
from sim.formal.solve import Claim
from sim.formal.words import Word, total
from sim.unit_model import Fields, Patterns, ProofRow, UnitModel

#: Columns up to which every pair of two numbers' extremes is tried.
PAIRED = 8


def expected(spec: FixedMatrix, inputs: Patterns) -> Patterns:
    """Each row's exact sum of products, and flags of what is infinite or NaN.

    ``inputs`` and the outputs as of ``sim.unit_model.UnitModel``; numbers that are infinite or NaN
    count as zeros in the sums.
    """
    numbers = exact.decode(spec.a, inputs["a"])
    weights = _weights(spec)
    sums = numbers.integers.astype(object) @ weights.T
    outputs = {"sums": sums}
    if spec.has_specials:
        with np.errstate(invalid="ignore"):
            # A weight's sign decides, and zero times infinity is NaN.
            signs = np.sign(weights.astype(np.float64))
            special = (numbers.special[:, None, :] * signs[None]).sum(axis=2)
        for name, hit in (
            ("nan", np.isnan(special)),
            ("positive_infinity", np.isposinf(special)),
            ("negative_infinity", np.isneginf(special)),
        ):
            outputs[name] = hit.astype(np.uint8)
    return outputs


def _weights(spec: FixedMatrix) -> npt.NDArray[np.object_]:
    """The matrix in units of the sums over the numbers' step, (rows, columns), Python ints."""
    unit = 2.0 ** (spec.lsb_exponent - spec.a.lsb_exponent)
    weights = np.empty((spec.rows, spec.columns), object)
    for place in np.ndindex(weights.shape):
        whole = spec.constants.rows[place[0]].values[place[1]] / unit
        assert whole.is_integer()
        weights[place] = int(whole)
    return weights


def directed(spec: FixedMatrix) -> Patterns:
    """Each row's extremes, all numbers alike, and each number's extremes alone."""
    a, columns = spec.a, np.arange(spec.columns)
    zero, lowest, largest = (int(code) for code in a.encode([0.0, a.min, a.max]))
    cycles: list[npt.NDArray[Any]] = []
    for row in _weights(spec):
        positive = (row > 0).astype(np.bool_)
        cycles += [np.where(positive, x, y) for x, y in ((largest, lowest), (lowest, largest))]
        cycles += [np.where(row == 0, x, zero) for x in (largest, lowest)]
    for code in extreme_codes(a):
        cycles += [np.full(spec.columns, code), np.where(columns % 2, zero, code)]
    for column in range(spec.columns):
        cycles += [np.where(columns == column, code, zero) for code in extreme_codes(a)]
    if spec.columns <= PAIRED:
        for pair in itertools.permutations(range(spec.columns), 2):
            for low, high in ((lowest, largest), (lowest, lowest)):
                by_column = {pair[0]: low, pair[1]: high}
                cycles.append(np.array([by_column.get(i, zero) for i in range(spec.columns)]))
    return {"a": np.array(cycles).astype(a.code_dtype)}


def _reference(start: Start, spec: FixedMatrix, unit: Circuit) -> Iterable[Claim]:
    """Each sum of the codes' numbers times the weights, or a truth table."""
    if not has_plain_value(spec.a):
        yield from by_truth_table(start, spec, unit)
        return
    got = result(start, spec, unit, "unit")
    aig, bits, width = start.aig, spec.a.bits, spec.sum_width
    codes = [got.first["a"][i * bits : (i + 1) * bits] for i in range(spec.columns)]
    numbers = [value(aig, code, spec.a) for code in codes]
    for j, row in enumerate(_weights(spec)):
        products = [x * Word.constant(aig, w) for x, w in zip(numbers, row, strict=True)]
        ports = {
            f"sum {j}": (
                got.outputs["sums"][j * width : (j + 1) * width],
                total(products).cut(width),
            )
        }
        yield compared(f"sum {j}", start, got.cycles, ports)


def _drawn(rng: np.random.Generator) -> str:
    """Whole numbers or fractions, small or large; some rows are others, scaled or negated."""
    rows, columns = up_to(8)(rng), up_to(12)(rng)
    largest, step = 2 ** int(rng.integers(0, 9)), 2.0 ** int(rng.integers(-3, 3))
    lowest = -largest if rng.integers(3) else 0
    matrix = rng.integers(lowest, largest + 1, (rows, columns))
    for row in range(1, rows):
        if not rng.integers(4):
            matrix[row] = matrix[rng.integers(row)] * rng.integers(-2, 3)
    return ";".join(",".join(f"{step * number:g}" for number in row) for row in matrix)


def _every_input() -> Iterator[Fields]:
    """Of one to three numbers of few bits: zeros, equal, negated and shifted rows."""
    for a in ("int1", "uint1", "int4", "uint4", "e2m1", "e3m2", "e4m3fn", "e5m2ieee"):
        yield {"a": a, "b": "int8", "constants": "3,-5;0,0;-3,5;6,-10;1,1;-1,-1;-128,127;0,-1"}
        yield {"a": a, "b": "int8", "constants": "-1;0;93;-128"}
    for a in ("int4", "uint5", "e2m1"):
        yield {"a": a, "b": "e4m3", "constants": "1.5,-0.875,240;0.25,0,-3;-1.5,0.875,-240"}


def _proof(a: str, b: str, matrix: str, *properties: str) -> ProofRow:
    return {"a": a, "b": b, "constants": matrix}, ("reference", *properties)


_ROWS = "3,-77,0,64;3,-77,0,-128;-3,77,0,-64;0,0,0,0;6,-26,0,127"

MODEL = UnitModel(
    expected=expected,
    directed=directed,
    settings=(
        {"constants": "3,-5,7,0;-8,6,1,-3;3,-5,7,-1"},
        {"constants": "1.5,-6;0.5,3;0,-4;-1.5,6", "stages": 1},
        {"constants": "2,-2,1,0,1"},
        {"constants": "1,0,1;0,0,0", "stages": 2},
        {"constants": "1,2;2,1;1,1"},
    ),
    draws={"constants": _drawn},
    typical=(
        {"a": "int4", "b": "int8", "constants": "3,-5,7,0,-128;127,64,5,-3,85;3,-5,7,9,1"},
        {"a": "e2m1", "b": "int4", "constants": "-7,-5,-1,-6;7,5,2,6"},
        {"a": "e4m3fn", "b": "e2m1", "constants": "6,-0.5,1.5;0,3,-3;6,-0.5,2"},
    ),
    every_input=_every_input,
    example={"a": "int8", "b": "int8", "constants": "3,-77,0;64,-128,5;3,-77,9"},
    proofs={
        "fixed matrices": [
            _proof("int8", "int8", "3,-77;3,-77;-3,77;0,0;6,-26;0,127"),
            _proof("uint5", "int8", _ROWS),
            _proof("int4", "int8", _ROWS, "netlist"),
            _proof("e2m1", "int8", "93,-127,4;-93,127,-4;93,-128,5", "netlist"),
            _proof("e4m3fn", "e2m1", "6,-0.5;-6,0.5;0,3"),
        ],
    },
    reference=_reference,
)
