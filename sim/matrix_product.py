"""Matrix products of any size by an array, tile by tile.

The inputs that a user of the array drives, and where the product is among its answers. What
answers is a choice: the golden model, or the array's Verilog.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.accumulator import Float
from hwgen.errors import InputError
from hwgen.formats import Format, Scalar
from hwgen.spec import Array, Spec
from hwgen.spec.accumulating import FLAGS
from sim import golden
from sim.unit_model import Patterns

#: What a unit answers to consecutive valid inputs after a reset; as ``golden.expected``.
Answers = Callable[[Spec, Patterns], Patterns]


@dataclass(frozen=True)
class _Operand:
    """A matrix whose second axis is summed over, in whole tiles.

    ``codes``: of the elements, and of the scales if there are any: (tiles, rows or columns of a
    tile, tiles along the sum, codes of one). ``steps``: tiles along the sum.
    """

    codes: Patterns
    tiles: int
    steps: int


def matmul(
    spec: Array,
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    *,
    a_scale: npt.ArrayLike | None = None,
    b_scale: npt.ArrayLike | None = None,
    answers: Answers = golden.expected,
) -> Patterns:
    """A·B as the array computes it: its output ports, (M, N) each.

    ``a``: codes (M, K), ``b``: codes (K, N), any sizes; tiles are filled up with zeros. Of block
    formats these are the elements' codes, in blocks along K, and ``a_scale``, (M, blocks), and
    ``b_scale``, (blocks, N), those of the scales. Output-stationary: a tile of the product
    takes ⌈K / lanes⌉ cycles, the first with ``clear``. Weight-stationary: a tile of B is loaded
    row by row, all rows of A pass, and what comes out is the ``partial`` of the next tile along K:
    ``answers`` is called once for each of these.

    InputError for shapes that do not go together, more products than ``max_products``, formats
    without zero where tiles have to be filled up, and an ``output`` format of a weight-
    stationary array where several tiles along K would be rounded each.
    """
    left, right = np.asarray(a), np.asarray(b)
    if left.ndim != 2 or right.ndim != 2 or left.shape[1] != right.shape[0]:
        raise InputError(f"matrices of shapes {left.shape} and {right.shape}: use (M, K), (K, N)")
    shape = (len(left), right.shape[1])
    summed = spec.summed_rows * spec.lanes
    scales = [a_scale, None if b_scale is None else np.asarray(b_scale).T]
    rows = 1 if spec.is_weight_stationary else spec.rows
    x = _operand(spec.a, "a", left, scales[0], rows, summed)
    y = _operand(spec.b, "b", right.T, scales[1], spec.columns, summed)
    if left.shape[1] % summed and not _zero_is_zero(spec):
        raise InputError(
            f"K={left.shape[1]}: {spec.a} and {spec.b} have no zero to fill up tiles of {summed}"
        )
    if x.steps * summed > spec.max_products and not isinstance(spec.accumulator, Float):
        raise InputError(
            f"K={left.shape[1]} takes {x.steps * summed} products in tiles of {summed}: the array "
            f"sums up to max_products={spec.max_products}"
        )
    multiply = _weight_stationary if spec.is_weight_stationary else _output_stationary
    outputs = multiply(spec, x, y, answers)
    return {name: tiles[: shape[0], : shape[1]] for name, tiles in outputs.items()}


def _zero_is_zero(spec: Array) -> bool:
    """Zero times what the other is filled up with is zero."""
    f = spec.a.element
    return bool(f.decode(f.encode(0.0)) == 0)


def _operand(
    f: Format,
    name: str,
    codes: npt.NDArray[Any],
    scales: npt.ArrayLike | None,
    count: int,
    summed: int,
) -> _Operand:
    if (scales is None) != (f.scale is None):
        complaint = "is needed" if scales is None else "has no meaning"
        raise InputError(f"{name}={f}: {name}_scale {complaint} with this format")
    members, length = -(-len(codes) // count) * count, -(-codes.shape[1] // summed) * summed
    tiles = {}

    def fill(kind: str, number_format: Scalar, given: npt.NDArray[Any], size: int) -> None:
        # What is added multiplies zeros, or is left out of the result.
        code = int(number_format.encode(0.0 if kind == "a" else 1.0))
        padded = np.full((members, length // size), code, number_format.code_dtype)
        padded[: len(given), : given.shape[1]] = given
        tiles[kind] = padded.reshape(members // count, count, length // summed, summed // size)

    fill(name, f.element, codes, 1)
    if f.scale is not None:
        blocks = np.asarray(scales)
        shape = (len(codes), -(-codes.shape[1] // f.block_size))
        if blocks.shape != shape:
            raise InputError(
                f"{name}_scale of {blocks.size} scales: {codes.size} codes of {f} have "
                f"{shape[0]} x {shape[1]}"
            )
        fill(f"{name}_scale", f.scale, blocks, f.block_size)
    return _Operand(tiles, members // count, length // summed)


def _output_stationary(spec: Array, x: _Operand, y: _Operand, answers: Answers) -> Patterns:
    """Tile after tile of the product, all steps along K each."""
    cycles = (x.tiles, y.tiles, x.steps)
    inputs: Patterns = {"clear": np.zeros((*cycles, 1), np.uint8)}
    inputs["clear"][:, :, 0] = 1
    for name, codes in x.codes.items():
        inputs[name] = _by_cycle(codes[:, None], cycles)
    for name, codes in y.codes.items():
        inputs[name] = _by_cycle(codes[None], cycles)
    inputs = {name: codes.reshape(-1, codes.shape[-1]) for name, codes in inputs.items()}
    outputs = answers(spec, _with_random_bits(spec, inputs))
    products = {}
    for name, results in outputs.items():
        last = results.reshape(*cycles, spec.rows, spec.columns)[:, :, -1]
        products[name] = last.transpose(0, 2, 1, 3).reshape(x.tiles * spec.rows, -1)
    return products


def _by_cycle(codes: npt.NDArray[Any], cycles: tuple[int, ...]) -> npt.NDArray[Any]:
    """(tiles of A, tiles of B, members, steps, codes) as (…, steps, members · codes)."""
    rows = np.moveaxis(codes, -2, -3)
    rows = rows.reshape(*rows.shape[:-2], -1)
    return np.broadcast_to(rows, (*cycles, rows.shape[-1]))


def _weight_stationary(spec: Array, x: _Operand, y: _Operand, answers: Answers) -> Patterns:
    """Step after step along K; in each of them every tile of B's columns."""
    if spec.output is not None and x.steps > 1:
        raise InputError(
            f"output={spec.output}: {x.steps} tiles along K would be rounded each: leave the "
            "output out and round what comes of it (unit requantize or accumulator_to_float)"
        )
    loads, passes = spec.rows, x.tiles
    cycles = loads + passes
    partial_sums: Patterns = {}
    for step in range(x.steps):
        inputs: Patterns = {
            port.name: np.zeros((y.tiles, cycles, port.count), _dtype(port.bits))
            for port in spec.inputs
        }
        inputs["load"][:, :loads] = np.eye(spec.rows, dtype=np.uint8)
        # All rows in the first cycle: no weight of before is left in any cycle.
        inputs["load"][:, 0] = 1
        inputs["clear"][:] = step == 0
        for name, codes in x.codes.items():
            inputs[name][:, loads:] = codes[:, 0, step]
        for name, codes in y.codes.items():
            # (tiles, columns, codes of all rows) as (tiles, rows, columns · codes of one row).
            rows = codes[:, :, step].reshape(y.tiles, spec.columns, spec.rows, -1)
            inputs[name][:, :loads] = rows.transpose(0, 2, 1, 3).reshape(y.tiles, loads, -1)
        for name, sums in partial_sums.items():
            port = f"partial_{name}" if name in FLAGS else "partial"
            is_signed = name == "accumulator" and not isinstance(spec.accumulator, Float)
            words = sums & ((1 << spec.accumulator_width) - 1) if is_signed else sums
            inputs[port][:, loads:] = words
        flat = {name: rows.reshape(-1, rows.shape[-1]) for name, rows in inputs.items()}
        answered = answers(spec, _with_random_bits(spec, flat))
        partial_sums = {
            name: results.reshape(y.tiles, cycles, spec.columns)[:, loads:]
            for name, results in answered.items()
        }
    return {
        name: results.transpose(1, 0, 2).reshape(passes, -1)
        for name, results in partial_sums.items()
    }


def _dtype(bits: int) -> Any:
    return np.uint64 if bits <= 64 else object


def _with_random_bits(spec: Array, inputs: Patterns) -> Patterns:
    """Inputs with a port of random bits, where there is one."""
    rng = np.random.default_rng(1)
    count = len(inputs["clear"])
    counts = {p.name: p.count for p in spec.inputs if p.name == "random_bits"}
    drawn = {name: rng.integers(0, 2**32, (count, n), np.uint64) for name, n in counts.items()}
    return {**inputs, **drawn}
